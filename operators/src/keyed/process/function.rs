//! The contract of a function over keyed records.

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::{Error, OperatorError, Record};

use super::{KeyContext, States, Timer};

/// What is done with each record of a key, and with its timers, given what is kept of the key: from
/// this, everything else can be built. It goes in by
/// [`process`](crate::KeyedStream::process).
///
/// For one key, one call is made at a time. A clone is the configuration: what is to be kept
/// belongs into the [states](ProcessFunction::states), because nothing else is written down.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not process records of `{T}` with keys of `{K}`",
    note = "implement `ProcessFunction<{K}, {T}>` for it"
)]
pub trait ProcessFunction<K, T>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;

    /// What it keeps for each key.
    type States: States;

    /// The operator's name, where the user gives none.
    const NAME: &'static str = "process";

    /// Whether it works by event time: a graph in which records without any could come to it is
    /// then refused.
    const NEEDS_TIME: bool = false;

    /// Names what it keeps for each key. Called once an instance.
    fn states(&self) -> Self::States;

    /// Makes ready for a run: the place to open side outputs.
    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }

    /// Handles one record. An error fails the job.
    fn process(
        &mut self,
        record: Record<T>,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError>;

    /// A timer of the key fires.
    ///
    /// One that registers itself again for a time that has passed fires again at once.
    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (timer, context, out);
        Ok(())
    }

    /// What is kept of the key is given up, to [make room](crate::keyed::KeyLimit::evict) for
    /// another one, with its timers: the last time to tell of it.
    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let _ = (context, out);
        Ok(())
    }

    /// The side outputs that it writes to, if it does.
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        None
    }
}
