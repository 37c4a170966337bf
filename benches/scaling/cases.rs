//! The jobs in which counting is measured. Compiled into the bench, and into crates of their own.

use millstream::prelude::*;

use crate::ten_steps::ten_steps;

const RECORDS: u64 = 20_000_000;

/// A chain of ten steps, or an edge behind which nothing is done.
pub(crate) fn flow_of(case: u64) -> Dataflow {
    let flow = Dataflow::new("case");
    let numbers = flow.source("numbers", source::from_iter(0..RECORDS));
    let add = |sum: &mut u64, n: u64| *sum = sum.wrapping_add(n);
    let _ =
        if case == 0 { ten_steps(numbers).fold(0, add) } else { numbers.boundary().fold(0, add) };
    flow
}
