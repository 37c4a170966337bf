//! Aggregates: what is kept of many values, and what is told of them.

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
    note = "an aggregate's closures take `&{T}`, as in `Sum::of(|value: &{T}| …)`, and are `Clone`, \
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
}
