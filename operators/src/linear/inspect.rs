//! `inspect`: looks, and changes nothing.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Shows each value to a closure, and passes it on as it is.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("seen");
    /// let (sender, seen) = std::sync::mpsc::sync_channel(2);
    /// let words = flow.source("words", source::from_iter(["a", "b"]));
    /// words.inspect(move |word| sender.send(*word).unwrap_or_default()).ignore();
    /// flow.run().await?;
    /// assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect<F>(self, f: F) -> DataStream<T, Via<C, Inspect<F>>>
    where
        F: FnMut(&T) + Clone + Send + 'static,
    {
        self.via(Inspect { f })
    }
}

/// The operator behind [`DataStream::inspect`].
#[derive(Clone, Debug)]
pub struct Inspect<F> {
    f: F,
}

impl<T, F> Operator<T> for Inspect<F>
where
    T: Send + 'static,
    F: FnMut(&T) + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "inspect";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        (self.f)(&record.value);
        out.push(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;
    use std::sync::{Arc, Mutex};

    #[test]
    fn b7_inspect_changes_nothing() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let f = move |n: &u32| sink.lock().unwrap().push(*n);
        let mut harness = OperatorHarness::new(Inspect { f });
        let record = Record::at(7, Timestamp::from_millis(3));
        harness.push(record);
        harness.end();
        assert_eq!(harness.events(), [Event::Record(record), Event::End]);
        assert_eq!(*seen.lock().unwrap(), [7]);
    }
}
