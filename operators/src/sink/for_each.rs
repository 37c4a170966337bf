//! `for_each` and `try_for_each`: a closure at the end of a stream.

use millstream_engine::chain::Chain;
use millstream_engine::runtime::Consumer;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Calls a closure with each value. It may not block: for what has to wait there is
    /// [`for_each_concurrent`](DataStream::for_each_concurrent). Each instance of a parallel stream
    /// has its own clone of it.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sent");
    /// let (sender, sent) = std::sync::mpsc::sync_channel(2);
    /// let words = flow.source("words", source::from_iter(["a", "b"]));
    /// words.for_each(move |word| sender.send(word).unwrap_or_default());
    /// flow.run().await?;
    /// assert_eq!(sent.try_iter().collect::<Vec<_>>(), ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<F>(self, f: F)
    where
        F: FnMut(T) + Clone + Send + 'static,
    {
        self.consume("for_each", ForEach { f });
    }

    /// Calls a closure with each value; an error fails the job. It may not block: for what has to
    /// wait there is [`try_for_each_concurrent`](DataStream::try_for_each_concurrent). Each
    /// instance of a parallel stream has its own clone of it.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("checked");
    /// let words = flow.source("words", source::from_iter(["1", "one"]));
    /// words.try_for_each(|word| word.parse::<u32>().map(drop));
    /// let error = flow.run().await.unwrap_err();
    /// assert_eq!(error.operator_name(), Some("try_for_each"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_for_each<E, F>(self, f: F)
    where
        E: Into<OperatorError>,
        F: FnMut(T) -> Result<(), E> + Clone + Send + 'static,
    {
        self.consume("try_for_each", TryForEach { f });
    }
}

#[derive(Clone)]
struct ForEach<F> {
    f: F,
}

impl<T, F: FnMut(T) + Clone + Send + 'static> Consumer<T> for ForEach<F> {
    #[inline]
    fn consume(&mut self, record: Record<T>) -> Result<(), OperatorError> {
        (self.f)(record.value);
        Ok(())
    }
}

#[derive(Clone)]
struct TryForEach<F> {
    f: F,
}

impl<T, E, F> Consumer<T> for TryForEach<F>
where
    E: Into<OperatorError>,
    F: FnMut(T) -> Result<(), E> + Clone + Send + 'static,
{
    #[inline]
    fn consume(&mut self, record: Record<T>) -> Result<(), OperatorError> {
        (self.f)(record.value).map_err(Into::into)
    }
}
