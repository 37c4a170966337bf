//! `process`: puts a function over keyed records into a stream.

use millstream_engine::chain::Chain;
use millstream_engine::graph::{Blueprint, EventTimeUse, OperatorId};
use millstream_engine::key::KeyOf;

use super::{Process, ProcessFunction};
use crate::KeyedStream;
use crate::keyed::ViaKeyed;

/// The stream behind [`process`](KeyedStream::process).
pub type Processed<T, C, K, F> = ViaKeyed<T, C, K, Process<T, K, F>>;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Does with each record, and with the timers of its key, what `function` says, given what it
    /// keeps of that key.
    ///
    /// Emits what the function emits. Timers by event time fire when the watermark has passed them,
    /// in the order of their times, and all that are left when the input ends; those by the clock
    /// fire when it is time, whether or not records come. A key of which nothing is kept and which
    /// has no timers takes no memory.
    ///
    /// ```
    /// use millstream_operators::keyed::process::{
    ///     KeyContext, ProcessFunction, Timer, ValueState,
    /// };
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// /// Tells of a key when nothing has come of it for ten milliseconds of event time.
    /// #[derive(Clone)]
    /// struct Silence;
    ///
    /// impl ProcessFunction<&'static str, (&'static str, i64)> for Silence {
    ///     type Out = String;
    ///     type States = ValueState<Timestamp>;
    ///
    ///     fn states(&self) -> ValueState<Timestamp> {
    ///         ValueState::new("deadline")
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: Record<(&'static str, i64)>,
    ///         context: &mut KeyContext<'_, &'static str, ValueState<Timestamp>>,
    ///         _out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         if let Some(deadline) = context.states.take() {
    ///             context.timers.delete_event_time(deadline);
    ///         }
    ///         let deadline = record.time.saturating_add(Duration::from_millis(10));
    ///         context.states.set(deadline);
    ///         context.timers.set_event_time(deadline);
    ///         Ok(())
    ///     }
    ///
    ///     fn on_timer(
    ///         &mut self,
    ///         timer: Timer,
    ///         context: &mut KeyContext<'_, &'static str, ValueState<Timestamp>>,
    ///         out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         context.states.clear();
    ///         out.push(context.record(format!("{} is silent at {}", context.key, timer.time())));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("silence");
    /// let signs = [("a", 0), ("b", 4), ("a", 8), ("a", 15)];
    /// let silent = flow
    ///     .source("signs of life", source::from_iter(signs))
    ///     .event_time(|(_, at)| Timestamp::from_millis(*at), Watermarks::monotonic())
    ///     .key_by(|(key, _)| *key)
    ///     .process(Silence)
    ///     .collect();
    /// let silent = flow.run().await?.take(silent).unwrap();
    /// assert_eq!(silent, ["b is silent at 14 ms", "a is silent at 25 ms"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// State needs a key:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Silence;
    /// # let flow = Dataflow::new("doc");
    /// flow.source("numbers", source::from_iter(0..9)).process(Silence).ignore();
    /// ```
    pub fn process<F: ProcessFunction<K::Owned, T>>(self, function: F) -> Processed<T, C, K, F>
    where
        K::Owned: Eq + Clone,
    {
        self.process_with(|_, _| function)
    }

    /// As [`process`](KeyedStream::process), for a function that has to know its place in the
    /// graph: to [connect](crate::fan::SideTag::port) itself to side outputs.
    pub fn process_with<F: ProcessFunction<K::Owned, T>>(
        self,
        function: impl FnOnce(OperatorId, &Blueprint) -> F,
    ) -> Processed<T, C, K, F>
    where
        K::Owned: Eq + Clone,
    {
        self.via_keyed_with(|key, operator, blueprint| {
            if F::HOLDS_WATERMARK && !F::NEEDS_TIME {
                // It only holds back what there is: there may be none.
                blueprint.use_event_time(operator, EventTimeUse::Passes);
            }
            Process::new(key, function(operator, blueprint))
        })
    }
}
