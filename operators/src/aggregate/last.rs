//! `Last`: the last value that came.

use super::Aggregate;

/// The last value that was added, or `None` of no values. Last is by arrival, whatever the event
/// time says. Each value is cloned.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Last};
///
/// assert_eq!(Last.over(&["a", "b", "c"]), Some("c"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Last;

impl<T: Clone + Send + 'static> Aggregate<T> for Last {
    type Accumulator = Option<T>;
    type Out = Option<T>;
    const NAME: &'static str = "last";

    fn create(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, last: &mut Option<T>, value: &T) {
        match last {
            // A value may have something to clone into.
            Some(last) => last.clone_from(value),
            None => *last = Some(value.clone()),
        }
    }

    fn merge(&self, last: &mut Option<T>, other: &Option<T>) {
        if other.is_some() {
            last.clone_from(other);
        }
    }

    fn result(&self, last: &Option<T>) -> Option<T> {
        last.clone()
    }

    fn finish(&self, last: Option<T>) -> Option<T> {
        last
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
        fn g18_last_is_the_last_to_come(values: Vec<u8>, cuts: Cuts) {
            laws::hold(&Last, &values, &cuts);
            prop_assert_eq!(Last.over(&values), values.last().copied());
        }
    }
}
