//! What the words promise that run streams within a stream.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use millstream_engine::ErrorKind;
use millstream_engine::batch::Barrier;
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;
use proptest::prelude::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3600);

fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A stream that waits before each of its items, as often as it is told.
fn hesitant(n: u32) -> impl Stream<Item = u32> + Send {
    stream::iter((0..n % 4).map(move |item| n * 10 + item)).then(move |item| async move {
        for _ in 0..(n + item) % 3 {
            tokio::task::yield_now().await;
        }
        item
    })
}

fn run<T: Send + 'static>(
    options: JobOptions,
    values: Vec<u32>,
    word: impl FnOnce(DataStream<u32>) -> DataStream<T>,
) -> Vec<T> {
    let flow = Dataflow::new("modelled");
    let out = word(flow.source("values", source::from_iter(values)).boxed()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(flow.run_with(options)).unwrap().take(out).unwrap()
}

fn options() -> impl Strategy<Value = JobOptions> {
    let sizes = (1..=5_usize, 1..=4_usize);
    sizes.prop_map(|(batch, capacity)| {
        JobOptions::default()
            .with_batch_records(batch)
            .with_edge_capacity(capacity)
            .with_operator_counts(true)
    })
}

fn items(n: u32) -> Vec<u32> {
    (0..n % 4).map(|item| n * 10 + item).collect()
}

proptest! {
    #[test]
    fn c4_flat_map_concat_is_that_of_iterators(
        options in options(),
        values in proptest::collection::vec(0..50_u32, 0..20),
    ) {
        let expected: Vec<_> = values.iter().copied().flat_map(items).collect();
        let out = run(options, values, |stream| stream.flat_map_concat(hesitant));
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn c13_flat_map_sequential_keeps_the_order_of_all(
        options in options(),
        values in proptest::collection::vec(0..50_u32, 0..20),
        most in 1..5_usize,
    ) {
        let expected: Vec<_> = values.iter().copied().flat_map(items).collect();
        let out = run(options, values, |stream| stream.flat_map_sequential(most, hesitant));
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn c5_flat_map_merge_keeps_the_order_of_each(
        options in options(),
        values in proptest::collection::btree_set(0..50_u32, 0..20),
        most in 1..5_usize,
    ) {
        let values: Vec<_> = values.into_iter().collect();
        let out = run(options, values.clone(), |stream| stream.flat_map_merge(most, hesitant));
        let mut by_stream = BTreeMap::<_, Vec<_>>::new();
        for item in out {
            by_stream.entry(item / 10).or_default().push(item);
        }
        let expected = values.into_iter().map(|n| (n, items(n)));
        let expected: BTreeMap<_, _> = expected.filter(|(_, items)| !items.is_empty()).collect();
        prop_assert_eq!(by_stream, expected);
    }

    #[test]
    fn c9_switch_map_gives_the_beginnings_of_streams_and_all_of_the_last(
        options in options(),
        values in proptest::collection::btree_set(0..50_u32, 0..20),
    ) {
        let values: Vec<_> = values.into_iter().collect();
        let out = run(options, values.clone(), |stream| stream.switch_map(hesitant));
        let mut left = out.as_slice();
        for n in &values {
            let all = items(*n);
            let same = left.iter().zip(&all).take_while(|(one, other)| one == other).count();
            prop_assert!(values.last() != Some(n) || same == all.len());
            left = &left[same..];
        }
        prop_assert!(left.is_empty(), "{:?}", left);
    }
}

/// Streams in the hands of a test: what is sent to each, and who has been dropped.
#[derive(Clone, Default)]
struct Feeds {
    senders: Arc<Mutex<Vec<mpsc::Sender<u32>>>>,
    log: Arc<Mutex<Vec<String>>>,
}

struct Feed {
    number: u32,
    items: mpsc::Receiver<u32>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Stream for Feed {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        self.items.poll_next_unpin(cx)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.log.lock().unwrap().push(format!("drop {}", self.number));
    }
}

impl Feeds {
    fn open(&self, number: u32) -> Feed {
        self.log.lock().unwrap().push(format!("open {number}"));
        let (sender, items) = mpsc::channel(16);
        self.senders.lock().unwrap().push(sender);
        Feed { number, items, log: Arc::clone(&self.log) }
    }

    fn send(&self, feed: usize, item: u32) {
        self.senders.lock().unwrap()[feed].try_send(item).unwrap();
    }

    fn end(&self, feed: usize) {
        self.senders.lock().unwrap()[feed].close_channel();
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn c4_the_next_stream_is_not_made_before_the_last_has_ended() {
    let (flow, feeds) = (Dataflow::new("one by one"), Feeds::default());
    let (sink, end) = probe_sink();
    let made = feeds.clone();
    let numbers = flow.source("numbers", source::from_iter(0..3_u32));
    numbers.flat_map_concat(move |n| made.open(n)).sink("out", end);
    let job = flow.start().unwrap();
    sink.expect_no_record(LONG).await;
    feeds.send(0, 5);
    sink.expect([5]).await;
    sink.expect_no_record(LONG).await;
    assert_eq!(feeds.log(), ["open 0"]);
    feeds.end(0);
    sink.expect_no_record(LONG).await;
    assert_eq!(feeds.log(), ["open 0", "drop 0", "open 1"]);
    feeds.end(1);
    sink.expect_no_record(LONG).await;
    feeds.send(2, 6);
    sink.expect([6]).await;
    feeds.end(2);
    sink.expect_end().await;
    let report = job.await.unwrap();
    let word = &report.metrics().operators[1];
    assert_eq!((word.records_in, word.filtered, word.records_out), (Some(3), 1, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn c5_no_more_streams_are_open_than_were_allowed() {
    let (flow, feeds) = (Dataflow::new("two at once"), Feeds::default());
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let made = feeds.clone();
    flow.source("numbers", factory).flat_map_merge(2, move |n| made.open(n)).sink("out", end);
    let job = flow.start_with(&narrow()).unwrap();
    for n in 0..9 {
        numbers.send(n).await;
    }
    Clock::system().sleep(LONG).await;
    assert_eq!(feeds.log(), ["open 0", "open 1"]);
    assert!(!numbers.is_asked(), "the outer stream is held back");
    feeds.send(1, 11);
    feeds.send(0, 1);
    feeds.send(1, 12);
    sink.expect([11, 1, 12]).await;
    feeds.end(0);
    Clock::system().sleep(LONG).await;
    assert_eq!(feeds.log(), ["open 0", "open 1", "drop 0", "open 2"]);
    job.abort();
    job.await.unwrap_err();
    assert_eq!(feeds.log().len(), 6, "an aborted job drops what is open");
}

#[tokio::test(start_paused = true)]
async fn c5_streams_go_on_while_there_is_no_room_and_are_one_item_ahead() {
    let flow = Dataflow::new("stuck");
    let polled = Arc::new(AtomicUsize::new(0));
    let (sink, end) = probe_sink();
    let counter = Arc::clone(&polled);
    let numbers = flow.source("numbers", source::from_iter(0..4_u32));
    let ticking = move |n: u32| {
        let counter = Arc::clone(&counter);
        // Each item is a step that has to be waited for.
        stream::iter(0..5_u32).then(move |item| {
            let counter = Arc::clone(&counter);
            async move {
                Clock::system().sleep(Duration::from_secs(u64::from(n) + 1)).await;
                counter.fetch_add(1, SeqCst);
                n * 10 + item
            }
        })
    };
    numbers.flat_map_merge(4, ticking).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    // Nobody asks for anything.
    Clock::system().sleep(LONG).await;
    let ahead = polled.load(SeqCst);
    assert!((4..=4 + 5).contains(&ahead), "every stream has gone on, and none far: {ahead}");
    sink.request(100);
    while sink.next().await.is_some() {}
    job.await.unwrap();
    assert_eq!(polled.load(SeqCst), 20);
}

#[tokio::test(start_paused = true)]
async fn c5_a_stream_that_is_always_ready_does_not_shut_the_others_out() {
    let flow = Dataflow::new("fair");
    let numbers = flow.source("numbers", source::from_iter(0..3_u32));
    let all = numbers.flat_map_merge(3, stream::repeat).take(300).collect();
    let all = flow.run().await.unwrap().take(all).unwrap();
    for n in 0..3 {
        assert_eq!(all.iter().filter(|item| **item == n).count(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn c5_a_watermark_waits_for_the_streams_before_it() {
    let (flow, feeds) = (Dataflow::new("fences"), Feeds::default());
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let made = feeds.clone();
    flow.source("numbers", factory).flat_map_merge(3, move |n| made.open(n)).sink("out", end);
    let job = flow.start_with(&narrow()).unwrap();
    numbers.send(Record::at(0, at(5))).await;
    numbers.watermark(at(10)).await;
    numbers.send(Record::at(1, at(15))).await;
    numbers.watermark(at(20)).await;
    numbers.watermark(at(30)).await;
    sink.expect_no_record(LONG).await;
    feeds.send(1, 7);
    assert_eq!(sink.next().await, Some(Record::at(7, at(15))), "its value's time");
    feeds.end(1);
    sink.expect_no_record(LONG).await;
    let marked = job.metrics().stages.last().unwrap().watermark;
    assert_eq!(marked, None, "the first is before all of them");
    feeds.send(0, 8);
    assert_eq!(sink.next().await, Some(Record::at(8, at(5))));
    feeds.end(0);
    numbers.barrier(Barrier(1)).await;
    numbers.send(Record::at(2, at(31))).await;
    sink.expect_no_record(LONG).await;
    feeds.end(2);
    numbers.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c9_the_running_stream_is_dropped_before_the_next_is_made() {
    let (flow, feeds) = (Dataflow::new("switch"), Feeds::default());
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let made = feeds.clone();
    flow.source("numbers", factory).switch_map(move |n| made.open(n)).sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(0).await;
    numbers.asked().await;
    Clock::system().sleep(LONG).await;
    feeds.send(0, 1);
    sink.expect([1]).await;
    numbers.send(1).await;
    sink.expect_no_record(LONG).await;
    assert_eq!(feeds.log(), ["open 0", "drop 0", "open 1"]);
    feeds.send(1, 2);
    sink.expect([2]).await;
    numbers.end().await;
    sink.expect_no_record(LONG).await;
    feeds.send(1, 3);
    sink.expect([3]).await;
    feeds.end(1);
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c9_switch_map_never_holds_its_input_back() {
    let (flow, feeds) = (Dataflow::new("stuck"), Feeds::default());
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let made = feeds.clone();
    let endless = move |n: u32| {
        let feed = made.open(n);
        stream::repeat(n).zip(stream::repeat(feed.number)).map(move |(n, _)| {
            let _held = &feed;
            n
        })
    };
    flow.source("numbers", factory).switch_map(endless).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    // Nobody takes anything, and every stream has something.
    for n in 0..200 {
        numbers.send(n).await;
    }
    numbers.asked().await;
    Clock::system().sleep(LONG).await;
    assert_eq!(feeds.log().last().map(String::as_str), Some("open 199"));
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(sink.next().await.unwrap().value);
    }
    assert_eq!(seen.last(), Some(&199), "{seen:?}");
    sink.enough();
    numbers.cancelled().await;
    job.await.unwrap();
    assert_eq!(feeds.log().last().map(String::as_str), Some("drop 199"));
}

#[derive(Debug, thiserror::Error)]
#[error("torn")]
struct Torn;

#[tokio::test]
async fn c5_an_error_of_a_stream_fails_the_job_and_so_does_a_panic() {
    type Inner = fn(u32) -> BoxStream<'static, u32>;
    type Results = BoxStream<'static, Result<u32, Torn>>;
    let torn = |n: u32| -> Results {
        if n == 3 { stream::iter([Ok(1), Err(Torn)]).boxed() } else { stream::pending().boxed() }
    };
    let flow = Dataflow::new("torn");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    numbers.try_flat_map_merge(8, torn).named("rows").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("rows"));
    assert!(error.cause().unwrap().is::<Torn>());
    let errors = error.report().unwrap().metrics().operators[1].errors;
    assert_eq!(errors, 1);

    type Word = fn(DataStream<u32>, Inner) -> DataStream<u32>;
    let words: [Word; 3] = [
        |stream, f| stream.flat_map_concat(f),
        |stream, f| stream.flat_map_merge(2, f),
        |stream, f| stream.switch_map(f),
    ];
    let blown: Inner = |n| {
        let item = |item| if item == 2 { panic!("blown") } else { item };
        stream::iter(0..n).map(item).boxed()
    };
    for word in words {
        let flow = Dataflow::new("panics");
        let numbers = flow.source("numbers", source::from_iter(0..9_u32)).boxed();
        word(numbers, blown).named("rows").ignore();
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("rows"));
        assert_eq!(error.kind(), &ErrorKind::Panic("blown".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn c4_when_nobody_wants_more_the_open_stream_is_dropped() {
    let (flow, feeds) = (Dataflow::new("enough"), Feeds::default());
    let made = feeds.clone();
    let numbers = flow.source("numbers", source::from_iter(0_u32..));
    let three = numbers
        .flat_map_concat(move |n| {
            let feed = made.open(n);
            stream::iter([n, n]).chain(feed.take(0))
        })
        .take(3)
        .collect();
    let options = JobOptions::default().with_operator_counts(true);
    let report = flow.run_with(options).await.unwrap();
    let opened = feeds.log().iter().filter(|line| line.starts_with("open")).count();
    let dropped = feeds.log().iter().filter(|line| line.starts_with("drop")).count();
    assert_eq!(opened, dropped, "exactly once each");
    let operators = &report.metrics().operators;
    assert_eq!(operators[1].records_out, operators[2].records_in);
    assert_eq!(operators[2].records_out, Some(3));
    assert_eq!(report.take(three), Some(vec![0, 0, 1]));
}

#[tokio::test(start_paused = true)]
async fn c5_the_program_of_futures_2387_goes_on() {
    // While a slow step behind the streams is at work, what they wait for goes on.
    let flow = Dataflow::new("progress");
    let late = Arc::new(AtomicUsize::new(0));
    let missed = Arc::clone(&late);
    let numbers = flow.source("numbers", source::from_iter(0..5_u32));
    let rows = numbers.flat_map_merge(3, move |n| {
        let missed = Arc::clone(&missed);
        stream::once(async move {
            let clock = Clock::system();
            let started = clock.now();
            clock.sleep(Duration::from_secs(1)).await;
            clock.sleep(Duration::from_secs(1)).await;
            // A peer that hangs up when it is not heard of.
            if clock.now().saturating_since(started) > Duration::from_secs(3) {
                missed.fetch_add(1, SeqCst);
            }
            n
        })
    });
    let done = rows.boundary().with_capacity(1);
    done.for_each_concurrent(1, |_| Clock::system().sleep(Duration::from_secs(5)));
    flow.run_with(narrow()).await.unwrap();
    assert_eq!(late.load(SeqCst), 0);
}

#[test]
#[should_panic(expected = "a merge of zero streams")]
fn c5_a_merge_of_none_is_a_building_mistake() {
    let flow = Dataflow::new("none");
    flow.source("numbers", source::from_iter([1])).flat_map_merge(0, hesitant).ignore();
}
