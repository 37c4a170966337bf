//! The laws of time and state: what comes out of windows, timers and running totals is what a
//! naive oracle says, whatever the size of batches and edges, the schedule, the number of instances
//! and the place of a crash.
//!
//! Each law is held against scripts that are drawn from seeds. `SEEDS=1000..2000 cargo test -p
//! millstream-operators --test time_laws` takes others than the default.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod graphs;
mod oracle;
mod scripts;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use millstream_operators::prelude::JobOptions;

use graphs::{Ending, Play, play};
use oracle::expected;
use scripts::{Case, Draw, Kind, Step, When, with_watermarks};

/// Runs a law for each seed, and says how to run a failing one again.
#[allow(clippy::print_stderr, reason = "as a test harness does")]
fn law(name: &str, seeds: Range<u64>, law: impl Fn(u64, &mut Draw)) {
    let chosen = std::env::var("SEEDS").ok().map(|range| {
        let (first, last) = range.split_once("..").expect("SEEDS=first..last");
        first.parse().unwrap()..last.parse().unwrap()
    });
    let mut number = name.bytes().map(u64::from).sum::<u64>();
    for seed in chosen.unwrap_or(seeds) {
        number = number.max(1);
        let run = || law(seed, &mut Draw::new(seed, number));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let range = format!("SEEDS={seed}..{}", seed + 1);
            eprintln!("{range} cargo test -p millstream-operators --test time_laws {name}");
            resume_unwind(panic);
        }
    }
}

fn options(draw: &mut Draw) -> JobOptions {
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = options.with_batch_records(1 + draw.0.below(5) as usize);
    let options = options.with_edge_capacity(1 + draw.0.below(4) as usize);
    if draw.one_in(4) { options } else { options.with_schedule_seed(draw.0.next_u64()) }
}

fn plain(options: &JobOptions, parallel: usize) -> Play<'_> {
    let (barriers, idle_after, state): (&[usize], _, _) = (&[], None, None);
    Play { options, parallel, ending: Ending::End, barriers, idle_after, state }
}

#[test]
fn one_partition_tells_what_the_oracle_does() {
    law("one_partition_tells_what_the_oracle_does", 0..4_000, |_, draw| {
        let case = draw.case();
        let script = draw.script(&case, 24);
        let expected = expected(&case, &with_watermarks(&case, &script));
        let options = options(draw);
        let parallel = 1 + draw.0.below(4) as usize;
        let got = play(&case, &script, plain(&options, parallel)).output;
        assert_eq!(got, expected, "{case:?} {script:?} by {parallel}");
    });
}
