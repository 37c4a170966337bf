//! `Min`: the smallest of what a closure gives.

use super::Aggregate;

/// The smallest of what a closure gives for each value, or `None` of no values. Of several that
/// compare equal it is the first.
///
/// Floats are wrapped in [`Ordered`](super::Ordered), which says where NaN belongs. An option
/// compares as `None` before all others; leave those records out by
/// [`filtered`](Aggregate::filtered).
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Min, Ordered};
///
/// assert_eq!(Min::of(|word: &&str| word.len()).over(&["six", "to", "eight"]), Some(2));
///
/// let coldest = Min::of(|degrees: &f64| Ordered(*degrees));
/// assert_eq!(coldest.over(&[3.5, -1.0]), Some(Ordered(-1.0)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Min<F> {
    field: F,
}

impl<F> Min<F> {
    /// The smallest of what `field` gives for each value.
    pub fn of<T, V>(field: F) -> Self
    where
        F: Fn(&T) -> V + Clone + Send + 'static,
        V: Ord + Clone + Send + 'static,
    {
        Self { field }
    }
}

fn offer<V: Ord>(smallest: &mut Option<V>, value: V) {
    if smallest.as_ref().is_none_or(|smallest| value < *smallest) {
        *smallest = Some(value);
    }
}

impl<T, V, F> Aggregate<T> for Min<F>
where
    F: Fn(&T) -> V + Clone + Send + 'static,
    V: Ord + Clone + Send + 'static,
{
    type Accumulator = Option<V>;
    type Out = Option<V>;
    const NAME: &'static str = "min";

    fn create(&self) -> Option<V> {
        None
    }

    #[inline]
    fn add(&self, smallest: &mut Option<V>, value: &T) {
        offer(smallest, (self.field)(value));
    }

    fn merge(&self, smallest: &mut Option<V>, other: &Option<V>) {
        if let Some(other) = other {
            offer(smallest, other.clone());
        }
    }

    fn result(&self, smallest: &Option<V>) -> Option<V> {
        smallest.clone()
    }

    fn finish(&self, smallest: Option<V>) -> Option<V> {
        smallest
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
        fn g18_min_is_that_of_the_iterator(values: Vec<i16>, cuts: Cuts) {
            let min = Min::of(|n: &i16| *n);
            laws::hold(&min, &values, &cuts);
            prop_assert_eq!(min.over(&values), values.iter().copied().min());
        }
    }
}
