//! `merge_latest`: the latest of every stream, whenever one of them changes.

use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::{join, meet};
use crate::DataStream;

impl<T: Clone + Send + 'static> DataStream<T> {
    /// Emits the latest records of this stream and all `others`, in that order, whenever one of
    /// them has a new one. Silent until every stream has had a record.
    ///
    /// Ends with the last of the inputs, or with the first that ends without a record. While
    /// several have something, they take turns. The event time is the latest of all, or the
    /// watermark if that has passed them. Backpressures when its output does. It has one instance.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("latest");
    /// let sensor = |name, value| flow.source(name, source::once(value)).boxed();
    /// let all = sensor("a", 1).merge_latest([sensor("b", 2), sensor("c", 3)]).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![vec![1, 2, 3]]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_latest(self, others: impl IntoIterator<Item = Self>) -> DataStream<Vec<T>> {
        let (edge, flow) = meet(&self, Discipline::Merge, "merge_latest");
        self.forward(edge);
        let count = 1 + others.into_iter().map(|other| join(other, edge, &flow)).count();
        let make = move |_| MergeLatest {
            latest: std::iter::repeat_with(|| None).take(count).collect(),
            watermark: Timestamp::MIN,
            last: count - 1,
        };
        choose::<T, _>(flow, edge, count, "merge_latest", make)
    }
}

/// What is behind [`DataStream::merge_latest`].
struct MergeLatest<T> {
    latest: Vec<Option<Record<T>>>,
    watermark: Timestamp,
    /// Which input the last record came from.
    last: usize,
}

impl<T: Clone + Send + 'static> Picker<T> for MergeLatest<T> {
    type Out = Vec<T>;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let mut latest = self.latest.iter().enumerate();
        if latest.any(|(port, latest)| latest.is_none() && ports.is_ended(port)) {
            return Pick::End;
        }
        ports.next_ready(self.last).map_or(Pick::Wait, Pick::Take)
    }

    fn take(
        &mut self,
        port: usize,
        record: Record<T>,
        out: &mut Vec<Record<Vec<T>>>,
    ) -> Result<(), OperatorError> {
        self.last = port;
        if let Some(latest) = self.latest.get_mut(port) {
            *latest = Some(record);
        }
        let values: Option<Vec<T>> =
            self.latest.iter().map(|latest| Some(latest.as_ref()?.value.clone())).collect();
        let times = self.latest.iter().flatten().map(|latest| latest.time);
        if let (Some(values), Some(time)) = (values, times.max()) {
            out.push(Record::at(values, time.max(self.watermark)));
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
    }
}
