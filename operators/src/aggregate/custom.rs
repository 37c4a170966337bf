//! `from_fns`: an aggregate of closures.

use super::Aggregate;

/// An aggregate of four closures: how its accumulator begins, how a value is added, how the
/// accumulator of later values is merged into it, and what it tells. They have to keep the laws of
/// [`Aggregate`].
///
/// ```
/// use millstream_operators::aggregate::{self, Aggregate};
///
/// let longest = aggregate::from_fns(
///     || 0,
///     |longest: &mut usize, line: &String| *longest = line.len().max(*longest),
///     |longest, other| *longest = (*other).max(*longest),
///     |longest| *longest,
/// );
/// assert_eq!(longest.over(&["a".to_owned(), "abc".to_owned()]), 3);
/// ```
pub fn from_fns<T, S, Out, C, A, M, R>(create: C, add: A, merge: M, result: R) -> Custom<C, A, M, R>
where
    C: Fn() -> S + Clone + Send + 'static,
    A: Fn(&mut S, &T) + Clone + Send + 'static,
    M: Fn(&mut S, &S) + Clone + Send + 'static,
    R: Fn(&S) -> Out + Clone + Send + 'static,
{
    Custom { create, add, merge, result }
}

/// An aggregate of closures: see [`from_fns`].
#[derive(Clone, Copy, Debug)]
pub struct Custom<C, A, M, R> {
    create: C,
    add: A,
    merge: M,
    result: R,
}

impl<T, S, Out, C, A, M, R> Aggregate<T> for Custom<C, A, M, R>
where
    S: Send + 'static,
    Out: Send + 'static,
    C: Fn() -> S + Clone + Send + 'static,
    A: Fn(&mut S, &T) + Clone + Send + 'static,
    M: Fn(&mut S, &S) + Clone + Send + 'static,
    R: Fn(&S) -> Out + Clone + Send + 'static,
{
    type Accumulator = S;
    type Out = Out;
    const NAME: &'static str = "custom";

    fn create(&self) -> S {
        (self.create)()
    }

    #[inline]
    fn add(&self, accumulator: &mut S, value: &T) {
        (self.add)(accumulator, value);
    }

    fn merge(&self, accumulator: &mut S, other: &S) {
        (self.merge)(accumulator, other);
    }

    fn result(&self, accumulator: &S) -> Out {
        (self.result)(accumulator)
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
        fn g18_an_aggregate_can_be_made_of_closures(values: Vec<u32>, cuts: Cuts) {
            let xor = from_fns(
                || 0,
                |all: &mut u32, n: &u32| *all ^= n,
                |all, other| *all ^= other,
                |all| format!("{all:08x}"),
            );
            laws::hold(&xor, &values, &cuts);
            let expected = values.iter().fold(0, |all, n| all ^ n);
            prop_assert_eq!(xor.over(&values), format!("{expected:08x}"));
        }
    }
}
