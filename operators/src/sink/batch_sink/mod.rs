//! `batch_sink`: groups of records to a writer that says what became of each.

mod group;
mod letters;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::graph::{OperatorId, Port, Role, StageBlueprint};
use millstream_engine::runtime::{Run, SinkTail};
use millstream_engine::sink::{SinkContext, SinkWith};
use millstream_engine::{Error, OperatorError};

use super::AlreadyWritten;
use crate::DataStream;
use crate::attempt::OnError;
use group::BatchSink;
use letters::{LetterSlot, WithLetters};

/// What writes groups of items somewhere: a table, an index, an API that takes many at once.
///
/// A clone is the configuration: each instance of a run writes with a clone of its own.
pub trait BatchWriter<T>: Clone + Send + 'static {
    /// Makes ready to write.
    fn open(
        &mut self,
        context: &SinkContext,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Writes a group, which is never empty, and says what became of it. An error says that none of
    /// its items has been written, or that nobody knows.
    fn write(&mut self, items: &[T])
    -> impl Future<Output = Result<Written, OperatorError>> + Send;

    /// The input is complete, and the last group has been written.
    fn close(&mut self) -> impl Future<Output = Result<(), OperatorError>> + Send {
        async { Ok(()) }
    }
}

/// What a [`BatchWriter`] says of a group.
#[derive(Debug)]
pub enum Written {
    /// Every item has been written.
    All,
    /// What became of each item, in the order of the group.
    Each(Vec<ItemResult>),
}

/// What became of one item of a group.
#[derive(Debug)]
pub enum ItemResult {
    /// It has been written.
    Stored,
    /// It has not been written, and may be tried again.
    Retry(OperatorError),
    /// It has not been written, and never will be.
    Reject(OperatorError),
}

/// How [`batch_sink`](DataStream::batch_sink) makes groups, and what it does with those that fail.
pub struct Batching<T> {
    records: usize,
    bytes: Option<(usize, Weight<T>)>,
    time: Option<Duration>,
    on_error: OnError<T>,
    bisect: bool,
}

type Weight<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

impl<T> Batching<T> {
    /// Groups of at most so many records.
    ///
    /// # Panics
    ///
    /// If that is zero.
    #[must_use]
    #[track_caller]
    pub fn new(records: usize) -> Self {
        assert!(records > 0, "groups of zero records");
        Self { records, bytes: None, time: None, on_error: OnError::fail(), bisect: true }
    }

    /// Groups of at most so many bytes, by the weight of each item. An item that is heavier than
    /// that is a group of its own. Default: any number.
    #[must_use]
    pub fn with_bytes(
        mut self,
        bytes: usize,
        weight: impl Fn(&T) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.bytes = Some((bytes, Arc::new(weight)));
        self
    }

    /// Waits so long for a group to become full, from its first record on. By default it doesn't
    /// wait: when no more input is ready, the group is written as it is.
    #[must_use]
    pub const fn with_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// What becomes of items that were not written. Default: the job fails.
    ///
    /// # Panics
    ///
    /// If the policy has a circuit breaker, or a limit of values in a row: a group heeds neither.
    #[must_use]
    #[track_caller]
    pub fn on_error(mut self, policy: OnError<T>) -> Self {
        assert!(!policy.is_guarded(), "a group heeds no breaker, and no limit of values in a row");
        self.on_error = policy;
        self
    }

    /// Gives up a group that fails as a whole as a whole. By default it is cut in halves, to find
    /// the items that are to blame.
    #[must_use]
    pub const fn without_bisect(mut self) -> Self {
        self.bisect = false;
        self
    }
}

impl<T> Clone for Batching<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), on_error: self.on_error.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Batching<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batching")
            .field("records", &self.records)
            .field("bytes", &self.bytes.as_ref().map(|(bytes, _)| bytes))
            .field("time", &self.time)
            .field("on_error", &self.on_error)
            .field("bisect", &self.bisect)
            .finish()
    }
}

