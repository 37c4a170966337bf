//! `Quantiles`: what so much of the values stay below.

use std::fmt;

use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

use super::{Aggregate, Measure};

/// Quantiles of a number of each value, over those which have one; `None` where none had. The 0.5
/// quantile is the median, and 0.99 what only one in a hundred exceeds.
///
/// Of `n` sorted numbers the quantile `q` is the one at `q · (n − 1)`, rounded down. The result is
/// within 1 % of that number, or what [`with_error`](Self::with_error) says, and the least and the
/// greatest (0 and 1) are exact. It is that of a [DDSketch](https://arxiv.org/abs/1908.10693),
/// which depends neither on the order nor on how the input was cut.
///
/// Memory is a counter for each 2 % of growth between the least and the greatest number, 8 bytes
/// each: some kilobytes, and 16 of them at most, twice if there are negative numbers. Where numbers
/// are more than 10¹⁷ times smaller than the greatest, these small ones are told too great; and so
/// on the negative side. NaN is no number, and infinities are the least and the greatest.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Quantiles};
///
/// let milliseconds: Vec<u32> = (1..=1000).collect();
/// let [median, slow] =
///     Quantiles::of(|time: &u32| *time, [0.5, 0.99]).over(&milliseconds).unwrap_or_default();
/// assert!((495.0..=505.0).contains(&median));
/// assert!((980.0..=1000.0).contains(&slow));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quantiles<F, const N: usize> {
    number: F,
    quantiles: [f64; N],
    config: Config,
}

/// A counter for each factor of about 1.02: 2048 of them reach over 17 powers of ten.
const DEFAULT_ERROR: f64 = 0.01;
const REACH: f64 = 40.96;

impl<F, const N: usize> Quantiles<F, N> {
    /// These quantiles of what `number` gives for each value.
    ///
    /// # Panics
    ///
    /// If a quantile is not between 0 and 1.
    pub fn of<T, V>(number: F, quantiles: [f64; N]) -> Self
    where
        F: Fn(&T) -> V + Clone + Send + 'static,
        V: Measure,
    {
        for quantile in quantiles {
            assert!((0.0..=1.0).contains(&quantile), "a quantile between 0 and 1, not {quantile}");
        }
        Self { number, quantiles, config: config(DEFAULT_ERROR) }
    }

    /// Sets how far a result may be off, as a part of itself: 0.01 is 1 %. Half the error takes
    /// twice the memory.
    ///
    /// A sketch that was restored from a checkpoint keeps the error that it began with, and can't
    /// be merged with one of another error: that panics. So give the operator a new name when you
    /// change this.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Aggregate, Quantiles};
    ///
    /// let median = Quantiles::of(|n: &u32| *n, [0.5]).with_error(0.001);
    /// let [median] = median.over(&[1, 1000, 9000]).unwrap_or_default();
    /// assert!((999.0..=1001.0).contains(&median));
    /// ```
    ///
    /// # Panics
    ///
    /// If the error is not between 0.0001 and 0.1.
    #[must_use]
    pub fn with_error(self, error: f64) -> Self {
        assert!((0.0001..=0.1).contains(&error), "an error between 0.0001 and 0.1, not {error}");
        Self { config: config(error), ..self }
    }
}

fn config(error: f64) -> Config {
    let growth = ((1.0 + error) / (1.0 - error)).ln();
    Config::new(error, (REACH / growth).ceil() as u32, f64::MIN_POSITIVE)
}

impl<T, V, F, const N: usize> Aggregate<T> for Quantiles<F, N>
where
    F: Fn(&T) -> V + Clone + Send + 'static,
    V: Measure,
{
    type Accumulator = QuantileSketch;
    type Out = Option<[f64; N]>;
    const NAME: &'static str = "quantiles";

    fn create(&self) -> QuantileSketch {
        QuantileSketch { finite: DDSketch::new(self.config), below: 0, above: 0 }
    }

    #[inline]
    fn add(&self, sketch: &mut QuantileSketch, value: &T) {
        if let Some(number) = (self.number)(value).measure() {
            sketch.add(number);
        }
    }

    fn merge(&self, sketch: &mut QuantileSketch, other: &QuantileSketch) {
        sketch.merge(other);
    }

    fn result(&self, sketch: &QuantileSketch) -> Option<[f64; N]> {
        (sketch.count() > 0).then(|| self.quantiles.map(|quantile| sketch.quantile(quantile)))
    }
}

