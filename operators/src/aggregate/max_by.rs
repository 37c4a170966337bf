//! `MaxBy`: the record with the highest rank.

use super::Aggregate;
use super::ranked::{self, Ranked};

/// The record for which a closure gives the most, or `None` of no records. Of several that compare
/// equal it is the first, and when accumulators are merged that of the earlier one.
///
/// Floats are wrapped in [`Ordered`](super::Ordered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, MaxBy};
///
/// let largest = MaxBy::of(|word: &&str| word.len());
/// assert_eq!(largest.over(&["two", "seven", "eight"]), Some("seven"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxBy<F> {
    rank: F,
}

impl<F> MaxBy<F> {
    /// The record for which `rank` gives the most.
    pub fn of<T, R>(rank: F) -> Self
    where
        F: Fn(&T) -> R + Clone + Send + 'static,
        R: Ord + Clone + Send + 'static,
    {
        Self { rank }
    }
}

impl<T, R, F> Aggregate<T> for MaxBy<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
    R: Ord + Clone + Send + 'static,
{
    type Accumulator = Option<Ranked<R, T>>;
    type Out = Option<T>;
    const NAME: &'static str = "max_by";

    fn create(&self) -> Self::Accumulator {
        None
    }

    #[inline]
    fn add(&self, largest: &mut Self::Accumulator, value: &T) {
        ranked::offer(largest, ((self.rank)(value), value), R::gt);
    }

    fn merge(&self, largest: &mut Self::Accumulator, other: &Self::Accumulator) {
        ranked::offer_best(largest, other, R::gt);
    }

    fn result(&self, largest: &Self::Accumulator) -> Option<T> {
        largest.as_ref().map(Ranked::record)
    }

    fn finish(&self, largest: Self::Accumulator) -> Option<T> {
        largest.map(Ranked::into_record)
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
        fn g18_max_by_is_the_first_of_equals(values: Vec<(u8, u32)>, cuts: Cuts) {
            let largest = MaxBy::of(|(rank, _): &(u8, u32)| rank % 8);
            laws::hold(&largest, &values, &cuts);
            let mut sorted = values.clone();
            sorted.sort_by_key(|(rank, _)| std::cmp::Reverse(rank % 8));
            prop_assert_eq!(largest.over(&values), sorted.first().copied());
        }
    }
}
