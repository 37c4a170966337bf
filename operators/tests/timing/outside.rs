//! What an operator hears outside while its stage is about to rest is acted upon, although nobody
//! wakes the stage for it again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Context;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;
use tokio::sync::oneshot;

/// Holds each record until it has looked outside so often.
#[derive(Clone)]
struct Looks {
    needed: usize,
    held: Option<(Record<u32>, usize)>,
}

impl Operator<u32> for Looks {
    type Out = u32;
    const NAME: &'static str = "looks";

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.held = Some((record, 0));
        Ok(())
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        if let Some((_, looks)) = &mut self.held {
            *looks += 1;
        }
        Ok(())
    }

    fn pending(&self) -> bool {
        self.held.is_some()
    }

    fn waiting(&self) -> bool {
        self.held.is_some_and(|(_, looks)| looks < self.needed)
    }

    fn resume(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        if let Some((record, _)) = self.held.take() {
            out.push(record);
        }
        Ok(())
    }
}

/// A limiter that lets go between two looks, microseconds apart, has no waker left to call.
#[test]
fn d7_who_may_go_on_at_the_second_look_goes_on() {
    for needed in [1, 2] {
        let (input, factory) = probe_source();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("second look");
        flow.source("in", factory).via(Looks { needed, held: None }).sink("out", sink);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        for n in 0..5 {
            driver.push(&input, n);
        }
        assert_eq!(driver.read(&output), [0, 1, 2, 3, 4], "at look {needed}");
        driver.end(&input);
        driver.finish().unwrap();
    }
}

type Signal = Arc<Mutex<Option<oneshot::Receiver<()>>>>;

/// Ends the stream when a future is ready, which tells so once. For a single run.
#[derive(Clone)]
struct Until {
    signal: Signal,
    done: bool,
}

impl Operator<u32> for Until {
    type Out = u32;
    const NAME: &'static str = "until";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        let mut signal = self.signal.lock().unwrap();
        if signal.as_mut().is_some_and(|signal| Pin::new(signal).poll(cx).is_ready()) {
            (*signal, self.done) = (None, true);
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.done
    }
}

#[test]
fn k9_who_hears_outside_that_it_is_enough_is_asked_also_behind_a_full_edge() {
    let (input, factory) = probe_source();
    let (output, sink) = probe_sink();
    let (signal, heard) = oneshot::channel();
    let flow = Dataflow::new("stuck");
    let until = Until { signal: Arc::new(Mutex::new(Some(heard))), done: false };
    let numbers = flow.source("in", factory).boundary();
    numbers.via(until).boundary().sink("out", sink);
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let given = (0..50).take_while(|n| driver.try_push(&input, *n).is_ok()).count();
    assert!(given < 50, "nobody takes anything");
    assert!(!input.is_cancelled());
    signal.send(()).unwrap();
    driver.settle();
    assert!(input.is_cancelled(), "although there is still no room");
    driver.read(&output);
    driver.finish().unwrap();
}
