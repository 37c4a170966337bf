//! `Max`: the largest of what a closure gives.

use super::Aggregate;

/// The largest of what a closure gives for each value, or `None` of no values. Of several that
/// compare equal it is the first.
///
/// Floats are wrapped in [`Ordered`](super::Ordered), which says where NaN belongs. An option
/// compares as `None` before all others; leave those records out by
/// [`filtered`](Aggregate::filtered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Max, Ordered};
///
/// assert_eq!(Max::of(|word: &&str| word.len()).over(&["six", "to", "eight"]), Some(5));
///
/// let warmest = Max::of(|degrees: &f64| Ordered(*degrees));
/// assert_eq!(warmest.over(&[3.5, -1.0]), Some(Ordered(3.5)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Max<F> {
    field: F,
}

impl<F> Max<F> {
    /// The largest of what `field` gives for each value.
    pub fn of<T, V>(field: F) -> Self
    where
        F: Fn(&T) -> V + Clone + Send + 'static,
        V: Ord + Clone + Send + 'static,
    {
        Self { field }
    }
}

fn offer<V: Ord>(largest: &mut Option<V>, value: V) {
    if largest.as_ref().is_none_or(|largest| value > *largest) {
        *largest = Some(value);
    }
}

impl<T, V, F> Aggregate<T> for Max<F>
where
    F: Fn(&T) -> V + Clone + Send + 'static,
    V: Ord + Clone + Send + 'static,
{
    type Accumulator = Option<V>;
    type Out = Option<V>;
    const NAME: &'static str = "max";

    fn create(&self) -> Option<V> {
        None
    }

    #[inline]
    fn add(&self, largest: &mut Option<V>, value: &T) {
        offer(largest, (self.field)(value));
    }

    fn merge(&self, largest: &mut Option<V>, other: &Option<V>) {
        if let Some(other) = other {
            offer(largest, other.clone());
        }
    }

    fn result(&self, largest: &Option<V>) -> Option<V> {
        largest.clone()
    }

    fn finish(&self, largest: Option<V>) -> Option<V> {
        largest
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
        fn g18_max_is_that_of_the_iterator(values: Vec<i16>, cuts: Cuts) {
            let max = Max::of(|n: &i16| *n);
            laws::hold(&max, &values, &cuts);
            prop_assert_eq!(max.over(&values), values.iter().copied().max());
        }
    }
}
