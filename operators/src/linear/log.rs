//! `log`: tells what passes.

use std::fmt;
use std::sync::Arc;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::part::{read_count, write_count};
use crate::state::Checkpointed;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Logs each value at level `DEBUG`, with its event time, and the end of a complete input at
    /// level `INFO`, and passes everything on as it is. The operator's name, given by
    /// [`named`](DataStream::named), is the field `operator`. Failures need no word: the engine
    /// logs each at level `ERROR`.
    ///
    /// The events are those of the crate `tracing`, with the target `millstream::log`. Where nobody
    /// listens, a record costs one comparison.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: how many have passed.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("logged");
    /// let words = flow.source("words", source::from_iter(["a", "b"]));
    /// let all = words.log().named("before").map(str::len).log().named("after").collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn log(self) -> DataStream<T, Via<C, Log>>
    where
        T: fmt::Debug,
    {
        self.via(Log::new())
    }
}

/// The operator behind [`DataStream::log`].
#[derive(Debug)]
pub struct Log {
    operator: Arc<str>,
    instance: usize,
    records: u64,
}

impl Log {
    fn new() -> Self {
        Self { operator: Arc::from("log"), instance: 0, records: 0 }
    }
}

impl Checkpointed for Log {}

impl Clone for Log {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug + Send + 'static> Operator<T> for Log {
    type Out = T;
    const NAME: &'static str = "log";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.operator = context.name();
        self.instance = context.instance();
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.records += 1;
        tracing::debug!(
            target: "millstream::log",
            operator = %self.operator,
            instance = self.instance,
            value = ?record.value,
            time = %record.time,
        );
        out.push(record);
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        tracing::info!(
            target: "millstream::log",
            operator = %self.operator,
            instance = self.instance,
            records = self.records,
            "end"
        );
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, self.records);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.records = read_count(state)?.unwrap_or(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;
    use std::sync::{Mutex, PoisonError};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Keeps the level of each event, and one field of it.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<(Level, String)>>>);

    struct Shown(String);

    impl Visit for Shown {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if ["value", "records"].contains(&field.name()) {
                self.0 = format!("{}={value:?}", field.name());
            }
        }
    }

    impl Subscriber for Recorder {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "millstream::log"
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut shown = Shown(String::new());
            event.record(&mut shown);
            let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            events.push((*event.metadata().level(), shown.0));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn b7_log_tells_of_each_element_and_of_the_end() {
        let recorder = Recorder::default();
        tracing::subscriber::with_default(recorder.clone(), || {
            let mut harness = OperatorHarness::new(Log::new());
            harness.push("a");
            harness.push("b");
            harness.end();
            assert_eq!(harness.values(), ["a", "b"]);
        });
        let expected = [
            (Level::DEBUG, "value=\"a\""),
            (Level::DEBUG, "value=\"b\""),
            (Level::INFO, "records=2"),
        ];
        let events = recorder.0.lock().unwrap();
        assert_eq!(*events, expected.map(|(level, shown)| (level, shown.to_owned())));
    }
}
