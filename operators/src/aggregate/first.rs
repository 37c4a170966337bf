//! `First`: the first value that came.

use super::Aggregate;

/// The first value that was added, or `None` of no values. First is by arrival, whatever the event
/// time says.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, First, Last};
///
/// assert_eq!((First, Last).over(&["a", "b", "c"]), (Some("a"), Some("c")));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl<T: Clone + Send + 'static> Aggregate<T> for First {
    type Accumulator = Option<T>;
    type Out = Option<T>;
    const NAME: &'static str = "first";

    fn create(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, first: &mut Option<T>, value: &T) {
        if first.is_none() {
            *first = Some(value.clone());
        }
    }

    fn merge(&self, first: &mut Option<T>, other: &Option<T>) {
        if first.is_none() {
            first.clone_from(other);
        }
    }

    fn result(&self, first: &Option<T>) -> Option<T> {
        first.clone()
    }

    fn finish(&self, first: Option<T>) -> Option<T> {
        first
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
        fn g18_first_is_the_first_to_come(values: Vec<u8>, cuts: Cuts) {
            laws::hold(&First, &values, &cuts);
            prop_assert_eq!(First.over(&values), values.first().copied());
        }
    }
}
