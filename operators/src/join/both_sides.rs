//! `BothSides`: an aggregate of each of two streams.

use crate::aggregate::Aggregate;
use crate::fan::Either;

/// One aggregate of what comes from the left, and another of what comes from the right: see
/// [`CoGrouped::aggregate`](super::CoGrouped::aggregate). It is an aggregate as others, and can be
/// given to any window of a [`connect`](crate::KeyedStream::connect)ed stream.
#[derive(Clone, Copy, Debug)]
pub struct BothSides<A, B> {
    left: A,
    right: B,
}

impl<A, B> BothSides<A, B> {
    /// Of both.
    #[must_use]
    pub const fn new(left: A, right: B) -> Self {
        Self { left, right }
    }
}

impl<L, R, A: Aggregate<L>, B: Aggregate<R>> Aggregate<Either<L, R>> for BothSides<A, B> {
    type Accumulator = (A::Accumulator, B::Accumulator);
    type Out = (A::Out, B::Out);
    const NAME: &'static str = "both sides";

    fn create(&self) -> Self::Accumulator {
        (self.left.create(), self.right.create())
    }

    #[inline]
    fn add(&self, (left, right): &mut Self::Accumulator, value: &Either<L, R>) {
        match value {
            Either::Left(value) => self.left.add(left, value),
            Either::Right(value) => self.right.add(right, value),
        }
    }

    fn merge(&self, (left, right): &mut Self::Accumulator, other: &Self::Accumulator) {
        self.left.merge(left, &other.0);
        self.right.merge(right, &other.1);
    }

    fn result(&self, (left, right): &Self::Accumulator) -> Self::Out {
        (self.left.result(left), self.right.result(right))
    }

    fn finish(&self, (left, right): Self::Accumulator) -> Self::Out {
        (self.left.finish(left), self.right.finish(right))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};
    use crate::aggregate::{Count, ToList};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g14_each_side_has_an_aggregate_of_its_own(values: Vec<Result<u8, i8>>, cuts: Cuts) {
            let side = |value: &Result<u8, i8>| value.map_or_else(Either::Right, Either::Left);
            let sides: Vec<_> = values.iter().map(side).collect();
            let both = BothSides::new(ToList, (Count, ToList));
            laws::hold(&both, &sides, &cuts);
            let left: Vec<u8> = values.iter().filter_map(|value| value.ok()).collect();
            let right: Vec<i8> = values.iter().filter_map(|value| value.err()).collect();
            prop_assert_eq!(both.over(&sides), (left, (right.len() as u64, right)));
        }
    }
}
