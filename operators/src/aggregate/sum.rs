//! `Sum`: numbers added up.

use serde::{Deserialize, Serialize};

use super::Aggregate;

/// The sum of a number of each value.
///
/// Integers of up to 64 bits add up to an `i128` or `u128`, which no stream is long enough to
/// overflow: that takes more than 2⁶³ values.
///
/// Floats add up to an `f64` with Neumaier's compensation: what each addition loses is kept aside
/// and added at the end, so that the result hardly depends on the order. It is off by a rounding or
/// two, and by at most n² · 10⁻³¹ of what the n numbers add up to without their signs. An infinity
/// or NaN shows in the sum, and a sum that leaves the range of `f64` on its way stays infinite.
///
/// The closure may give an `Option`: what is `None` adds nothing. Of no values the sum is zero.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Sum};
///
/// assert_eq!(Sum::of(|seats: &u8| *seats).over(&[200, 180]), 380);
/// assert_eq!(Sum::of(|price: &f64| *price).over(&[1e16, 1.0, -1e16]), 1.0);
/// assert_eq!(Sum::of(|delay: &Option<i64>| *delay).over(&[Some(5), None, Some(-2)]), 3);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sum<F> {
    number: F,
}

impl<F> Sum<F> {
    /// The sum of what `number` gives for each value.
    pub fn of<T, N>(number: F) -> Self
    where
        F: Fn(&T) -> N + Clone + Send + 'static,
        N: Summand,
    {
        Self { number }
    }
}

impl<T, N, F> Aggregate<T> for Sum<F>
where
    F: Fn(&T) -> N + Clone + Send + 'static,
    N: Summand,
{
    type Accumulator = N::Accumulator;
    type Out = N::Sum;
    const NAME: &'static str = "sum";

    fn create(&self) -> N::Accumulator {
        N::Accumulator::default()
    }

    #[inline]
    fn add(&self, sum: &mut N::Accumulator, value: &T) {
        (self.number)(value).add_to(sum);
    }

    fn merge(&self, sum: &mut N::Accumulator, other: &N::Accumulator) {
        N::merge(sum, other);
    }

    fn result(&self, sum: &N::Accumulator) -> N::Sum {
        N::sum(sum)
    }
}

/// What [`Sum`] can add up: integers of up to 64 bits, floats, and options of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that `Sum` can add up",
    note = "it adds up integers of up to 64 bits, floats, and options of these"
)]
pub trait Summand {
    /// What is kept.
    type Accumulator: Default + Send + 'static;
    /// What it adds up to.
    type Sum: Send + 'static;

    /// Adds itself.
    fn add_to(self, sum: &mut Self::Accumulator);
    /// Adds another sum.
    fn merge(sum: &mut Self::Accumulator, other: &Self::Accumulator);
    /// What it has come to.
    fn sum(sum: &Self::Accumulator) -> Self::Sum;
}

macro_rules! integers {
    ($wide:ty: $($integer:ty)+) => {$(
        impl Summand for $integer {
            type Accumulator = $wide;
            type Sum = $wide;

            #[inline]
            fn add_to(self, sum: &mut $wide) {
                *sum = sum.saturating_add(self as $wide);
            }

            fn merge(sum: &mut $wide, other: &$wide) {
                *sum = sum.saturating_add(*other);
            }

            fn sum(sum: &$wide) -> $wide {
                *sum
            }
        }
    )+};
}

integers!(i128: i8 i16 i32 i64 isize);
integers!(u128: u8 u16 u32 u64 usize);

macro_rules! floats {
    ($($float:ty)+) => {$(
        impl Summand for $float {
            type Accumulator = FloatSum;
            type Sum = f64;

            #[inline]
            fn add_to(self, sum: &mut FloatSum) {
                sum.add(f64::from(self));
            }

            fn merge(sum: &mut FloatSum, other: &FloatSum) {
                sum.merge(other);
            }

            fn sum(sum: &FloatSum) -> f64 {
                sum.total()
            }
        }
    )+};
}

