//! `pipe`: reusable fragments of a pipeline.

use millstream_engine::chain::Chain;

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Hands the stream to a function, and gives what that returns: another stream, several, or
    /// nothing. It is the function called the other way round, and costs nothing.
    ///
    /// A fragment of a pipeline is a plain function from stream to stream, and a value like every
    /// function. It takes `DataStream<T, impl Chain<Item = T>>`, so that what is in it is fused
    /// with what comes before and behind. What is said inside, such as a name, stays.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// fn lengths(
    ///     lines: DataStream<&'static str, impl Chain<Item = &'static str>>,
    /// ) -> DataStream<usize, impl Chain<Item = usize>> {
    ///     lines.flat_map_iter(str::split_whitespace).map(str::len)
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("lengths");
    /// let lines = flow.source("lines", source::from_iter(["to be", "or not"]));
    /// let longest = lines.pipe(lengths).reduce(|most, n| *most = n.max(*most));
    /// assert_eq!(flow.run().await?.take(longest), Some(Some(3)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pipe<R>(self, f: impl FnOnce(Self) -> R) -> R {
        f(self)
    }
}
