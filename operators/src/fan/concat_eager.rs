//! `concat_eager`, `prepend` and `start_with`: one stream before another, both started at once.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::{join, meet};
use crate::{DataStream, source};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Appends another stream, as [`concat`](DataStream::concat) does, but starts its source at
    /// once: it runs until the edge before this word is full, so that its first records are there
    /// when their turn comes.
    ///
    /// Emits what the current input does, ends with the second. It has one instance, and two
    /// branches of one stream are refused.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("history, then news");
    /// let history = flow.source("history", source::from_iter([1, 2]));
    /// let news = flow.source("news", source::from_iter([3]));
    /// let all = history.concat_eager(news).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 2, 3]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn concat_eager<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        appended(self, other, "concat_eager")
    }

    /// Puts another stream before this one, whose source is started at once all the same: the other
    /// way round it is [`concat_eager`](DataStream::concat_eager).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("header first");
    /// let rows = flow.source("rows", source::from_iter(["1", "2"]));
    /// let all = rows.prepend(flow.source("header", source::once("n"))).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec!["n", "1", "2"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepend<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        appended(other, self, "prepend")
    }

    /// Puts values before this stream, as [`prepend`](DataStream::prepend) does a stream. They have
    /// no event time of their own, and so the earliest there is.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("from zero");
    /// let numbers = flow.source("numbers", source::from_iter([1, 2]));
    /// let all = numbers.start_with([0]).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_with<I>(self, values: I) -> DataStream<T>
    where
        I: IntoIterator<Item = T, IntoIter: Clone + Send + 'static>,
    {
        let flow = self.flow().clone();
        let first = flow.unnamed_source("start_with", source::from_iter(values));
        appended(first, self, "start_with")
    }
}

fn appended<T, C, D>(
    first: DataStream<T, C>,
    second: DataStream<T, D>,
    kind: &'static str,
) -> DataStream<T>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = T>,
{
    let (edge, flow) = meet(&first, Discipline::Select, kind);
    first.forward(edge);
    join(second, edge, &flow);
    choose::<T, _>(flow, edge, 2, kind, |_| InOrder)
}

/// One input to its end, then the next, while all of them are read.
struct InOrder;

impl<T: Send + 'static> Picker<T> for InOrder {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let mut in_order = 0..ports.len();
        in_order.find(|port| !ports.is_ended(*port)).map_or(Pick::End, Pick::Take)
    }

    fn take(
        &mut self,
        _port: usize,
        record: Record<T>,
        out: &mut Vec<Record<T>>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}
