//! The promises of the engine, each proved by a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod bounded;
mod cancel;
mod conservation;
mod deadlock;
mod endings;
mod fair;
mod probes;
mod stopping;
mod time;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::sink::{Committable, Sink, SinkStatus};
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_operators::prelude::*;

/// Numbers without an end, as fast as they are asked for.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    next: u64,
    pulled: Arc<AtomicU64>,
}

impl Numbers {
    /// How many records the graph has pulled.
    pub(crate) fn pulled(&self) -> u64 {
        self.pulled.load(SeqCst)
    }
}

impl Source for Numbers {
    type Item = u64;

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() {
            batch.push(self.next);
            self.next += 1;
            self.pulled.fetch_add(1, SeqCst);
        }
        Ok(SourceStatus::More)
    }
}

/// What a [`Ledger`] has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) written: Vec<u64>,
    pub(crate) prepared: usize,
    pub(crate) committed: usize,
}

/// A sink that remembers everything.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

impl Ledger {
    pub(crate) fn entries(&self) -> Entries {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Ledger {
    type Item = u64;

    async fn write(&mut self, records: &mut Vec<Record<u64>>) -> Result<SinkStatus, OperatorError> {
        let mut entries = self.0.lock().unwrap();
        entries.written.extend(records.drain(..).map(|record| record.value));
        Ok(SinkStatus::More)
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        self.0.lock().unwrap().prepared += 1;
        Ok(Committable::default())
    }

    async fn commit(&mut self, _committable: Committable) -> Result<(), OperatorError> {
        self.0.lock().unwrap().committed += 1;
        Ok(())
    }
}

/// Emits each record a number of times, as it says, and obeys or not when there is no room.
#[derive(Clone)]
pub(crate) struct Expand {
    pub(crate) times: u64,
    pub(crate) floods: bool,
    pub(crate) left: Option<(Record<u64>, u64)>,
}

impl Expand {
    pub(crate) const fn new(times: u64, floods: bool) -> Self {
        Self { times, floods, left: None }
    }
}

impl Operator<u64> for Expand {
    type Out = u64;
    const NAME: &'static str = "expand";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        assert!(self.left.is_none(), "called while something is pending");
        self.left = Some((record, self.times));
        self.resume(out)
    }

    fn pending(&self) -> bool {
        self.left.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<u64>) -> Result<(), OperatorError> {
        while let Some((record, left)) = self.left {
            if left == 0 {
                self.left = None;
            } else if out.is_full() && !self.floods {
                break;
            } else {
                self.left = Some((record, left - 1));
                out.push(record);
            }
        }
        Ok(())
    }
}

/// Lets the first few through, and has enough.
#[derive(Clone)]
pub(crate) struct First(pub(crate) u64);

impl Operator<u64> for First {
    type Out = u64;
    const NAME: &'static str = "first";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        if self.0 > 0 {
            self.0 -= 1;
            out.push(record);
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.0 == 0
    }
}

/// Lets every other task run until nothing moves any more, on a current-thread runtime.
pub(crate) async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// Runs a future on a runtime of one thread, and on one of two.
pub(crate) fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let mut current = tokio::runtime::Builder::new_current_thread();
    current.enable_all().build().unwrap().block_on(test());
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    let multi = multi.worker_threads(2).enable_all().build().unwrap();
    multi.block_on(test());
}
