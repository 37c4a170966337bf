//! The contract of a synchronous operator: a record in, zero or more records out.
//!
//! # Obligations
//!
//! * **Order.** Hooks are called one at a time, in the order of the stream: `process` for each
//!   record, `on_watermark` at the watermark's place among them, `on_timer` between records, and
//!   `on_end` once, after the last record of a complete input. Never after a failure or an abort.
//! * **Barriers.** What an operator holds when a barrier passes is in the state that it
//!   [writes](Operator::snapshot), or went out in [`before_barrier`](Operator::before_barrier).
//!   There is no third way: a crash behind the barrier would lose it.
//! * **Wrapping.** An operator that has others in it passes every hook on to each of them.
//! * **Blocking.** No hook may block the thread: it runs on the caller's async workers.
//! * **Clone.** A clone is the configuration with blank state. A blueprint keeps one value and
//!   clones it for each run and instance.
//! * **Room.** After [`Collector::is_full`] answers `true` an operator should stop emitting, say so
//!   in [`pending`](Operator::pending), and go on in [`resume`](Operator::resume). What it emits
//!   all the same is kept and delivered in order, at the cost of memory outside the job's bounds.
//! * **Panics** are caught, name the operator and fail the job. State is never used again after
//!   one.

use std::task::{Context, Poll};

use crate::batch::Barrier;
use crate::error::{Error, OperatorError};
use crate::record::Record;
use crate::runtime::OperatorContext;
use crate::state::{StateError, StateReader, StateWriter};
use crate::tail::Flush;
use crate::time::{Instant, Timestamp};

/// Where an operator puts its output.
pub trait Collector<T> {
    /// Hands over one record. It is never lost, whatever [`is_full`](Collector::is_full) says.
    fn push(&mut self, record: Record<T>);

    /// Whether there is no more room for now: stop emitting, and wait to be resumed.
    fn is_full(&self) -> bool;
}

