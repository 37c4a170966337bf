//! `HyperLogLog`: about how many different hashes there were, in four kilobytes.
//!
//! The estimator is that of Otmar Ertl, [New cardinality estimation algorithms for HyperLogLog
//! sketches](https://arxiv.org/abs/1702.01284), which has no bias at any size and needs no tables.
//! Few hashes are kept as they are, and counted exactly. What is kept depends on the set of hashes
//! alone, so that neither their order nor how they were cut matters.

use serde::{Deserialize, Serialize};

/// So many bits of a hash choose a register, and the zeros after them are what it keeps.
const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The most zeros that can follow, and one.
const HIGHEST: usize = 64 - PRECISION as usize + 1;
/// So many hashes are half as large as the registers.
const FEW: usize = 256;

/// About how many different keys there were: what
/// [`DistinctCount::approximate`](super::DistinctCount::approximate) keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HyperLogLog {
    kept: Kept,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kept {
    /// The hashes, sorted.
    Few(Vec<u64>),
    /// For each register the highest rank that it has seen.
    Many(Vec<u8>),
}

impl HyperLogLog {
    pub(super) const fn new() -> Self {
        Self { kept: Kept::Few(Vec::new()) }
    }

    #[inline]
    pub(super) fn add(&mut self, hash: u64) {
        match &mut self.kept {
            Kept::Many(registers) => raise(registers, hash),
            Kept::Few(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else {
                    return;
                };
                hashes.insert(place, hash);
                if hashes.len() > FEW {
                    let mut registers = vec![0; REGISTERS];
                    hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                    self.kept = Kept::Many(registers);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut self.kept, &other.kept) {
            (_, Kept::Few(hashes)) => hashes.iter().for_each(|hash| self.add(*hash)),
            (Kept::Many(registers), Kept::Many(others)) => {
                for (register, other) in registers.iter_mut().zip(others) {
                    *register = (*register).max(*other);
                }
            }
            (Kept::Few(hashes), Kept::Many(others)) => {
                let mut registers = others.clone();
                hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                self.kept = Kept::Many(registers);
            }
        }
    }

    pub(super) fn estimate(&self) -> u64 {
        match &self.kept {
            Kept::Few(hashes) => hashes.len() as u64,
            Kept::Many(registers) => estimate(registers).round() as u64,
        }
    }
}

#[inline]
fn raise(registers: &mut [u8], hash: u64) {
    let place = (hash >> (64 - PRECISION)) as usize;
    // The bit behind the hash ends a run of zeros.
    let rank = 1 + ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros();
    if let Some(register) = registers.get_mut(place) {
        *register = (*register).max(rank as u8);
    }
}

fn estimate(registers: &[u8]) -> f64 {
    let mut with_rank = [0_u32; HIGHEST + 1];
    for register in registers {
        if let Some(count) = with_rank.get_mut(usize::from(*register)) {
            *count += 1;
        }
    }
    let size = REGISTERS as f64;
    let [untouched, between @ .., full] = with_rank;
    let from_full = size * missed_by_full(1.0 - f64::from(full) / size);
    let halved = |sum, count: &u32| 0.5 * (sum + f64::from(*count));
    let sum = between.iter().rev().fold(from_full, halved);
    let sum = sum + size * missed_by_untouched(f64::from(untouched) / size);
    size * size / (2.0 * std::f64::consts::LN_2 * sum)
}

/// Ertl's σ: what the share of registers that saw nothing says.
fn missed_by_untouched(share: f64) -> f64 {
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    if share >= 1.0 {
        return f64::INFINITY;
    }
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight *= 2.0;
        if sum <= before {
            return sum;
        }
    }
}

/// Ertl's τ: what the share of registers that are not full says.
fn missed_by_full(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash;

    use millstream_engine::key::stable_hash;

    use super::*;

    /// The standard error that is documented.
    const ERROR: f64 = 0.0163;

    /// How far estimates are off, on the whole and at most, as parts of the standard error: of many
    /// sets, each looked at while it grows.
    fn errors<K: Hash>(key: impl Fn(u64, u64) -> K) -> (f64, f64) {
        let (mut squares, mut worst, mut looked) = (0.0, 0.0_f64, 0);
        for set in 0..20 {
            let mut sketch = HyperLogLog::new();
            let mut look_at = 300;
            for count in 1..=60_000_u64 {
                sketch.add(stable_hash(&key(set, count)));
                if count == look_at {
                    let off = (sketch.estimate() as f64 / count as f64 - 1.0) / ERROR;
                    squares += off * off;
                    worst = worst.max(off.abs());
                    looked += 1;
                    look_at += look_at / 2;
                }
            }
        }
        ((squares / f64::from(looked)).sqrt(), worst)
    }

    fn check_errors(name: &str, (typical, worst): (f64, f64)) {
        assert!(typical < 1.1, "{name}: typically {typical} standard errors off");
        assert!(worst < 4.0, "{name}: {worst} standard errors off");
    }

    #[test]
    fn g18_estimates_are_as_near_as_they_promise() {
        check_errors("numbers in a row", errors(|set, n| set * 100_000 + n));
        check_errors("even numbers", errors(|set, n| (set * 100_000 + n) * 4096));
        check_errors("words", errors(|set, n| format!("customer-{set}-{n}")));
        check_errors("pairs", errors(|set, n| (set as u32, n % 1000, n / 1000)));
    }

    #[test]
    fn few_are_counted_exactly() {
        let mut sketch = HyperLogLog::new();
        for n in 0..FEW as u64 {
            assert_eq!(sketch.estimate(), n);
            sketch.add(stable_hash(&n));
            sketch.add(stable_hash(&n));
        }
        assert!(matches!(sketch.kept, Kept::Few(_)));
        sketch.add(stable_hash("one more"));
        assert!(matches!(sketch.kept, Kept::Many(_)));
    }

    /// Registers spread just as theory expects them to be, up to where most are full.
    #[test]
    fn estimates_have_no_bias_at_any_size() {
        for size in (2..=18).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power))) {
            let per_register = size / REGISTERS as f64;
            let registers: Vec<u8> = (0..REGISTERS)
                .map(|at| {
                    let share = (at as f64 + 0.5) / REGISTERS as f64;
                    let is_below =
                        |rank: &u8| (-per_register / 2_f64.powi(i32::from(*rank))).exp() >= share;
                    (0..HIGHEST as u8).find(is_below).unwrap_or(HIGHEST as u8)
                })
                .collect();
            let ratio = estimate(&registers) / size;
            assert!((ratio - 1.0).abs() < 0.01, "{ratio} times {size}");
        }
    }

    #[test]
    fn estimates_of_empty_and_of_full_registers_are_no_nonsense() {
        assert_eq!(estimate(&[0; REGISTERS]), 0.0);
        assert!(estimate(&[HIGHEST as u8; REGISTERS]) > 1e18);
    }
}
