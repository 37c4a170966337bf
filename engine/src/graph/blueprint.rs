//! Building a graph, piece by piece.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{GraphView, Plan};
use crate::edge::{Discipline, Merge, Order, Rank, WhenFull, merging};
use crate::error::Error;
use crate::runtime::Run;
use crate::sync::{Mutex, MutexGuard, lock};

/// An operator, source or sink of a blueprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(pub(crate) usize);

/// A stage of a blueprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) usize);

/// An edge of a blueprint. It is good for that blueprint only, whatever number it has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(pub(crate) usize, pub(crate) GraphId);

/// Which of the process's graphs something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GraphId(u64);

impl GraphId {
    /// That of an operator which is driven by hand.
    pub(crate) const NONE: Self = Self(0);

    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed) + 1)
    }
}

/// The right of one operator to write to an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    pub(crate) edge: EdgeId,
    pub(crate) index: usize,
}

/// What part an operator plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Records enter here.
    Source,
    /// Records pass through.
    Operator,
    /// Records leave here.
    Sink,
}

/// How the records of an edge find their instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Instance to instance, or all to one.
    #[default]
    Forward,
    /// Each in turn.
    Rebalance,
    /// To the owner of the key's group.
    Key,
}

/// What an operator has to do with event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventTimeUse {
    /// It passes on what it is given.
    #[default]
    Passes,
    /// It says what time it is.
    Sets,
    /// It works by it.
    Needs,
}

/// What the user chose about an edge; `None` leaves it to the job's options and the record's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeOptions {
    /// The most records in each channel.
    pub capacity: Option<usize>,
    /// The most bytes in each channel, by the edge's weight.
    pub capacity_bytes: Option<usize>,
    /// The most records in each batch.
    pub batch: Option<usize>,
    /// How records find their instance.
    pub distribution: Distribution,
    /// In which order the producers are read.
    pub discipline: Discipline,
    /// What happens to a record for which there is no room.
    pub when_full: WhenFull,
    /// In which order what waits is given out.
    pub order: Order,
    /// Whether the stage that reads from it can be done without, and so can all that are fed by
    /// such stages only: if one of them fails, it is cut off, and the job goes on.
    pub expendable: bool,
}

/// Builds one stage of a run. Implemented for what ends a chain: an edge, a fan-out, a sink.
pub trait StageBlueprint: Send + 'static {
    /// Puts one instance of the stage into a run.
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error>;
}

pub(crate) struct Graph {
    pub(crate) id: GraphId,
    pub(crate) name: Arc<str>,
    pub(crate) operators: Vec<OperatorNode>,
    pub(crate) stages: Vec<StageNode>,
    pub(crate) edges: Vec<EdgeNode>,
    /// Operators that were to write to, or meet, a stream of another graph.
    pub(crate) strayed: Vec<OperatorId>,
    /// Operators that were told something that makes no sense, and what.
    pub(crate) refused: Vec<(OperatorId, String)>,
}

impl Graph {
    fn edge(&mut self, edge: EdgeId) -> Option<&mut EdgeNode> {
        self.edges.get_mut(edge.0).filter(|_| edge.1 == self.id)
    }
}

pub(crate) struct OperatorNode {
    pub(crate) kind: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) role: Role,
    pub(crate) stage: Option<StageId>,
    pub(crate) buffers: Vec<Buffer>,
    /// Whether it is a head of its own making, whose output is what its stage takes.
    pub(crate) heads: bool,
    /// Under what its state is found again.
    pub(crate) uid: Option<String>,
    pub(crate) time: EventTimeUse,
}

/// Room for records inside a stage.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Buffer {
    Batches {
        count: usize,
        /// The size of each batch where the job's options say nothing.
        default_batch: usize,
    },
    Records(usize),
}

pub(crate) struct StageNode {
    pub(crate) operators: Vec<OperatorId>,
    pub(crate) input: Option<EdgeId>,
    pub(crate) parallelism: usize,
    pub(crate) build: Box<dyn StageBlueprint>,
}

pub(crate) struct EdgeNode {
    pub(crate) producers: Vec<OperatorId>,
    pub(crate) consumer: Option<StageId>,
    /// A name for error messages where there is no operator to name.
    pub(crate) stream: String,
    pub(crate) options: EdgeOptions,
    pub(crate) weight: Option<Box<dyn Any + Send>>,
    pub(crate) merge: Option<Box<dyn Any + Send>>,
    pub(crate) rank: Option<Box<dyn Any + Send>>,
    /// The size of a record, from which a batch's is chosen.
    pub(crate) default_batch: usize,
}

impl EdgeNode {
    /// Whether nothing has been said of it.
    pub(crate) fn is_plain(&self) -> bool {
        self.options == EdgeOptions::default() && self.weight.is_none() && self.rank.is_none()
    }
}

/// What is known of a stage while it is being built.
#[derive(Clone, Debug)]
pub struct StageDraft {
    /// Its operators, head first.
    pub operators: Vec<OperatorId>,
    /// The edge it reads from; a source reads from none.
    pub input: Option<EdgeId>,
    /// How many instances it has.
    pub parallelism: usize,
}

