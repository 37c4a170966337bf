//! `buffer` and `detach`: room for records, and what happens when it is used up.

use millstream_engine::chain::Chain;
use millstream_engine::edge::WhenFull;
use millstream_engine::graph::EdgeOptions;

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stage here, with room for `records` before the next, in each of its instances. When
    /// that is used up, `when_full` says what happens: wait, drop the newest, the oldest or all,
    /// thin out, fail, or cut off.
    ///
    /// Emits as soon as the next stage asks, in order. Backpressures as `when_full` says: only
    /// [`WhenFull::Block`] does without an end. Ends with its input, behind what waits; control
    /// goes on whatever is dropped. Every drop is counted, with its reason, as
    /// [`dropped`](millstream_engine::metrics::EdgeMetrics::dropped) of the edge.
    ///
    /// What the stages on both sides have in hand comes on top: a batch that is being collected
    /// before the buffer and one that is being worked on behind it. `buffer` therefore does not
    /// decide how old the oldest record is that the next stage sees;
    /// [`detach`](DataStream::detach) and [`conflate`](DataStream::conflate) come closest. No room
    /// at all keeps the dataflow from being started.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("the last that fitted");
    /// let readings = flow.source("readings", source::from_iter(0..1_000_u32));
    /// let count = readings.buffer(10_000, WhenFull::DropOldest).count();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(count), Some(1_000));
    /// assert_eq!(report.metrics().edges[0].dropped.total(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn buffer(self, records: usize, when_full: WhenFull) -> DataStream<T> {
        let capacity = Some(records);
        self.behind_edge("buffer", EdgeOptions { capacity, when_full, ..EdgeOptions::default() })
    }

    /// Lets what follows work on one record while the next is being made: a boundary with room for
    /// a single record, handed over one at a time.
    ///
    /// Emits when its input does, backpressures while its record waits, ends with its input.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("one ahead");
    /// flow.source("numbers", source::from_iter(0..9)).detach().map(|n| n + 1).ignore();
    /// let edge = &flow.graph().unwrap().edges[0];
    /// assert_eq!((edge.capacity_records, edge.batch_records), (1, 1));
    /// ```
    pub fn detach(self) -> DataStream<T> {
        self.behind_edge("detach", EdgeOptions { capacity: Some(1), ..EdgeOptions::default() })
    }

    /// Ends the stage in an edge of its own, between as many instances as it has.
    pub(crate) fn behind_edge(self, kind: &'static str, options: EdgeOptions) -> DataStream<T> {
        let (flow, instances) = (self.flow().clone(), self.parallelism());
        let edge = flow.blueprint().add_edge::<T>(kind, options);
        self.forward(edge);
        DataStream::behind(flow, edge, instances, kind)
    }
}
