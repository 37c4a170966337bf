//! A graph as plain data, for whoever shows it.

use super::{Distribution, Role};
use crate::edge::{Order, WhenFull};

/// A dataflow: operators, the stages they are fused into, and the edges between those.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphView {
    /// The pipeline's name.
    pub name: String,
    /// Every operator, in the order in which they were added.
    pub operators: Vec<OperatorView>,
    /// Every stage.
    pub stages: Vec<StageView>,
    /// Every edge.
    pub edges: Vec<EdgeView>,
    /// The most records that can be in flight between the sources and the sinks at once, without
    /// what operators keep as state: for each channel its capacity and one batch, for each instance
    /// of a stage the batch that it works on, one more at a source and at each boxed seam, and two
    /// at an asynchronous sink. Reached to the record where batches are of one record.
    pub records_in_flight_max: usize,
}

/// An operator, source or sink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperatorView {
    /// Its name, unique in the graph.
    pub name: String,
    /// What it is: the name of the method that made it.
    pub kind: &'static str,
    /// What part it plays.
    pub role: Role,
    /// The stage it belongs to, an index.
    pub stage: usize,
}

/// A run of operators, fused into one loop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageView {
    /// The names of its operators, in order.
    pub name: String,
    /// Its operators, indices.
    pub operators: Vec<usize>,
    /// How many instances of it run.
    pub instances: usize,
    /// Which of the shared tasks it begins in, counted from zero; none if it begins in its own.
    /// Two stages in a row may share one, or branches that part and meet again, as long as they
    /// are cheap.
    pub shared_task: Option<usize>,
}

/// The channels between the operators that write to them and the stage that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EdgeView {
    /// The names of both ends.
    pub name: String,
    /// The operators that write to it, indices.
    pub producers: Vec<usize>,
    /// The stage that reads from it, an index.
    pub consumer: usize,
    /// How records find their instance.
    pub distribution: Distribution,
    /// What happens to a record for which there is no room.
    pub when_full: WhenFull,
    /// In which order what waits is given out.
    pub order: Order,
    /// How many channels it is made of.
    pub channels: usize,
    /// The most records in each channel.
    pub capacity_records: usize,
    /// The most records in one batch.
    pub batch_records: usize,
}
