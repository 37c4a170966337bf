//! What the words promise that bring streams together: against small models, at every size of batch
//! and edge, and on virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{SinkProbe, SourceProbe, probe_sink, probe_source};
use millstream_engine::time::{Clock, Instant};
use millstream_engine::{Error, ErrorKind};
use millstream_operators::fan::{Either, MergeEnd};
use millstream_operators::prelude::*;
use proptest::prelude::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3600);

/// Batches and edges of one record, where every wait shows.
fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Two sources and a sink in the hands of a test.
struct Held<T> {
    left: SourceProbe<u32>,
    right: SourceProbe<u32>,
    sink: SinkProbe<T>,
    job: JobHandle,
}

type Stream = DataStream<u32>;

fn held<T: Send + 'static>(word: impl FnOnce(Stream, Stream) -> DataStream<T>) -> Held<T> {
    let flow = Dataflow::new("held");
    let (left, left_factory) = probe_source();
    let (right, right_factory) = probe_source();
    let (sink, end) = probe_sink();
    let streams =
        [flow.source("one", left_factory).boxed(), flow.source("two", right_factory).boxed()];
    let [one, two] = streams;
    word(one, two).sink("out", end);
    let job = flow.start_with(&narrow()).unwrap();
    Held { left, right, sink, job }
}

/// A run of two lists through a word.
fn run<T: Send + 'static>(
    options: JobOptions,
    left: Vec<u32>,
    right: Vec<u32>,
    word: impl FnOnce(Stream, Stream) -> DataStream<T>,
) -> Vec<T> {
    let flow = Dataflow::new("modelled");
    let left = flow.source("one", source::from_iter(left)).boxed();
    let right = flow.source("two", source::from_iter(right)).boxed();
    let out = word(left, right).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(flow.run_with(options)).unwrap().take(out).unwrap()
}

fn options() -> impl Strategy<Value = JobOptions> {
    let sizes = (1..=5_usize, 1..=4_usize);
    sizes.prop_map(|(batch, capacity)| {
        JobOptions::default().with_batch_records(batch).with_edge_capacity(capacity)
    })
}

fn values() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..50_u32, 0..20)
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

