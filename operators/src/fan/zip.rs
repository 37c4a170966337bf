//! `zip` and `zip_with`: pairs by position.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::either::{Either, meet_sides};
use crate::DataStream;
use crate::part::LatestTime;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Pairs the first record of this stream with the first of `other`, the second with the second,
    /// and so on. A pair's event time is the later of the two, or the watermark if that has passed
    /// both.
    ///
    /// Emits when both inputs have a record, and backpressures the faster of them. Ends when an
    /// input has ended and all of it is paired; what the other has left is cancelled. It has one
    /// instance, which brings those of a parallel stream together as they come.
    ///
    /// Two branches of one stream can't be zipped: if one of them drops a record, the other fills
    /// up and stops both, so the graph is refused.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pairs");
    /// let letters = flow.source("letters", source::from_iter(["a", "b", "c"]));
    /// let pairs = letters.zip(flow.source("numbers", source::from_iter([1, 2]))).collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![("a", 1), ("b", 2)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip<U, D>(self, other: DataStream<U, D>) -> DataStream<(T, U)>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
    {
        zipped(self, other, "zip", |left, right| (left, right))
    }

    /// As [`zip`](DataStream::zip), and emits what `join` makes of each pair.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("products");
    /// let prices = flow.source("prices", source::from_iter([10, 20]));
    /// let amounts = flow.source("amounts", source::from_iter([1, 3]));
    /// let products = prices.zip_with(amounts, |price, amount| price * amount).collect();
    /// assert_eq!(flow.run().await?.take(products), Some(vec![10, 60]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_with<U, D, O, F>(self, other: DataStream<U, D>, join: F) -> DataStream<O>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
        O: Send + 'static,
        F: FnMut(T, U) -> O + Clone + Send + 'static,
    {
        zipped(self, other, "zip_with", join)
    }
}

fn zipped<T, U, C, D, O, F>(
    left: DataStream<T, C>,
    right: DataStream<U, D>,
    kind: &'static str,
    join: F,
) -> DataStream<O>
where
    T: Send + 'static,
    U: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = U>,
    O: Send + 'static,
    F: FnMut(T, U) -> O + Clone + Send + 'static,
{
    let (edge, flow) = meet_sides(left, right, Discipline::Select, kind);
    let make = move |_| Zip { join: join.clone(), left: None, time: LatestTime::new() };
    choose::<Either<T, U>, _>(flow, edge, 2, kind, make)
}

/// What is behind [`DataStream::zip`].
struct Zip<T, F> {
    join: F,
    /// The half of a pair whose other half is there.
    left: Option<T>,
    time: LatestTime,
}

impl<T, U, O, F> Picker<Either<T, U>> for Zip<T, F>
where
    T: Send + 'static,
    U: Send + 'static,
    O: Send + 'static,
    F: FnMut(T, U) -> O + Send,
{
    type Out = O;

    fn pick(&mut self, ports: &Ports<'_, Either<T, U>>) -> Pick {
        if self.left.is_some() {
            return Pick::Take(1);
        }
        if ports.is_ended(0) || ports.is_ended(1) {
            return Pick::End;
        }
        match (ports.peek(0), ports.peek(1)) {
            (Some(_), Some(_)) => Pick::Take(0),
            _ => Pick::Wait,
        }
    }

    fn take(
        &mut self,
        _port: usize,
        record: Record<Either<T, U>>,
        out: &mut Vec<Record<O>>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        match (self.left.take(), record.value) {
            (Some(left), Either::Right(right)) => {
                out.push(Record::at((self.join)(left, right), self.time.take()));
            }
            (_, Either::Left(left)) => self.left = Some(left),
            (None, Either::Right(_)) => {}
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.time.pass(watermark);
    }
}
