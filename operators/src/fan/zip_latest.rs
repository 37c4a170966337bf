//! `zip_latest` and `zip_latest_with`: the latest of both, whenever one of them changes.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::choose::{MergeEnd, choose};
use super::either::{Either, meet_sides};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Pairs each record, of either stream, with the latest of the other one. Silent until both
    /// have had a record.
    ///
    /// Ends when one of the inputs does, and cancels the other. Else it is as
    /// [`zip_latest_with`](DataStream::zip_latest_with), which can also end otherwise.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("latest");
    /// // Open ends: one that ended at once would end the pairs as well.
    /// let open = |name| flow.source(name, source::never());
    /// let price = flow.source("price", source::once(10)).concat(open("no more prices"));
    /// let rate = flow.source("rate", source::once(3)).concat(open("no more rates"));
    /// let both = price.zip_latest(rate).take(1).collect();
    /// assert_eq!(flow.run().await?.take(both), Some(vec![(10, 3)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_latest<U, D>(self, other: DataStream<U, D>) -> DataStream<(T, U)>
    where
        T: Clone,
        U: Clone + Send + 'static,
        D: Chain<Item = U>,
    {
        let join = |left: &T, right: &U| (left.clone(), right.clone());
        zipped(self, other, "zip_latest", MergeEnd::First, join)
    }

    /// As [`zip_latest`](DataStream::zip_latest), emits what `join` makes of each pair, and ends
    /// when `end` says, or when an input ends that has had no record at all. The input that has
    /// ended goes on counting with its last record.
    ///
    /// Emits for every record once both inputs have had one; the records of one input before the
    /// first of the other only replace each other. While both have something, they take turns, so
    /// which pairs come out is a matter of when the records come. A pair's event time is the later
    /// of the two, or the watermark if that has passed both. Backpressures when its output does. It
    /// has one instance.
    ///
    /// ```
    /// use millstream_operators::fan::MergeEnd;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("latest");
    /// let price = flow.source("price", source::from_iter([10, 20, 30]));
    /// let rate = flow.source("rate", source::once(2));
    /// let both = price.zip_latest_with(rate, MergeEnd::Last, |price, rate| price * rate);
    /// let last = both.last();
    /// assert_eq!(flow.run().await?.take(last), Some(Some(60)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_latest_with<U, D, O, F>(
        self,
        other: DataStream<U, D>,
        end: MergeEnd,
        join: F,
    ) -> DataStream<O>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
        O: Send + 'static,
        F: FnMut(&T, &U) -> O + Clone + Send + 'static,
    {
        zipped(self, other, "zip_latest_with", end, join)
    }
}

fn zipped<T, U, C, D, O, F>(
    left: DataStream<T, C>,
    right: DataStream<U, D>,
    kind: &'static str,
    end: MergeEnd,
    join: F,
) -> DataStream<O>
where
    T: Send + 'static,
    U: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = U>,
    O: Send + 'static,
    F: FnMut(&T, &U) -> O + Clone + Send + 'static,
{
    // It takes whatever is there, and so can't be waiting for one branch while another fills up.
    let (edge, flow) = meet_sides(left, right, Discipline::Merge, kind);
    let make = move |_| ZipLatest {
        join: join.clone(),
        end,
        latest: (None, None),
        watermark: Timestamp::MIN,
        last: 1,
    };
    choose::<Either<T, U>, _>(flow, edge, 2, kind, make)
}

/// What is behind [`DataStream::zip_latest`].
struct ZipLatest<T, U, F> {
    join: F,
    end: MergeEnd,
    latest: (Option<Record<T>>, Option<Record<U>>),
    watermark: Timestamp,
    /// Which input the last record came from.
    last: usize,
}

impl<T, U, O, F> Picker<Either<T, U>> for ZipLatest<T, U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    O: Send + 'static,
    F: FnMut(&T, &U) -> O + Send,
{
    type Out = O;

    fn pick(&mut self, ports: &Ports<'_, Either<T, U>>) -> Pick {
        let in_vain = (self.latest.0.is_none() && ports.is_ended(0))
            || (self.latest.1.is_none() && ports.is_ended(1));
        if in_vain || self.end.has_come(ports) {
            return Pick::End;
        }
        ports.next_ready(self.last).map_or(Pick::Wait, Pick::Take)
    }

    fn take(
        &mut self,
        port: usize,
        record: Record<Either<T, U>>,
        out: &mut Vec<Record<O>>,
    ) -> Result<(), OperatorError> {
        self.last = port;
        match record.value {
            Either::Left(left) => self.latest.0 = Some(Record::at(left, record.time)),
            Either::Right(right) => self.latest.1 = Some(Record::at(right, record.time)),
        }
        if let (Some(left), Some(right)) = &self.latest {
            let time = left.time.max(right.time).max(self.watermark);
            out.push(Record::at((self.join)(&left.value, &right.value), time));
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
    }
}
