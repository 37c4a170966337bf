//! The contract of a function over keyed records and rules.

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::{Error, OperatorError, Record};

use super::BroadcastContext;
use crate::keyed::process::{KeyContext, States, Timer};

/// What is done with each record of a key, given what is kept of the key and the rules of the hour;
/// and with each change of the rules. It goes in by
/// [`connect_broadcast`](crate::KeyedStream::connect_broadcast).
///
/// The records only read the rules, and the broadcast side alone writes them. Every instance is
/// told of every change, in the same order, and keeps the rules for itself: so that all of them
/// come to know the same, what becomes of the rules must depend on them and on the change alone,
/// and not on what is kept of a key.
///
/// **Nothing is promised about the order of the two sides.** Which records come before a change and
/// which behind it differs from instance to instance and from run to run. A function whose results
/// are to be the same each time keeps records in state, and judges them by a timer: when event time
/// has passed it, all changes up to then are known, if the rules have event time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not process records of `{T}` with keys of `{K}` by rules of `{R}`",
    note = "implement `BroadcastFunction<{K}, {T}, {R}>` for it"
)]
pub trait BroadcastFunction<K, T, R>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;

    /// What it keeps for each key.
    type States: States;

    /// The rules: broadcast state, in memory once an instance. It is blank by default.
    type Rules: Default + Send + 'static;

    /// Names what it keeps for each key. Called once an instance.
    fn states(&self) -> Self::States;

    /// Makes ready for a run: the place to open side outputs.
    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }

    /// Handles one record of a key. An error fails the job.
    fn process(
        &mut self,
        record: Record<T>,
        rules: &Self::Rules,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError>;

    /// Handles one change of the rules; in every instance, so that what it emits comes once for
    /// each of them.
    fn process_broadcast(
        &mut self,
        change: Record<R>,
        rules: &mut Self::Rules,
        context: &mut BroadcastContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError>;

    /// A timer of the key fires.
    fn on_timer(
        &mut self,
        timer: Timer,
        rules: &Self::Rules,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (timer, rules, context, out);
        Ok(())
    }

    /// What is kept of the key is given up, to [make room](crate::keyed::KeyLimit::evict) for
    /// another one, with its timers: the last time to tell of it.
    fn on_evict(
        &mut self,
        rules: &Self::Rules,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (rules, context, out);
        Ok(())
    }

    /// The side outputs that it writes to, if it does.
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        None
    }
}
