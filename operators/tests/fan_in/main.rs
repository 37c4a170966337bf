//! What the words promise that bring streams together: against small models, at every size of batch
//! and edge, and on virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod connect;
mod models;

use std::time::Duration;

use futures::future::select;
use millstream_engine::batch::Barrier;
use millstream_engine::metrics::DropReason;
use millstream_engine::testing::{SinkProbe, SourceProbe, probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_engine::{Error, ErrorKind};
use millstream_operators::fan::MergeEnd;
use millstream_operators::prelude::*;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Batches and edges of one record, where every wait shows.
pub(crate) fn narrow() -> JobOptions {
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

pub(crate) type Stream = DataStream<u32>;

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

pub(crate) fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
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

#[tokio::test(start_paused = true)]
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
        let run = Box::pin(flow.run_with(narrow()));
        // The clock moves only when nothing else can.
        match select(run, Clock::system().sleep(LONG)).await {
            futures::future::Either::Left((report, _)) => {
                assert!(report.unwrap().take(out).is_some());
            }
            futures::future::Either::Right(_) => panic!("it stands still"),
        }
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
    let unmatched = word.map(|one| one.dropped.of(DropReason::Unmatched));
    assert_eq!(unmatched, Some(1), "1 came too early");
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

// Time stands still, so that no slice of it decides what arrives when.
#[tokio::test(start_paused = true)]
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
    assert!(first == run(7).await, "the same seed");
    assert!(first != run(8).await, "another one");
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
    type Word = fn(Stream, Stream) -> DataStream<u32>;
    let words: [(&str, Word); 8] = [
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
        let clock = Clock::system();
        let started = clock.now();
        let error: Error = held.job.await.unwrap_err();
        assert_eq!(clock.now().saturating_since(started), Duration::ZERO, "{name}");
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
