//! `Splits`: a source that is found in pieces, at run time, each read by a source of its own.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_engine::OperatorError;
use millstream_engine::source::{
    Position, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream_engine::time::Timestamp;
use tokio::sync::Notify;

use super::split_positions::{ForeignPosition, Progress, decode, encode};

/// Finds the splits of a source: files of a folder, partitions of a topic.
///
/// A clone is the configuration: each run begins with one.
pub trait SplitEnumerator: Clone + Send + 'static {
    /// What reads one split.
    type Reader: Source;

    /// Makes ready to look.
    fn open(
        &mut self,
        context: &SourceContext,
    ) -> impl Future<Output = Result<(), OperatorError>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Waits for splits that have not been found yet in this run. `None` says that there will be no
    /// more. The engine drops the future only when the source is over.
    fn discover(
        &mut self,
    ) -> impl Future<Output = Result<Option<Vec<Split<Self::Reader>>>, OperatorError>> + Send;
}

/// One split, found and not opened yet.
#[derive(Clone, Debug)]
pub struct Split<R> {
    /// Its name, the same in every run. Of two splits with one name the second is left out.
    pub id: String,
    /// What reads it: any source, which is opened at the position that an earlier run got to.
    pub reader: R,
}

/// A source whose splits are found at run time, each of them read by a source of its own.
///
/// * **Reading.** At most so many splits are read at once, by default 4, and the others wait in the
///   order in which they were found. More are looked for only when none waits. The splits that have
///   something take turns, a batch each; none reads ahead of what is asked for. The order within a
///   split stays.
/// * **Watermarks.** The source's watermark is the earliest of its splits' that are not idle, and
///   never goes back. A split that has been found and not read yet counts, since its records are
///   still to come; one that has ended does not. So readers that state no watermark keep the
///   source from having one. With no split, or only idle ones, the source is idle.
/// * **Position.** That of every split, by its name, those that have ended included, so that a
///   further run reads nothing twice: it grows with the number of splits. A reader that gives no
///   positions is read anew if it had not ended.
/// * **End.** When the enumerator has no more splits, and all have ended. When the job drains,
///   nothing is looked for or begun, and each split that is being read hands over what its reader
///   had accepted.
///
/// # Errors
///
/// Those of the enumerator and of the readers, and a split that an earlier run had begun to read
/// and that is not found again.
///
/// ```
/// use millstream_operators::prelude::*;
/// use source::{Split, SplitEnumerator, Splits};
///
/// #[derive(Clone)]
/// struct Partitions(u32);
///
/// impl SplitEnumerator for Partitions {
///     type Reader = source::FromIter<std::ops::Range<u32>>;
///
///     async fn discover(&mut self) -> Result<Option<Vec<Split<Self::Reader>>>, OperatorError> {
///         let found = (0..self.0).map(|partition| Split {
///             id: partition.to_string(),
///             reader: source::from_iter(partition * 10..partition * 10 + 2),
///         });
///         let found: Vec<_> = found.collect();
///         self.0 = 0;
///         Ok((!found.is_empty()).then_some(found))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("partitions");
/// let all = flow.source("topic", Splits::new(Partitions(3))).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 10, 11, 20, 21]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Splits<E> {
    enumerator: E,
    concurrency: usize,
}

impl<E: SplitEnumerator> Splits<E> {
    /// The splits that `enumerator` finds.
    #[must_use]
    pub const fn new(enumerator: E) -> Self {
        Self { enumerator, concurrency: 4 }
    }

    /// The most splits that are read at once, at least 1. Default: 4.
    #[must_use]
    pub const fn with_concurrency(mut self, splits: usize) -> Self {
        self.concurrency = if splits > 0 { splits } else { 1 };
        self
    }
}

impl<E: SplitEnumerator> SourceFactory for Splits<E> {
    type Source = ReadSplits<E>;

    fn create(&self, _instance: usize) -> Result<ReadSplits<E>, OperatorError> {
        Ok(ReadSplits {
            enumerator: Some(self.enumerator.clone()),
            concurrency: self.concurrency,
            context: None,
            limit: 0,
            discovery: None,
            complete: false,
            found: VecDeque::new(),
            reading: FuturesUnordered::new(),
            splits: BTreeMap::new(),
            watermark: Timestamp::MIN,
            told_idle: false,
            draining: Arc::default(),
        })
    }
}

type Discovery<E> = Pin<Box<dyn Future<Output = Discovered<E>> + Send>>;
type Discovered<E> = (E, Result<Option<Vec<Split<<E as SplitEnumerator>::Reader>>>, OperatorError>);
type Reading<R> = Pin<Box<dyn Future<Output = ReadOnce<R>> + Send>>;

/// What one reader has read at once.
struct ReadOnce<R: Source> {
    id: String,
    reader: R,
    batch: SourceBatch<R::Item>,
    status: Result<SourceStatus, OperatorError>,
}

