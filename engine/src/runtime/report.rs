//! What a job says of itself when it is over.

use std::fmt;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use super::{Output, Outputs};
use crate::graph::Role;
use crate::metrics::{EdgeMetrics, JobMetrics};

/// How a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every source came to its own end, and everything was delivered.
    Completed,
    /// The sources were told to end, and everything that they had read was delivered.
    Drained,
    /// An error stopped it.
    Failed,
    /// It was stopped where it stood.
    Aborted,
}

/// What a job did: how it ended, its numbers by operator and edge, and the results it left in
/// memory.
///
/// A failed job has one too: [`Error::report`](crate::Error::report).
#[derive(Debug)]
pub struct JobReport {
    outcome: Outcome,
    elapsed: Duration,
    metrics: JobMetrics,
    outputs: Outputs,
}

/// What became of the records of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EdgeReport {
    /// Put in.
    pub sent: u64,
    /// Taken out and handled.
    pub handled: u64,
    /// Dropped because there was no room, as the edge's policy says.
    pub dropped: u64,
    /// Left over: in the edge, or in a batch that was not finished.
    pub abandoned: u64,
}

impl JobReport {
    pub(super) const fn new(
        outcome: Outcome,
        elapsed: Duration,
        metrics: JobMetrics,
        outputs: Outputs,
    ) -> Self {
        Self { outcome, elapsed, metrics, outputs }
    }

    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// How long it took, by the job's clock.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Its last numbers.
    #[must_use]
    pub const fn metrics(&self) -> &JobMetrics {
        &self.metrics
    }

    /// The result that a sink left in memory. `None` if it was taken before, or if the sink's input
    /// never came to its end, as in a job that failed.
    #[must_use]
    pub fn take<T: 'static>(&self, output: Output<T>) -> Option<T> {
        self.outputs.take(output)
    }

    /// Records read by all sources.
    #[must_use]
    pub fn records_read(&self) -> u64 {
        let sources = self.metrics.operators.iter().filter(|one| one.role == Role::Source);
        sources.filter_map(|source| source.records_out).sum()
    }

    /// Records written by all sinks.
    #[must_use]
    pub fn records_written(&self) -> u64 {
        let sinks = self.metrics.operators.iter().filter(|one| one.role == Role::Sink);
        sinks.filter_map(|sink| sink.records_out).sum()
    }

    /// What became of the records of each edge, with its name.
    pub fn edges(&self) -> impl Iterator<Item = (&str, EdgeReport)> {
        self.metrics.edges.iter().map(|edge| (edge.name.as_str(), self.edge(edge)))
    }

    fn edge(&self, edge: &EdgeMetrics) -> EdgeReport {
        // A stage reads from one edge, so what its first operator took came from here.
        let stage = self.metrics.stages.get(edge.consumer);
        let dropped = edge.dropped.total();
        let put = edge.sent.saturating_sub(dropped);
        let handled = stage.map_or(edge.received, |stage| stage.records_in).min(put);
        EdgeReport { sent: edge.sent, handled, dropped, abandoned: put - handled }
    }
}

/// A `main` may return `Result<JobReport, Error>`: a job that has a report lost nothing, and
/// exits with 0. What went wrong otherwise, [`Error::exit_code`](crate::Error::exit_code) tells.
impl Termination for JobReport {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl fmt::Display for JobReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Completed => "completed",
            Outcome::Drained => "drained",
            Outcome::Failed => "failed",
            Outcome::Aborted => "was aborted",
        };
        writeln!(f, "`{}` {outcome} after {:.3?}", self.metrics.pipeline, self.elapsed)?;
        let shown = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
        writeln!(
            f,
            "  {:<24} {:>12} {:>12} {:>9} {:>12}",
            "operator", "in", "out", "skipped", "dead letters"
        )?;
        for operator in &self.metrics.operators {
            let (records_in, records_out) = (operator.records_in, operator.records_out);
            writeln!(
                f,
                "  {:<24} {:>12} {:>12} {:>9} {:>12}",
                operator.name,
                shown(records_in),
                shown(records_out),
                operator.skipped,
                operator.dead_letters,
            )?;
        }
        for (name, edge) in self.edges().filter(|(_, edge)| edge.dropped > 0) {
            writeln!(f, "  {} of {} records dropped on {name}", edge.dropped, edge.sent)?;
        }
        for (name, edge) in self.edges().filter(|(_, edge)| edge.abandoned > 0) {
            writeln!(f, "  {} of {} records abandoned on {name}", edge.abandoned, edge.sent)?;
        }
        Ok(())
    }
}