impl<T: Send + Sync + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stream in a [`BatchWriter`], which gets the values in groups: of so many records,
    /// so many bytes, or what has come within so much time since the group's first record,
    /// whichever is reached first, as [`Batching`] says. The time is the job's clock's, and needs
    /// no further record to be noticed. A barrier, a drain and the end write what is there. Each
    /// instance of a parallel stream has its own groups and writer.
    ///
    /// **Order.** One group is written at a time, and the next only when all items of the one
    /// before are written or given up; meanwhile the sink backpressures. Within a group, an item
    /// that is tried again is written behind its neighbours.
    ///
    /// **Failure.** The writer answers for each item. One that is rejected is given up at once.
    /// Those to be tried again are, together and without the others, after the delays and as often
    /// as the policy's [`Backoff`](crate::attempt::Backoff) says, and then given up. A writer that
    /// returns an error for a group has the whole group tried again; when the attempts run out, the
    /// group is cut in halves, and each half is written once more or cut again, until the items
    /// that can't be written stand alone and are given up. What has been given up fails the job, is
    /// skipped, or becomes a dead letter, by [`OnError`]; a policy that fails does so without
    /// cutting. An item is thus delivered at most as often as there are attempts, and once more for
    /// each cut: log₂ of the group. Every item ends as delivered, skipped or dead-lettered, and is
    /// counted when it does. A panic of the writer fails the job.
    ///
    /// A job that is aborted, or fails elsewhere, drops the group that is waiting: it has not been
    /// delivered, and is not counted as if it had.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use millstream_operators::sink::{BatchWriter, Batching, ItemResult, Written};
    ///
    /// #[derive(Clone)]
    /// struct Table;
    ///
    /// impl BatchWriter<u32> for Table {
    ///     async fn write(&mut self, rows: &[u32]) -> Result<Written, OperatorError> {
    ///         let store = |row: &u32| match row {
    ///             13 => ItemResult::Reject(OperatorError::new("unlucky")),
    ///             _ => ItemResult::Stored,
    ///         };
    ///         Ok(Written::Each(rows.iter().map(store).collect()))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("table");
    /// let (dead, letters) = flow.dead_letters("rejected rows");
    /// let batching = Batching::new(8).on_error(OnError::dead_letter(&dead));
    /// flow.source("rows", source::from_iter(0..20)).batch_sink("table", batching, Table);
    /// let rejected = letters.map(|letter| letter.original).collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(rejected), Some(vec![13]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_sink<W: BatchWriter<T>>(self, name: &str, batching: Batching<T>, writer: W) {
        let (flow, chain, mut draft) = self.into_parts();
        let blueprint = flow.blueprint();
        let operator = blueprint.add_operator(Role::Sink, "batch_sink", Some(name));
        // One that it collects, and one that it writes.
        blueprint.add_buffer::<T>(operator, 2);
        let letters = batching.on_error.connect(operator, blueprint);
        draft.operators.push(operator);
        blueprint.add_stage(draft, ToBatchSink { chain, operator, letters, batching, writer });
    }
}

/// A stage that ends in a batch sink.
struct ToBatchSink<T, C, W> {
    chain: C,
    operator: OperatorId,
    letters: Option<Port>,
    batching: Batching<T>,
    writer: W,
}

impl<T, C, W> StageBlueprint for ToBatchSink<T, C, W>
where
    T: Send + Sync + 'static,
    C: Chain<Item = T>,
    W: BatchWriter<T>,
{
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let slot = Arc::new(LetterSlot::new());
        let (batching, writer) = (self.batching.clone(), self.writer.clone());
        let sink = Mutex::new(Some(BatchSink::new(batching, writer, Arc::clone(&slot))));
        let factory = SinkWith(move |_| {
            let sink = sink.lock().unwrap_or_else(PoisonError::into_inner).take();
            sink.ok_or_else(|| AlreadyWritten.into())
        });
        let tail = SinkTail::new(run, self.operator, instance, &factory)?;
        let outbox = self.letters.and_then(|port| run.outboxes(port, instance).into_iter().next());
        match outbox {
            Some(outbox) => self.chain.finish(run, instance, WithLetters::new(tail, outbox, slot)),
            None => self.chain.finish(run, instance, tail),
        }
    }
}
