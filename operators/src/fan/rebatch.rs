//! `rebatch` and `batch_limit`: how many records an edge carries at once.

use millstream_engine::chain::Chain;

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stage, as [`boundary`](DataStream::boundary) does, in an edge that carries batches
    /// of up to `records`. A batch goes out when it is full, or when there is nothing more to do at
    /// the moment: none waits for records that are not there.
    ///
    /// How many records travel together is a matter of speed. What any operator makes of them, and
    /// event times and watermarks, are the same for every size.
    ///
    /// # Panics
    ///
    /// If `records` is zero.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("small batches");
    /// flow.source("numbers", source::from_iter(0..9)).rebatch(4).ignore();
    /// assert_eq!(flow.graph().unwrap().edges[0].batch_records, 4);
    /// ```
    #[track_caller]
    pub fn rebatch(self, records: usize) -> DataStream<T> {
        assert!(records > 0, "batches of no records");
        self.boundary().batch_limit(records)
    }
}

impl<T: Send + 'static> DataStream<T> {
    /// Lets the edge that this stream comes out of carry batches of up to `records`. Said right
    /// behind the word that makes the edge. Default: that of the job's options.
    ///
    /// An edge whose capacity nobody has chosen has room for as many batches as ever.
    ///
    /// # Panics
    ///
    /// If `records` is zero, or the stream does not come right out of an edge.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("small batches");
    /// flow.source("numbers", source::from_iter(0..9)).parallel(2).batch_limit(4).ignore();
    /// assert_eq!(flow.graph().unwrap().edges[0].batch_records, 4);
    /// ```
    #[track_caller]
    pub fn batch_limit(self, records: usize) -> Self {
        assert!(records > 0, "batches of no records");
        let (flow, chain, draft) = self.into_parts();
        let edge = draft.input.filter(|_| draft.operators.len() == 1);
        let edge = edge.expect("only a stream right behind an edge has batches to be chosen");
        flow.blueprint().configure_edge(edge, |options| options.batch = Some(records));
        Self::from_parts(flow, chain, draft)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    #[should_panic(expected = "batches of no records")]
    fn b12_batches_of_none_are_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter(0..9)).rebatch(0).ignore();
    }

    #[test]
    #[should_panic(expected = "right behind an edge")]
    fn b12_a_source_has_no_edge_before_it() {
        let flow = Dataflow::new("none");
        flow.source("numbers", source::from_iter(0..9)).boxed().batch_limit(8).ignore();
    }
}
