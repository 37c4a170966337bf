//! `TopN`: the records with the highest ranks.

use super::Aggregate;
use super::ranked::{self, Ranked};

/// The so many records for which a closure gives the most, highest first. Among equals the first
/// come stay, and stand first; when accumulators are merged those of the earlier one are the first.
///
/// Keeps these records and no others. Floats are wrapped in [`Ordered`](super::Ordered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, TopN};
///
/// let longest = TopN::of(2, |word: &&str| word.len());
/// assert_eq!(longest.over(&["one", "three", "four", "seven"]), ["three", "seven"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TopN<F> {
    most: usize,
    rank: F,
}

impl<F> TopN<F> {
    /// The `most` records for which `rank` gives the most.
    pub fn of<T, R>(most: usize, rank: F) -> Self
    where
        F: Fn(&T) -> R + Clone + Send + 'static,
        R: Ord + Clone + Send + 'static,
    {
        Self { most, rank }
    }

    pub(super) fn into_parts(self) -> (usize, F) {
        (self.most, self.rank)
    }
}

impl<T, R, F> Aggregate<T> for TopN<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
    R: Ord + Clone + Send + 'static,
{
    type Accumulator = Vec<Ranked<R, T>>;
    type Out = Vec<T>;
    const NAME: &'static str = "top_n";

    fn create(&self) -> Self::Accumulator {
        Vec::new()
    }

    #[inline]
    fn add(&self, top: &mut Self::Accumulator, value: &T) {
        ranked::insert(top, self.most, ((self.rank)(value), value), R::gt);
    }

    fn merge(&self, top: &mut Self::Accumulator, other: &Self::Accumulator) {
        ranked::insert_all(top, self.most, other, R::gt);
    }

    fn result(&self, top: &Self::Accumulator) -> Vec<T> {
        top.iter().map(Ranked::record).collect()
    }

    fn finish(&self, top: Self::Accumulator) -> Vec<T> {
        top.into_iter().map(Ranked::into_record).collect()
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
        fn g18_top_n_is_a_stable_sort_cut_short(
            values: Vec<(u8, u32)>,
            most in 0..12_usize,
            cuts: Cuts,
        ) {
            let top = TopN::of(most, |(rank, _): &(u8, u32)| rank % 8);
            laws::hold(&top, &values, &cuts);
            let mut sorted = values.clone();
            sorted.sort_by_key(|(rank, _)| std::cmp::Reverse(rank % 8));
            sorted.truncate(most);
            prop_assert_eq!(top.over(&values), sorted);
        }
    }
}
