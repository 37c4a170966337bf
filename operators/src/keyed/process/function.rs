//! The contract of a function over keyed records.

use std::time::Duration;

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

    /// Whether it works by event time. A graph in which records without any could come to it is
    /// refused when it is built.
    const NEEDS_TIME: bool = false;

    /// Whether the watermark behind it is [later](ProcessFunction::watermark_delay) than the one
    /// before it.
    const HOLDS_WATERMARK: bool = false;

    /// By how much event time behind it is later than before it: as long as a record of its own may
    /// come after its time has passed, which would be late for everybody behind. Asked only of a
    /// function that [holds the watermark](ProcessFunction::HOLDS_WATERMARK).
    fn watermark_delay(&self) -> Duration {
        Duration::ZERO
    }

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

    /// Whether the last call has more to emit than there was room for. As long as it has, no other
    /// call is made but [`resume`](ProcessFunction::resume), and nothing is written down.
    fn pending(&self) -> bool {
        false
    }

    /// Goes on with what the last call has left, about the same key, until it is out or the
    /// [collector is full](Collector::is_full) again.
    fn resume(
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
