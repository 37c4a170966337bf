//! Stages of one job: what a record costs in each, and what one takes while it has nothing to do.

use millstream::prelude::*;
use millstream::runtime::Output;

use crate::curve::{Aim, Curve, Size};
use crate::memory::resident;
use crate::timed::{nanoseconds, timed};

const COUNTS: &[Size] = &[Size(1, "1"), Size(10, "10"), Size(100, "100"), Size(1_000, "1,000")];
const IDLE: &[Size] = &[Size(100, "100"), Size(1_000, "1,000"), Size(10_000, "10,000")];

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "stages",
        question: "What does a record cost in each of many stages of a job, on one thread?",
        x: "stages",
        y: "ns a record and stage",
        aim: Aim::Flat(3.0),
        points: COUNTS,
        measure: |stages| {
            // Enough for full batches everywhere, and for the start to weigh little.
            let records = (20_000_000 / stages).max(200_000);
            let (flow, _) = flow_of(stages, |flow| counted_to(flow, records));
            Ok(nanoseconds(&flow, JobOptions::default()) / records as f64 / stages as f64)
        },
    },
    Curve {
        name: "starts",
        question: "What does it cost to start and end a job of many stages that has no records?",
        x: "stages",
        y: "µs a stage",
        aim: Aim::Flat(3.0),
        points: COUNTS,
        measure: |stages| {
            let (flow, _) = flow_of(stages, |flow| counted_to(flow, 0));
            // The first job of a process is not like the others.
            nanoseconds(&flow, JobOptions::default());
            Ok(nanoseconds(&flow, JobOptions::default()) / 1_000.0 / stages as f64)
        },
    },
    Curve {
        name: "idle-stage",
        question: "What does a stage with one edge take that has not had a record?",
        x: "stages",
        y: "KiB a stage",
        aim: Aim::AtMost(16.0),
        points: IDLE,
        measure: |stages| idle(stages, 0),
    },
    Curve {
        name: "idle-stage-used",
        question: "And one that has had ten thousand, and waits for more?",
        x: "stages",
        y: "KiB a stage",
        aim: Aim::AtMost(16.0),
        points: IDLE,
        measure: |stages| idle(stages, 10_000),
    },
];

fn counted_to(flow: &Dataflow, records: u64) -> DataStream<u64> {
    flow.source("numbers", source::from_iter(0..records)).boxed()
}

/// So many stages with an edge between each two, and the number of records at the end.
fn flow_of(
    stages: u64,
    source: impl FnOnce(&Dataflow) -> DataStream<u64>,
) -> (Dataflow, Output<u64>) {
    let flow = Dataflow::new("stages");
    let mut stream = source(&flow);
    for _ in 1..stages {
        stream = stream.boundary().map(|n| n.wrapping_add(1)).boxed();
    }
    let count = stream.fold(0, |count, _| *count += 1);
    (flow, count)
}

/// Bytes in KiB that a stage takes once all of them have nothing to do.
fn idle(stages: u64, records: u64) -> Result<f64, String> {
    let (sender, source) = source::queue(256);
    let mut taken = Err("it never ran".into());
    timed(async {
        let before = resident();
        let (flow, _) = flow_of(stages, |flow| flow.source("queue", source).boxed());
        let job = flow.start().expect("it starts");
        let mut last = job.metrics();
        for n in 0..records {
            while !sender.offer(n).is_accepted() {
                tokio::task::yield_now().await;
            }
        }
        // Until nothing moves any more.
        loop {
            settle().await;
            let now = job.metrics();
            if format!("{now:?}") == format!("{last:?}") {
                break;
            }
            last = now;
        }
        drop(last);
        taken = before.and_then(|before| Ok((resident()? - before) / 1024.0 / stages as f64));
        job.abort();
    });
    taken
}

/// Lets every stage run often enough.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
