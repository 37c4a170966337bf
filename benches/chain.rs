//! What does a chain of ten operators cost, next to the loop one would write by hand?
//!
//! `cargo bench -p millstream-benches --bench chain`

#![allow(missing_docs, reason = "a bench has no interface")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;
#[path = "support/ten_steps.rs"]
mod ten_steps;

use millstream::prelude::*;
use runtime::{run, runtime};
use support::{compare, must, shown};
use ten_steps::{by_hand, first_five, last_five, ten_stages};

const RECORDS: u64 = 20_000_000;

fn add(sum: &mut u64, n: u64) {
    *sum = sum.wrapping_add(n);
}

enum Seam {
    None,
    Boxed,
    Boundary,
}

fn ours(runtime: &tokio::runtime::Runtime, seam: &Seam, options: &JobOptions) -> u64 {
    let flow = Dataflow::new("chain");
    let first = first_five(flow.source("numbers", source::from_iter(0..RECORDS)));
    let sum = match seam {
        Seam::None => last_five(first).fold(0, add),
        Seam::Boxed => last_five(first.boxed()).fold(0, add),
        Seam::Boundary => last_five(first.boundary()).fold(0, add),
    };
    let report = runtime.block_on(flow.run_with(options.clone())).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

/// Ten operators, each a stage of its own.
fn unfused(runtime: &tokio::runtime::Runtime) -> u64 {
    let flow = Dataflow::new("unfused");
    let numbers = flow.source("numbers", source::from_iter(0..RECORDS));
    let sum = ten_stages(numbers).fold(0, add);
    run(runtime, &flow, sum)
}

fn main() {
    let one = runtime(1);
    let plain = JobOptions::default();
    let counted = JobOptions::default().with_operator_counts(true);
    compare(
        "What does a chain of ten operators cost, next to a loop written by hand?",
        RECORDS,
        vec![
            shown("the loop", || by_hand(RECORDS)),
            must(1.5, "ten operators, fused", || ours(&one, &Seam::None, &plain)),
            shown("the same, counted by operator", || ours(&one, &Seam::None, &counted)),
            shown("the same, boxed in the middle", || ours(&one, &Seam::Boxed, &plain)),
            shown("the same, an edge in the middle", || ours(&one, &Seam::Boundary, &plain)),
            shown("ten stages and nine edges, one thread", || unfused(&one)),
        ],
    );
}
