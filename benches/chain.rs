//! What does a chain of ten operators cost, next to the loop one would write by hand?
//!
//! `cargo bench -p millstream-benches --bench chain`

#![allow(missing_docs, reason = "a bench has no interface")]

mod support;

use millstream::prelude::*;
use support::{compare, must, runtime, shown};

const RECORDS: u64 = 20_000_000;

/// The ten steps, in the loop that is the limit.
#[inline(never)]
fn by_hand(records: u64) -> u64 {
    let mut sum = 0_u64;
    for n in 0..records {
        let n = n.wrapping_mul(3).wrapping_add(1);
        if n.is_multiple_of(7) {
            continue;
        }
        let n = (n ^ (n >> 3)).wrapping_add(11);
        if n & 15 == 3 {
            continue;
        }
        let n = n.wrapping_mul(5).rotate_left(7);
        if n.is_multiple_of(5) {
            continue;
        }
        sum = sum.wrapping_add((n ^ 0x55).wrapping_sub(9));
    }
    sum
}

/// The first five of the ten steps.
fn first_half(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(3).wrapping_add(1))
        .filter(|n| !n.is_multiple_of(7))
        .map(|n| n ^ (n >> 3))
        .map(|n| n.wrapping_add(11))
        .filter(|n| n & 15 != 3)
}

/// The other five.
fn second_half(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(5))
        .map(|n| n.rotate_left(7))
        .filter(|n| !n.is_multiple_of(5))
        .map(|n| n ^ 0x55)
        .map(|n| n.wrapping_sub(9))
}

enum Seam {
    None,
    Boxed,
    Boundary,
}

fn ours(runtime: &tokio::runtime::Runtime, seam: &Seam, options: &JobOptions) -> u64 {
    let flow = Dataflow::new("chain");
    let first = first_half(flow.source("numbers", source::from_iter(0..RECORDS)));
    let add = |sum: &mut u64, n: u64| *sum = sum.wrapping_add(n);
    let sum = match seam {
        Seam::None => second_half(first).fold(0, add),
        Seam::Boxed => second_half(first.boxed()).fold(0, add),
        Seam::Boundary => second_half(first.boundary()).fold(0, add),
    };
    let report = runtime.block_on(flow.run_with(options.clone())).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

/// Ten operators, each in a task of its own.
fn unfused(runtime: &tokio::runtime::Runtime) -> u64 {
    let flow = Dataflow::new("unfused");
    let sum = flow
        .source("numbers", source::from_iter(0..RECORDS))
        .map(|n: u64| n.wrapping_mul(3).wrapping_add(1))
        .boundary()
        .filter(|n| !n.is_multiple_of(7))
        .boundary()
        .map(|n| n ^ (n >> 3))
        .boundary()
        .map(|n| n.wrapping_add(11))
        .boundary()
        .filter(|n| n & 15 != 3)
        .boundary()
        .map(|n| n.wrapping_mul(5))
        .boundary()
        .map(|n| n.rotate_left(7))
        .boundary()
        .filter(|n| !n.is_multiple_of(5))
        .boundary()
        .map(|n| n ^ 0x55)
        .boundary()
        .map(|n| n.wrapping_sub(9))
        .fold(0, |sum: &mut u64, n| *sum = sum.wrapping_add(n));
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

fn main() {
    let one = runtime(1);
    let plain = JobOptions::default();
    let counted = JobOptions::default().with_operator_counts(true);
    compare(
        "What does a chain of ten operators cost, next to a loop written by hand?",
        RECORDS,
        vec![
            shown("the loop", || by_hand(std::hint::black_box(RECORDS))),
            must(1.5, "ten operators, fused", || ours(&one, &Seam::None, &plain)),
            shown("the same, counted by operator", || ours(&one, &Seam::None, &counted)),
            shown("the same, boxed in the middle", || ours(&one, &Seam::Boxed, &plain)),
            shown("the same, an edge in the middle", || ours(&one, &Seam::Boundary, &plain)),
            shown("ten tasks and nine edges, one thread", || unfused(&one)),
        ],
    );
}
