//! `WithTies`: the records with the highest ranks, and all that equal the last of them.

use super::ranked::{self, Ranked};
use super::{Aggregate, TopN};

/// The so many records with the highest ranks, and those that are equal to the last of them: made
/// by [`TopN::with_ties`].
#[derive(Clone, Copy, Debug)]
pub struct WithTies<F> {
    most: usize,
    rank: F,
}

impl<F> TopN<F> {
    /// Gives the last place to all that share it, so that there may be more records than so many:
    /// `FETCH FIRST n ROWS WITH TIES`. Which records there are then does not depend on who came
    /// first, but their order among equals does: the first come stand first.
    ///
    /// Keeps these records, of which there are as many as have equal ranks.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Aggregate, TopN};
    ///
    /// let longest = TopN::of(1, |word: &&str| word.len()).with_ties();
    /// assert_eq!(longest.over(&["one", "three", "four", "seven"]), ["three", "seven"]);
    /// ```
    #[must_use]
    pub fn with_ties(self) -> WithTies<F> {
        let (most, rank) = self.into_parts();
        WithTies { most, rank }
    }
}

impl<T, R, F> Aggregate<T> for WithTies<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
    R: Ord + Clone + Send + 'static,
{
    type Accumulator = Vec<Ranked<R, T>>;
    type Out = Vec<T>;
    const NAME: &'static str = "top_n_with_ties";

    fn create(&self) -> Self::Accumulator {
        Vec::new()
    }

    #[inline]
    fn add(&self, top: &mut Self::Accumulator, value: &T) {
        ranked::insert_with_ties(top, self.most, ((self.rank)(value), value), R::gt);
    }

    fn merge(&self, top: &mut Self::Accumulator, other: &Self::Accumulator) {
        for (rank, record) in other.iter().map(Ranked::parts) {
            ranked::insert_with_ties(top, self.most, (rank.clone(), record), R::gt);
        }
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
        fn g18_ties_with_the_last_are_among_the_top(
            values: Vec<(u8, u32)>,
            most in 0..12_usize,
            cuts: Cuts,
        ) {
            let top = TopN::of(most, |(rank, _): &(u8, u32)| rank % 8).with_ties();
            laws::hold(&top, &values, &cuts);
            let mut expected = values.clone();
            // Who has fewer than so many above it is among them.
            expected.retain(|(rank, _)| {
                values.iter().filter(|(other, _)| other % 8 > rank % 8).count() < most
            });
            expected.sort_by_key(|(rank, _)| std::cmp::Reverse(rank % 8));
            prop_assert_eq!(top.over(&values), expected);
        }
    }
}
