//! `into_stream`: the records as a futures `Stream`, which runs the job.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::{JobHandle, JobOptions, JobReport};
use millstream_engine::sink::{Sink, SinkFactory, SinkStatus};
use millstream_engine::{Error, OperatorError, Record};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::AlreadyWritten;
use crate::{DataStream, Dataflow};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stream in a [`JobStream`]: a futures `Stream` of its values, which runs the whole
    /// dataflow, and says last how that failed, if it did.
    ///
    /// The job starts at the first poll, on the runtime of whoever polls. Pulling is what drives
    /// it: while nobody polls, it fills its edges and stands still. Dropping the stream aborts the
    /// job. The instances of a parallel stream are brought together first. A dataflow has one of
    /// them at most; two are a mistake that the first item tells of.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("squares");
    /// let squares = flow.source("numbers", source::from_iter(1..=3)).map(|n| n * n).into_stream();
    /// assert_eq!(squares.try_collect::<Vec<u32>>().await?, [1, 4, 9]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> JobStream<T> {
        self.into_stream_with(JobOptions::default())
    }

    /// Like [`into_stream`](DataStream::into_stream), with options for the job.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let options = JobOptions::default().with_batch_records(1);
    /// let numbers = flow.source("numbers", source::from_iter(1..=3)).into_stream_with(options);
    /// assert_eq!(numbers.try_collect::<Vec<u32>>().await?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream_with(self, options: JobOptions) -> JobStream<T> {
        let flow = self.flow().clone();
        let (sender, batches) = channel(1);
        let factory = ToStreamOnce(Mutex::new(Some(ToStream { sender })));
        if C::ALONE || self.parallelism() == 1 {
            self.sink("into_stream", factory);
        } else {
            self.gather().sink("into_stream", factory);
        }
        JobStream {
            state: State::Ready(Box::new((flow, options))),
            batches,
            values: Vec::new().into_iter(),
            report: None,
        }
    }
}

/// The values of a stream, and the job that makes them. It comes from
/// [`into_stream`](DataStream::into_stream).
///
/// Each item is a value, or the error of the job, which is the last item: a stream that ends
/// without an error has given all there was. A poll that is given up loses nothing.
#[must_use = "streams do nothing unless polled"]
pub struct JobStream<T> {
    state: State,
    batches: Receiver<Vec<Record<T>>>,
    /// What is left of the last batch received.
    values: std::vec::IntoIter<Record<T>>,
    report: Option<JobReport>,
}

enum State {
    Ready(Box<(Dataflow, JobOptions)>),
    Running(JobHandle),
    Ended,
}

impl<T> JobStream<T> {
    /// The running job, from the first poll on until the stream has ended.
    #[must_use]
    pub const fn job(&self) -> Option<&JobHandle> {
        match &self.state {
            State::Running(job) => Some(job),
            State::Ready(_) | State::Ended => None,
        }
    }

    /// The job's report, once the stream has ended without an error. An error has one of its own.
    #[must_use]
    pub const fn report(&self) -> Option<&JobReport> {
        self.report.as_ref()
    }

    fn start(&mut self) -> Result<(), Error> {
        if let State::Ready(ready) = &self.state {
            let (flow, options) = &**ready;
            let started = flow.start_with(options);
            self.state = State::Ended;
            self.state = State::Running(started?);
        }
        Ok(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        let State::Running(job) = &mut self.state else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(job).poll(cx));
        self.state = State::Ended;
        Poll::Ready(match ended {
            Ok(report) => {
                self.report = Some(report);
                None
            }
            Err(error) => Some(error),
        })
    }
}

impl<T> Unpin for JobStream<T> {}

impl<T> Stream for JobStream<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = self.start() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            if let Some(record) = self.values.next() {
                return Poll::Ready(Some(Ok(record.value)));
            }
            if matches!(self.state, State::Ended) {
                return Poll::Ready(None);
            }
            match ready!(self.batches.poll_recv(cx)) {
                Some(batch) => self.values = batch.into_iter(),
                None => return self.poll_end(cx).map(|error| error.map(Err)),
            }
        }
    }
}

impl<T> fmt::Debug for JobStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobStream").field("job", &self.job()).finish_non_exhaustive()
    }
}

struct ToStreamOnce<T>(Mutex<Option<ToStream<T>>>);

impl<T: Send + 'static> SinkFactory for ToStreamOnce<T> {
    type Sink = ToStream<T>;

    fn create(&self, _instance: usize) -> Result<ToStream<T>, OperatorError> {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        sink.ok_or_else(|| AlreadyWritten.into())
    }
}

struct ToStream<T> {
    sender: Sender<Vec<Record<T>>>,
}

impl<T: Send + 'static> Sink for ToStream<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        let Ok(permit) = self.sender.reserve().await else {
            return Ok(SinkStatus::Enough);
        };
        permit.send(std::mem::take(records));
        Ok(SinkStatus::More)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
    use millstream_engine::ErrorKind;
    use millstream_engine::runtime::{JobObserver, JobState};

    use super::*;
    use crate::prelude::*;

    #[tokio::test]
    async fn a2_the_job_starts_at_the_first_poll() {
        let flow = Dataflow::new("lazy");
        let mut stream = flow.source("numbers", source::from_iter(0..3)).into_stream();
        assert!(stream.job().is_none());
        assert!(stream.next().now_or_never().is_none());
        assert!(stream.job().is_some());
        assert_eq!((&mut stream).try_collect::<Vec<u32>>().await.unwrap(), [0, 1, 2]);
        assert_eq!(stream.report().unwrap().records_read(), 3);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a2_pulling_drives_the_job() {
        let flow = Dataflow::new("driven");
        let options = JobOptions::default().with_batch_records(1);
        let mut stream =
            flow.source("numbers", source::from_iter(0_u64..)).into_stream_with(options);
        for expected in 0..10 {
            assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let read = stream.job().unwrap().metrics().operators[0].records_out;
        assert!(read.unwrap() <= 20, "{read:?}");
    }

    #[tokio::test]
    async fn a2_the_error_comes_after_the_last_value() {
        let items = futures_util::stream::iter([Ok(1), Ok(2), Err(std::io::Error::other("torn"))]);
        let flow = Dataflow::new("torn");
        let stream = flow.source("items", source::try_from_stream(items)).into_stream();
        let mut seen: Vec<_> = stream.collect().await;
        let error = seen.pop().unwrap().unwrap_err();
        assert_eq!(error.operator_name(), Some("items"));
        let values: Vec<u32> = seen.into_iter().map(Result::unwrap).collect();
        assert!([1, 2].starts_with(&values), "{values:?}");
    }

    #[tokio::test]
    async fn a2_a_dataflow_that_cannot_start_says_so_once() {
        let flow = Dataflow::new("two");
        let mut first = flow.source("a", source::once(1)).into_stream();
        let mut second = flow.source("b", source::once(1)).into_stream();
        for stream in [&mut first, &mut second] {
            let error = stream.next().await.unwrap().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Build(_)), "{error}");
            assert!(stream.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a2_dropping_the_stream_aborts_the_job() {
        let flow = Dataflow::new("dropped");
        let mut stream =
            flow.source("numbers", source::from_iter(0_u64..)).parallel(2).into_stream();
        stream.next().await.unwrap().unwrap();
        let mut observer: JobObserver = stream.job().unwrap().observer();
        drop(stream);
        observer.ended().await;
        assert_eq!(observer.state(), JobState::Ended);
    }
}
