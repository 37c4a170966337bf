//! `map_result`: an aggregate that tells something else.

use super::Aggregate;

/// An aggregate with another result: see [`Aggregate::map_result`].
#[derive(Clone, Copy, Debug)]
pub struct Mapped<G, F> {
    inner: G,
    f: F,
}

impl<G, F> Mapped<G, F> {
    pub(super) const fn new(inner: G, f: F) -> Self {
        Self { inner, f }
    }
}

impl<T, G, F, Out> Aggregate<T> for Mapped<G, F>
where
    G: Aggregate<T>,
    F: Fn(G::Out) -> Out + Clone + Send + 'static,
    Out: Send + 'static,
{
    type Accumulator = G::Accumulator;
    type Out = Out;
    const NAME: &'static str = G::NAME;

    fn create(&self) -> G::Accumulator {
        self.inner.create()
    }

    #[inline]
    fn add(&self, accumulator: &mut G::Accumulator, value: &T) {
        self.inner.add(accumulator, value);
    }

    fn merge(&self, accumulator: &mut G::Accumulator, other: &G::Accumulator) {
        self.inner.merge(accumulator, other);
    }

    fn result(&self, accumulator: &G::Accumulator) -> Out {
        (self.f)(self.inner.result(accumulator))
    }

    fn finish(&self, accumulator: G::Accumulator) -> Out {
        (self.f)(self.inner.finish(accumulator))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};
    use crate::aggregate::{Count, Sum};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_a_result_can_be_mapped(values: Vec<i32>, cuts: Cuts) {
            let both = (Count, Sum::of(|n: &i32| *n));
            let both = both.map_result(|(count, sum)| sum + i128::from(count));
            laws::hold(&both, &values, &cuts);
            let expected: i128 = values.iter().map(|n| i128::from(*n) + 1).sum();
            prop_assert_eq!(both.over(&values), expected);
        }
    }
}
