//! `zip_all`: pairs by position, as many as the longer stream has.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::either::{Either, meet_sides};
use crate::DataStream;
use crate::part::LatestTime;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Pairs records by position as [`zip`](DataStream::zip) does, and when one of the streams has
    /// ended, goes on with clones of `left` in place of this one's records, or of `right` in place
    /// of the other's.
    ///
    /// Emits when both inputs have a record or have ended, ends with the last of them, and
    /// backpressures the faster. A pair's event time is the later of the two, or the watermark if
    /// that has passed both. It has one instance, and two branches of one stream are refused.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("padded");
    /// let letters = flow.source("letters", source::from_iter(["a", "b"]));
    /// let numbers = flow.source("numbers", source::from_iter([1, 2, 3]));
    /// let pairs = letters.zip_all(numbers, "-", 0).collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![("a", 1), ("b", 2), ("-", 3)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_all<U, D>(self, other: DataStream<U, D>, left: T, right: U) -> DataStream<(T, U)>
    where
        T: Clone,
        U: Clone + Send + 'static,
        D: Chain<Item = U>,
    {
        let (edge, flow) = meet_sides(self, other, Discipline::Select, "zip_all");
        let make = move |_| ZipAll {
            pads: (left.clone(), right.clone()),
            left: None,
            alone: false,
            time: LatestTime::new(),
        };
        choose::<Either<T, U>, _>(flow, edge, 2, "zip_all", make)
    }
}

/// What is behind [`DataStream::zip_all`].
struct ZipAll<T, U> {
    pads: (T, U),
    /// The half of a pair whose other half is there.
    left: Option<T>,
    /// The record that was chosen last has no other half.
    alone: bool,
    time: LatestTime,
}

impl<T, U> Picker<Either<T, U>> for ZipAll<T, U>
where
    T: Clone + Send + 'static,
    U: Clone + Send + 'static,
{
    type Out = (T, U);

    fn pick(&mut self, ports: &Ports<'_, Either<T, U>>) -> Pick {
        if self.left.is_some() {
            return Pick::Take(1);
        }
        let (left, right) = (ports.peek(0).is_some(), ports.peek(1).is_some());
        self.alone = ports.is_ended(0) || ports.is_ended(1);
        match (left, right) {
            (true, true) => Pick::Take(0),
            (true, false) if self.alone => Pick::Take(0),
            (false, true) if self.alone => Pick::Take(1),
            _ => Pick::Wait,
        }
    }

    fn take(
        &mut self,
        _port: usize,
        record: Record<Either<T, U>>,
        out: &mut Vec<Record<(T, U)>>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        let pair = match (self.left.take(), record.value) {
            (Some(left), Either::Right(right)) => (left, right),
            (None, Either::Right(right)) => (self.pads.0.clone(), right),
            (_, Either::Left(left)) if self.alone => (left, self.pads.1.clone()),
            (_, Either::Left(left)) => {
                self.left = Some(left);
                return Ok(());
            }
        };
        out.push(Record::at(pair, self.time.take()));
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.time.pass(watermark);
    }
}
