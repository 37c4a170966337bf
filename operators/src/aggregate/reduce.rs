//! `Reduce`: two values into one, again and again.

use super::Aggregate;

/// All values made into one, two at a time, or `None` of no values.
///
/// The closure gets the earlier value first. It has to be associative, as adding up or choosing is:
/// `f(f(a, b), c)` is `f(a, f(b, c))`, or results depend on how the input was cut.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, Reduce};
///
/// let joined = Reduce::with(|a: &String, b: &String| format!("{a}-{b}"));
/// assert_eq!(joined.over(&["x", "y", "z"].map(String::from)).as_deref(), Some("x-y-z"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reduce<F> {
    f: F,
}

impl<F> Reduce<F> {
    /// Makes one value of two by `f`, which is associative.
    pub fn with<T>(f: F) -> Self
    where
        F: Fn(&T, &T) -> T + Clone + Send + 'static,
    {
        Self { f }
    }
}

impl<T, F> Aggregate<T> for Reduce<F>
where
    T: Clone + Send + 'static,
    F: Fn(&T, &T) -> T + Clone + Send + 'static,
{
    type Accumulator = Option<T>;
    type Out = Option<T>;
    const NAME: &'static str = "reduce";

    fn create(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, reduced: &mut Option<T>, value: &T) {
        *reduced = Some(match reduced {
            Some(earlier) => (self.f)(earlier, value),
            None => value.clone(),
        });
    }

    fn merge(&self, reduced: &mut Option<T>, other: &Option<T>) {
        if let Some(other) = other {
            self.add(reduced, other);
        }
    }

    fn result(&self, reduced: &Option<T>) -> Option<T> {
        reduced.clone()
    }

    fn finish(&self, reduced: Option<T>) -> Option<T> {
        reduced
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
        fn g18_reduce_joins_values_in_order(values: Vec<String>, cuts: Cuts) {
            let joined = Reduce::with(|a: &String, b: &String| format!("{a}{b}"));
            laws::hold(&joined, &values, &cuts);
            let expected = (!values.is_empty()).then(|| values.concat());
            prop_assert_eq!(joined.over(&values), expected);
        }
    }
}
