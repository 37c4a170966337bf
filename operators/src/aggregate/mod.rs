//! Aggregates: what is kept of many values, and what is told of them.

mod bottom_n;
mod count;
mod custom;
mod distinct_count;
mod filtered;
mod first;
mod hyper_log_log;
mod last;
#[cfg(test)]
pub(crate) mod laws;
mod mapped;
mod max;
mod max_by;
mod mean;
mod min;
mod min_by;
mod ordered;
mod quantiles;
mod ranked;
mod reduce;
mod sum;
mod to_list;
mod top_n;
mod tuple;

pub use bottom_n::BottomN;
pub use count::Count;
pub use custom::{Custom, from_fns};
pub use distinct_count::{Approximate, DistinctCount, Exact};
pub use filtered::Filtered;
pub use first::First;
pub use hyper_log_log::HyperLogLog;
pub use last::Last;
pub use mapped::Mapped;
pub use max::Max;
pub use max_by::MaxBy;
pub use mean::{Mean, MeanParts, Measure};
pub use min::Min;
pub use min_by::MinBy;
pub use ordered::Ordered;
pub use quantiles::{QuantileSketch, Quantiles};
pub use ranked::Ranked;
pub use reduce::Reduce;
pub use sum::{FloatSum, Sum, Summand};
pub use to_list::ToList;
pub use top_n::TopN;

/// What is kept of many values, and what is told of them.
///
/// An aggregate is a plain value, given to whatever collects records: to a window, or to the
/// records of a key. It is told of each value, keeps an accumulator, and makes a result of that as
/// often as it is asked. Its memory does not depend on how many values there were, unless its
/// documentation says so.
///
/// Three laws hold for each, so that a result does not depend on how the input was cut: sliding
/// windows share the accumulators of their parts, sessions are joined when a record comes in
/// between, and several instances add up apart.
///
/// - [`create`](Self::create) is neutral: merged into another accumulator, or another into it, it
///   changes no result.
/// - [`merge`](Self::merge) is associative: `(a + b) + c` tells what `a + (b + c)` does.
/// - Adding and merging agree: to add values to one accumulator, or to add those that came later to
///   a second one that is then merged into the first, gives the same.
///
/// The accumulator that is merged into is the one with the earlier values, which only matters to
/// aggregates for which order does.
///
/// ```
/// use millstream_operators::aggregate::Aggregate;
///
/// /// How many bytes there were in all.
/// #[derive(Clone)]
/// struct Bytes;
///
/// impl Aggregate<String> for Bytes {
///     type Accumulator = usize;
///     type Out = usize;
///     const NAME: &'static str = "bytes";
///
///     fn create(&self) -> usize {
///         0
///     }
///
///     fn add(&self, bytes: &mut usize, line: &String) {
///         *bytes += line.len();
///     }
///
///     fn merge(&self, bytes: &mut usize, others: &usize) {
///         *bytes += others;
///     }
///
///     fn result(&self, bytes: &usize) -> usize {
///         *bytes
///     }
/// }
///
/// let mut bytes = Bytes.create();
/// Bytes.add(&mut bytes, &"hello".to_owned());
/// assert_eq!(Bytes.finish(bytes), 5);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not aggregate values of type `{T}`",
    label = "is no aggregate of `{T}`",
    note = "its closures take `&{T}`, as in `Sum::of(|value: &{T}| …)`, and are `Clone`, \
            `Send` and `'static`",
    note = "several aggregates at once are a tuple of up to six, as in `(Count, Mean::of(…))`"
)]
pub trait Aggregate<T>: Clone + Send + 'static {
    /// What is kept of the values so far.
    type Accumulator: Send + 'static;

    /// What is told of them.
    type Out: Send + 'static;

    /// What it is called, a noun: "count", "mean".
    const NAME: &'static str;

    /// The accumulator of no values.
    fn create(&self) -> Self::Accumulator;

    /// Adds a value, which came later than those in the accumulator.
    fn add(&self, accumulator: &mut Self::Accumulator, value: &T);

    /// Adds all that is in `other`, which came later than what is in the accumulator.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: &Self::Accumulator);

    /// What is to be told of the values so far.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Out;

    /// The last result, when the accumulator is no longer needed.
    fn finish(&self, accumulator: Self::Accumulator) -> Self::Out {
        self.result(&accumulator)
    }

    /// The result of these values.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Aggregate, Count, Mean};
    ///
    /// let lengths = (Count, Mean::of(|word: &&str| word.len()));
    /// assert_eq!(lengths.over(&["a", "list"]), (2, Some(2.5)));
    /// ```
    fn over<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Self::Out
    where
        T: 'a,
    {
        let mut accumulator = self.create();
        for value in values {
            self.add(&mut accumulator, value);
        }
        self.finish(accumulator)
    }

    /// The same aggregate with another result: what `f` makes of the first.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Aggregate, Max, Min};
    ///
    /// let spread = (Min::of(|degrees: &i32| *degrees), Max::of(|degrees: &i32| *degrees))
    ///     .map_result(|(coldest, warmest)| Some(warmest? - coldest?));
    /// assert_eq!(spread.over(&[12, 17, 9]), Some(8));
    /// ```
    fn map_result<Out, F>(self, f: F) -> Mapped<Self, F>
    where
        F: Fn(Self::Out) -> Out + Clone + Send + 'static,
        Out: Send + 'static,
    {
        Mapped::new(self, f)
    }

    /// The same aggregate of only those values for which `predicate` holds. In a tuple each can
    /// have its own.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Aggregate, Count};
    ///
    /// struct Flight {
    ///     cancelled: bool,
    /// }
    ///
    /// let flights = [true, false, false].map(|cancelled| Flight { cancelled });
    /// let both = (Count, Count.filtered(|flight: &Flight| flight.cancelled));
    /// assert_eq!(both.over(&flights), (3, 1));
    /// ```
    fn filtered<F>(self, predicate: F) -> Filtered<Self, F>
    where
        F: Fn(&T) -> bool + Clone + Send + 'static,
    {
        Filtered::new(self, predicate)
    }
}
