//! What the timed words promise, on whole jobs and virtual time: timers without traffic, behind a
//! stuck sink and at the end, shared limits, switches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

/// A job with one word between a source and a sink that are probes.
macro_rules! probed {
    ($hand:expr, |$stream:ident| $said:expr) => {{
        let flow = Dataflow::new("probed");
        let (input, source) = probe_source::<u32>();
        let (output, sink) = probe_sink();
        let $stream = flow.source("input", source);
        $said.sink("output", sink);
        let job = flow.start_with(&$hand.options()).unwrap();
        (input, output, job)
    }};
}

mod outside;
mod rates;
mod waits;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::Error;
use millstream_engine::runtime::JobHandle;
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::testing::{SourceProbe, probe_sink, probe_source};
use millstream_engine::time::{Clock, VirtualClock};
use millstream_operators::prelude::*;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const NANO: Duration = Duration::from_nanos(1);

/// A job on a clock that only this moves.
pub(crate) struct Hand {
    pub(crate) clock: VirtualClock,
}

impl Hand {
    pub(crate) fn new() -> Self {
        Self { clock: VirtualClock::new() }
    }

    /// Every record on its own, as far as the engine lets them.
    pub(crate) fn options(&self) -> JobOptions {
        let options = JobOptions::default().with_clock(self.clock.clock()).with_batch_records(1);
        options.with_edge_capacity(1).with_publish_every(None)
    }

    /// Lets everybody do what can be done without time.
    pub(crate) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn advance(&self, by: Duration) {
        self.settle().await;
        self.clock.advance(by);
        self.settle().await;
    }
}

pub(crate) fn cause<E: std::error::Error + Copy + 'static>(error: &Error) -> E {
    *error.cause().unwrap().downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

/// Keeps each value with the time at which it came.
#[derive(Clone)]
pub(crate) struct Arrivals<T> {
    clock: Clock,
    seen: Arc<Mutex<Vec<(Duration, T)>>>,
}

impl<T> Arrivals<T> {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, seen: Arc::default() }
    }

    pub(crate) fn take(&self) -> Vec<(Duration, T)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl<T: Clone + Send + 'static> Sink for Arrivals<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        let now = self.clock.now().since_start();
        self.seen.lock().unwrap().extend(records.drain(..).map(|record| (now, record.value)));
        Ok(SinkStatus::More)
    }
}

pub(crate) fn is_running(job: &JobHandle) -> bool {
    job.observer().outcome().is_none()
}

pub(crate) async fn drained(input: &SourceProbe<u32>, job: JobHandle) -> JobReport {
    input.end().await;
    job.await.unwrap()
}
