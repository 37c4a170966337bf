//! `unzip` and `unzip_with`: two halves of every record, each to a stream of its own.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::graph::EdgeOptions;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::{Error, OperatorError, Record};

use super::side_output::SidePort;
use crate::DataStream;

/// A function that leaves a pair as it is.
pub type Pair<A, B> = fn((A, B)) -> (A, B);

/// The stream of the first halves, and that of the second ones.
pub type Unzipped<A, B, C, F> = (DataStream<A, Via<C, Unzip<B, F>>>, DataStream<B>);

impl<A, B, C> DataStream<(A, B), C>
where
    A: Send + 'static,
    B: Send + 'static,
    C: Chain<Item = (A, B)>,
{
    /// Takes pairs apart: the first halves go on, the second ones are a stream beside it.
    ///
    /// In lock step: emits when both have room, backpressures when either has none, is over for
    /// both when either has had enough, and ends with its input. Both keep the order and the event
    /// time of the pair.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("halves");
    /// let pairs = flow.source("pairs", source::from_iter([("a", 1), ("b", 2)]));
    /// let (letters, numbers) = pairs.unzip();
    /// let (letters, numbers) = (letters.collect(), numbers.collect());
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(letters), Some(vec!["a", "b"]));
    /// assert_eq!(report.take(numbers), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn unzip(self) -> Unzipped<A, B, C, Pair<A, B>> {
        self.unzip_with(|pair| pair)
    }
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// As [`unzip`](DataStream::unzip), of the pairs that `f` makes of the records.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("quotients and remainders");
    /// let numbers = flow.source("numbers", source::from_iter([17, 25]));
    /// let (quotients, remainders) = numbers.unzip_with(|n| (n / 10, n % 10));
    /// let (quotients, remainders) = (quotients.collect(), remainders.collect());
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(quotients), Some(vec![1, 2]));
    /// assert_eq!(report.take(remainders), Some(vec![7, 5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn unzip_with<A, B, F>(self, f: F) -> Unzipped<A, B, C, F>
    where
        A: Send + 'static,
        B: Send + 'static,
        F: FnMut(T) -> (A, B) + Clone + Send + 'static,
    {
        let (flow, instances) = (self.flow().clone(), self.parallelism());
        let edge = flow.blueprint().add_edge::<B>("unzip", EdgeOptions::default());
        let main = self.via_with(|operator, blueprint| {
            let second = SidePort::new(blueprint.connect(edge, operator));
            Unzip { second, f }
        });
        (main, DataStream::behind(flow, edge, instances, "branch"))
    }
}

/// The operator behind [`DataStream::unzip`].
#[derive(Debug)]
pub struct Unzip<B, F> {
    second: SidePort<B>,
    f: F,
}

impl<B, F: Clone> Clone for Unzip<B, F> {
    fn clone(&self) -> Self {
        Self { second: self.second.clone(), f: self.f.clone() }
    }
}

impl<T, A, B, F> Operator<T> for Unzip<B, F>
where
    T: Send + 'static,
    A: Send + 'static,
    B: Send + 'static,
    F: FnMut(T) -> (A, B) + Clone + Send + 'static,
{
    type Out = A;
    const NAME: &'static str = "unzip";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.second.open(context);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        let (first, second) = (self.f)(record.value);
        self.second.emit(Record::at(second, record.time));
        out.push(Record::at(first, record.time));
        Ok(())
    }

    fn done(&self) -> bool {
        self.second.done()
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        Some(&mut self.second)
    }
}
