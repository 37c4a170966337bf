//! Stages of one job: what a record costs in each, and what one takes while it has nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
        y: "ns of CPU time a record and stage",
        aim: Aim::Flat(3.0),
        points: COUNTS,
        measure: |stages| {
            // Enough for full batches everywhere, and for the start to weigh little.
            let records = (20_000_000 / stages).max(200_000);
            let (flow, _) = flow_of(stages, records);
            Ok(nanoseconds(&flow, JobOptions::default()) / records as f64 / stages as f64)
        },
    },
    Curve {
        name: "starts",
        question: "What does it cost to start and end a job of many stages that has no records?",
        x: "stages",
        y: "µs of CPU time a stage",
        aim: Aim::Flat(3.0),
        points: COUNTS,
        measure: |stages| {
            let (flow, _) = flow_of(stages, 0);
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
        aim: Aim::AtMost { aim: 16.0, must: None },
        points: IDLE,
        measure: |stages| idle(stages, 0),
    },
    Curve {
        name: "idle-stage-used",
        question: "And one that has had ten thousand, and waits for more?",
        x: "stages",
        y: "KiB a stage",
        aim: Aim::AtMost { aim: 16.0, must: None },
        points: IDLE,
        measure: |stages| idle(stages, 10_000),
    },
];

/// So many stages, and the number of records at the end.
fn flow_of(stages: u64, records: u64) -> (Dataflow, Output<u64>) {
    let flow = Dataflow::new("stages");
    let numbers = flow.source("numbers", source::from_iter(0..records)).boxed();
    let count = many_stages(numbers, stages).fold(0, |count, _| *count += 1);
    (flow, count)
}

/// With an edge between each two.
fn many_stages(mut stream: DataStream<u64>, stages: u64) -> DataStream<u64> {
    for _ in 1..stages {
        stream = stream.boundary().map(|n| n.wrapping_add(1)).boxed();
    }
    stream
}

/// KiB that a stage takes when all records have gone through.
fn idle(stages: u64, records: u64) -> Result<f64, String> {
    let (sender, source) = source::queue(256);
    let mut taken = Err("it never ran".into());
    timed(async {
        let before = resident();
        let (flow, arrived) = flow_to_the_end(stages, source);
        let job = flow.start().expect("it starts");
        for n in 0..records {
            while !sender.offer(n).is_accepted() {
                tokio::task::yield_now().await;
            }
        }
        while arrived.load(Relaxed) < records {
            tokio::task::yield_now().await;
        }
        settle().await;
        taken = before.and_then(|before| Ok((resident()? - before) / 1024.0 / stages as f64));
        job.abort();
    });
    taken
}

/// With the number of records that have come to the end, while it runs.
fn flow_to_the_end(stages: u64, source: source::Queue<u64>) -> (Dataflow, Arc<AtomicU64>) {
    let arrived = Arc::new(AtomicU64::new(0));
    let at_the_end = Arc::clone(&arrived);
    let flow = Dataflow::new("stages");
    let stream = many_stages(flow.source("queue", source).boxed(), stages);
    stream.inspect(move |_| _ = at_the_end.fetch_add(1, Relaxed)).ignore();
    (flow, arrived)
}

/// Lets every stage run often enough.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
