//! `Ordered`: a float with a total order.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A float that can be compared, sorted and hashed, for aggregates that ask for an [`Ord`].
///
/// The order is that of [`f64::total_cmp`]: -0 is before 0, NaN behind infinity, and a NaN with a
/// sign before all others. So a NaN never makes a result depend on the order, but it is a largest
/// value: where that is not wanted, leave those records out by
/// [`filtered`](super::Aggregate::filtered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Max, Ordered};
///
/// let hottest = Max::of(|degrees: &f64| Ordered(*degrees))
///     .filtered(|degrees| !degrees.is_nan())
///     .map_result(|hottest| hottest.map(|Ordered(degrees)| degrees));
/// assert_eq!(hottest.over(&[31.5, f64::NAN, -2.0]), Some(31.5));
/// ```
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Ordered(pub f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Ordered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl From<f64> for Ordered {
    fn from(number: f64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};
    use crate::aggregate::{Aggregate, Max, Min};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_floats_have_extremes_whatever_they_are(
            values in prop::collection::vec(prop::num::f64::ANY, 0..50),
            cuts: Cuts,
        ) {
            let extremes =
                (Min::of(|n: &f64| Ordered(*n)), Max::of(|n: &f64| Ordered(*n)));
            laws::hold(&extremes, &values, &cuts);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let ends = (sorted.first().copied().map(Ordered), sorted.last().copied().map(Ordered));
            prop_assert_eq!(extremes.over(&values), ends);
        }
    }
}
