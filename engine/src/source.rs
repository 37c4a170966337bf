//! The contract of a source: where records enter.
//!
//! # Obligations
//!
//! * **Order.** Records leave in the order in which they are pushed.
//! * **Waiting.** [`next`](Source::next) waits until it has something to hand over, and returns as
//!   soon as there is nothing more *ready*: it must not wait while its batch holds a record, or the
//!   record waits too.
//! * **Cancel safety.** The engine may drop the future of `next` at any await. When the job drains,
//!   what the batch holds by then is still delivered, and [`drain`](Source::drain) is asked for
//!   more; when it stops otherwise, the batch is gone, and by the rule above it was empty.
//! * **Positions.** Whoever can replay says after each batch, by
//!   [`position`](SourceBatch::position), where to read next. The position travels with the batch,
//!   because a barrier may come while `next` is waiting, when nothing can be asked of the source.
//! * **Watermarks and barriers** are placed by what has been read, never by when a buffer happened
//!   to be full: otherwise equal runs would not be equal.
//! * **Blocking** work belongs on a thread of its own (`tokio::task::spawn_blocking`).
//! * **Panics** are caught, name the source and fail the job.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{Barrier, Batch};
use crate::error::OperatorError;
use crate::metrics::OperatorCounters;
use crate::random::Random;
use crate::record::Record;
use crate::runtime::Seat;
use crate::time::{Clock, Timestamp};

/// Whether a source has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Ask again.
    More,
    /// The input is complete. What the batch holds is still delivered.
    End,
}

/// Where in its input a source stands: bytes that only the source understands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position(pub Vec<u8>);

/// Where records enter a dataflow. See the [module](self) for what an implementor owes.
pub trait Source: Send + 'static {
    /// What it emits.
    type Item: Send + 'static;

    /// Whether its records have event times and it says how far it has come, so that operators
    /// which work by event time need no `event_time` behind it.
    const SETS_TIME: bool = false;

    /// Enters a stage. The engine calls this once, before anything else.
    ///
    /// A source that is an iterator in all but name (it has nothing to open, never waits, and
    /// knows neither watermarks nor positions) goes in by [`items`](Entrance::items): it is asked
    /// for nothing else then, and what it gives goes straight through the chain, with no batch
    /// between. When the job drains it just ends. Every other source leaves this as it is.
    fn enter<E: Entrance<Self::Item>>(self, entrance: E) -> E::Entered
    where
        Self: Sized,
    {
        entrance.source(self)
    }

    /// Makes ready to read, from `context.position` where there is one.
    fn open(
        &mut self,
        context: &SourceContext,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Fills `batch` with what is ready, waiting for the first record if nothing is.
    fn next(
        &mut self,
        batch: &mut SourceBatch<Self::Item>,
    ) -> impl Future<Output = Result<SourceStatus, OperatorError>> + Send;

    /// The job drains: hand over what was accepted from outside and nobody else has, and end.
    /// Called instead of [`next`](Source::next), until it answers [`SourceStatus::End`], perhaps
    /// before `open` has finished; it should not wait for anything new. Sources that only read what
    /// stays where it is have nothing to do here.
    fn drain(
        &mut self,
        batch: &mut SourceBatch<Self::Item>,
    ) -> impl Future<Output = Result<SourceStatus, OperatorError>> + Send {
        let _ = batch;
        async { Ok(SourceStatus::End) }
    }
}

/// The ways into a stage: the engine holds them open, and a source [goes in](Source::enter) by one.
pub trait Entrance<T> {
    /// What only an entrance gives, so that a source cannot forget to go in.
    type Entered;

    /// For a source, which is opened and asked for one batch after the other.
    fn source(self, source: impl Source<Item = T>) -> Self::Entered;

    /// For an iterator, which becomes the loop of the stage.
    fn items(self, items: impl Iterator<Item = T> + Send + 'static) -> Self::Entered;
}

/// What a source may know of the run it is part of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceContext {
    /// The job's clock.
    pub clock: Clock,
    /// Which instance this is.
    pub instance: usize,
    /// How many instances there are.
    pub instances: usize,
    /// Where to go on reading, if an earlier run got there. No job restores positions yet.
    pub position: Option<Position>,
    /// The source's name in the graph.
    pub name: Arc<str>,
    /// What this instance counts.
    pub counters: Arc<OperatorCounters>,
    /// Randomness of this instance's own, from the job's seed.
    pub random: Random,
}

impl SourceContext {
    /// The context of a source that runs alone, from the beginning.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::of(clock, &Seat::alone("source"), Random::new(0))
    }

    pub(crate) fn of(clock: Clock, seat: &Seat, random: Random) -> Self {
        Self {
            clock,
            instance: seat.instance(),
            instances: seat.instances(),
            position: None,
            name: Arc::clone(seat.name()),
            counters: seat.shared_counters(),
            random,
        }
    }
}

