//! The watchdog: a stage that has work and gets nowhere with it is told of.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::testing::{TestDriver, VirtualClock, probe_sink, probe_source};
use millstream_operators::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};

const MINUTE: Duration = Duration::from_secs(60);

/// The warnings, and the news that it is over.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn warnings(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|text| text.contains("held up by")).count()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        write!(self.0, "{value:?} ").unwrap();
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("millstream") && metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let told = *event.metadata().level() == Level::WARN || text.0.contains("gets on");
        if told {
            self.0.lock().unwrap().push(text.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn m11_a_stall_is_told_once_and_again_only_after_it_was_over() {
    let told = Told::default();
    let _on = tracing::subscriber::set_default(told.clone());
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("watched");
    flow.source("in", source).boundary().sink("out", sink);
    let options = JobOptions::default().with_stall_warning(Some(MINUTE)).with_publish_every(None);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    // A quiet source is no stall.
    driver.advance(MINUTE * 10);
    assert_eq!(told.warnings(), 0);
    driver.push(&input, 1);
    driver.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(told.warnings(), 0, "not yet");
    driver.advance(MINUTE / 2);
    assert_eq!(told.warnings(), 1);
    assert!(told.0.lock().unwrap()[0].contains("`out` waits for the outside to take"));
    driver.advance(MINUTE * 10);
    assert_eq!(told.warnings(), 1, "once");
    let stalled = driver.metrics().stages.iter().map(|stage| stage.stalled()).max();
    assert!(stalled.unwrap() > MINUTE * 10);
    // It gets on, and is stuck once more.
    driver.records(&output);
    output.request(1);
    driver.advance(MINUTE);
    assert!(told.0.lock().unwrap().last().unwrap().contains("gets on again"));
    driver.push(&input, 2);
    driver.advance(MINUTE * 2);
    assert_eq!(told.warnings(), 2);
}

#[test]
fn m11_progress_however_slow_is_no_stall() {
    let told = Told::default();
    let _on = tracing::subscriber::set_default(told.clone());
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("slow");
    flow.source("in", source::from_iter(0_u64..)).boundary().sink("out", sink);
    let options = JobOptions::default().with_stall_warning(Some(MINUTE)).with_publish_every(None);
    let options = options.with_batch_records(1).with_edge_capacity(1);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    for _ in 0..20 {
        output.request(1);
        driver.advance(MINUTE / 2);
    }
    assert_eq!(told.warnings(), 0);
}

#[test]
fn m11_hard_work_is_no_stall() {
    let told = Told::default();
    let _on = tracing::subscriber::set_default(told.clone());
    let clock = VirtualClock::new();
    let flow = Dataflow::new("hard");
    let hand = clock.clone();
    let worked = flow.source("in", source::from_iter(0..100)).map(move |n: u64| {
        hand.advance(MINUTE / 4);
        n
    });
    worked.ignore();
    let options = JobOptions::default().with_stall_warning(Some(MINUTE)).with_clock(clock.clock());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(flow.run_with(options)).unwrap();
    assert_eq!(told.warnings(), 0);
}

#[test]
fn m11_it_can_be_switched_off() {
    let told = Told::default();
    let _on = tracing::subscriber::set_default(told.clone());
    let (_output, sink) = probe_sink();
    let flow = Dataflow::new("unwatched");
    flow.source("in", source::from_iter(0_u64..)).boundary().sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.advance(MINUTE * 100);
    assert_eq!((told.warnings(), driver.clock().timers()), (0, 0));
}
