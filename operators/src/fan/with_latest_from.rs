//! `with_latest_from`: each record with the latest of another stream.

use std::sync::Arc;

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::choose::{Given, choose};
use super::either::{Either, meet_sides};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Emits what `join` makes of each record of this stream and the latest of `other`, which alone
    /// makes nothing happen.
    ///
    /// What comes before the first record of `other` is dropped, and counts as unmatched. Ends when
    /// this stream does, or when `other` ends without a record. While both have something, they
    /// take turns, so which of the other's records is the latest is a matter of when they come. The
    /// event time is the later of the two, or the watermark if that has passed both. It has one
    /// instance.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("priced");
    /// let amounts = flow.source("amounts", source::from_iter(0_u64..));
    /// let price = flow.source("price", source::once(5));
    /// let costs = amounts.with_latest_from(price, |_, price| *price).take(2).collect();
    /// assert_eq!(flow.run().await?.take(costs), Some(vec![5, 5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_latest_from<U, D, O, F>(self, other: DataStream<U, D>, join: F) -> DataStream<O>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
        O: Send + 'static,
        F: FnMut(T, &U) -> O + Clone + Send + 'static,
    {
        let (edge, flow) = meet_sides(self, other, Discipline::Merge, "with_latest_from");
        let make = move |given: Given| WithLatestFrom {
            counters: given.counters,
            join: join.clone(),
            latest: None,
            watermark: Timestamp::MIN,
            last: 0,
        };
        choose::<Either<T, U>, _>(flow, edge, 2, "with_latest_from", make)
    }
}

/// What is behind [`DataStream::with_latest_from`].
struct WithLatestFrom<U, F> {
    counters: Arc<OperatorCounters>,
    join: F,
    latest: Option<Record<U>>,
    watermark: Timestamp,
    /// Which input the last record came from.
    last: usize,
}

impl<T, U, O, F> Picker<Either<T, U>> for WithLatestFrom<U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    O: Send + 'static,
    F: FnMut(T, &U) -> O + Send,
{
    type Out = O;

    fn pick(&mut self, ports: &Ports<'_, Either<T, U>>) -> Pick {
        if ports.is_ended(0) || (self.latest.is_none() && ports.is_ended(1)) {
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
        match (record.value, &self.latest) {
            (Either::Left(left), Some(right)) => {
                let time = record.time.max(right.time).max(self.watermark);
                out.push(Record::at((self.join)(left, &right.value), time));
            }
            (Either::Left(_), None) => self.counters.dropped(DropReason::Unmatched, 1),
            (Either::Right(right), _) => self.latest = Some(Record::at(right, record.time)),
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
    }
}
