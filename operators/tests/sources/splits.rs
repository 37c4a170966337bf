//! Splits that are found at run time, and the watermark that they have together.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use millstream_engine::batch::Batch;
use millstream_engine::source::{
    Position, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream_engine::testing::{ProbedSource, SourceProbe, probe_sink, probe_source};
use millstream_engine::time::{Clock, VirtualClock};
use millstream_operators::prelude::*;
use source::{ReadSplits, Split, SplitEnumerator, Splits};

use crate::{now, settle};

/// Splits that a test adds by hand.
struct ByHand<R>(Arc<Mutex<Added<R>>>);

impl<R> Clone for ByHand<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Added<R> {
    splits: Vec<Split<R>>,
    complete: bool,
    asked: usize,
}

impl<R> Default for ByHand<R> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Added { splits: Vec::new(), complete: false, asked: 0 })))
    }
}

impl<R> ByHand<R> {
    fn add(&self, id: &str, reader: R) {
        self.0.lock().unwrap().splits.push(Split { id: id.to_owned(), reader });
    }

    fn complete(&self) {
        self.0.lock().unwrap().complete = true;
    }
}

impl<R: Source> SplitEnumerator for ByHand<R> {
    type Reader = R;

    async fn discover(&mut self) -> Result<Option<Vec<Split<R>>>, OperatorError> {
        // Asked again at every poll: a test polls by hand.
        std::future::poll_fn(|cx| {
            let mut added = self.0.lock().unwrap();
            added.asked += 1;
            if !added.splits.is_empty() {
                return Poll::Ready(Ok(Some(std::mem::take(&mut added.splits))));
            }
            if added.complete {
                return Poll::Ready(Ok(None));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// A split that a test writes to by hand, for sources that can't be cloned.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<ProbedSource<u32>>>>);

impl Source for Shared {
    type Item = u32;

    async fn next(&mut self, batch: &mut SourceBatch<u32>) -> Result<SourceStatus, OperatorError> {
        let mut source = self.0.lock().unwrap().take().unwrap();
        let mut next = Box::pin(async {
            let status = source.next(batch).await;
            (source, status)
        });
        // Given back when it is given up, as it has to be taken for the wait.
        let (source, status) = std::future::poll_fn(|cx| next.as_mut().poll(cx)).await;
        *self.0.lock().unwrap() = Some(source);
        status
    }
}

fn split() -> (SourceProbe<u32>, Shared) {
    let (probe, factory) = probe_source();
    (probe, Shared(Arc::new(Mutex::new(Some(factory.create(0).unwrap())))))
}

type Hands = ByHand<Shared>;

async fn start(concurrency: usize) -> (Hands, ReadSplits<Hands>) {
    let hands = Hands::default();
    let splits = Splits::new(hands.clone()).with_concurrency(concurrency);
    let mut source = splits.create(0).unwrap();
    source.open(&SourceContext::new(Clock::system())).await.unwrap();
    (hands, source)
}

/// The next batch, if there is one at once.
fn batch(source: &mut ReadSplits<Hands>) -> Option<Batch<u32>> {
    use futures_util::FutureExt as _;
    let mut batch = SourceBatch::new(8);
    source.next(&mut batch).now_or_never()?.unwrap();
    Some(batch.into_parts().0)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn marks(batch: &Batch<u32>) -> Vec<(usize, Timestamp)> {
    batch.marks.iter().map(|mark| (mark.position, mark.watermark)).collect()
}

#[tokio::test]
async fn a7_without_a_split_the_source_is_idle_and_says_so_once() {
    let (hands, mut source) = start(4).await;
    let first = batch(&mut source).unwrap();
    assert!(first.idle && first.is_empty());
    assert_eq!(batch(&mut source), None, "and not over and over");
    let (probe, reader) = split();
    hands.add("a", reader);
    assert_eq!(batch(&mut source), None);
    probe.send(1).await;
    let second = batch(&mut source).unwrap();
    assert!(!second.idle, "a split that reads is not idle");
    probe.end().await;
    let third = batch(&mut source).unwrap();
    assert!(third.idle && third.records.is_empty(), "with its only split it became idle");
    hands.complete();
    assert_eq!(now(&mut source, 8), Some((vec![], SourceStatus::End)));
}

#[tokio::test]
async fn a7_the_watermark_is_the_earliest_of_all_splits_that_are_not_idle() {
    let (hands, mut source) = start(4).await;
    let ((one, a), (two, b)) = (split(), split());
    hands.add("a", a);
    hands.add("b", b);
    one.send(Record::at(1, at(10))).await;
    one.watermark(at(10)).await;
    let read = batch(&mut source).unwrap();
    assert_eq!((read.records.len(), marks(&read)), (1, vec![]), "nothing is known of the other");
    two.send(Record::at(2, at(3))).await;
    two.watermark(at(4)).await;
    two.send(Record::at(3, at(7))).await;
    two.watermark(at(20)).await;
    let read = batch(&mut source).unwrap();
    assert_eq!(marks(&read), [(1, at(4)), (2, at(10))], "each at its place");
    // A new split holds it back, and does not take it back.
    let (three, c) = split();
    hands.add("c", c);
    one.watermark(at(30)).await;
    let read = batch(&mut source).unwrap();
    assert_eq!(marks(&read), []);
    three.watermark(at(5)).await;
    assert_eq!(marks(&batch(&mut source).unwrap()), []);
    three.watermark(at(25)).await;
    assert_eq!(marks(&batch(&mut source).unwrap()), [(0, at(20))]);
    // An idle one does not count, and one that has ended neither.
    two.idle().await;
    assert_eq!(marks(&batch(&mut source).unwrap()), [(0, at(25))]);
    three.end().await;
    assert_eq!(marks(&batch(&mut source).unwrap()), [(0, at(30))]);
    one.idle().await;
    assert!(batch(&mut source).unwrap().idle, "all of them are");
    two.send(Record::at(4, at(31))).await;
    let read = batch(&mut source).unwrap();
    assert!(!read.idle && marks(&read).is_empty());
    two.watermark(at(40)).await;
    assert_eq!(marks(&batch(&mut source).unwrap()), [(0, at(40))]);
}

#[tokio::test]
async fn a7_a_split_that_waits_for_its_turn_holds_the_watermark_back() {
    let (hands, mut source) = start(1).await;
    let ((one, a), (two, b)) = (split(), split());
    hands.add("a", a);
    hands.add("b", b);
    one.watermark(at(10)).await;
    two.send(Record::at(1, at(2))).await;
    two.watermark(at(5)).await;
    assert_eq!(marks(&batch(&mut source).unwrap()), []);
    assert_eq!(batch(&mut source), None, "one at a time");
    one.end().await;
    batch(&mut source).unwrap();
    let read = batch(&mut source).unwrap();
    assert_eq!((read.records.len(), marks(&read)), (1, vec![(1, at(5))]));
}

#[tokio::test]
async fn a7_no_more_splits_are_read_at_once_than_allowed_and_none_are_looked_for() {
    let (hands, mut source) = start(2).await;
    let splits: Vec<_> = (0..5).map(|_| split()).collect();
    for (index, (_, reader)) in splits.iter().enumerate() {
        hands.add(&index.to_string(), reader.clone());
    }
    assert_eq!(batch(&mut source), None);
    let asked = hands.0.lock().unwrap().asked;
    let reading = || splits.iter().filter(|(probe, _)| probe.is_asked()).count();
    assert_eq!(reading(), 2);
    for (ended, (probe, _)) in splits.iter().enumerate() {
        probe.end().await;
        batch(&mut source).unwrap();
        assert_eq!(batch(&mut source).map(|batch| batch.records.len()).unwrap_or_default(), 0);
        let left = splits.len() - 1 - ended;
        let waiting = splits[ended + 1..].iter().filter(|(probe, _)| probe.is_asked()).count();
        assert_eq!(waiting, left.min(2));
    }
    assert!(asked < 3, "{asked}");
}

#[tokio::test]
async fn a7_splits_take_turns() {
    let hands = ByHand::default();
    for id in 0..3 {
        hands.add(&id.to_string(), source::from_iter(std::iter::repeat_n(id, 100)));
    }
    hands.complete();
    let flow = Dataflow::new("turns");
    let all = flow.source("splits", Splits::new(hands)).collect();
    let options = JobOptions::default().with_batch_records(10);
    let all = flow.run_with(options).await.unwrap().take(all).unwrap();
    assert_eq!(all.len(), 300);
    for id in 0..3 {
        let first = all[..30].iter().filter(|of| **of == id).count();
        assert_eq!(first, 10, "a batch each");
    }
}

/// Counts to ten, with positions.
#[derive(Clone)]
struct Counted {
    base: u32,
    next: u32,
}

impl Source for Counted {
    type Item = u32;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        if let Some(Position(bytes)) = &context.position {
            self.next = u32::from(bytes[0]);
        }
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<u32>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() && self.next < 10 {
            batch.push(self.base + self.next);
            self.next += 1;
        }
        batch.position(Position(vec![u8::try_from(self.next).unwrap()]));
        Ok(if self.next < 10 { SourceStatus::More } else { SourceStatus::End })
    }
}

#[tokio::test]
async fn a7_reading_goes_on_from_the_positions_of_all_splits() {
    for stop in 1..12 {
        let hands = ByHand::default();
        let mut all: Vec<u32> = Vec::new();
        let mut position = None;
        for run in 0..20 {
            for split in 0..3 {
                hands.add(&split.to_string(), Counted { base: split * 100, next: 0 });
            }
            // Found twice is found once.
            hands.add("1", Counted { base: 900, next: 0 });
            hands.complete();
            let mut source = Splits::new(hands.clone()).with_concurrency(2).create(0).unwrap();
            let mut context = SourceContext::new(VirtualClock::new().clock());
            context.position.clone_from(&position);
            source.open(&context).await.unwrap();
            let mut ended = false;
            for _ in 0..stop {
                let mut batch = SourceBatch::new(3);
                ended = source.next(&mut batch).await.unwrap() == SourceStatus::End;
                let (batch, reached) = batch.into_parts();
                all.extend(batch.records.into_iter().map(|record| record.value));
                position = reached.or(position);
                if ended {
                    break;
                }
            }
            if ended {
                break;
            }
            assert!(run < 19, "no end");
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..3).flat_map(|split| split * 100..split * 100 + 10).collect();
        assert_eq!(all, expected, "stopped after {stop}");
    }
}

#[tokio::test]
async fn a7_a_split_that_was_begun_and_is_lost_is_an_error() {
    let hands = ByHand::default();
    hands.add("a", Counted { base: 0, next: 0 });
    let mut source = Splits::new(hands.clone()).create(0).unwrap();
    source.open(&SourceContext::new(Clock::system())).await.unwrap();
    let mut first = SourceBatch::new(3);
    source.next(&mut first).await.unwrap();
    hands.complete();
    let mut again = Splits::new(hands).create(0).unwrap();
    let mut context = SourceContext::new(Clock::system());
    context.position = first.into_parts().1;
    again.open(&context).await.unwrap();
    // Perhaps the idle flag comes first.
    let error = loop {
        match again.next(&mut SourceBatch::new(3)).await {
            Ok(status) => assert_eq!(status, SourceStatus::More),
            Err(error) => break error,
        }
    };
    let expected = "the split `a`, which was read in part, is not found any more";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a7_a_reader_that_fails_fails_the_source() {
    let (hands, mut source) = start(2).await;
    let (probe, reader) = split();
    hands.add("a", reader);
    probe.send(1).await;
    assert_eq!(batch(&mut source).unwrap().records.len(), 1);
    probe.fail(OperatorError::new("torn")).await;
    let error = source.next(&mut SourceBatch::new(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "torn");
}

#[tokio::test]
async fn a7_a_drain_ends_a_source_whose_splits_wait() {
    let hands = Hands::default();
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("splits");
    flow.source("splits", Splits::new(hands.clone())).sink("probe", sink);
    let job = flow.start().unwrap();
    let (one, reader) = split();
    hands.add("a", reader);
    one.send(1).await;
    probe.expect([1]).await;
    settle().await;
    job.drain(crate::MINUTE).await.unwrap();
    assert!(one.is_cancelled());
}

#[tokio::test]
async fn a7_a_drain_hands_over_what_the_readers_had_accepted() {
    let hands = ByHand::default();
    let queues: Vec<_> = (0..3).map(|_| source::queue(64)).collect();
    let handles: Vec<_> = queues.iter().map(|(handle, _)| handle.clone()).collect();
    for (index, (_, queue)) in queues.iter().enumerate() {
        hands.add(&index.to_string(), queue.create(0).unwrap());
    }
    drop(queues);
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("splits");
    let splits = Splits::new(hands).with_concurrency(3);
    flow.source("splits", splits).sink("probe", sink);
    let job = flow.start_with(&crate::small_batches()).unwrap();
    assert!(handles[0].offer(0).is_accepted());
    probe.expect([0]).await;
    for (index, handle) in (0_u32..).zip(&handles) {
        assert!((0..20).all(|n| handle.offer(index * 100 + n).is_accepted()));
    }
    settle().await;
    probe.request(usize::MAX);
    let report = job.drain(crate::MINUTE).await.unwrap();
    assert_eq!(report.records_written(), 61);
}
