//! The workloads, each with its contenders as plain functions, and what those share.

#[path = "../../../support/calls.rs"]
mod calls;
#[path = "../../../support/edge.rs"]
mod edge;
mod nexmark;
#[path = "../../../support/ten_steps.rs"]
mod ten_steps;
#[path = "../../../support/text.rs"]
mod text;
mod w1_chain;
mod w2_edge;
mod w3_words;
mod w4_fan;
mod w5_calls;
mod w6_windows;
mod w7_latency;
#[path = "../../../support/windows.rs"]
mod windows;
#[path = "../../../support/words.rs"]
mod words;

use std::cell::Cell;
use std::rc::Rc;

use renoir::{RuntimeConfig, StreamContext};

use crate::contender::Workload;

pub(crate) fn all() -> Vec<Workload> {
    let mut all = vec![w1_chain::workload()];
    all.extend(w2_edge::workloads());
    all.extend(w3_words::workloads());
    all.push(w4_fan::workload());
    all.extend(w5_calls::workloads());
    all.push(w6_windows::workload());
    all.extend(w7_latency::workloads());
    all.extend(nexmark::workloads());
    all
}

/// A renoir environment of this process with so many replicas of each block.
fn renoir(replicas: u64) -> StreamContext {
    StreamContext::new(RuntimeConfig::local(replicas).expect("there are replicas"))
}

/// A sum that the closures of a single-threaded graph share.
#[derive(Clone, Default)]
struct Sum(Rc<Cell<u64>>);

impl Sum {
    fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Steps a timely worker until its dataflows are done, parked where it has nothing to do.
fn finish(worker: &mut timely::worker::Worker) {
    while worker.has_dataflows() {
        worker.step_or_park(None);
    }
}

/// Runs a timely computation on so many workers, and adds what they answer.
fn timely<F>(workers: usize, work: F) -> u64
where
    F: Fn(&mut timely::worker::Worker) -> u64 + Send + Sync + 'static,
{
    let config =
        if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let guards = timely::execute(config, work).expect("the workers start");
    let sums = guards.join().into_iter().map(|sum| sum.expect("no worker panics"));
    sums.fold(0, u64::wrapping_add)
}
