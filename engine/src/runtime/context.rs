//! What an operator may ask for when it is opened.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::edges::outboxes;
use super::job::JobShared;
use super::run::RunCore;
use super::{JobLink, Outputs, Seat};
use crate::edge::Outbox;
use crate::graph::Port;
use crate::graph::blueprint::Graph;
use crate::metrics::{OperatorCounters, StageCounters};
use crate::random::Random;
use crate::time::{Clock, Instant};

/// What an operator may ask for when it is opened.
pub struct OperatorContext<'a> {
    clock: Clock,
    seed: u64,
    outputs: Outputs,
    seat: &'a Seat,
    job: Weak<JobShared>,
    /// Absent where an operator is driven by hand.
    run: Option<(&'a mut RunCore, &'a Graph)>,
    /// What is offered as a side output there.
    side: Option<Box<dyn Any>>,
}

impl<'a> OperatorContext<'a> {
    /// The context of an operator in a run.
    pub(super) fn in_run(core: &'a mut RunCore, graph: &'a Graph, seat: &'a Seat) -> Self {
        Self {
            clock: core.shared.registry.clock.clone(),
            seed: core.shared.options.seed,
            outputs: core.shared.outputs.clone(),
            seat,
            job: Arc::downgrade(&core.shared),
            run: Some((core, graph)),
            side: None,
        }
    }

    /// The context of an operator that is driven by hand.
    pub(crate) fn alone(clock: Clock, seat: &'a Seat) -> Self {
        let (outputs, job) = (Outputs::default(), Weak::new());
        Self { clock, seed: 0, outputs, seat, job, run: None, side: None }
    }

    /// Offers a side output to an operator that is driven by hand.
    pub(crate) fn offer_side<T: Send + 'static>(&mut self, outbox: Outbox<T>) {
        self.side = Some(Box::new(outbox));
    }

    /// The operator's name in the graph.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.seat.name)
    }

    /// Which instance this is.
    #[must_use]
    pub const fn instance(&self) -> usize {
        self.seat.instance
    }

    /// How many instances there are.
    #[must_use]
    pub const fn instances(&self) -> usize {
        self.seat.instances
    }

    /// The job's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What this instance counts.
    #[must_use]
    pub fn counters(&self) -> Arc<OperatorCounters> {
        Arc::clone(&self.seat.counters)
    }

    /// Randomness of this instance's own, from the job's seed.
    #[must_use]
    pub fn random(&self) -> Random {
        self.seat.random(self.seed)
    }

    /// How long the stage has been kept from going on by what comes behind it.
    #[must_use]
    pub fn blocked_time(&self) -> BlockedTime {
        BlockedTime(Some(Arc::clone(&self.seat.stage)))
    }

    /// A side output. `None` where the operator is driven by hand or opened again, and has none.
    #[must_use]
    pub fn side_output<T: Send + 'static>(&mut self, port: Port) -> Option<Outbox<T>> {
        let Some((core, graph)) = self.run.as_mut() else {
            return self.side.take()?.downcast().ok().map(|outbox| *outbox);
        };
        outboxes(core, graph, port, self.seat.instance).into_iter().next()
    }

    /// What it needs to open operators of its own while it runs.
    #[must_use]
    pub fn nested(&self) -> NestedContext {
        NestedContext {
            clock: self.clock.clone(),
            random: self.random(),
            outputs: self.outputs.clone(),
            seat: self.seat.clone(),
            job: self.job.clone(),
        }
    }

    /// Where to leave the result of this run under the operator's own [`Output`](super::Output).
    pub fn output<T: Send + 'static>(&self) -> impl Fn(T) + Send + use<T> {
        let (outputs, operator) = (self.outputs.clone(), self.seat.id);
        move |value| outputs.put(operator, value)
    }

    /// A link to the job, for whoever outside may fail it, and to learn how it ends.
    #[must_use]
    pub fn job(&self) -> JobLink {
        JobLink {
            end: Arc::clone(&self.seat.end),
            job: self.job.clone(),
            operator: Arc::clone(&self.seat.name),
        }
    }
}

/// How long one instance of a stage has been blocked: had output that what comes behind did not
/// take. Time that it waits for input with all its output gone, or for a timer of its own, is not
/// counted.
///
/// The difference between two readings tells an operator how much of the time between was not its
/// input's fault.
#[derive(Clone)]
pub struct BlockedTime(Option<Arc<StageCounters>>);

impl BlockedTime {
    /// The time blocked so far. Zero where the operator is driven by hand.
    #[must_use]
    pub fn until(&self, now: Instant) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |counters| {
            let [_busy, _idle, blocked] = counters.activity.read(now);
            blocked
        })
    }
}

impl Default for BlockedTime {
    /// That of an operator which has not been opened: none.
    fn default() -> Self {
        Self(None)
    }
}

impl fmt::Debug for BlockedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockedTime")
    }
}

impl fmt::Debug for OperatorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorContext").field("seat", &self.seat).finish_non_exhaustive()
    }
}

/// From which an operator opens others that it makes while it runs, or its own successor: they
/// share its name and its counters, and have neither side outputs nor the same randomness.
pub struct NestedContext {
    clock: Clock,
    random: Random,
    outputs: Outputs,
    seat: Seat,
    job: Weak<JobShared>,
}

impl NestedContext {
    /// The context of the next of them.
    pub fn context(&mut self) -> OperatorContext<'_> {
        OperatorContext {
            clock: self.clock.clone(),
            seed: self.random.next_u64(),
            outputs: self.outputs.clone(),
            seat: &self.seat,
            job: self.job.clone(),
            side: None,
            run: None,
        }
    }
}

impl fmt::Debug for NestedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NestedContext").field("seat", &self.seat).finish_non_exhaustive()
    }
}
