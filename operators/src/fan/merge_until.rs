//! `merge_until`: two streams as one, with an end of one's choice.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::{OperatorError, Record};

use super::choose::{MergeEnd, choose};
use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Joins another stream to this one, as [`merge`](DataStream::merge) does, and ends when `end`
    /// says: what the other input has by then is cancelled.
    ///
    /// Emits when any input does; while both have something, they take turns, a record each. An
    /// input ends behind its last record, and one that fails does not end: the job fails. Its
    /// watermark is the earliest of the inputs that are not idle. It has one instance.
    ///
    /// ```
    /// use millstream_operators::fan::MergeEnd;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("until the work is done");
    /// let work = flow.source("work", source::from_iter([1, 2]));
    /// let beats = flow.source("beats", source::never());
    /// let all = work.merge_until(beats, MergeEnd::Left).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_until<D: Chain<Item = T>>(
        self,
        other: DataStream<T, D>,
        end: MergeEnd,
    ) -> DataStream<T> {
        let (edge, flow) = meet(&self, Discipline::Merge, "merge_until");
        self.forward(edge);
        join(other, edge, &flow);
        choose(flow, edge, 2, "merge_until", move |_| MergeUntil { end, last: 1 })
    }
}

/// What is behind [`DataStream::merge_until`].
struct MergeUntil {
    end: MergeEnd,
    /// Which input the last record came from.
    last: usize,
}

impl<T: Send + 'static> Picker<T> for MergeUntil {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        if self.end.has_come(ports) {
            return Pick::End;
        }
        ports.next_ready(self.last).map_or(Pick::Wait, Pick::Take)
    }

    fn take(
        &mut self,
        port: usize,
        record: Record<T>,
        out: &mut Vec<Record<T>>,
    ) -> Result<(), OperatorError> {
        self.last = port;
        out.push(record);
        Ok(())
    }
}