/// What a source hands over at once: records, watermarks at their places, and the position behind
/// them.
#[derive(Debug)]
pub struct SourceBatch<T> {
    batch: Batch<T>,
    limit: usize,
    position: Option<Position>,
}

impl<T> SourceBatch<T> {
    /// An empty batch for `limit` records.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { batch: Batch::new(), limit, position: None }
    }

    /// Adds a record.
    #[inline]
    pub fn push(&mut self, record: impl Into<Record<T>>) {
        debug_assert!(self.batch.barrier.is_none(), "nothing follows a barrier within a batch");
        self.batch.records.push(record.into());
    }

    /// Adds records.
    pub fn extend(&mut self, records: impl IntoIterator<Item = Record<T>>) {
        self.batch.records.extend(records);
    }

    /// Says that no record earlier than `watermark` will follow. One that goes back is left out.
    pub fn watermark(&mut self, watermark: Timestamp) {
        self.batch.mark(watermark);
    }

    /// Says that nothing may come for a while, and that nobody should wait for this source's
    /// watermark meanwhile; the next record ends that.
    pub fn idle(&mut self) {
        self.batch.idle = true;
    }

    /// Puts a barrier behind the records. The batch is then to be returned.
    pub fn barrier(&mut self, barrier: Barrier) {
        self.batch.barrier = Some(barrier);
    }

    /// Says where to read next, behind the records of this batch.
    pub fn position(&mut self, position: Position) {
        self.position = Some(position);
    }

    /// How many records there is still room for.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.batch.records.len())
    }

    /// Whether there is no room left, so that the batch should be returned.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room() == 0 || self.batch.barrier.is_some()
    }

    /// Whether nothing has been put in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && !self.batch.idle
    }

    /// Takes the records out of an iterator while there is room. Answers whether it has ended.
    #[inline]
    pub fn fill(&mut self, iterator: &mut impl Iterator<Item = T>) -> bool {
        let before = self.batch.records.len();
        let room = self.room();
        self.batch.records.extend(iterator.by_ref().take(room).map(Record::new));
        self.batch.records.len() - before < room
    }

    /// The batch as it goes on, and the position behind it.
    #[must_use]
    pub fn into_parts(self) -> (Batch<T>, Option<Position>) {
        (self.batch, self.position)
    }

    pub(crate) fn reusing(records: Vec<Record<T>>, limit: usize) -> Self {
        debug_assert!(records.is_empty(), "a recycled buffer is empty");
        let mut batch = Self::new(limit);
        batch.batch.records = records;
        batch
    }
}

/// Makes the source of each run and instance. A blueprint holds this, never a running source.
///
/// Every source that is `Clone` is its own factory; [`OneShot`] wraps one that is not.
pub trait SourceFactory: Send + 'static {
    /// What it makes.
    type Source: Source;

    /// Whether it is asked for one instance only.
    const ALONE: bool = true;

    /// Makes the source for one instance of one run.
    fn create(&self, instance: usize) -> Result<Self::Source, OperatorError>;
}

impl<S: Source + Clone> SourceFactory for S {
    type Source = S;

    fn create(&self, _instance: usize) -> Result<S, OperatorError> {
        Ok(self.clone())
    }
}

/// Makes each of several instances by its number, which begins at zero.
#[derive(Clone, Copy)]
pub struct ByInstance<F>(pub F);

impl<S: Source, F: Fn(usize) -> S + Send + 'static> SourceFactory for ByInstance<F> {
    type Source = S;
    const ALONE: bool = false;

    fn create(&self, instance: usize) -> Result<S, OperatorError> {
        Ok((self.0)(instance))
    }
}

impl<F> fmt::Debug for ByInstance<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByInstance")
    }
}

/// A source that can be read once only, such as a stream or the receiving end of a channel.
pub struct OneShot<S>(Mutex<Option<S>>);

impl<S> OneShot<S> {
    /// Wraps a source for its one run.
    #[must_use]
    pub const fn new(source: S) -> Self {
        Self(Mutex::new(Some(source)))
    }
}

impl<S> fmt::Debug for OneShot<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneShot")
    }
}

/// A one-shot source was asked for a second run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this source can be read only once, and has been")]
pub struct AlreadyRead;

impl<S: Source> SourceFactory for OneShot<S> {
    type Source = S;

    fn create(&self, _instance: usize) -> Result<S, OperatorError> {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        source.ok_or_else(|| AlreadyRead.into())
    }
}
