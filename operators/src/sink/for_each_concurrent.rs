//! `for_each_concurrent` and `try_for_each_concurrent`: a bounded number of futures at the end of a
//! stream.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_engine::chain::Chain;
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Calls a closure with each value and drives the futures it returns, at most `concurrency` at
    /// a time, in no particular order among them. Each instance of a parallel stream has its own.
    ///
    /// Takes the next value when one of the futures in flight has ended, and backpressures until
    /// then. When no more input is ready it waits for all of them, and the job ends after the last.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sent");
    /// let (sender, mut sent) = tokio::sync::mpsc::channel(2);
    /// flow.source("numbers", source::from_iter(0..2)).for_each_concurrent(8, move |n| {
    ///     let sender = sender.clone();
    ///     async move { sender.send(n).await.unwrap_or_default() }
    /// });
    /// flow.run().await?;
    /// assert_eq!([sent.try_recv(), sent.try_recv()], [Ok(0), Ok(1)]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn for_each_concurrent<F, R>(self, concurrency: usize, mut f: F)
    where
        F: FnMut(T) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let f = move |value| {
            let future = f(value);
            async move {
                future.await;
                Ok::<(), Infallible>(())
            }
        };
        let sink = ForEachConcurrent::new(concurrency, f);
        self.write_to("for_each_concurrent", None, sink);
    }

    /// As [`for_each_concurrent`](DataStream::for_each_concurrent), with futures that may fail: an
    /// error fails the job, and those in flight are dropped.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("checked");
    /// let words = flow.source("words", source::from_iter(["1", "one"]));
    /// words.try_for_each_concurrent(2, |word| async { word.parse::<u32>().map(drop) });
    /// let error = flow.run().await.unwrap_err();
    /// assert_eq!(error.operator_name(), Some("try_for_each_concurrent"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_for_each_concurrent<F, R, E>(self, concurrency: usize, f: F)
    where
        F: FnMut(T) -> R + Clone + Send + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<OperatorError> + Send + 'static,
    {
        let sink = ForEachConcurrent::new(concurrency, f);
        self.write_to("try_for_each_concurrent", None, sink);
    }
}

/// The sink behind [`DataStream::for_each_concurrent`].
struct ForEachConcurrent<T, F, R> {
    concurrency: usize,
    f: F,
    in_flight: FuturesUnordered<R>,
    marker: PhantomData<fn(T)>,
}

impl<T, F, R> ForEachConcurrent<T, F, R> {
    #[track_caller]
    fn new(concurrency: usize, f: F) -> Self {
        assert!(concurrency > 0, "a concurrency of zero futures");
        Self { concurrency, f, in_flight: FuturesUnordered::new(), marker: PhantomData }
    }
}

impl<T, F: Clone, R> Clone for ForEachConcurrent<T, F, R> {
    fn clone(&self) -> Self {
        Self::new(self.concurrency, self.f.clone())
    }
}

impl<T, F, R> fmt::Debug for ForEachConcurrent<T, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEachConcurrent")
            .field("concurrency", &self.concurrency)
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}

impl<T, F, R, E> Sink for ForEachConcurrent<T, F, R>
where
    T: Send + 'static,
    F: FnMut(T) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<OperatorError> + Send + 'static,
{
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        for record in records.drain(..) {
            while self.in_flight.len() >= self.concurrency {
                if let Some(ended) = self.in_flight.next().await {
                    ended.map_err(Into::into)?;
                }
            }
            self.in_flight.push((self.f)(record.value));
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        while let Some(ended) = self.in_flight.next().await {
            ended.map_err(Into::into)?;
        }
        Ok(())
    }
}
