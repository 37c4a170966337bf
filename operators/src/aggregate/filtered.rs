//! `filtered`: an aggregate of some of the values.

use super::Aggregate;

/// An aggregate of those values for which a closure holds: see [`Aggregate::filtered`].
#[derive(Clone, Copy, Debug)]
pub struct Filtered<G, F> {
    inner: G,
    predicate: F,
}

impl<G, F> Filtered<G, F> {
    pub(super) const fn new(inner: G, predicate: F) -> Self {
        Self { inner, predicate }
    }
}

impl<T, G, F> Aggregate<T> for Filtered<G, F>
where
    G: Aggregate<T>,
    F: Fn(&T) -> bool + Clone + Send + 'static,
{
    type Accumulator = G::Accumulator;
    type Out = G::Out;
    const NAME: &'static str = G::NAME;

    fn create(&self) -> G::Accumulator {
        self.inner.create()
    }

    #[inline]
    fn add(&self, accumulator: &mut G::Accumulator, value: &T) {
        if (self.predicate)(value) {
            self.inner.add(accumulator, value);
        }
    }

    fn merge(&self, accumulator: &mut G::Accumulator, other: &G::Accumulator) {
        self.inner.merge(accumulator, other);
    }

    fn result(&self, accumulator: &G::Accumulator) -> G::Out {
        self.inner.result(accumulator)
    }

    fn finish(&self, accumulator: G::Accumulator) -> G::Out {
        self.inner.finish(accumulator)
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
        fn g18_only_some_values_can_be_told_of(values: Vec<u8>, cuts: Cuts) {
            let small = (Count, ToList.filtered(|n: &u8| *n < 100));
            laws::hold(&small, &values, &cuts);
            let expected: Vec<u8> = values.iter().copied().filter(|n| *n < 100).collect();
            prop_assert_eq!(small.over(&values), (values.len() as u64, expected));
        }
    }
}