/// What is known of a split.
struct Known {
    progress: Progress,
    /// It has been found in this run.
    found: bool,
    watermark: Timestamp,
    idle: bool,
}

impl Known {
    const fn new(progress: Progress, found: bool) -> Self {
        Self { progress, found, watermark: Timestamp::MIN, idle: false }
    }

    const fn is_open(&self) -> bool {
        self.found && !matches!(self.progress, Progress::Ended)
    }
}

/// The running source behind [`Splits`].
pub struct ReadSplits<E: SplitEnumerator> {
    /// Here, or looking for splits.
    enumerator: Option<E>,
    concurrency: usize,
    context: Option<SourceContext>,
    /// The records that a reader is asked for at once.
    limit: usize,
    discovery: Option<Discovery<E>>,
    /// No more splits will be found.
    complete: bool,
    found: VecDeque<Split<E::Reader>>,
    reading: FuturesUnordered<Reading<E::Reader>>,
    splits: BTreeMap<String, Known>,
    watermark: Timestamp,
    told_idle: bool,
    draining: Arc<Draining>,
}

/// Tells the readers when the job drains.
#[derive(Default)]
struct Draining {
    begun: AtomicBool,
    notify: Notify,
}

impl Draining {
    fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Reads a split once, and gives that up when the job drains.
    async fn read<R: Source>(
        &self,
        reader: &mut R,
        batch: &mut SourceBatch<R::Item>,
        context: Option<&SourceContext>,
    ) -> Result<SourceStatus, OperatorError> {
        if !self.has_begun() {
            let read = async {
                if let Some(context) = context {
                    reader.open(context).await?;
                }
                reader.next(batch).await
            };
            // Whoever drains does so between two polls, so nothing is missed here.
            let (mut notified, mut read) = (pin!(self.notify.notified()), pin!(read));
            let read = poll_fn(|cx| {
                if notified.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                read.as_mut().poll(cx).map(Some)
            });
            if let Some(status) = read.await {
                return status;
            }
        }
        reader.drain(batch).await
    }
}

type ItemOf<E> = <<E as SplitEnumerator>::Reader as Source>::Item;

