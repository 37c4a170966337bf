//! `MinBy`: the record with the lowest rank.

use super::Aggregate;
use super::ranked::{self, Ranked};

/// The record for which a closure gives the least, or `None` of no records. Of several that compare
/// equal it is the first, and when accumulators are merged that of the earlier one.
///
/// Floats are wrapped in [`Ordered`](super::Ordered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, MinBy};
///
/// let smallest = MinBy::of(|word: &&str| word.len());
/// assert_eq!(smallest.over(&["two", "six", "seven"]), Some("two"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MinBy<F> {
    rank: F,
}

impl<F> MinBy<F> {
    /// The record for which `rank` gives the least.
    pub fn of<T, R>(rank: F) -> Self
    where
        F: Fn(&T) -> R + Clone + Send + 'static,
        R: Ord + Clone + Send + 'static,
    {
        Self { rank }
    }
}

impl<T, R, F> Aggregate<T> for MinBy<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
    R: Ord + Clone + Send + 'static,
{
    type Accumulator = Option<Ranked<R, T>>;
    type Out = Option<T>;
    const NAME: &'static str = "min_by";

    fn create(&self) -> Self::Accumulator {
        None
    }

    #[inline]
    fn add(&self, smallest: &mut Self::Accumulator, value: &T) {
        ranked::offer(smallest, ((self.rank)(value), value), R::lt);
    }

    fn merge(&self, smallest: &mut Self::Accumulator, other: &Self::Accumulator) {
        ranked::offer_best(smallest, other, R::lt);
    }

    fn result(&self, smallest: &Self::Accumulator) -> Option<T> {
        smallest.as_ref().map(Ranked::record)
    }

    fn finish(&self, smallest: Self::Accumulator) -> Option<T> {
        smallest.map(Ranked::into_record)
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
        fn g18_min_by_is_the_first_of_equals(values: Vec<(u8, u32)>, cuts: Cuts) {
            let smallest = MinBy::of(|(rank, _): &(u8, u32)| rank % 8);
            laws::hold(&smallest, &values, &cuts);
            let mut sorted = values.clone();
            sorted.sort_by_key(|(rank, _)| rank % 8);
            prop_assert_eq!(smallest.over(&values), sorted.first().copied());
        }
    }
}
