//! `with_capacity` and `with_byte_capacity`: how much the edge before a stage may hold.

use millstream_engine::graph::EdgeId;

use crate::DataStream;

impl<T: Send + 'static> DataStream<T> {
    /// Bounds the edge that this stream comes out of to `records` in each of its channels. Said
    /// right behind the word that makes the edge. Default: that of the job's options, 16 batches.
    ///
    /// # Panics
    ///
    /// If the stream does not come right out of an edge.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("narrow");
    /// flow.source("numbers", source::from_iter(0..9)).boundary().with_capacity(8).ignore();
    /// assert_eq!(flow.graph().unwrap().edges[0].capacity_records, 8);
    /// ```
    #[track_caller]
    pub fn with_capacity(self, records: usize) -> Self {
        let (stream, edge) = self.edge();
        let blueprint = stream.flow().blueprint();
        blueprint.configure_edge(edge, |options| options.capacity = Some(records));
        stream
    }

    /// Bounds the edge in `bytes` as well, by what `weight` says of each record. One record that is
    /// heavier than that is let through alone.
    ///
    /// # Panics
    ///
    /// If the stream does not come right out of an edge.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("light");
    /// flow.source("lines", source::from_iter(["a line", "another"]))
    ///     .boundary()
    ///     .with_byte_capacity(1 << 20, |line| line.len())
    ///     .ignore();
    /// # flow.validate().unwrap();
    /// ```
    #[track_caller]
    pub fn with_byte_capacity(
        self,
        bytes: usize,
        weight: impl Fn(&T) -> usize + Send + Sync + 'static,
    ) -> Self {
        let (stream, edge) = self.edge();
        stream.flow().blueprint().weigh_edge(edge, bytes, weight);
        stream
    }

    /// The edge that the stream comes right out of.
    #[track_caller]
    pub(crate) fn edge(self) -> (Self, EdgeId) {
        let (flow, chain, draft) = self.into_parts();
        let edge = draft.input.filter(|_| draft.operators.len() == 1);
        let edge = edge.expect("only a stream right behind an edge can say what that edge is like");
        (Self::from_parts(flow, chain, draft), edge)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    #[should_panic(expected = "right behind an edge")]
    fn a_source_has_no_edge_before_it() {
        let flow = Dataflow::new("none");
        flow.source("numbers", source::from_iter(0..9)).boxed().with_capacity(8).ignore();
    }
}
