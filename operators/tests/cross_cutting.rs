//! The rules that hold for every word, each over a list of words that let records through as they
//! come.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::edge::WhenFull;
use millstream_engine::graph::EdgeOptions;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::testing::{SinkProbe, SourceProbe, probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_engine::{BuildError, ErrorKind};
use millstream_operators::control::KillSwitch;
use millstream_operators::prelude::*;

type Word = (&'static str, fn(DataStream<u64>) -> DataStream<u64>);

/// Words in the way of numbers that ascend, each said so that all of them come through, in order.
fn words() -> Vec<Word> {
    [fused(), at_the_beginning_of_a_stage()].concat()
}

fn fused() -> Vec<Word> {
    vec![
        ("map", |s| s.map(|n| n).boxed()),
        ("filter", |s| s.filter(|_| true).boxed()),
        ("flat_map_iter", |s| s.flat_map_iter(Some).boxed()),
        ("take", |s| s.take(u64::MAX).boxed()),
        ("skip_while", |s| s.skip_while(|_| false).boxed()),
        ("scan", |s| s.scan(0, |state: &mut u64, n| *state = n).boxed()),
        ("inspect", |s| s.inspect(|_| ()).boxed()),
        ("chunks", |s| s.chunks(3).flat_map_iter(|chunk| chunk).boxed()),
        ("dedup", |s| s.dedup().boxed()),
        ("distinct", |s| s.distinct(4).boxed()),
        ("zip_with_index", |s| s.zip_with_index().map(|(n, _)| n).boxed()),
        ("limit", |s| s.limit(1_000_000).boxed()),
        ("default_if_empty", |s| s.default_if_empty(0).boxed()),
        ("try_map", |s| s.try_map(OnError::skip(), |n| Ok::<_, OperatorError>(*n)).boxed()),
        ("supervise", |s| s.map(|n| n).supervise(Supervision::resume()).boxed()),
        ("try_catch", |s| {
            let (through, caught) = s.try_catch("section", |section| section.map(|n| n));
            caught.ignore();
            through.boxed()
        }),
        ("kill_switch", |s| s.kill_switch(&KillSwitch::new("never")).boxed()),
        ("finally", |s| s.finally(|_| ()).boxed()),
        ("throttle", |s| s.throttle(Rate::per_second(1000).with_burst(3)).boxed()),
        ("chunks_timeout", |s| {
            let chunks = s.chunks_timeout(3, Duration::from_millis(5));
            chunks.flat_map_iter(|chunk| chunk).boxed()
        }),
        ("delay", |s| s.delay(Duration::from_millis(5), 3).boxed()),
        ("idle_timeout", |s| s.idle_timeout(Duration::from_secs(86_400)).boxed()),
    ]
}

fn at_the_beginning_of_a_stage() -> Vec<Word> {
    vec![
        ("boundary", DataStream::boundary),
        ("buffer", |s| s.buffer(2, WhenFull::Block)),
        ("detach", DataStream::detach),
        ("rebatch", |s| s.rebatch(2)),
        ("map_async", |s| s.map_async(3, async |n| n)),
        ("map_async_keyed", |s| s.map_async_keyed(3, |n| n % 2, async |n| n)),
        ("try_map_async", |s| {
            s.try_map_async(3, OnError::fail(), async |n| Ok::<_, OperatorError>(n)).boxed()
        }),
        ("map_blocking", |s| s.map_blocking(2, |n| n)),
        ("lookup_async", |s| {
            let ask = async |keys: Vec<u64>| {
                Ok::<_, OperatorError>(keys.into_iter().map(|key| (key, key)).collect::<Vec<_>>())
            };
            s.lookup_async(Lookup::default().with_keys_per_call(2), |n| *n, ask)
                .map(|(n, _)| n)
                .boxed()
        }),
        ("scan_async", |s| s.scan_async(0, async |_: u64, n| (n, n))),
        ("flat_map_concat", |s| s.flat_map_concat(|n| futures::stream::iter([n]))),
        ("flat_map_sequential", |s| s.flat_map_sequential(2, |n| futures::stream::iter([n]))),
        ("merge", |s| {
            let none = s.flow().source("none", source::empty());
            s.merge(none)
        }),
        ("concat", |s| {
            let none = s.flow().source("none", source::empty());
            s.concat(none)
        }),
        ("zip", |s| {
            let endless = s.flow().source("endless", source::from_iter(0_u64..));
            s.zip(endless).map(|(n, _)| n).boxed()
        }),
        ("merge_sorted", |s| {
            let none = s.flow().source("none", source::empty());
            s.merge_sorted(none)
        }),
        ("broadcast", |s| {
            let [branch, other] = s.broadcast();
            other.ignore();
            branch
        }),
        ("wire_tap", |s| {
            let (main, tap) = s.wire_tap();
            tap.ignore();
            main.boxed()
        }),
        ("split", |s| {
            let (all, none) = s.split(|_| true);
            none.ignore();
            all
        }),
    ]
}

/// A word between a source and a sink that are in the test's hand.
fn graph(word: &Word) -> (Dataflow, SourceProbe<u64>, SinkProbe<u64>) {
    let flow = Dataflow::new(word.0);
    let ((input, source), (output, sink)) = (probe_source(), probe_sink());
    (word.1)(flow.source("input", source).boxed()).sink("output", sink);
    (flow, input, output)
}

fn narrow() -> JobOptions {
    JobOptions::default().with_edge_capacity(1).with_batch_records(1)
}

/// Long enough for everything to come to rest.
async fn rest() {
    Clock::system().sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn x1_no_more_is_pulled_than_there_is_room_for() {
    for word in &words() {
        let flow = Dataflow::new(word.0);
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pulled);
        let numbers = std::iter::from_fn(move || Some(count.fetch_add(1, SeqCst) as u64));
        let once = source::from_stream(futures::stream::iter(numbers));
        let (output, sink) = probe_sink();
        (word.1)(flow.source("input", once).boxed()).sink("output", sink);
        let bound = flow.blueprint().view(&narrow()).unwrap().records_in_flight_max;
        let job = flow.start_with(&narrow()).unwrap();
        rest().await;
        let waiting = pulled.load(SeqCst);
        rest().await;
        assert_eq!(pulled.load(SeqCst), waiting, "{}: it stands still", word.0);
        // What a word keeps as its state, such as half a chunk, is not counted.
        assert!(waiting <= bound + 4, "{}: {waiting} of {bound}", word.0);
        assert_eq!(output.waiting(), 0);
        drop(job);
    }
}

#[tokio::test(start_paused = true)]
async fn x2_completion_comes_behind_everything_that_was_held() {
    for word in &words() {
        let (flow, input, output) = graph(word);
        let job = flow.start_with(&narrow()).unwrap();
        let send = async {
            for n in 1..=20 {
                input.send(n).await;
            }
            input.end().await;
        };
        let expect = async {
            rest().await;
            output.expect(1..=20).await;
            output.expect_end().await;
        };
        tokio::join!(send, expect);
        job.await.unwrap_or_else(|error| panic!("{}: {error}", word.0));
    }
}

#[tokio::test(start_paused = true)]
async fn x3_a_failure_is_seen_below_as_one_and_stops_what_is_above() {
    for word in &words() {
        let flow = Dataflow::new(word.0);
        let ((input, source), (output, sink)) = (probe_source::<u64>(), probe_sink());
        let stream = (word.1)(flow.source("input", source).boxed());
        let broken = stream.try_map(OnError::fail(), |n| {
            if *n < 3 { Ok(*n) } else { Err(std::io::Error::other("three")) }
        });
        broken.named("broken").sink("output", sink);
        let job = flow.start_with(&narrow()).unwrap();
        output.request(100);
        let send = async {
            for n in 1..=5 {
                input.send(n).await;
            }
        };
        let error = tokio::select! {
            ended = job => ended.unwrap_err(),
            () = async { send.await; std::future::pending().await } => unreachable!(),
        };
        assert_eq!(error.kind(), &ErrorKind::Operator, "{}", word.0);
        assert_eq!(error.operator_name(), Some("broken"), "{}", word.0);
        assert!(input.is_cancelled(), "{}: the source goes on", word.0);
        assert!(!output.is_committed(), "{}: taken for the end", word.0);
    }
}

#[tokio::test(start_paused = true)]
async fn x4_cancellation_goes_up() {
    for word in &words() {
        let flow = Dataflow::new(word.0);
        let (input, source) = probe_source::<u64>();
        let first = (word.1)(flow.source("input", source).boxed()).take(1).collect();
        let job = flow.start_with(&narrow()).unwrap();
        let send = async {
            for n in 1..=100 {
                if input.try_send(n).is_err() {
                    rest().await;
                }
                if input.is_cancelled() {
                    return;
                }
            }
            rest().await;
        };
        send.await;
        // A branch that has enough does not end its siblings: then the test ends the input.
        if !input.is_cancelled() {
            assert!(
                ["broadcast", "wire_tap", "split", "try_catch"].contains(&word.0),
                "{}",
                word.0
            );
            input.end().await;
        }
        assert_eq!(job.await.unwrap().take(first), Some(vec![1]), "{}", word.0);
    }
}

#[tokio::test]
async fn x4_a_broadcast_is_over_when_all_branches_are() {
    let flow = Dataflow::new("all");
    let [few, more] = flow.source("endless", source::from_iter(0_u64..)).broadcast();
    let (few, more) = (few.take(1).count(), more.take(50).count());
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!((report.take(few), report.take(more)), (Some(1), Some(50)));
}

#[tokio::test]
async fn x5_a_merge_ends_with_the_last_input_and_a_zip_with_the_first() {
    let flow = Dataflow::new("ends");
    let number = |name: &str, count: u64| flow.source(name, source::from_iter(0..count));
    let merged = number("a", 3).merge(number("b", 30)).count();
    let zipped = number("c", 3).zip(number("d", 30)).count();
    let report = flow.run().await.unwrap();
    assert_eq!((report.take(merged), report.take(zipped)), (Some(33), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn x6_order_is_kept_whatever_the_batches() {
    for word in &words() {
        for (batch, capacity) in [(1, 1), (2, 3), (5, 4), (64, 1024)] {
            let flow = Dataflow::new(word.0);
            let numbers = flow.source("input", source::from_iter(1..=200_u64)).boxed();
            let all = (word.1)(numbers).collect();
            let options = JobOptions::default();
            let options = options.with_batch_records(batch).with_edge_capacity(capacity);
            let report = flow.run_with(options).await.unwrap();
            let expected = Some((1..=200).collect());
            assert_eq!(report.take(all), expected, "{} {batch} {capacity}", word.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x7_a_fan_out_runs_at_the_speed_of_its_slowest_branch_unless_that_is_lossy() {
    for (policy, passed) in [(WhenFull::Block, 10), (WhenFull::DropOldest, 200)] {
        let flow = Dataflow::new("slowest");
        let [fast, slow] = flow.source("numbers", source::from_iter(0..200_u64)).broadcast();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        fast.for_each(move |_| {
            count.fetch_add(1, SeqCst);
        });
        let (_stuck, sink) = probe_sink();
        slow.when_full(policy).sink("stuck", sink);
        let job = flow.start_with(&narrow()).unwrap();
        rest().await;
        let seen = seen.load(SeqCst);
        assert!(if passed == 10 { seen <= passed } else { seen == passed }, "{policy:?}: {seen}");
        drop(job);
    }
}

#[test]
fn x8_what_has_no_boundary_is_fused_and_every_boundary_shows_its_buffer() {
    let flow = Dataflow::new("fused");
    let numbers = flow.source("numbers", source::from_iter(0..9_u64));
    numbers.map(|n| n).filter(|_| true).throttle(Rate::per_second(1)).dedup().ignore();
    let graph = flow.graph().unwrap();
    assert_eq!((graph.stages.len(), graph.edges.len()), (1, 0));
    let flow = Dataflow::new("cut");
    let numbers = flow.source("numbers", source::from_iter(0..9_u64));
    numbers.boundary().with_capacity(7).ignore();
    assert_eq!(flow.graph().unwrap().edges[0].capacity_records, 7);
}

/// Fails where a watermark goes back, or a record is behind one that it was not behind before.
#[derive(Clone)]
struct InTime(Timestamp);

impl Operator<u64> for InTime {
    type Out = u64;
    const NAME: &'static str = "in_time";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        assert!(record.time >= self.0, "{record:?} is behind {}", self.0);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        assert!(watermark > self.0, "a watermark went back from {} to {watermark}", self.0);
        self.0 = watermark;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn x9_no_word_makes_a_record_late_and_no_watermark_goes_back() {
    for word in &words() {
        for batch in [1, 7] {
            let flow = Dataflow::new(word.0);
            let time = |n: &u64| Timestamp::from_millis(i64::try_from(*n).unwrap());
            let numbers = flow.source("input", source::from_iter(1..=200_u64));
            let timed = numbers.event_time(time, Watermarks::monotonic()).boxed();
            let watched = (word.1)(timed).via(InTime(Timestamp::MIN)).named("watched");
            let all = watched.count();
            let options = JobOptions::default().with_batch_records(batch).with_edge_capacity(batch);
            let report = flow.run_with(options).await.unwrap_or_else(|e| panic!("{}: {e}", word.0));
            assert_eq!(report.take(all), Some(200), "{}", word.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x10_no_two_records_of_a_key_are_worked_on_at_once() {
    let flow = Dataflow::new("by key");
    let inside: Arc<[AtomicUsize; 5]> = Arc::default();
    let numbers = flow.source("numbers", source::from_iter(0..20_000_u64)).parallel(2);
    let keyed = numbers.key_by(|n| n % 5).parallel(2);
    let summed = keyed.running_fold(0_u64, move |sum, n| {
        let key = &inside[usize::try_from(n % 5).unwrap()];
        assert_eq!(key.fetch_add(1, SeqCst), 0, "two at once");
        *sum += 1;
        key.fetch_sub(1, SeqCst);
    });
    let count = summed.gather().count();
    assert_eq!(flow.run().await.unwrap().take(count), Some(20_000));
}

#[tokio::test(start_paused = true)]
async fn x11_what_is_held_at_the_end_comes_out_before_it() {
    for word in &words() {
        for records in 0..8_u64 {
            let flow = Dataflow::new(word.0);
            let numbers = flow.source("input", source::from_iter(1..=records)).boxed();
            let all = (word.1)(numbers).collect();
            let mut expected: Vec<_> = (1..=records).collect();
            if records == 0 && word.0 == "default_if_empty" {
                expected.push(0);
            }
            let report = flow.run_with(narrow()).await.unwrap();
            assert_eq!(report.take(all), Some(expected), "{} {records}", word.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x12_what_is_dropped_on_purpose_counts_as_done() {
    let flow = Dataflow::new("filtered");
    let numbers = flow.source("numbers", source::from_iter(0..100_u64));
    numbers.filter(|n| n % 10 == 0).sample_every(2).dedup().ignore();
    let report = flow.run_with(JobOptions::default().with_operator_counts(true)).await.unwrap();
    let operators = &report.metrics().operators;
    assert_eq!(operators[0].records_out, Some(100));
    assert_eq!((operators[1].filtered, operators[2].filtered), (90, 5));
    assert_eq!(report.records_written(), 5);
    assert!(report.edges().next().is_none(), "and nothing is left anywhere");
}

#[test]
fn x14_a_cycle_is_refused_before_it_can_hang() {
    let flow = Dataflow::new("cycle");
    let edge = flow.blueprint().add_edge::<u64>("back", EdgeOptions::default());
    let again = DataStream::<u64>::behind(flow.clone(), edge, 1, "again");
    let numbers = flow.source("numbers", source::from_iter(0..9_u64));
    let [on, back] = numbers.merge(again).broadcast();
    on.ignore();
    back.forward(edge);
    let error = flow.validate().unwrap_err();
    let ErrorKind::Build(mistakes) = error.kind() else {
        panic!("{error}");
    };
    let refused = |mistake: &BuildError| matches!(mistake, BuildError::Cycle { .. });
    assert!(mistakes.iter().any(refused), "{error}");
}

#[tokio::test(start_paused = true)]
async fn x15_cleanup_runs_exactly_once_however_a_stream_ends() {
    for (how, ends) in [("complete", 0), ("fail", 1), ("cancel", 2), ("abort", 3), ("drain", 4)] {
        let flow = Dataflow::new(how);
        let cleaned = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&cleaned);
        let (input, source) = probe_source::<u64>();
        let stream = flow.source("input", source).finally(move |ending| {
            log.lock().unwrap().push(format!("{ending:?}"));
        });
        let stream = stream.map(move |n| assert!(ends != 1 || n < 2, "fails"));
        if ends == 2 {
            stream.take(1).ignore();
        } else {
            stream.ignore();
        }
        let job = flow.start().unwrap();
        input.send(1).await;
        match ends {
            0 => input.end().await,
            1 => input.send(2).await,
            3 => job.abort(),
            4 => job.request_drain(Duration::from_secs(1)),
            _ => {}
        }
        assert_eq!(job.await.is_ok(), ![1, 3].contains(&ends), "{how}");
        let cleaned = cleaned.lock().unwrap();
        assert_eq!(cleaned.len(), 1, "{how}: {cleaned:?}");
    }
}
