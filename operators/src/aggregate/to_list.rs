//! `ToList`: every value.

use super::Aggregate;

/// Every value, in the order of adding.
///
/// Memory grows with the number of values, and so does what a checkpoint writes: for when nothing
/// smaller will do, which is rarely so. Each value is cloned.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, ToList};
///
/// assert_eq!(ToList.over(&["a", "b", "c"]), ["a", "b", "c"]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ToList;

impl<T: Clone + Send + 'static> Aggregate<T> for ToList {
    type Accumulator = Vec<T>;
    type Out = Vec<T>;
    const NAME: &'static str = "list";

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    #[inline]
    fn add(&self, list: &mut Vec<T>, value: &T) {
        list.push(value.clone());
    }

    fn merge(&self, list: &mut Vec<T>, other: &Vec<T>) {
        list.extend_from_slice(other);
    }

    fn result(&self, list: &Vec<T>) -> Vec<T> {
        list.clone()
    }

    fn finish(&self, list: Vec<T>) -> Vec<T> {
        list
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
        fn g18_a_list_has_every_value_in_order(values: Vec<String>, cuts: Cuts) {
            laws::hold(&ToList, &values, &cuts);
            prop_assert_eq!(ToList.over(&values), values);
        }
    }
}
