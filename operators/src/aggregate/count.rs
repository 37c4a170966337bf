//! `Count`: how many values there were.

use super::Aggregate;

/// How many values there were, as `u64`.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Count};
///
/// assert_eq!(Count.over(&["a", "b", "c"]), 3);
///
/// let long = Count.filtered(|word: &&str| word.len() > 3);
/// assert_eq!(long.over(&["flight", "bus", "train"]), 2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Accumulator = u64;
    type Out = u64;
    const NAME: &'static str = "count";

    fn create(&self) -> u64 {
        0
    }

    #[inline]
    fn add(&self, count: &mut u64, _: &T) {
        *count += 1;
    }

    fn merge(&self, count: &mut u64, other: &u64) {
        *count += other;
    }

    fn result(&self, count: &u64) -> u64 {
        *count
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
        fn g18_a_count_is_the_number_of_values(values: Vec<u8>, cuts: Cuts) {
            laws::hold(&Count, &values, &cuts);
            prop_assert_eq!(Count.over(&values), values.len() as u64);
        }
    }
}