/// A graph in the making. Clones share it.
///
/// Nothing here runs or is checked: [`validate`](Blueprint::validate) finds the mistakes, and a
/// [job](crate::runtime) makes everything that runs anew.
#[derive(Clone)]
pub struct Blueprint(Arc<Mutex<Graph>>);

impl Blueprint {
    /// An empty graph.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Mutex::new(Graph {
            id: GraphId::next(),
            name: Arc::from(name),
            operators: Vec::new(),
            stages: Vec::new(),
            edges: Vec::new(),
            strayed: Vec::new(),
            refused: Vec::new(),
        })))
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.graph().name)
    }

    /// Adds an operator, which belongs to no stage yet.
    #[must_use]
    pub fn add_operator(&self, role: Role, kind: &'static str, name: Option<&str>) -> OperatorId {
        let mut graph = self.graph();
        let name = name.map(str::to_owned);
        graph.operators.push(OperatorNode {
            kind,
            name,
            role,
            stage: None,
            buffers: Vec::new(),
            heads: false,
            uid: None,
            time: EventTimeUse::Passes,
        });
        OperatorId(graph.operators.len() - 1)
    }

    /// Gives an operator the name under which errors, logs and metrics speak of it. The first one
    /// that it is given stays.
    pub fn name_operator(&self, operator: OperatorId, name: &str) {
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            node.name.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Whether an operator has been given a name.
    #[must_use]
    pub fn is_named(&self, operator: OperatorId) -> bool {
        self.graph().operators.get(operator.0).is_some_and(|node| node.name.is_some())
    }

    /// Whether nothing has been said of an edge, nor of the operator that reads it: then another
    /// stream may flow into the one and come out of the other. `kind` is the operator's.
    #[must_use]
    pub fn is_as_made(&self, edge: EdgeId, operator: OperatorId, kind: &str) -> bool {
        let mut graph = self.graph();
        let reader = graph.operators.get(operator.0);
        let anonymous = reader
            .is_some_and(|node| node.kind == kind && node.name.is_none() && node.uid.is_none());
        anonymous && graph.edge(edge).is_some_and(|node| node.is_plain())
    }

    /// Gives an operator the identity under which its state is written, and found again by a later
    /// version of the program: it must not change when operators are added, moved or renamed. Two
    /// operators with the same one are a mistake, which [`validate`](Blueprint::validate) finds.
    pub fn identify_operator(&self, operator: OperatorId, uid: &str) {
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            node.uid = Some(uid.to_owned());
        }
    }

    /// Says what an operator has to do with event time.
    pub fn use_event_time(&self, operator: OperatorId, time: EventTimeUse) {
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            node.time = time;
        }
    }

    /// Whether all records that come to the end of a stage, which is still being drawn up, have
    /// event time: on their way from each source, somebody says what time it is.
    #[must_use]
    pub fn has_event_time(&self, draft: &StageDraft) -> bool {
        super::time::has_event_time(&self.graph(), draft)
    }

    /// Says that `operator` stands at the beginning of its stage as a head of its own making, and
    /// is called `kind` where it is given no name.
    pub fn mark_head(&self, operator: OperatorId, kind: &'static str) {
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            (node.heads, node.kind) = (true, kind);
        }
    }

    /// Says that each instance of `operator` keeps up to `batches` batches of `T` on their way, so
    /// that the graph knows how many records can be in flight: a source the one it hands over, a
    /// sink the one it collects and the one it writes. State is not meant.
    pub fn add_buffer<T>(&self, operator: OperatorId, batches: usize) {
        let default_batch = crate::batch::default_batch::<T>();
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            node.buffers.push(Buffer::Batches { count: batches, default_batch });
        }
    }

    /// As [`add_buffer`](Blueprint::add_buffer), for one whose size is no matter of batches, as the
    /// calls in flight of an asynchronous operator.
    pub fn add_buffer_records(&self, operator: OperatorId, records: usize) {
        if let Some(node) = self.graph().operators.get_mut(operator.0) {
            node.buffers.push(Buffer::Records(records));
        }
    }

    /// Adds an edge for records of `T`. `stream` names it where nobody else does.
    #[must_use]
    pub fn add_edge<T>(&self, stream: &str, options: EdgeOptions) -> EdgeId {
        let mut graph = self.graph();
        graph.edges.push(EdgeNode {
            producers: Vec::new(),
            consumer: None,
            stream: stream.to_owned(),
            options,
            weight: None,
            merge: None,
            rank: None,
            default_batch: crate::batch::default_batch::<T>(),
        });
        EdgeId(graph.edges.len() - 1, graph.id)
    }

    /// Changes an edge's options.
    pub fn configure_edge(&self, edge: EdgeId, change: impl FnOnce(&mut EdgeOptions)) {
        if let Some(node) = self.graph().edge(edge) {
            change(&mut node.options);
        }
    }

    /// Bounds an edge in bytes as well, by the weight of its records.
    pub fn weigh_edge<T: 'static>(
        &self,
        edge: EdgeId,
        bytes: usize,
        weight: impl Fn(&T) -> usize + Send + Sync + 'static,
    ) {
        let weight: crate::edge::Weight<T> = Arc::new(weight);
        if let Some(node) = self.graph().edge(edge) {
            node.options.capacity_bytes = Some(bytes);
            node.weight = Some(Box::new(weight));
        }
    }

    /// Lets the edge [conflate](WhenFull::Conflate) up to `max` records into one where they would
    /// have to wait. `merge` takes a later record up into the one that waits.
    pub fn conflate_edge<T: 'static>(
        &self,
        edge: EdgeId,
        max: usize,
        merge: impl Fn(&mut T, T) + Send + Sync + 'static,
    ) {
        let merge: Merge<T> = merging(merge);
        if let Some(node) = self.graph().edge(edge) {
            node.options.when_full = WhenFull::Conflate { max };
            node.merge = Some(Box::new(merge));
        }
    }

    /// Lets the edge give out the record with the highest priority [first](Order::Priority).
    pub fn prioritize_edge<T: 'static>(
        &self,
        edge: EdgeId,
        priority: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) {
        let rank: Rank<T> = Arc::new(priority);
        if let Some(node) = self.graph().edge(edge) {
            node.options.order = Order::Priority;
            node.rank = Some(Box::new(rank));
        }
    }

    /// Lets `operator` write to `edge`. An edge of another blueprint is a mistake, which
    /// [`validate`](Blueprint::validate) finds.
    #[must_use]
    pub fn connect(&self, edge: EdgeId, operator: OperatorId) -> Port {
        let mut graph = self.graph();
        let Some(node) = graph.edge(edge) else {
            graph.strayed.push(operator);
            return Port { edge, index: 0 };
        };
        node.producers.push(operator);
        Port { edge, index: node.producers.len() - 1 }
    }

    /// Notes that `operator` was told something that makes no sense, which
    /// [`validate`](Blueprint::validate) then says: behind the operator's name, what is wrong, and
    /// what to say instead.
    pub fn refuse(&self, operator: OperatorId, mistake: impl Into<String>) {
        self.graph().refused.push((operator, mistake.into()));
    }

    /// Notes that a stream of `other` is to flow into `edge` as well: a mistake, unless that is
    /// this blueprint. [`connect`](Blueprint::connect) tells it to the other one.
    pub fn meet(&self, edge: EdgeId, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        let mut graph = self.graph();
        let first = graph.edge(edge).and_then(|node| node.producers.first().copied());
        graph.strayed.extend(first);
    }

    /// Notes that `operator` runs the operators of `inner`, which is never started. If one of them
    /// writes to an edge, that is a mistake: nobody would read it. What one of them was
    /// [refused](Blueprint::refuse) for is a mistake of `operator`.
    pub fn enclose(&self, operator: OperatorId, inner: &Self) {
        let (leaks, refused) = {
            let inner = inner.graph();
            (!inner.strayed.is_empty() || !inner.edges.is_empty(), inner.refused.clone())
        };
        let mut graph = self.graph();
        graph.strayed.extend(leaks.then_some(operator));
        graph.refused.extend(refused.into_iter().map(|(_, mistake)| (operator, mistake)));
    }

    /// Adds a finished stage.
    pub fn add_stage(&self, draft: StageDraft, stage: impl StageBlueprint) -> StageId {
        let mut graph = self.graph();
        let id = StageId(graph.stages.len());
        for operator in &draft.operators {
            if let Some(node) = graph.operators.get_mut(operator.0) {
                node.stage = Some(id);
            }
        }
        match draft.input.map(|edge| graph.edge(edge)) {
            None => {}
            Some(Some(node)) => node.consumer = Some(id),
            Some(None) => graph.strayed.extend(draft.operators.first()),
        }
        graph.stages.push(StageNode {
            operators: draft.operators,
            input: draft.input,
            parallelism: draft.parallelism,
            build: Box::new(stage),
        });
        id
    }

    /// Finds every mistake in the graph.
    ///
    /// # Errors
    ///
    /// One [`ErrorKind::Build`](crate::ErrorKind::Build) that lists them all.
    pub fn validate(&self) -> Result<(), Error> {
        self.plan(&crate::runtime::JobOptions::default()).map(drop)
    }

    /// The graph as plain data, as a job with these options would run it.
    ///
    /// # Errors
    ///
    /// As [`validate`](Blueprint::validate).
    pub fn view(&self, options: &crate::runtime::JobOptions) -> Result<GraphView, Error> {
        Ok(self.plan(options)?.view())
    }

    pub(crate) fn plan(&self, options: &crate::runtime::JobOptions) -> Result<Plan, Error> {
        super::validate::validate(&self.graph(), options).map_err(Error::build)
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, Graph> {
        lock(&self.0)
    }
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = self.graph();
        f.debug_struct("Blueprint")
            .field("name", &graph.name)
            .field("stages", &graph.stages.len())
            .finish_non_exhaustive()
    }
}
