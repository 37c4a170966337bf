//! `BottomN`: the records with the lowest ranks.

use super::Aggregate;
use super::ranked::{self, Ranked};

/// The so many records for which a closure gives the least, lowest first. Among equals the first
/// come stay, and stand first; when accumulators are merged those of the earlier one are the first.
///
/// Keeps these records and no others. Floats are wrapped in [`Ordered`](super::Ordered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, BottomN};
///
/// let shortest = BottomN::of(2, |word: &&str| word.len());
/// assert_eq!(shortest.over(&["one", "three", "four", "seven"]), ["one", "four"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BottomN<F> {
    most: usize,
    rank: F,
}

impl<F> BottomN<F> {
    /// The `most` records for which `rank` gives the least.
    pub fn of<T, R>(most: usize, rank: F) -> Self
    where
        F: Fn(&T) -> R + Clone + Send + 'static,
        R: Ord + Clone + Send + 'static,
    {
        Self { most, rank }
    }
}

impl<T, R, F> Aggregate<T> for BottomN<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
    R: Ord + Clone + Send + 'static,
{
    type Accumulator = Vec<Ranked<R, T>>;
    type Out = Vec<T>;
    const NAME: &'static str = "bottom_n";

    fn create(&self) -> Self::Accumulator {
        Vec::new()
    }

    #[inline]
    fn add(&self, bottom: &mut Self::Accumulator, value: &T) {
        ranked::insert(bottom, self.most, ((self.rank)(value), value), R::lt);
    }

    fn merge(&self, bottom: &mut Self::Accumulator, other: &Self::Accumulator) {
        ranked::insert_all(bottom, self.most, other, R::lt);
    }

    fn result(&self, bottom: &Self::Accumulator) -> Vec<T> {
        bottom.iter().map(Ranked::record).collect()
    }

    fn finish(&self, bottom: Self::Accumulator) -> Vec<T> {
        bottom.into_iter().map(Ranked::into_record).collect()
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
        fn g18_bottom_n_is_a_stable_sort_cut_short(
            values: Vec<(u8, u32)>,
            most in 0..12_usize,
            cuts: Cuts,
        ) {
            let bottom = BottomN::of(most, |(rank, _): &(u8, u32)| rank % 8);
            laws::hold(&bottom, &values, &cuts);
            let mut sorted = values.clone();
            sorted.sort_by_key(|(rank, _)| rank % 8);
            sorted.truncate(most);
            prop_assert_eq!(bottom.over(&values), sorted);
        }
    }
}
