//! Where a graph begins, and where it is run from.

use std::future::Future;

use millstream_engine::Error;
use millstream_engine::graph::{Blueprint, EventTimeUse, GraphView, Role, StageDraft};
use millstream_engine::runtime::{FromSource, JobHandle, JobOptions, JobReport, start};
use millstream_engine::source::{ByInstance, Source, SourceFactory};

use crate::DataStream;

/// The blueprint of a dataflow: sources, what is said on their streams, and sinks. It is checked
/// before it runs, and may be run as often as one likes. Clones share the graph.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("squares");
/// let sum = flow
///     .source("numbers", source::from_iter(1..=3_u64))
///     .map(|n| n * n)
///     .fold(0, |sum, n| *sum += n);
///
/// let report = flow.run().await?;
/// assert_eq!(report.take(sum), Some(14));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dataflow {
    blueprint: Blueprint,
}

impl Dataflow {
    /// An empty dataflow. The name is the label `pipeline` of its metrics.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { blueprint: Blueprint::new(name) }
    }

    /// Adds a source, which runs as one instance. What is a source: those of
    /// [`source`](crate::source), and your own [`Source`]s. `name` stands in errors, logs and
    /// metrics, and has to be the only one of its kind in the dataflow.
    ///
    /// Each run makes the source anew, so only a [`OneShot`](millstream_engine::source::OneShot)
    /// refuses a second run.
    pub fn source<F: SourceFactory>(
        &self,
        name: &str,
        factory: F,
    ) -> DataStream<<F::Source as Source>::Item, FromSource<F>> {
        self.unnamed_source("source", factory).named(name)
    }

    /// Adds a source that runs in `instances` instances, one at least: each is what `source` makes
    /// for its number, from zero on, and reads a part of the input that is nobody else's. `name` is
    /// as with [`source`](Dataflow::source).
    ///
    /// What is said on the stream runs in as many instances, each with the records of its own
    /// source and in their order, and nothing in between. Where the instances meet, their records
    /// come in no particular order, the watermark is the earliest of theirs, and the end comes when
    /// all have ended. Keep event time together: an instance that reads far ahead of the others
    /// makes windows wait for them.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("squares");
    /// let every_second = |instance| source::from_iter((instance as u64..10).step_by(2));
    /// let sum = flow
    ///     .parallel_source("numbers", 2, every_second)
    ///     .map(|n| n * n)
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(285));
    /// # Ok(())
    /// # }
    /// ```
    pub fn parallel_source<S, F>(
        &self,
        name: &str,
        instances: usize,
        source: F,
    ) -> DataStream<S::Item, FromSource<ByInstance<F>>>
    where
        S: Source,
        F: Fn(usize) -> S + Send + 'static,
    {
        self.source_in("source", instances, ByInstance(source)).named(name)
    }

    /// Adds a source that is called after its kind, and numbered where there are several.
    pub(crate) fn unnamed_source<F: SourceFactory>(
        &self,
        kind: &'static str,
        factory: F,
    ) -> DataStream<<F::Source as Source>::Item, FromSource<F>> {
        self.source_in(kind, 1, factory)
    }

    fn source_in<F: SourceFactory>(
        &self,
        kind: &'static str,
        instances: usize,
        factory: F,
    ) -> DataStream<<F::Source as Source>::Item, FromSource<F>> {
        let operator = self.blueprint.add_operator(Role::Source, kind, None);
        self.blueprint.add_buffer::<<F::Source as Source>::Item>(operator, 1);
        if F::Source::SETS_TIME {
            self.blueprint.use_event_time(operator, EventTimeUse::Sets);
        }
        let draft = StageDraft { operators: vec![operator], input: None, parallelism: instances };
        DataStream::from_parts(self.clone(), FromSource::new(factory, operator), draft)
    }

    /// Checks the graph without running it.
    ///
    /// # Errors
    ///
    /// One error that lists every mistake, with the names of the operators.
    pub fn validate(&self) -> Result<(), Error> {
        self.blueprint.validate()
    }

    /// The graph as plain data, to be shown: as DOT, as Mermaid, or with the most records that can
    /// be in flight.
    ///
    /// # Errors
    ///
    /// As [`validate`](Dataflow::validate).
    pub fn graph(&self) -> Result<GraphView, Error> {
        self.blueprint.view(&JobOptions::default())
    }

    /// Runs the dataflow to its end.
    ///
    /// # Errors
    ///
    /// The mistakes of the graph, or the first error of the run, with the operator's name.
    ///
    /// # Cancel safety
    ///
    /// The future owns the job: dropping it stops every task, and what was in flight is lost.
    ///
    /// # Panics
    ///
    /// When it is polled outside a tokio runtime.
    pub fn run(&self) -> impl Future<Output = Result<JobReport, Error>> + Send + use<> {
        self.run_with(JobOptions::default())
    }

    /// Runs the dataflow to its end, as `options` say.
    ///
    /// Errors, cancel safety and panics are those of [`run`](Dataflow::run).
    pub fn run_with(
        &self,
        options: JobOptions,
    ) -> impl Future<Output = Result<JobReport, Error>> + Send + use<> {
        let flow = self.clone();
        async move { flow.start_with(&options)?.await }
    }

    /// Starts the dataflow on the current tokio runtime and gives the handle of the job. It runs
    /// whether or not the handle is awaited, and is aborted when the handle is dropped.
    ///
    /// # Errors
    ///
    /// The mistakes of the graph, or what the factory of a source or sink returned.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(&self) -> Result<JobHandle, Error> {
        self.start_with(&JobOptions::default())
    }

    /// Starts the dataflow as `options` say.
    ///
    /// # Errors
    ///
    /// As [`start`](Dataflow::start).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_with(&self, options: &JobOptions) -> Result<JobHandle, Error> {
        start(&self.blueprint, options)
    }

    /// The untyped graph underneath, for operators with more than one input or output.
    #[must_use]
    pub const fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }
}