floats!(f32 f64);

impl<N: Summand> Summand for Option<N> {
    type Accumulator = N::Accumulator;
    type Sum = N::Sum;

    #[inline]
    fn add_to(self, sum: &mut N::Accumulator) {
        if let Some(number) = self {
            number.add_to(sum);
        }
    }

    fn merge(sum: &mut N::Accumulator, other: &N::Accumulator) {
        N::merge(sum, other);
    }

    fn sum(sum: &N::Accumulator) -> N::Sum {
        N::sum(sum)
    }
}

/// A sum of floats, and what rounding has lost of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FloatSum {
    sum: f64,
    lost: f64,
}

impl FloatSum {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.add(other.sum);
        self.lost += other.lost;
    }

    /// Once the sum is infinite it stays so, and what it has lost is no number any more.
    pub(super) fn total(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};

    #[test]
    fn sums_of_integers_do_not_overflow() {
        let largest = Sum::of(|n: &u64| *n).over(&[u64::MAX, u64::MAX]);
        assert_eq!(largest, 2 * u128::from(u64::MAX));
        let smallest = Sum::of(|n: &i64| *n).over(&[i64::MIN, i64::MIN]);
        assert_eq!(smallest, 2 * i128::from(i64::MIN));
    }

    #[test]
    fn infinity_and_nan_show_in_the_sum() {
        let sum = Sum::of(|n: &f64| *n);
        assert_eq!(sum.over(&[1.0, f64::INFINITY, 1e300]), f64::INFINITY);
        assert_eq!(sum.over(&[1.0, f64::NEG_INFINITY]), f64::NEG_INFINITY);
        assert!(sum.over(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum.over(&[1.0, f64::NAN]).is_nan());
        assert_eq!(sum.over(&[]), 0.0);
    }

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_a_sum_of_integers_is_exact(values: Vec<Option<i64>>, cuts: Cuts) {
            let sum = Sum::of(|n: &Option<i64>| *n);
            laws::hold(&sum, &values, &cuts);
            let expected: i128 = values.iter().flatten().map(|n| i128::from(*n)).sum();
            prop_assert_eq!(sum.over(&values), expected);
        }

        #[test]
        fn g18_unsigned_sums_are_exact(values: Vec<u64>, cuts: Cuts) {
            let sum = Sum::of(|n: &u64| *n);
            laws::hold(&sum, &values, &cuts);
            let expected: u128 = values.iter().map(|n| u128::from(*n)).sum();
            prop_assert_eq!(sum.over(&values), expected);
        }

        /// The oracle adds integers: every number is one, times a power of two.
        #[test]
        fn g18_a_sum_of_floats_is_right_in_any_order(
            integers in prop::collection::vec((-1_i64 << 50..1 << 50, 0..50), 0..200),
            cuts: Cuts,
        ) {
            let numbers = integers.iter().map(|(n, shift)| *n as f64 * 2_f64.powi(*shift));
            let numbers: Vec<f64> = numbers.collect();
            let exact: i128 = integers.iter().map(|(n, shift)| i128::from(*n) << shift).sum();
            let sizes: f64 = numbers.iter().map(|n| n.abs()).sum();
            let allowed = 2.0 * f64::EPSILON * (exact as f64).abs()
                + (f64::EPSILON * numbers.len() as f64).powi(2) * sizes;
            let near = |a: &f64, b: &f64| (a - b).abs() <= 2.0 * allowed;
            let sum = Sum::of(|n: &f64| *n);
            laws::hold_nearly(&sum, &numbers, &cuts, near);
            let backwards: Vec<f64> = numbers.iter().rev().copied().collect();
            for order in [&numbers, &backwards] {
                let off = (sum.over(order) - exact as f64).abs();
                prop_assert!(off <= allowed, "{off} off, {allowed} allowed");
            }
        }
    }
}
