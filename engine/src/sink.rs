//! The contract of a sink: where records leave.
//!
//! # Obligations
//!
//! * **Order.** [`write`](Sink::write) gets the records in the order of the stream, a batch at a
//!   time, and never two batches at once.
//! * **Holding.** A sink that keeps records across calls says how many, by [`held`](Sink::held),
//!   and until when it may, by [`flush_due`](Sink::flush_due).
//! * **The end.** [`prepare`](Sink::prepare) and [`commit`](Sink::commit) are called at the end of
//!   a *complete* input only. A job that fails or is aborted drops the sink instead, and a sink
//!   must not take that for the end: what it wrote has to stay recognisable as incomplete.
//! * **Two steps.** What `prepare` returns must be enough to make the writes before it durable and
//!   visible later, by `commit`, which may be called more than once with the same value.
//! * **Cancel safety.** Every future may be dropped at any await, and the sink with it; none is
//!   dropped to be started again.
//! * **Blocking** work belongs on a thread of its own (`tokio::task::spawn_blocking`).
//! * **Panics** are caught, name the sink and fail the job.

use std::future::Future;
use std::sync::Arc;

use crate::batch::Barrier;
use crate::error::OperatorError;
use crate::metrics::OperatorCounters;
use crate::random::Random;
use crate::record::Record;
use crate::runtime::Seat;
use crate::time::{Clock, Instant};

/// Whether a sink wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkStatus {
    /// Go on.
    More,
    /// It has enough: its input is cancelled, and ends without an error.
    Enough,
}

/// What `prepare` promises to `commit`: bytes that only the sink understands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Committable(pub Vec<u8>);

/// What a sink may know of the run it is part of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkContext {
    /// The job's clock.
    pub clock: Clock,
    /// Which instance this is.
    pub instance: usize,
    /// How many instances there are.
    pub instances: usize,
    /// The sink's name in the graph.
    pub name: Arc<str>,
    /// The sink's counters. It counts itself what it drops and what it tries again; what it has
    /// `delivered` is counted for it.
    pub counters: Arc<OperatorCounters>,
    /// Chance, the same in every run with the same seed.
    pub random: Random,
}

impl SinkContext {
    /// The context of a sink that runs alone.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::of(clock, &Seat::alone("sink"), Random::new(0))
    }

    pub(crate) fn of(clock: Clock, seat: &Seat, random: Random) -> Self {
        Self {
            clock,
            instance: seat.instance(),
            instances: seat.instances(),
            name: Arc::clone(seat.name()),
            counters: seat.shared_counters(),
            random,
        }
    }
}

/// Where records leave a dataflow. See the [module](self) for what an implementor owes.
pub trait Sink: Send + 'static {
    /// What it takes.
    type Item: Send + 'static;

    /// Makes ready to write.
    fn open(
        &mut self,
        context: &SinkContext,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Writes the records of a batch, which is never empty. Those left in `records` when it returns
    /// [`SinkStatus::Enough`] count as not delivered.
    fn write(
        &mut self,
        records: &mut Vec<Record<Self::Item>>,
    ) -> impl Future<Output = Result<SinkStatus, OperatorError>> + Send;

    /// Hands on what the sink itself still holds. Called when no more input is ready, unless
    /// [`flush_due`](Sink::flush_due) says later; not at the end, where
    /// [`prepare`](Sink::prepare) does what is needed.
    fn flush(&mut self) -> impl Future<Output = Result<(), OperatorError>> + Send {
        async { Ok(()) }
    }

    /// A barrier has come behind the records written so far: whoever put it in wants to know that
    /// they are through. As it stands it flushes; whoever writes it anew sees to that too.
    fn barrier(
        &mut self,
        barrier: Barrier,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = barrier;
        self.flush()
    }

    /// Until when a sink that collects may go on doing so, by the job's clock. Asked after each
    /// call: with `None`, as it stands, [`flush`](Sink::flush) is called as soon as no more input
    /// is ready, and otherwise at that time, whether or not more input comes.
    fn flush_due(&self) -> Option<Instant> {
        None
    }

    /// How many of the records that it has taken it still holds. They count as delivered once it
    /// does no more, unless it has counted them as dropped.
    fn held(&self) -> usize {
        0
    }

    /// The first step of making the writes so far durable and visible. As it stands it flushes;
    /// whoever writes it anew sees to that too.
    fn prepare(&mut self) -> impl Future<Output = Result<Committable, OperatorError>> + Send {
        async {
            self.flush().await?;
            Ok(Committable::default())
        }
    }

    /// The second step. It may be repeated, and must then change nothing.
    fn commit(
        &mut self,
        committable: Committable,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = committable;
        async { Ok(()) }
    }
}

/// Makes the sink of each run and instance. A blueprint holds this, never a running sink.
///
/// Every sink that is `Clone` is its own factory; a closure `Fn(instance) -> Result<Sink, _>` makes
/// one of [`SinkWith`].
pub trait SinkFactory: Send + 'static {
    /// What it makes.
    type Sink: Sink;

    /// Makes the sink for one instance of one run.
    fn create(&self, instance: usize) -> Result<Self::Sink, OperatorError>;
}

impl<S: Sink + Clone> SinkFactory for S {
    type Sink = S;

    fn create(&self, _instance: usize) -> Result<S, OperatorError> {
        Ok(self.clone())
    }
}

/// A factory from a closure, for sinks that are not `Clone`.
#[derive(Clone, Copy, Debug)]
pub struct SinkWith<F>(pub F);

impl<S, F> SinkFactory for SinkWith<F>
where
    S: Sink,
    F: Fn(usize) -> Result<S, OperatorError> + Send + 'static,
{
    type Sink = S;

    fn create(&self, instance: usize) -> Result<S, OperatorError> {
        (self.0)(instance)
    }
}
