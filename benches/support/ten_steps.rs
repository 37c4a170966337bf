//! A chain of ten cheap steps, seven maps and three filters, and the loop that one would write.

#![allow(dead_code, reason = "each bench takes what it needs")]

use std::hint::black_box;

use millstream::prelude::*;

/// The ten steps, in the loop that is the limit.
#[inline(never)]
pub(crate) fn by_hand(records: u64) -> u64 {
    let mut sum = 0_u64;
    for n in 0..black_box(records) {
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

/// The ten steps as operators.
pub(crate) fn ten_steps(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    last_five(first_five(numbers))
}

pub(crate) fn first_five(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(3).wrapping_add(1))
        .filter(|n| !n.is_multiple_of(7))
        .map(|n| n ^ (n >> 3))
        .map(|n| n.wrapping_add(11))
        .filter(|n| n & 15 != 3)
}

pub(crate) fn last_five(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(5))
        .map(|n| n.rotate_left(7))
        .filter(|n| !n.is_multiple_of(5))
        .map(|n| n ^ 0x55)
        .map(|n| n.wrapping_sub(9))
}

/// The ten steps with an edge between each and the next, so that each is a stage of its own.
pub(crate) fn ten_stages(
    numbers: DataStream<u64, impl Chain<Item = u64>>,
) -> DataStream<u64, impl Chain<Item = u64>> {
    numbers
        .map(|n| n.wrapping_mul(3).wrapping_add(1))
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
}
