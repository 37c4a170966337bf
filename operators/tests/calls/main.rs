//! Words that wait for futures, on whole jobs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attempts;
mod chains;
mod fences;
mod held;
mod lookup;
mod model;
mod progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Counts how many are inside at once.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

struct Inside(Gauge);

impl Gauge {
    fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(now, SeqCst);
        self.0.2.fetch_add(1, SeqCst);
        Inside(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }

    fn entered(&self) -> usize {
        self.0.2.load(SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

fn sleep(clock: &Clock, millis: u64) -> impl Future<Output = ()> + Send + use<> {
    clock.sleep(Duration::from_millis(millis))
}
