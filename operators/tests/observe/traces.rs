//! The spans of a job: one for the job, one for each stage, linked as the graph is.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use millstream_operators::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};

/// What a subscriber has heard.
#[derive(Clone, Default)]
struct Heard {
    next: Arc<AtomicU64>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Each span: its name with what it is about, and its parent.
    spans: Vec<(u64, String, Option<u64>)>,
    links: BTreeSet<(u64, u64)>,
    /// The spans that are entered, the last one innermost.
    entered: Vec<u64>,
    /// What was told, and inside which span.
    events: Vec<(String, Option<u64>)>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("millstream")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, SeqCst) + 1;
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        let mut inner = self.inner.lock().unwrap();
        let current = inner.entered.last().copied().filter(|_| span.is_contextual());
        let parent = span.parent().map(Id::into_u64).or(current);
        inner.spans.push((id, text.0, parent));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.inner.lock().unwrap().links.insert((span.into_u64(), follows.into_u64()));
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut inner = self.inner.lock().unwrap();
        let inside = inner.entered.last().copied();
        inner.events.push((text.0, inside));
    }

    fn enter(&self, span: &Id) {
        self.inner.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.inner.lock().unwrap().entered.pop();
    }
}

impl Heard {
    /// The spans whose text has `part` in it.
    fn spans(&self, part: &str) -> Vec<(u64, Option<u64>)> {
        let inner = self.inner.lock().unwrap();
        let found = inner.spans.iter().filter(|(_, text, _)| text.contains(part));
        found.map(|(id, _, parent)| (*id, *parent)).collect()
    }

    fn is_linked(&self, reader: u64, writer: u64) -> bool {
        self.inner.lock().unwrap().links.contains(&(reader, writer))
    }
}

/// Two sources that meet, and a step that fails now and then.
async fn heard() -> Heard {
    let heard = Heard::default();
    let _on = tracing::subscriber::set_default(heard.clone());
    let flow = Dataflow::new("traced");
    let left = flow.source("left", source::from_iter(0..10_u64));
    let met = left.merge(flow.source("right", source::from_iter(10..20_u64))).named("meet");
    let fails = |n: &u64| if *n == 7 { Err(std::io::Error::other("seven")) } else { Ok(*n) };
    met.try_map(OnError::skip(), fails).parallel(2).named("spread").ignore();
    flow.run().await.unwrap();
    heard
}

#[tokio::test]
async fn m8_every_stage_has_a_span_below_the_jobs() {
    let heard = heard().await;
    let job = heard.spans("job pipeline=traced");
    let stages = heard.spans("stage pipeline=traced");
    assert_eq!((job.len(), stages.len()), (1, 5), "left, right, meet, and two of spread");
    assert!(stages.iter().all(|(_, parent)| *parent == Some(job[0].0)));
}

#[tokio::test]
async fn m8_a_stage_is_linked_to_every_input_and_is_the_child_of_none() {
    let heard = heard().await;
    let one = |part: &str| {
        let found = heard.spans(part);
        assert_eq!(found.len(), 1, "{part}");
        found[0].0
    };
    let (left, right, meet) =
        (one("operators=left"), one("operators=right"), one("operators=meet"));
    assert!(heard.is_linked(meet, left) && heard.is_linked(meet, right));
    assert!(!heard.is_linked(left, right) && !heard.is_linked(left, meet));
    let spread = heard.spans("operators=spread");
    assert!(spread.len() == 2 && spread.iter().all(|(id, _)| heard.is_linked(*id, meet)));
}

#[tokio::test]
async fn m8_what_is_told_of_a_record_is_told_inside_the_span_of_its_stage() {
    let heard = heard().await;
    let meet = heard.spans("operators=meet")[0].0;
    let inner = heard.inner.lock().unwrap();
    let skipped = inner.events.iter().filter(|(text, _)| text.contains("seven"));
    let inside: Vec<_> = skipped.map(|(_, inside)| *inside).collect();
    assert_eq!(inside, [Some(meet)]);
    drop(inner);
}