impl<E: SplitEnumerator> ReadSplits<E> {
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut SourceBatch<ItemOf<E>>,
    ) -> Poll<Result<SourceStatus, OperatorError>> {
        loop {
            let draining = self.draining.has_begun();
            if !draining {
                self.start_reading();
                if self.poll_discovery(cx)? {
                    continue;
                }
            }
            if let Poll::Ready(Some(read)) = self.reading.poll_next_unpin(cx) {
                return Poll::Ready(self.hand_over(read, batch).map(|()| SourceStatus::More));
            }
            if draining && self.reading.is_empty() {
                return Poll::Ready(Ok(SourceStatus::End));
            }
            if self.complete && self.reading.is_empty() {
                return Poll::Ready(self.all_found().map(|()| SourceStatus::End));
            }
            if self.all_idle() && !std::mem::replace(&mut self.told_idle, true) {
                batch.idle();
                return Poll::Ready(Ok(SourceStatus::More));
            }
            return Poll::Pending;
        }
    }

    /// Looks for splits when none waits. Whether some have been found, or there are no more.
    fn poll_discovery(&mut self, cx: &mut Context<'_>) -> Result<bool, OperatorError> {
        if self.complete || !self.found.is_empty() {
            return Ok(false);
        }
        if let Some(mut enumerator) = self.enumerator.take() {
            self.discovery = Some(Box::pin(async move {
                let found = enumerator.discover().await;
                (enumerator, found)
            }));
        }
        let Some(discovery) = &mut self.discovery else {
            return Ok(false);
        };
        let Poll::Ready((enumerator, found)) = discovery.as_mut().poll(cx) else {
            return Ok(false);
        };
        self.discovery = None;
        self.enumerator = Some(enumerator);
        match found? {
            Some(splits) => splits.into_iter().for_each(|split| self.add(split)),
            None => self.complete = true,
        }
        Ok(true)
    }

    fn add(&mut self, split: Split<E::Reader>) {
        match self.splits.get_mut(&split.id) {
            Some(known) if known.found => return,
            Some(known) => {
                known.found = true;
                if matches!(known.progress, Progress::Ended) {
                    return;
                }
            }
            None => {
                self.splits.insert(split.id.clone(), Known::new(Progress::Found, true));
            }
        }
        self.found.push_back(split);
    }

    fn start_reading(&mut self) {
        while self.reading.len() < self.concurrency {
            let (Some(split), Some(context)) = (self.found.pop_front(), &self.context) else {
                return;
            };
            let mut context = context.clone();
            context.position = match self.splits.get(&split.id).map(|known| &known.progress) {
                Some(Progress::At(position)) => Some(Position(position.clone())),
                _ => None,
            };
            let Split { id, mut reader } = split;
            let mut batch = SourceBatch::new(self.limit);
            let draining = Arc::clone(&self.draining);
            self.reading.push(Box::pin(async move {
                let status = draining.read(&mut reader, &mut batch, Some(&context)).await;
                ReadOnce { id, reader, batch, status }
            }));
        }
    }

    fn read_on(&self, id: String, mut reader: E::Reader) {
        let mut batch = SourceBatch::new(self.limit);
        let draining = Arc::clone(&self.draining);
        self.reading.push(Box::pin(async move {
            let status = draining.read(&mut reader, &mut batch, None).await;
            ReadOnce { id, reader, batch, status }
        }));
    }

    /// Hands over what one split has read, with the watermarks that all have.
    fn hand_over(
        &mut self,
        read: ReadOnce<E::Reader>,
        batch: &mut SourceBatch<ItemOf<E>>,
    ) -> Result<(), OperatorError> {
        let ReadOnce { id, reader, batch: filled, status } = read;
        let status = status?;
        let (filled, position) = filled.into_parts();
        let is_news = !filled.is_spent();
        self.change(&id, |split| split.idle &= !is_news);
        let mut marks = filled.marks.into_iter().peekable();
        for (index, record) in filled.records.into_iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| mark.position <= index) {
                self.change(&id, |split| split.watermark = split.watermark.max(mark.watermark));
                self.advance(batch);
            }
            batch.push(record);
        }
        let rest = marks.map(|mark| mark.watermark).max().unwrap_or(Timestamp::MIN);
        let ended = status == SourceStatus::End;
        // The end of a drain is not that of the split.
        let complete = ended && !self.draining.has_begun();
        self.change(&id, |split| {
            split.watermark = split.watermark.max(rest);
            split.idle |= filled.idle;
            if complete {
                split.progress = Progress::Ended;
            } else if let Some(position) = position {
                split.progress = Progress::At(position.0);
            }
        });
        self.advance(batch);
        batch.position(Position(encode(self.splits.iter().map(|(id, of)| (id, &of.progress)))));
        if !ended {
            self.read_on(id, reader);
        }
        self.told_idle = self.all_idle();
        if self.told_idle {
            batch.idle();
        }
        Ok(())
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Known)) {
        if let Some(split) = self.splits.get_mut(id) {
            change(split);
        }
    }

    /// States the earliest watermark of the splits that count, if it has advanced.
    fn advance(&mut self, batch: &mut SourceBatch<ItemOf<E>>) {
        let open = || self.splits.values().filter(|split| split.is_open());
        let counting = open().filter(|split| !split.idle);
        let earliest = counting.map(|split| split.watermark).min();
        // As where streams meet: the latest, if all are idle.
        let watermark = earliest.or_else(|| open().map(|split| split.watermark).max());
        if let Some(watermark) = watermark.filter(|watermark| *watermark > self.watermark) {
            self.watermark = watermark;
            batch.watermark(watermark);
        }
    }

    fn all_idle(&self) -> bool {
        !self.splits.values().any(|split| split.is_open() && !split.idle)
    }

    /// At the end: whether every split has been found again that an earlier run had begun.
    fn all_found(&self) -> Result<(), OperatorError> {
        let lost = |split: &Known| !split.found && matches!(split.progress, Progress::At(_));
        match self.splits.iter().find(|(_, split)| lost(split)) {
            Some((id, _)) => Err(SplitLost(id.clone()).into()),
            None => Ok(()),
        }
    }
}

/// A split that an earlier run had begun to read was not found again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the split `{0}`, which was read in part, is not found any more")]
struct SplitLost(String);

impl<E: SplitEnumerator> Source for ReadSplits<E> {
    type Item = ItemOf<E>;
    const SETS_TIME: bool = E::Reader::SETS_TIME;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        if let Some(Position(bytes)) = &context.position {
            let known = decode(bytes).ok_or(ForeignPosition)?.into_iter();
            let known = known.map(|(id, progress)| (id, Known::new(progress, false)));
            self.splits = known.collect();
        }
        self.context = Some(context.clone());
        match &mut self.enumerator {
            Some(enumerator) => enumerator.open(context).await,
            None => Ok(()),
        }
    }

    async fn next(
        &mut self,
        batch: &mut SourceBatch<ItemOf<E>>,
    ) -> Result<SourceStatus, OperatorError> {
        self.limit = batch.room().max(1);
        poll_fn(|cx| self.poll_fill(cx, batch)).await
    }

    async fn drain(
        &mut self,
        batch: &mut SourceBatch<ItemOf<E>>,
    ) -> Result<SourceStatus, OperatorError> {
        if !self.draining.begun.swap(true, Relaxed) {
            self.draining.notify.notify_waiters();
        }
        poll_fn(|cx| self.poll_fill(cx, batch)).await
    }
}

impl<E: SplitEnumerator> fmt::Debug for ReadSplits<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSplits")
            .field("reading", &self.reading.len())
            .field("found", &self.found.len())
            .finish_non_exhaustive()
    }
}