/// How many numbers there were of about each size.
#[derive(Clone, Serialize, Deserialize)]
pub struct QuantileSketch {
    finite: DDSketch,
    /// The infinities, which have no size to count them under.
    below: u64,
    above: u64,
}

impl QuantileSketch {
    fn add(&mut self, number: f64) {
        if number.is_finite() {
            self.finite.add(number);
        } else if number == f64::INFINITY {
            self.above += 1;
        } else if number == f64::NEG_INFINITY {
            self.below += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        let merged = self.finite.merge(&other.finite);
        assert!(merged.is_ok(), "quantile sketches of different errors can't be merged");
        self.below += other.below;
        self.above += other.above;
    }

    fn count(&self) -> u64 {
        self.below + self.finite.count() as u64 + self.above
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.count().saturating_sub(1) as f64) as u64;
        match rank.checked_sub(self.below) {
            None => f64::NEG_INFINITY,
            Some(rank) => self.finite_at(rank).unwrap_or(f64::INFINITY),
        }
    }

    /// The finite number of this rank, if there are so many. The sketch is asked for the middle
    /// between two ranks, so that rounding does not lead to the next.
    fn finite_at(&self, rank: u64) -> Option<f64> {
        let last = (self.finite.count() as u64).checked_sub(1)?;
        if rank > last {
            return None;
        }
        let (least, greatest) = (self.finite.min()?, self.finite.max()?);
        if rank == 0 {
            return Some(least);
        }
        if rank == last {
            return Some(greatest);
        }
        let between = (rank as f64 + 0.5) / last as f64;
        Some(self.finite.quantile(between).ok()??.clamp(least, greatest))
    }
}

impl fmt::Debug for QuantileSketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantileSketch").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};

    const ASKED: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0];

    /// The quantiles of the definition.
    fn sorted_quantiles(values: &[f64]) -> Option<[f64; 7]> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|n| !n.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(ASKED.map(|quantile| sorted[(quantile * last as f64) as usize]))
    }

    fn check_error(values: &[f64], error: f64) {
        let quantiles = Quantiles::of(|n: &f64| *n, ASKED).with_error(error);
        let (found, exact) = (quantiles.over(values), sorted_quantiles(values));
        assert_eq!(found.is_some(), exact.is_some());
        for (found, exact) in found.into_iter().flatten().zip(exact.into_iter().flatten()) {
            let allowed = error * exact.abs() * (1.0 + 1e-9);
            let is_near = found == exact || (found - exact).abs() <= allowed;
            assert!(is_near, "{found} for {exact}");
        }
    }

    fn numbers(sizes: std::ops::Range<i32>) -> impl Strategy<Value = f64> {
        let finite = (1.0..10.0_f64, sizes, any::<bool>()).prop_map(|(digits, size, negative)| {
            let size = digits * 10_f64.powi(size);
            if negative { -size } else { size }
        });
        let special =
            prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        prop_oneof![9 => finite, 1 => special]
    }

    #[test]
    fn the_smallest_and_the_largest_floats_do_no_harm() {
        check_error(&[f64::MAX, f64::MAX, f64::MIN_POSITIVE * 4.0, f64::MAX], 0.01);
        check_error(&[f64::MIN, f64::MIN, f64::MIN, 0.0], 0.01);
        check_error(&[f64::MIN_POSITIVE * 2.0; 5], 0.0001);
        check_error(&[f64::INFINITY], 0.01);
        check_error(&[f64::NAN], 0.01);
    }

    #[test]
    #[should_panic(expected = "a quantile between 0 and 1, not 99")]
    fn a_percentage_is_no_quantile() {
        let _quantiles = Quantiles::of(|n: &f64| *n, [99.0]);
    }

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_quantiles_are_as_near_as_they_promise(
            values in prop::collection::vec(numbers(-8..8), 0..300),
            error in 0.0001..0.1,
        ) {
            check_error(&values, error);
        }

        /// Also where small numbers are no longer told apart.
        #[test]
        fn g18_quantiles_do_not_depend_on_how_the_input_was_cut(
            values in prop::collection::vec(numbers(-300..300), 0..300),
            cuts: Cuts,
        ) {
            laws::hold(&Quantiles::of(|n: &f64| *n, ASKED), &values, &cuts);
        }
    }
}