/// A synchronous step of a stream, ours or a user's. `stream.via(operator)` puts it in.
///
/// ```
/// use millstream_engine::operator::{Collector, Operator};
/// use millstream_engine::{OperatorError, Record};
///
/// #[derive(Clone)]
/// struct Double;
///
/// impl Operator<u32> for Double {
///     type Out = u32;
///     const NAME: &'static str = "double";
///
///     fn process(
///         &mut self,
///         record: Record<u32>,
///         out: &mut impl Collector<u32>,
///     ) -> Result<(), OperatorError> {
///         out.push(record.with(|n| n * 2));
///         Ok(())
///     }
/// }
/// # let mut harness = millstream_engine::testing::OperatorHarness::new(Double);
/// # harness.push(21);
/// # assert_eq!(harness.values(), [42]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operator on records of `{In}`",
    note = "implement `Operator<{In}>` for it, and `Clone` with the meaning \"configuration, \
        blank state\""
)]
pub trait Operator<In>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;

    /// The display name, where the user gives none: a verb, as the fluent method is called.
    const NAME: &'static str;

    /// Whether it is a plain function of one record: `process` emits at most one record, and no
    /// other hook does anything. It is then asked for nothing else, and a long chain of such
    /// operators compiles quicker. One that emits more all the same fails the job where that would
    /// be lost.
    const STATELESS: bool = false;

    /// Whether it gives exactly one record for each and nothing can go wrong, so that a whole batch
    /// may go through [`map_all`](Operator::map_all). It is then [stateless](Operator::STATELESS).
    const MAPS: bool = false;

    /// Whether it says what time it is. The watermarks of its input end in `on_watermark`, and
    /// those that go on are its own.
    const SETS_TIME: bool = false;

    /// Whether it works by event time. A graph in which records without any could come to it is
    /// refused when it is built.
    const NEEDS_TIME: bool = false;

    /// The version of how it writes its state. State of a newer one is refused before the job
    /// starts; what an older one wrote comes to [`restore`](Operator::restore), which is told by
    /// [`StateReader::version`].
    const STATE_VERSION: u32 = 1;

    /// Brings into the CPU's cache what it is going to need for the first of the records that it is
    /// given next, and tells for how many it did; behind those it is asked again. It is a chance to
    /// wait for several pieces of state at the same time instead of for one after the other, which
    /// pays where they do not fit into the cache. The records may come to somebody else after all.
    ///
    /// Asked only where the records of an edge come to it first.
    #[inline]
    fn prefetch(&self, upcoming: &[Record<In>]) -> usize {
        upcoming.len()
    }

    /// Handles one record. An error, here and from every other hook, fails the job.
    fn process(
        &mut self,
        record: Record<In>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError>;

    /// As [`process`](Operator::process) of all `records`, if it [maps](Operator::MAPS): `out` is
    /// extended by as many. A loop over memory that the compiler knows all of.
    fn map_all(
        &mut self,
        records: impl Iterator<Item = Record<In>>,
        out: &mut Vec<Record<Self::Out>>,
    ) {
        let _ = (records, out);
    }

    /// Makes ready for a run: the place to take the clock, counters and side outputs. Called while
    /// the job is being started, which an error keeps from happening;
    /// [`Error::operator`] makes one of any other, with the operator's name.
    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }

    /// No record earlier than `watermark` will follow. It is passed on behind what this emits.
    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (watermark, out);
        Ok(())
    }

    /// The time asked for by [`next_timer`](Operator::next_timer) has come.
    #[inline]
    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (now, out);
        Ok(())
    }

    /// A barrier is about to go by, which waits until nothing is pending. Whatever the operator
    /// holds and does not [write down](Operator::snapshot) has to go out here: records that came
    /// before a barrier are behind it in nobody's state otherwise, and a crash would lose them.
    #[inline]
    fn before_barrier(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }

    /// The input is about to be idle, which is told behind what this emits. From then on its
    /// watermark holds nobody up, so whatever the operator holds for no other reason than to gather
    /// more has to go out here, or it may come late.
    #[inline]
    fn before_idle(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }

    /// The input has ended, completely: the last partial group goes out here.
    #[inline]
    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }

    /// Whether a hook has output left. While it has, no other hook but `resume` is called.
    #[inline]
    fn pending(&self) -> bool {
        false
    }

    /// Goes on with the output left by a hook, until it is out or there is no room.
    #[inline]
    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }

    /// Whether what is pending waits for [`next_timer`](Operator::next_timer), or for something
    /// that [`poll_outside`](Operator::poll_outside) looks at, rather than for room.
    #[inline]
    fn waiting(&self) -> bool {
        false
    }

    /// Whether it wants no more input, now and for ever. Its output then ends, and its input is
    /// cancelled; records still pushed are to be ignored.
    #[inline]
    fn done(&self) -> bool {
        false
    }

    /// When `on_timer` is to be called next.
    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        None
    }

    /// Looks at something outside the stream: a limiter shared with others, a switch in somebody's
    /// hand. Called before the stage comes to rest, be it for want of input, of room or of a timer,
    /// and first of all when it starts. Whoever registers the waker of `cx` there has the stage
    /// woken, and is asked again whether it is [`waiting`](Operator::waiting) or
    /// [`done`](Operator::done). A busy stage calls it rarely: a record that comes has to look for
    /// itself. An error fails the job.
    #[inline]
    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        let _ = cx;
        Ok(())
    }

    /// A watermark to be put behind everything that the last hook emitted. Asked behind each of
    /// them, where it [sets the time](Operator::SETS_TIME).
    #[inline]
    fn watermark(&mut self) -> Option<Timestamp> {
        None
    }

    /// Whether nothing may come from it for a while, so that its watermark holds nobody up. Asked
    /// as [`watermark`](Operator::watermark) is; a record ends it in any case.
    #[inline]
    fn idle(&self) -> bool {
        false
    }

    /// The side output it writes to, if it has one, to be flushed and ended with the main one.
    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        None
    }

    /// Writes its state, at a barrier and with nothing pending. Called if the operator was given a
    /// [`uid`](crate::graph::Blueprint::identify_operator). State that goes with keys is written by
    /// key group, all other by instance.
    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let _ = state;
        Ok(())
    }

    /// Takes over state that [`snapshot`](Operator::snapshot) wrote, behind
    /// [`open`](Operator::open) and before the first record. With it comes what all instances
    /// wrote, of which there may have been more or fewer than now.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let _ = state;
        Ok(())
    }
}

/// What a stage does with the side output of one of its operators: the same as with its main one.
/// Implemented by [`Outbox`](crate::edge::Outbox), and by tuples of side outputs for an operator
/// that has several.
pub trait SideOutput: Send {
    /// Whether there is no room for another record.
    fn is_full(&self) -> bool;
    /// Passes a watermark on, in its place.
    fn watermark(&mut self, watermark: Timestamp);
    /// Passes the idle flag on.
    fn idle(&mut self, idle: bool);
    /// Passes a barrier on.
    fn barrier(&mut self, barrier: Barrier);
    /// Says that no more will come.
    fn end(&mut self);
    /// Hands over what is waiting.
    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>>;
}

/// Several side outputs of one operator, as one: it is full when one of them is.
macro_rules! together {
    ($($side:ident $index:tt),+) => {
        impl<$($side: SideOutput),+> SideOutput for ($($side,)+) {
            fn is_full(&self) -> bool {
                $(self.$index.is_full())||+
            }

            fn watermark(&mut self, watermark: Timestamp) {
                $(self.$index.watermark(watermark);)+
            }

            fn idle(&mut self, idle: bool) {
                $(self.$index.idle(idle);)+
            }

            fn barrier(&mut self, barrier: Barrier) {
                $(self.$index.barrier(barrier);)+
            }

            fn end(&mut self) {
                $(self.$index.end();)+
            }

            fn poll_flush(
                &mut self,
                cx: &mut Context<'_>,
                flush: Flush,
            ) -> Poll<Result<(), Error>> {
                let mut all = Poll::Ready(Ok(()));
                $(if self.$index.poll_flush(cx, flush)?.is_pending() {
                    all = Poll::Pending;
                })+
                all
            }
        }
    };
}

together!(A 0, B 1);
together!(A 0, B 1, C 2);
together!(A 0, B 1, C 2, D 3);
