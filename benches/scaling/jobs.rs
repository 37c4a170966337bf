//! Jobs of one process: what it costs to start and end one among many, and what one takes while it
//! has nothing to do.

use millstream::prelude::*;

use crate::curve::{Aim, Curve, Size};
use crate::memory::resident;
use crate::timed::timed;

const COUNTS: &[Size] =
    &[Size(1, "1"), Size(10, "10"), Size(100, "100"), Size(1_000, "1,000"), Size(10_000, "10,000")];
const IDLE: &[Size] = &[Size(100, "100"), Size(1_000, "1,000"), Size(10_000, "10,000")];
const RECORDS: u64 = 1_000;
/// How many jobs are run in all, so that few of them can be timed, too.
const LEAST: u64 = 1_000;

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "jobs",
        question: "What does a job of two stages and a thousand records cost among so many others?",
        x: "jobs at a time",
        y: "µs of CPU time a job",
        aim: Aim::Flat(3.0),
        points: COUNTS,
        measure: |jobs| {
            let rounds = (LEAST / jobs).max(1);
            let spent = timed(async {
                for _ in 0..rounds {
                    at_a_time(jobs).await;
                }
            });
            Ok(spent.as_secs_f64() * 1e6 / (rounds * jobs) as f64)
        },
    },
    Curve {
        name: "idle-jobs",
        question: "How much memory does a job of two stages take that waits for its first record?",
        x: "jobs",
        y: "KiB a job",
        aim: Aim::Shown,
        points: IDLE,
        measure: idle,
    },
];

/// All are started before any of them is waited for.
async fn at_a_time(jobs: u64) {
    let start = |_| {
        let flow = Dataflow::new("small");
        let numbers = flow.source("numbers", source::from_iter(0..RECORDS));
        let sum = numbers.boundary().fold(0, |sum: &mut u64, n| *sum += n);
        (flow.start().expect("it starts"), sum)
    };
    let running: Vec<_> = (0..jobs).map(start).collect();
    for (job, sum) in running {
        let sum = job.await.expect("nothing fails").take(sum);
        assert_eq!(sum, Some(RECORDS * (RECORDS - 1) / 2));
    }
}

fn idle(jobs: u64) -> Result<f64, String> {
    let start = |_| {
        let flow = Dataflow::new("idle");
        flow.source("nothing", source::never::<u64>()).boundary().ignore();
        flow.start().expect("it starts")
    };
    let mut taken = Err("it never ran".into());
    timed(async {
        let before = resident();
        let running: Vec<JobHandle> = (0..jobs).map(start).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        taken = before.and_then(|before| Ok((resident()? - before) / 1024.0 / jobs as f64));
        drop(running);
    });
    taken
}
