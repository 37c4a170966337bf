//! The jobs in which counting is measured. Compiled into the bench, and into crates of their own.

use millstream::prelude::*;

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

/// As in the bench `chain`.
fn ten_steps(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(3).wrapping_add(1))
        .filter(|n| !n.is_multiple_of(7))
        .map(|n| n ^ (n >> 3))
        .map(|n| n.wrapping_add(11))
        .filter(|n| n & 15 != 3)
        .map(|n| n.wrapping_mul(5))
        .map(|n| n.rotate_left(7))
        .filter(|n| !n.is_multiple_of(5))
        .map(|n| n ^ 0x55)
        .map(|n| n.wrapping_sub(9))
}
