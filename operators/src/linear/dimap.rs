//! `contramap` and `dimap`: a fragment of a pipeline for other types.

use millstream_engine::chain::{Chain, Via};

use super::map::Map;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Uses a fragment that takes values of another type: turns each value into that first. It is
    /// `map` and [`pipe`](DataStream::pipe) in one, and fused like them.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// fn total(numbers: DataStream<u32, impl Chain<Item = u32>>) -> DataStream<u32> {
    ///     numbers.scan(0, |sum, n| *sum += n).boxed()
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("totals");
    /// let words = flow.source("words", source::from_iter(["to", "see"]));
    /// let totals = words.contramap(|word| word.len() as u32, total).collect();
    /// assert_eq!(flow.run().await?.take(totals), Some(vec![2, 5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn contramap<U, R, F>(
        self,
        before: F,
        fragment: impl FnOnce(DataStream<U, Via<C, Map<F>>>) -> R,
    ) -> R
    where
        U: Send + 'static,
        F: FnMut(T) -> U + Clone + Send + 'static,
    {
        fragment(self.map(before))
    }

    /// Uses a fragment from one other type to another: turns each value into what it takes, and
    /// what it gives into something else.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// fn total(numbers: DataStream<u32, impl Chain<Item = u32>>) -> DataStream<u32> {
    ///     numbers.scan(0, |sum, n| *sum += n).boxed()
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("totals");
    /// let words = flow.source("words", source::from_iter(["to", "see"]));
    /// let totals = words.dimap(|word| word.len() as u32, total, |sum| sum.to_string());
    /// let totals = totals.collect();
    /// assert_eq!(flow.run().await?.take(totals), Some(["2", "5"].map(String::from).to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closures, as those of other operators do"
    )]
    pub fn dimap<U, V, W, D, F, G>(
        self,
        before: F,
        fragment: impl FnOnce(DataStream<U, Via<C, Map<F>>>) -> DataStream<V, D>,
        behind: G,
    ) -> DataStream<W, Via<D, Map<G>>>
    where
        U: Send + 'static,
        V: Send + 'static,
        W: Send + 'static,
        D: Chain<Item = V>,
        F: FnMut(T) -> U + Clone + Send + 'static,
        G: FnMut(V) -> W + Clone + Send + 'static,
    {
        fragment(self.map(before)).map(behind)
    }
}