proptest! {
    #[test]
    fn f3_zip_is_that_of_iterators(options in options(), a in values(), b in values()) {
        let expected: Vec<_> = a.iter().copied().zip(b.iter().copied()).collect();
        prop_assert_eq!(run(options, a, b, DataStream::zip), expected);
    }

    #[test]
    fn f12_zip_all_pads_the_shorter(options in options(), a in values(), b in values()) {
        let longer = a.len().max(b.len());
        let of = |list: &[u32], at: usize, pad| list.get(at).copied().unwrap_or(pad);
        let expected: Vec<_> = (0..longer).map(|n| (of(&a, n, 98), of(&b, n, 99))).collect();
        let pairs = run(options, a, b, |one, two| one.zip_all(two, 98, 99));
        prop_assert_eq!(pairs, expected);
    }

    #[test]
    fn f5_merge_sorted_sorts_what_is_sorted(options in options(), a in values(), b in values()) {
        let (a, b) = (sorted(a), sorted(b));
        let expected = sorted([a.clone(), b.clone()].concat());
        let merged = run(options, a, b, DataStream::merge_sorted);
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn f5_of_equal_records_the_left_come_first(options in options(), a in values(), b in values()) {
        let (a, b) = (sorted(a), sorted(b));
        let mark = |side: u32| move |n: u32| (n, side);
        let mut expected: Vec<_> = a.iter().map(|n| (*n, 0)).collect();
        expected.extend(b.iter().map(|n| (*n, 1)));
        expected.sort_unstable();
        let merged = run(options, a, b, |one, two| {
            let compare = |x: &(u32, u32), y: &(u32, u32)| x.0.cmp(&y.0);
            one.map(mark(0)).merge_sorted_by(two.map(mark(1)), compare)
        });
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn f11_interleave_takes_so_many_of_each(
        options in options(), a in values(), b in values(), count in 1..5_usize,
    ) {
        let (mut one, mut two) = (a.iter().copied(), b.iter().copied());
        let mut expected = Vec::new();
        while one.len() + two.len() > 0 {
            expected.extend(one.by_ref().take(count));
            expected.extend(two.by_ref().take(count));
        }
        let all = run(options, a, b, |one, two| one.interleave(two, count));
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn f10_one_stream_comes_before_the_other(options in options(), a in values(), b in values()) {
        let expected = [a.clone(), b.clone()].concat();
        let eager = run(options.clone(), a.clone(), b.clone(), DataStream::concat_eager);
        prop_assert_eq!(eager, expected.clone());
        let prepended = run(options.clone(), b.clone(), a.clone(), DataStream::prepend);
        prop_assert_eq!(prepended, expected.clone());
        let started = run(options, b, Vec::new(), |one, _two| {
            _two.ignore();
            one.start_with(a)
        });
        prop_assert_eq!(started, expected);
    }

    #[test]
    fn f1_every_merge_keeps_all_and_the_order_of_each(
        options in options(), a in values(), b in values(), way in 0..5,
    ) {
        let mark = |side: u32| move |n: u32| (side, n);
        let merged = run(options, a.clone(), b.clone(), |one, two| {
            let (one, two) = (one.map(mark(0)), two.map(mark(1)));
            match way {
                0 => one.merge(two),
                1 => one.merge_until(two, MergeEnd::Last),
                2 => one.merge_preferred(two),
                3 => one.boxed().merge_prioritized(3, [(two.boxed(), 1)]),
                _ => one.connect(two).map(|left| left, |right| right).boxed(),
            }
        });
        for (side, of_side) in [(0, a), (1, b)] {
            let kept = merged.iter().filter(|(from, _)| *from == side).map(|(_, n)| *n);
            prop_assert_eq!(kept.collect::<Vec<_>>(), of_side);
        }
    }

    #[test]
    fn f1_the_end_is_the_one_chosen(options in options(), a in values(), b in values()) {
        let mark = |side: u32| move |n: u32| (side, n);
        for end in [MergeEnd::First, MergeEnd::Left, MergeEnd::Right] {
            let merged = run(options.clone(), a.clone(), b.clone(), |one, two| {
                one.map(mark(0)).merge_until(two.map(mark(1)), end)
            });
            let of = |side| merged.iter().filter(|(from, _)| *from == side).count();
            let (left, right) = (of(0) == a.len(), of(1) == b.len());
            let whole = match end {
                MergeEnd::Left => left,
                MergeEnd::Right => right,
                MergeEnd::First | MergeEnd::Last => left || right,
            };
            prop_assert!(whole, "{:?} of {} and {}", end, of(0), of(1));
        }
    }

    #[test]
    fn f4_zip_latest_pairs_the_latest(options in options(), a in values(), b in values()) {
        let number = |list: Vec<u32>| list.into_iter().zip(0..).map(|(_, n)| n).collect::<Vec<u32>>();
        let (a, b) = (number(a), number(b));
        let join = |left: &u32, right: &u32| (*left, *right);
        let pairs = run(options, a.clone(), b.clone(), |one, two| {
            one.zip_latest_with(two, MergeEnd::Last, join)
        });
        prop_assert_eq!(pairs.is_empty(), a.is_empty() || b.is_empty());
        for two in pairs.windows(2) {
            let steps = (two[1].0 - two[0].0, two[1].1 - two[0].1);
            prop_assert!(steps == (0, 1) || steps == (1, 0), "{:?}", two);
        }
        if let Some(last) = pairs.last() {
            prop_assert_eq!((last.0, last.1), (*a.last().unwrap(), *b.last().unwrap()));
        }
    }

    #[test]
    fn f15_race_gives_all_of_one_and_nothing_of_the_other(
        options in options(), a in values(), b in values(),
    ) {
        let winner = run(options, a.clone(), b.clone(), DataStream::race);
        prop_assert!(winner == a || winner == b);
        prop_assert_eq!(winner.is_empty(), a.is_empty() && b.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn f3_zip_holds_the_faster_back_and_ends_with_the_shorter() {
    let held = held(DataStream::zip);
    let mut sent = 0;
    for n in 0..60 {
        sent += u32::from(held.left.try_send(n).is_ok());
        Clock::system().sleep(Duration::from_millis(1)).await;
    }
    held.sink.expect_no_record(LONG).await;
    assert!(sent <= 24, "{sent} were taken with nothing to pair them with");
    held.right.send(7).await;
    held.sink.expect([(0, 7)]).await;
    held.right.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
    assert!(held.left.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn f3_a_pair_has_the_later_time_and_is_never_late() {
    let held = held(DataStream::zip);
    held.left.send(Record::at(1, at(5))).await;
    held.left.watermark(at(40)).await;
    held.right.send(Record::at(2, at(9))).await;
    held.right.watermark(at(30)).await;
    held.left.send(Record::at(3, at(41))).await;
    // Later than the left's, and behind its own watermark.
    held.right.send(Record::at(4, at(3))).await;
    held.left.end().await;
    let times = [held.sink.next().await.unwrap().time, held.sink.next().await.unwrap().time];
    assert_eq!(times, [at(9), at(41)]);
    held.sink.expect_end().await;
    held.job.await.unwrap();
}

#[tokio::test]
async fn f3_two_branches_of_one_stream_are_refused() {
    let words: [fn(Stream, Stream) -> DataStream<u32>; 5] = [
        |a, b| a.zip_with(b, |a, _| a),
        |a, b| a.merge_sorted(b),
        |a, b| a.interleave(b, 2),
        |a, b| a.concat_eager(b),
        |a, b| a.zip_all(b, 0, 0).map(|(a, _)| a).boxed(),
    ];
    for word in words {
        let flow = Dataflow::new("would hang");
        let [left, right] = flow.source("numbers", source::from_iter(0..9_u32)).broadcast();
        word(left.filter(|n| n % 2 == 0).boxed(), right).ignore();
        let error = flow.validate().unwrap_err().to_string();
        assert!(error.contains("may wait for one branch of `broadcast`"), "{error}");
    }
}

#[tokio::test]
async fn f4_whatever_takes_what_is_there_may_read_two_branches_of_one_stream() {
    let words: [fn(Stream, Stream) -> DataStream<u32>; 6] = [
        |a, b| a.merge_until(b, MergeEnd::Last),
        |a, b| a.zip_latest(b).map(|(a, _)| a).boxed(),
        |a, b| a.merge_preferred(b),
        |a, b| a.with_latest_from(b, |a, _| a),
        |a, b| a.race(b),
        |a, b| a.merge_latest([b]).map(|all| all[0]).boxed(),
    ];
    for word in words {
        let flow = Dataflow::new("diamond");
        let [left, right] = flow.source("numbers", source::from_iter(0..99_u32)).broadcast();
        let out = word(left.filter(|n| n % 5 == 0).boxed(), right).count();
        let run = tokio::time::timeout(Duration::from_secs(20), flow.run_with(narrow()));
        assert!(run.await.expect("no stall").unwrap().take(out).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn f4_zip_latest_is_silent_until_both_have_a_record_and_ends_with_the_first() {
    let held = held(DataStream::zip_latest);
    held.left.send(1).await;
    held.left.send(2).await;
    held.sink.expect_no_record(LONG).await;
    held.right.send(10).await;
    held.sink.expect([(2, 10)]).await;
    held.left.send(3).await;
    held.sink.expect([(3, 10)]).await;
    held.right.send(20).await;
    held.sink.expect([(3, 20)]).await;
    held.left.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
    assert!(held.right.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn f4_an_input_that_ends_empty_ends_it_whatever_was_chosen() {
    let held = held(|one, two| one.zip_latest_with(two, MergeEnd::Last, |a, b| (*a, *b)));
    held.left.send(1).await;
    held.right.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
    assert!(held.left.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn f14_with_latest_from_emits_for_the_main_stream_alone() {
    let held = held(|one, two| one.with_latest_from(two, |a, b| (a, *b)));
    held.left.send(1).await;
    held.sink.expect_no_record(LONG).await;
    held.right.send(10).await;
    held.right.send(20).await;
    held.sink.expect_no_record(LONG).await;
    held.left.send(2).await;
    held.sink.expect([(2, 20)]).await;
    held.right.end().await;
    held.left.send(3).await;
    held.sink.expect([(3, 20)]).await;
    held.left.end().await;
    held.sink.expect_end().await;
    let report = held.job.await.unwrap();
    let word = report.metrics().operators.iter().find(|one| one.kind == "with_latest_from");
    assert_eq!(word.map(|one| one.filtered), Some(3), "1, 10 and 20");
}

#[tokio::test(start_paused = true)]
async fn f14_merge_latest_emits_the_latest_of_all() {
    let held = held(|one, two| one.merge_latest([two]));
    held.left.send(1).await;
    held.sink.expect_no_record(LONG).await;
    held.right.send(10).await;
    held.sink.expect([vec![1, 10]]).await;
    held.left.end().await;
    held.right.send(20).await;
    held.sink.expect([vec![1, 20]]).await;
    held.right.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f5_a_quiet_input_stalls_the_other_and_an_idle_one_does_not() {
    let held = held(DataStream::merge_sorted);
    held.left.send(5).await;
    held.sink.expect_no_record(LONG).await;
    held.right.idle().await;
    held.sink.expect([5]).await;
    held.left.send(8).await;
    held.sink.expect([8]).await;
    // Awake, it is expected again, and what is behind goes out at once.
    held.left.send(9).await;
    held.sink.expect([9]).await;
    held.right.send(6).await;
    held.right.send(12).await;
    held.left.send(13).await;
    held.sink.expect([6, 12]).await;
    held.sink.expect_no_record(LONG).await;
    held.right.end().await;
    held.sink.expect([13]).await;
    held.left.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f8_merge_preferred_starves_the_other_while_it_has_something() {
    let flow = Dataflow::new("urgent");
    let urgent = flow.source("urgent", source::from_iter(0..20_u32));
    let normal = flow.source("normal", source::from_iter(100..120_u32));
    let (sink, end) = probe_sink();
    urgent.merge_preferred(normal).sink("out", end);
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(32);
    let job = flow.start_with(&options).unwrap();
    // Both edges are full before the first is asked for.
    Clock::system().sleep(LONG).await;
    let mut out = Vec::new();
    while let Some(record) = sink.next().await {
        out.push(record.value);
    }
    job.await.unwrap();
    let first_normal = out.iter().position(|n| *n == 104).unwrap();
    let urgent_before = out[..first_normal].iter().filter(|n| **n < 100).count();
    assert_eq!(urgent_before, 20, "{out:?}");
}

#[tokio::test]
async fn f8_merge_prioritized_goes_by_weight_and_by_seed() {
    let run = async |seed| {
        let flow = Dataflow::new("weights");
        let often = flow.source("often", source::from_iter([1_u32; 2000])).boxed();
        let seldom = flow.source("seldom", source::from_iter([0_u32; 2000])).boxed();
        let out = often.merge_prioritized(3, [(seldom, 1)]).collect();
        let options = JobOptions::default().with_seed(seed).with_batch_records(2000);
        flow.run_with(options.with_edge_capacity(4000)).await.unwrap().take(out).unwrap()
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    let often: u32 = first[..1000].iter().sum();
    assert!((700..800).contains(&often), "{often} of 1000, by a weight of 3 to 1");
}

#[test]
#[should_panic(expected = "an input of weight zero")]
fn f8_a_weight_of_zero_is_a_building_mistake() {
    let flow = Dataflow::new("none");
    let numbers = |name| flow.source(name, source::from_iter([1])).boxed();
    numbers("a").merge_prioritized(1, [(numbers("b"), 0)]).ignore();
}

#[test]
#[should_panic(expected = "interleaving zero records")]
fn f11_interleaving_none_is_a_building_mistake() {
    let flow = Dataflow::new("none");
    let numbers = |name| flow.source(name, source::from_iter([1])).boxed();
    numbers("a").interleave(numbers("b"), 0).ignore();
}

#[tokio::test(start_paused = true)]
async fn f15_the_loser_of_a_race_is_cancelled_and_one_that_ends_empty_loses() {
    let lost = held(DataStream::race);
    lost.right.send(1).await;
    lost.sink.expect([1]).await;
    lost.left.cancelled().await;
    lost.right.end().await;
    lost.sink.expect_end().await;
    lost.job.await.unwrap();

    let empty = held(DataStream::race);
    empty.left.end().await;
    empty.sink.expect_no_record(LONG).await;
    empty.right.send(1).await;
    empty.sink.expect([1]).await;
    empty.right.end().await;
    empty.sink.expect_end().await;
    empty.job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f10_concat_eager_starts_both_and_keeps_the_order() {
    let held = held(DataStream::concat_eager);
    held.right.send(10).await;
    held.right.asked().await;
    held.left.send(1).await;
    held.sink.expect([1]).await;
    held.left.end().await;
    held.sink.expect([10]).await;
    held.right.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
}

#[derive(Debug, thiserror::Error)]
#[error("torn")]
struct Torn;

#[tokio::test(start_paused = true)]
async fn f1_a_failed_input_fails_the_job_at_once_and_is_no_end() {
    let words: [(&str, fn(Stream, Stream) -> DataStream<u32>); 8] = [
        ("merge", |a, b| a.merge(b)),
        ("first", |a, b| a.merge_until(b, MergeEnd::First)),
        ("left", |a, b| a.merge_until(b, MergeEnd::Left)),
        ("zip", |a, b| a.zip_with(b, |a, _| a)),
        ("latest", |a, b| a.zip_latest(b).map(|(a, _)| a).boxed()),
        ("sorted", |a, b| a.merge_sorted(b)),
        ("concat", |a, b| b.concat_eager(a)),
        ("race", |a, b| a.race(b)),
    ];
    for (name, word) in words {
        // The other one is stuck: it has sent one record, and then nothing, and does not end.
        let held = held(word);
        held.right.send(1).await;
        held.left.fail(Torn).await;
        let started = tokio::time::Instant::now();
        let error: Error = held.job.await.unwrap_err();
        assert_eq!(started.elapsed(), Duration::ZERO, "{name}");
        assert_eq!((error.operator_name(), error.kind()), (Some("one"), &ErrorKind::Operator));
        assert!(error.cause().unwrap().is::<Torn>(), "{name}");
        assert!(!held.sink.is_prepared(), "{name}: nobody took it for an end");
    }
}

#[tokio::test]
async fn f1_a_failed_input_is_seen_beside_an_endless_one() {
    for end in [MergeEnd::Last, MergeEnd::First, MergeEnd::Right] {
        let flow = Dataflow::new("endless");
        let endless = flow.source("endless", source::from_iter(0_u64..));
        let failing = flow.source("failing", source::failed(|| Torn));
        endless.merge_until(failing, end).ignore();
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("failing"), "{end:?}");
    }
}

#[tokio::test]
async fn f1_a_stream_merged_with_itself_doubles() {
    for words in [false, true] {
        let flow = Dataflow::new("doubled");
        let [one, two] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
        let merged = if words { one.merge_until(two, MergeEnd::Last) } else { one.merge(two) };
        let out = merged.collect();
        let out = sorted(flow.run_with(narrow()).await.unwrap().take(out).unwrap());
        let expected: Vec<_> = (0..100).flat_map(|n| [n, n]).collect();
        assert_eq!(out, expected);
    }
}

#[tokio::test]
async fn f1_whoever_is_behind_has_enough_and_all_inputs_are_cancelled() {
    let words: [fn(Stream, Stream) -> DataStream<u32>; 6] = [
        |a, b| a.merge_until(b, MergeEnd::Last),
        |a, b| a.zip_with(b, |a, _| a),
        |a, b| a.zip_latest_with(b, MergeEnd::First, |a, _| *a),
        |a, b| a.merge_sorted(b),
        |a, b| a.interleave(b, 3),
        |a, b| a.merge_prioritized(1, [(b, 1)]),
    ];
    for word in words {
        let flow = Dataflow::new("enough");
        let one = flow.source("one", source::from_iter(0_u32..)).boxed();
        let two = flow.source("two", source::from_iter(0_u32..)).boxed();
        let some = word(one, two).take(5).count();
        let report = flow.run_with(JobOptions::default().with_operator_counts(true)).await.unwrap();
        for (name, edge) in report.edges() {
            assert_eq!(edge.sent, edge.handled + edge.abandoned, "{name}");
        }
        // What went into each operator is what came out of the one before.
        for pair in report.metrics().operators.windows(2).filter(|two| two[0].stage == two[1].stage)
        {
            assert_eq!(pair[0].records_out, pair[1].records_in, "{}", pair[1].name);
        }
        let taken = report.metrics().operators.iter().find(|one| one.kind == "take").unwrap();
        assert_eq!(taken.records_out, Some(5));
        assert_eq!(report.take(some), Some(5));
    }
}

/// Adds up the left values, and tells the sum when the right input says so.
#[derive(Clone, Default)]
struct Gate {
    sum: u32,
    due: Option<Instant>,
    clock: Option<Clock>,
}

impl Operator<Either<u32, &'static str>> for Gate {
    type Out = u32;
    const NAME: &'static str = "gate";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock = Some(context.clock());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Either<u32, &'static str>>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        match record.value {
            Either::Left(n) => self.sum += n,
            Either::Right(_) => {
                self.due = self.clock.as_ref().map(|clock| clock.now() + Duration::from_secs(60));
            }
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn on_timer(&mut self, _: Instant, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.due = None;
        out.push(Record::new(self.sum));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn f7_one_operator_sees_both_inputs_and_has_its_timers() {
    let flow = Dataflow::new("connected");
    let (numbers, left) = probe_source::<u32>();
    let (says, right) = probe_source::<&'static str>();
    let (sink, end) = probe_sink();
    let other = flow.source("says", right);
    flow.source("numbers", left).connect(other).process(Gate::default()).sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(3).await;
    numbers.send(4).await;
    numbers.asked().await;
    says.send("now").await;
    sink.expect([7]).await;
    says.end().await;
    numbers.send(5).await;
    sink.expect_no_record(LONG).await;
    numbers.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f7_both_inputs_of_one_key_go_to_one_instance() {
    for instances in [1, 3] {
        let flow = Dataflow::new("balances");
        let paid = flow.source("paid", source::from_iter((0..300_u32).map(|n| (n % 10, n))));
        let used = flow.source("used", source::from_iter((0..200_u64).map(|n| (n % 10, n))));
        let keyed = paid.connect(used).key_by(|paid| paid.0, |used| used.0 as u32);
        let sums = keyed.parallel(instances).fold((0_u32, 0_u64), |sums, either| match either {
            Either::Left((_, n)) => sums.0 += n,
            Either::Right((_, n)) => sums.1 += n,
        });
        let out = sums.collect();
        let sums: BTreeMap<_, _> =
            flow.run_with(narrow()).await.unwrap().take(out).unwrap().into_iter().collect();
        assert_eq!(sums.len(), 10, "each key once");
        for (key, (paid, used)) in sums {
            assert_eq!(paid, (0..300).filter(|n| n % 10 == key).sum::<u32>());
            assert_eq!(used, (0..200).filter(|n| n % 10 == u64::from(key)).sum::<u64>());
        }
    }
}

#[tokio::test]
async fn f7_flat_map_iter_makes_several_of_either() {
    let flow = Dataflow::new("connected");
    let left = flow.source("one", source::from_iter([1_u32, 2]));
    let right = flow.source("two", source::from_iter(["ab"]));
    let connected = left.connect(right);
    let all = connected.flat_map_iter(|n| vec![n; 2], |text| text.bytes().map(u32::from).collect());
    let all = all.collect();
    let all = sorted(flow.run().await.unwrap().take(all).unwrap());
    assert_eq!(all, [1, 1, 2, 2, 97, 98]);
}

#[tokio::test(start_paused = true)]
async fn f3_a_barrier_passes_a_zip_that_waits() {
    let held = held(DataStream::zip);
    held.left.send(1).await;
    held.left.barrier(Barrier(1)).await;
    held.right.send(10).await;
    held.right.send(20).await;
    held.right.barrier(Barrier(1)).await;
    held.left.send(2).await;
    held.sink.expect([(1, 10), (2, 20)]).await;
    held.left.end().await;
    held.sink.expect_end().await;
    held.job.await.unwrap();
}

#[tokio::test]
async fn f3_a_closure_that_panics_fails_the_job_with_its_name() {
    let flow = Dataflow::new("panics");
    let left = flow.source("one", source::from_iter([1_u32, 2]));
    let right = flow.source("two", source::from_iter([1_u32, 2]));
    left.zip_with(right, |a, _| assert!(a < 2, "two")).named("pair").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("pair"));
    assert_eq!(error.kind(), &ErrorKind::Panic("two".to_owned()));
}
