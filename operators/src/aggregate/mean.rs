//! `Mean`: the average of numbers.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::sum::FloatSum;

/// The mean of a number of each value, over those which have one: `None` where none had.
///
/// The closure gives any integer or float of up to 64 bits, or an option of one. It is added up in
/// `f64`, as by [`Sum`](super::Sum); what is infinite or NaN shows in the mean.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Mean};
///
/// struct Flight {
///     delay: Option<i32>,
/// }
///
/// let flights = [Some(10), None, Some(-5)].map(|delay| Flight { delay });
/// let delay = Mean::of(|flight: &Flight| flight.delay);
/// assert_eq!(delay.over(&flights), Some(2.5));
/// assert_eq!(delay.over(&[]), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Mean<F> {
    number: F,
}

impl<F> Mean<F> {
    /// The mean of what `number` gives for each value.
    pub fn of<T, N>(number: F) -> Self
    where
        F: Fn(&T) -> N + Clone + Send + 'static,
        N: Measure,
    {
        Self { number }
    }
}

impl<T, N, F> Aggregate<T> for Mean<F>
where
    F: Fn(&T) -> N + Clone + Send + 'static,
    N: Measure,
{
    type Accumulator = MeanParts;
    type Out = Option<f64>;
    const NAME: &'static str = "mean";

    fn create(&self) -> MeanParts {
        MeanParts::default()
    }

    #[inline]
    fn add(&self, parts: &mut MeanParts, value: &T) {
        if let Some(number) = (self.number)(value).measure() {
            parts.sum.add(number);
            parts.count += 1;
        }
    }

    fn merge(&self, parts: &mut MeanParts, other: &MeanParts) {
        parts.sum.merge(&other.sum);
        parts.count += other.count;
    }

    fn result(&self, parts: &MeanParts) -> Option<f64> {
        (parts.count > 0).then(|| parts.sum.total() / parts.count as f64)
    }
}

/// A sum, and of how many numbers it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanParts {
    sum: FloatSum,
    count: u64,
}

/// What has a size to be measured as `f64`, or none: integers and floats of up to 64 bits, and
/// options of these. Beyond 2⁵³ an integer is rounded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number",
    note = "what is measured are integers and floats of up to 64 bits, and options of these"
)]
pub trait Measure {
    /// The number, if there is one.
    fn measure(self) -> Option<f64>;
}

macro_rules! numbers {
    ($($number:ty)+) => {$(
        impl Measure for $number {
            #[inline]
            fn measure(self) -> Option<f64> {
                Some(self as f64)
            }
        }
    )+};
}

numbers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64);

impl<N: Measure> Measure for Option<N> {
    #[inline]
    fn measure(self) -> Option<f64> {
        self.and_then(N::measure)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_a_mean_is_over_the_values_that_have_a_number(
            values: Vec<Option<i32>>,
            cuts: Cuts,
        ) {
            let mean = Mean::of(|n: &Option<i32>| *n);
            // So many integers of 32 bits add up exactly.
            laws::hold(&mean, &values, &cuts);
            let present: Vec<i64> = values.iter().flatten().map(|n| i64::from(*n)).collect();
            let sum = present.iter().sum::<i64>() as f64;
            let expected = (!present.is_empty()).then(|| sum / present.len() as f64);
            prop_assert_eq!(mean.over(&values), expected);
        }

        #[test]
        fn g18_a_mean_of_floats_hardly_depends_on_the_order(
            values in prop::collection::vec(-1e9..1e9, 1..200),
            cuts: Cuts,
        ) {
            let mean = Mean::of(|n: &f64| *n);
            let near = |a: &Option<f64>, b: &Option<f64>| {
                a.zip(*b).is_some_and(|(a, b)| (a - b).abs() <= 4.0 * f64::EPSILON * a.abs())
            };
            laws::hold_nearly(&mean, &values, &cuts, near);
        }
    }
}
