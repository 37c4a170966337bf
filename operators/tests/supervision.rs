//! Going on after failures: who decides, what is dropped, what begins anew, and what is given again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::{Outcome, start};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::Instant;
use millstream_engine::{Error, ErrorKind};
use millstream_operators::prelude::*;
use millstream_operators::recovery::{
    CircuitBreaker, Directive, Panicked, RestartPolicy, Supervision, WhenOpen,
};

fn operator(report: &JobReport, name: &str) -> OperatorMetrics {
    let mut operators = report.metrics().operators.iter();
    operators.find(|one| one.name == name).unwrap().clone()
}

fn parse(word: &&'static str) -> Result<u32, ParseIntError> {
    word.parse()
}

/// A source that fails at once.
fn torn(why: &'static str) -> source::Failed<u32, impl Fn() -> OperatorError + Clone + Send> {
    source::failed(move || OperatorError::new(why))
}

fn quick(attempts: u32) -> RestartPolicy {
    let backoff = Backoff::default().with_initial(Duration::from_millis(10)).with_jitter(0.0);
    RestartPolicy::new(backoff.with_factor(1.0).with_attempts(attempts))
}

fn small() -> JobOptions {
    JobOptions::default().with_batch_records(2).with_edge_capacity(2).with_operator_counts(true)
}

/// Adds up, and fails at zero and panics at 99.
#[derive(Clone, Default)]
struct Sums(u32);

impl Operator<u32> for Sums {
    type Out = u32;
    const NAME: &'static str = "sums";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        assert_ne!(record.value, 99, "no 99");
        self.0 += record.value;
        if record.value == 0 {
            return Err(OperatorError::new("no zero"));
        }
        out.push(record.with(|_| self.0));
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        if self.0 == 77 {
            return Err(OperatorError::new("no 77 at the end"));
        }
        out.push((1000 + self.0).into());
        Ok(())
    }
}

async fn sums(
    numbers: &'static [u32],
    supervision: Supervision,
) -> Result<(Vec<u32>, OperatorMetrics), Error> {
    let flow = Dataflow::new("sums");
    let numbers = flow.source("in", source::from_iter(numbers.iter().copied()));
    let sums = numbers.via(Sums::default()).supervise(supervision).collect();
    let report = flow.run_with(small()).await?;
    Ok((report.take(sums).unwrap(), operator(&report, "sums")))
}

#[tokio::test]
async fn j2_stop_is_what_happens_without_supervision() {
    for (bad, kind) in [(0, ErrorKind::Operator), (99, ErrorKind::Panic(String::new()))] {
        let numbers: &'static [u32] = if bad == 0 { &[1, 0, 2] } else { &[1, 99, 2] };
        let error = sums(numbers, Supervision::stop()).await.unwrap_err();
        assert_eq!(error.operator_name(), Some("sums"));
        assert_eq!(std::mem::discriminant(error.kind()), std::mem::discriminant(&kind));
    }
}

#[tokio::test]
async fn j2_resume_drops_the_record_and_keeps_the_state() {
    let (all, counts) = sums(&[1, 0, 2, 0, 3], Supervision::resume()).await.unwrap();
    assert_eq!(all, [1, 3, 6, 1006]);
    assert_eq!((counts.skipped, counts.errors, counts.filtered), (2, 2, 2));
}

#[tokio::test]
async fn j2_restart_drops_the_record_and_resets_the_state() {
    let (all, counts) = sums(&[1, 0, 2, 99, 3], Supervision::restart()).await.unwrap();
    assert_eq!(all, [1, 2, 3, 1003]);
    assert_eq!((counts.skipped, counts.errors), (2, 2));
}

#[tokio::test]
async fn j2_after_a_panic_resume_restarts_because_nobody_knows_the_state() {
    let (all, counts) = sums(&[1, 99, 2, 0, 3], Supervision::resume()).await.unwrap();
    assert_eq!(all, [1, 2, 5, 1005]);
    assert_eq!(counts.skipped, 2);
}

#[tokio::test]
async fn j2_a_decider_chooses_by_the_error() {
    let policy = Supervision::decide(|error| {
        match (error.to_string().as_str(), error.get_ref().is::<Panicked>()) {
            ("no zero", false) => Directive::Resume,
            (_, true) => Directive::Stop,
            _ => Directive::Restart,
        }
    });
    let (all, _) = sums(&[1, 0, 2], policy.clone()).await.unwrap();
    assert_eq!(all, [1, 3, 1003]);
    let error = sums(&[1, 99, 2], policy).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panic(why) if why.contains("no 99")), "{error}");
}

#[tokio::test]
async fn j2_a_failure_at_the_end_is_no_record_to_be_dropped() {
    let error = sums(&[70, 7], Supervision::restart()).await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "no 77 at the end");
}

#[tokio::test]
async fn j2_the_scope_is_one_operator_and_not_what_is_behind_it() {
    let (first, second) = (|n: u32| 10 / n, |n: u32| 10 / (n - 1));
    let run = |supervised: bool| async move {
        let flow = Dataflow::new("scope");
        let numbers = flow.source("in", source::from_iter([2_u32, 10, 0, 5]));
        let first = numbers.map(first).named("first").supervise(Supervision::resume());
        let all = if supervised {
            first.map(second).named("second").supervise(Supervision::resume()).collect()
        } else {
            first.map(second).named("second").collect()
        };
        flow.run().await.map(|report| (report.take(all).unwrap(), report))
    };
    // 10 / 10 - 1 is zero, which the second one panics at.
    let error = run(false).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("second"));
    let (all, report) = run(true).await.unwrap();
    assert_eq!(all, [2, 10]);
    assert_eq!((operator(&report, "first").skipped, operator(&report, "second").skipped), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn j2_restarts_rest_and_are_limited() {
    let policy = Supervision::restart().with_restarts(quick(3));
    let (all, counts) = sums(&[1, 0, 2, 0, 3], policy.clone()).await.unwrap();
    assert_eq!((all, counts.skipped), (vec![1, 2, 3, 1003], 2));
    let error = sums(&[1, 0, 2, 0, 3, 0, 4], policy.clone()).await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "no zero");
    let error = sums(&[99, 99, 99], policy).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{error}");

    let flow = Dataflow::new("rests");
    let numbers = flow.source("in", source::from_iter([0, 1]));
    let policy = Supervision::restart().with_restarts(quick(2));
    let count = numbers.via(Sums::default()).supervise(policy).count();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(count), Some(2));
    assert!(report.elapsed() >= Duration::from_millis(10), "{:?}", report.elapsed());
}

#[tokio::test]
async fn j2_each_run_and_each_instance_begins_with_the_configuration() {
    let flow = Dataflow::new("again");
    let numbers = flow.source("in", source::from_iter([1, 1, 0, 0, 5, 5])).parallel(2);
    let sums = numbers.via(Sums(100)).supervise(Supervision::restart()).gather().collect();
    for _ in 0..2 {
        let mut all = flow.run().await.unwrap().take(sums).unwrap();
        all.sort_unstable();
        assert_eq!(all, [101, 101, 105, 105, 1105, 1105]);
    }
}

#[tokio::test]
async fn j2_an_operator_with_a_side_output_is_refused_at_the_start() {
    let flow = Dataflow::new("side");
    let (dead, letters) = flow.dead_letters("bad words");
    let words = flow.source("words", source::from_iter(["1", "one"]));
    let numbers = words.try_map(OnError::dead_letter(&dead), parse).named("parse");
    numbers.supervise(Supervision::restart()).ignore();
    letters.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parse"));
    assert!(error.to_string().contains("side output"), "{error}");
}

/// Emits what it is given twice, a little later, and fails in between as it is told.
#[derive(Clone, Default)]
struct Later {
    due: Option<Instant>,
    left: Option<u32>,
    clock: Option<millstream_engine::time::Clock>,
}

impl Operator<u32> for Later {
    type Out = u32;
    const NAME: &'static str = "later";

    fn open(
        &mut self,
        context: &mut millstream_engine::runtime::OperatorContext<'_>,
    ) -> Result<(), Error> {
        self.clock = Some(context.clock());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.left = Some(record.value);
        self.due = Some(self.clock.as_ref().unwrap().now() + Duration::from_millis(5));
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.due = None;
        match self.left.take() {
            Some(0) => Err(OperatorError::new("late failure")),
            Some(n) => {
                out.push(n.into());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn pending(&self) -> bool {
        self.left.is_some()
    }

    fn waiting(&self) -> bool {
        self.left.is_some()
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }
}

#[tokio::test(start_paused = true)]
async fn j2_what_fails_at_a_timer_is_supervised_too() {
    for policy in [Supervision::resume(), Supervision::restart()] {
        let flow = Dataflow::new("timers");
        let numbers = flow.source("in", source::from_iter([1, 0, 2]));
        let all = numbers.via(Later::default()).supervise(policy).collect();
        let report = flow.run().await.unwrap();
        assert_eq!(report.take(all), Some(vec![1, 2]));
        assert_eq!(operator(&report, "later").errors, 1);
    }
}

/// What every operator that is fused with others has to withstand.
fn caught_words(
    words: &'static [&'static str],
    boxed: bool,
) -> (Dataflow, impl Fn(&JobReport) -> (Vec<u32>, Vec<(&'static str, String)>)) {
    let flow = Dataflow::new("caught");
    let words = flow.source("words", source::from_iter(words.iter().copied()));
    let (numbers, caught) = words.try_catch("decode", |section| {
        let numbers = section.try_map(OnError::fail(), parse).named("parse");
        let both = numbers.flat_map_iter(|n| [n, n + 1, n + 2]);
        let small = |n: &u32| if *n < 12 { Ok(*n) } else { Err(std::fmt::Error) };
        both.try_map(OnError::fail(), small).named("small")
    });
    let numbers = if boxed { numbers.boxed() } else { numbers.boundary() };
    let numbers = numbers.collect();
    let caught = caught.map(|caught| (caught.value, caught.path)).collect();
    (flow, move |report: &JobReport| (report.take(numbers).unwrap(), report.take(caught).unwrap()))
}

#[tokio::test]
async fn j6_what_fails_in_a_section_is_caught_with_its_path_and_goes_no_further() {
    for boxed in [false, true] {
        for batch in [1, 2, 64] {
            // 10 fails with its third output: two are out, and the fourth word fails at once.
            let (flow, taken) = caught_words(&["1", "x", "10", "13", "5"], boxed);
            let options = JobOptions::default().with_batch_records(batch).with_edge_capacity(1);
            let report = flow.run_with(options.with_operator_counts(true)).await.unwrap();
            let (numbers, caught) = taken(&report);
            assert_eq!(numbers, [1, 2, 3, 10, 11, 5, 6, 7], "batches of {batch}");
            let caught: Vec<_> = caught.iter().map(|(word, path)| (*word, &**path)).collect();
            let expected = [("x", "decode/parse"), ("10", "decode/small"), ("13", "decode/small")];
            assert_eq!(caught, expected);
            assert_eq!(operator(&report, "decode").dead_letters, 3);
            assert_eq!(operator(&report, "parse").errors, 1);
        }
    }
}

#[tokio::test]
async fn j6_an_error_behind_the_section_fails_the_job() {
    let flow = Dataflow::new("behind");
    let words = flow.source("words", source::from_iter(["1", "x", "2"]));
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::fail(), parse));
    let small = |n: &u32| if *n < 2 { Ok(*n) } else { Err(std::fmt::Error) };
    numbers.try_map(OnError::fail(), small).named("outside").ignore();
    caught.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("outside"));
}

#[tokio::test]
async fn j6_a_panic_in_a_section_fails_the_job() {
    let flow = Dataflow::new("panic");
    let numbers = flow.source("in", source::from_iter([1_u32, 0, 2]));
    let (shares, caught) = numbers.try_catch("share", |section| section.map(|n| 10 / n));
    shares.ignore();
    caught.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("map"));
    assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{error}");
}

#[tokio::test]
async fn j6_an_inner_section_catches_before_an_outer_one() {
    let flow = Dataflow::new("nested");
    let words = flow.source("words", source::from_iter(["1", "x", "9"]));
    let mut inner_caught = None;
    let (numbers, outer_caught) = words.try_catch("outer", |section| {
        let (numbers, caught) =
            section.try_catch("inner", |section| section.try_map(OnError::fail(), parse));
        inner_caught = Some(caught.map(|caught| caught.value).collect());
        let small = |n: &u32| if *n < 2 { Ok(*n) } else { Err(std::fmt::Error) };
        numbers.try_map(OnError::fail(), small).named("small")
    });
    let numbers = numbers.collect();
    let outer_caught = outer_caught.map(|caught| (caught.value, caught.path)).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1]));
    assert_eq!(report.take(inner_caught.unwrap()), Some(vec!["x"]));
    assert_eq!(report.take(outer_caught), Some(vec![("9", "outer/small".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn j6_a_retry_in_a_section_is_caught_when_it_gives_up() {
    let flow = Dataflow::new("retry");
    let words = flow.source("words", source::from_iter(["1", "x", "2", "y"])).parallel(2);
    let retry = Backoff::default().with_attempts(3);
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::retry(retry), parse));
    let numbers = numbers.gather().count();
    let caught = caught.map(|caught| caught.value).collect();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(numbers), Some(2));
    let mut caught = report.take(caught).unwrap();
    caught.sort_unstable();
    assert_eq!(caught, ["x", "y"]);
    assert_eq!(operator(&report, "try_map").retries, 4);
}

#[tokio::test]
async fn j6_a_slow_reader_of_what_is_caught_holds_the_stream_back() {
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let flow = Dataflow::new("slow");
    let words = std::iter::repeat_with(move || {
        counter.fetch_add(1, SeqCst);
        "x"
    });
    let words = flow.source("words", source::from_iter(words.take(1000)));
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::fail(), parse));
    numbers.ignore();
    let (sink, slow) = probe_sink();
    caught.sink("slow", slow);
    let job = flow.start_with(&small()).unwrap();
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
    assert!((1..30).contains(&pulled.load(SeqCst)), "{pulled:?}");
    sink.request(2000);
    assert_eq!(job.await.unwrap().records_written(), 1000);
}

#[tokio::test(start_paused = true)]
async fn j3_retry_stream_begins_a_new_source_for_each_attempt() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let numbers = source::retry_stream(quick(5), move |flow| {
        let attempt = counter.fetch_add(1, SeqCst);
        let numbers = flow.source("feed", source::from_iter(0..3_u32));
        let tears = move |n: &u32| if attempt < 2 && *n == 2 { None } else { Some(*n) };
        numbers.boundary().try_map(OnError::fail(), move |n| tears(n).ok_or(std::fmt::Error))
    });
    let flow = Dataflow::new("stubborn");
    let all = flow.source("numbers", numbers).collect();
    let report = flow.run_with(small()).await.unwrap();
    let all = report.take(all).unwrap();
    assert!(all.ends_with(&[0, 1, 2]), "{all:?}");
    assert_eq!(all.iter().filter(|n| **n == 2).count(), 1);
    assert_eq!(attempts.load(SeqCst), 3);
    let counts = operator(&report, "numbers");
    assert_eq!((counts.errors, counts.retries), (2, 2));
    assert!(report.elapsed() >= Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn j3_when_the_attempts_run_out_the_last_error_fails_the_job() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let numbers = source::retry_stream(quick(3), move |flow| {
        counter.fetch_add(1, SeqCst);
        flow.source("feed", torn("torn"))
    });
    let flow = Dataflow::new("hopeless");
    flow.source("numbers", numbers).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("numbers"));
    assert_eq!(error.cause().unwrap().to_string(), "operator `feed` failed: torn");
    assert_eq!(attempts.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn j3_a_panic_is_retried_and_a_mistake_in_the_graph_is_not() {
    let first = Arc::new(AtomicBool::new(true));
    let numbers = source::retry_stream(quick(3), move |flow| {
        let slips = first.swap(false, SeqCst);
        flow.source("feed", source::once(1)).inspect(move |_| assert!(!slips, "slipped"))
    });
    let flow = Dataflow::new("panic");
    let all = flow.source("numbers", numbers).collect();
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![1]));

    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let wrong = source::retry_stream(quick(3), move |flow| {
        counter.fetch_add(1, SeqCst);
        let twice = |n| flow.source("same name", source::once(n));
        twice(1).merge(twice(2))
    });
    let flow = Dataflow::new("wrong");
    flow.source("numbers", wrong).ignore();
    assert!(flow.run().await.unwrap_err().to_string().contains("same name"));
    assert_eq!(attempts.load(SeqCst), 1);
}

#[tokio::test]
async fn j3_a_drain_brings_out_what_the_stream_had_read() {
    let (probe, feed) = probe_source::<u32>();
    let feed = Arc::new(std::sync::Mutex::new(Some(feed)));
    let numbers = source::retry_stream(quick(3), move |flow| {
        flow.source("feed", feed.lock().unwrap().take().unwrap()).boundary()
    });
    let flow = Dataflow::new("drained");
    let all = flow.source("numbers", numbers).collect();
    let job = flow.start().unwrap();
    probe.send(7).await;
    probe.asked().await;
    let report = job.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(report.outcome(), Outcome::Drained);
    assert_eq!(report.take(all), Some(vec![7]));
    assert!(probe.is_cancelled());
}

#[tokio::test]
async fn j3_recover_with_goes_over_to_another_stream() {
    let numbers = source::recover_with(
        |flow| {
            let numbers = flow.source("main", source::from_iter(0..9_u32));
            numbers.try_map(OnError::fail(), |n| (*n < 3).then_some(*n).ok_or(std::fmt::Error))
        },
        |flow, error| {
            assert_eq!(error.operator_name(), Some("try_map"));
            Some(flow.source("spare", source::from_iter(100..103)))
        },
    );
    let flow = Dataflow::new("spare");
    let all = flow.source("numbers", numbers).collect();
    let report = flow.run_with(JobOptions::default().with_batch_records(1)).await.unwrap();
    let all = report.take(all).unwrap();
    assert!(all.ends_with(&[100, 101, 102]), "{all:?}");
    let before = &all[..all.len() - 3];
    // The failure may overtake what the first stream still had on its way.
    assert!([0, 1, 2].starts_with(before), "{all:?}");
}

#[tokio::test]
async fn j3_recover_with_may_decline_and_may_fail_itself() {
    let first = |flow: &Dataflow| flow.source("torn", torn("torn"));
    let declined = source::recover_with(first, |_, _| None::<DataStream<u32>>);
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let failing = source::recover_with(first, move |flow, _| {
        counter.fetch_add(1, SeqCst);
        Some(flow.source("worse", torn("worse")))
    });
    let flow = Dataflow::new("declined");
    flow.source("numbers", declined).ignore();
    assert!(flow.run().await.unwrap_err().to_string().ends_with("operator `torn` failed: torn"));
    let flow = Dataflow::new("failing");
    flow.source("numbers", failing.with_attempts(3)).ignore();
    assert!(flow.run().await.unwrap_err().to_string().ends_with("`worse` failed: worse"));
    assert_eq!(asked.load(SeqCst), 3);
}

/// A section that slips at certain numbers, each once.
fn slippery(
    at: &'static [u32],
    panics: bool,
) -> impl Fn(DataStream<u32>) -> DataStream<u32> + Send + Sync {
    let slipped: Arc<Vec<_>> = Arc::new(at.iter().map(|_| AtomicBool::new(false)).collect());
    move |numbers| {
        let slipped = Arc::clone(&slipped);
        let step = move |n: &u32| {
            let place = at.iter().position(|slip| slip == n);
            if place.is_some_and(|place| !slipped[place].swap(true, SeqCst)) {
                assert!(!panics, "slipped");
                return Err(std::fmt::Error);
            }
            Ok(*n)
        };
        let odd = numbers.boundary().try_map(OnError::fail(), step).filter(|n| n % 5 != 4);
        odd.flat_map_iter(|n| vec![n; n as usize % 3]).boundary()
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_section_that_fails_is_given_again_what_was_not_through() {
    let expected: Vec<u32> =
        (0..200).filter(|n| n % 5 != 4).flat_map(|n| vec![n; n as usize % 3]).collect();
    for panics in [false, true] {
        for batch in [1, 3, 64] {
            let flow = Dataflow::new("slippery");
            let numbers = flow.source("in", source::from_iter(0..200_u32));
            let section = slippery(&[0, 17, 18, 150, 199], panics);
            let all = numbers.restart_section(quick(9), section).named("section").collect();
            let options = JobOptions::default().with_batch_records(batch);
            let report = flow.run_with(options).await.unwrap();
            let counts = operator(&report, "section");
            assert_eq!((counts.errors, counts.retries), (5, 5));
            assert_eq!(counts.records_in, Some(200));
            assert_eq!(counts.records_out, Some(expected.len() as u64));
            assert_eq!(report.take(all).unwrap(), expected, "batches of {batch}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_section_is_restarted_only_so_often_and_its_numbers_start_over() {
    let run = |policy| async move {
        let flow = Dataflow::new("limited");
        let ticks = source::interval(Duration::from_secs(1), source::MissedTicks::Skip);
        let numbers = flow.source("ticks", ticks).map(|tick| tick as u32).take(10);
        let all = numbers.restart_section(policy, slippery(&[2, 5, 8], false)).count();
        flow.run().await.map(|report| report.take(all).unwrap())
    };
    let error = run(quick(3).with_reset_after(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("restart_section"));
    assert!(error.to_string().contains("operator `try_map` failed"), "{error}");
    // Three seconds of quiet lie between the failures.
    assert!(run(quick(2).with_reset_after(Duration::from_secs(2))).await.unwrap() > 0);
}

#[tokio::test]
async fn j4_a_section_passes_watermarks_barriers_idleness_and_the_end() {
    use millstream_engine::batch::Barrier;
    let (probe, numbers) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("control");
    let stream = flow.source("in", numbers);
    let stream = stream.restart_section(quick(3), |numbers| numbers.boundary().map(|n| n + 1));
    stream.via(Marks).sink("out", end);
    let job = flow.start_with(&small()).unwrap();
    sink.request(100);
    probe.send(Record::at(1, Timestamp::from_millis(5))).await;
    probe.watermark(Timestamp::from_millis(4)).await;
    assert_eq!(sink.next().await.unwrap(), Record::at(2, Timestamp::from_millis(5)));
    assert_eq!(sink.next().await.unwrap().value, 1004);
    probe.barrier(Barrier(7)).await;
    probe.idle().await;
    probe.send(3).await;
    assert_eq!(sink.next().await.unwrap().value, 4);
    probe.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

/// Shows each watermark as a record.
#[derive(Clone)]
struct Marks;

impl Operator<u32> for Marks {
    type Out = u32;
    const NAME: &'static str = "marks";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(Record::at(1000 + watermark.as_millis() as u32, watermark));
        Ok(())
    }
}

#[tokio::test]
async fn j4_a_section_that_has_enough_ends_the_stream_and_one_behind_it_cancels_it() {
    let flow = Dataflow::new("enough");
    let endless = |name| flow.source(name, source::from_iter(0_u32..));
    let inside = endless("a").restart_section(quick(3), |numbers| numbers.take(3)).collect();
    let behind = endless("b").restart_section(quick(3), |numbers| numbers).take(3).collect();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(inside), Some(vec![0, 1, 2]));
    assert_eq!(report.take(behind), Some(vec![0, 1, 2]));
}

#[tokio::test]
async fn j4_a_stuck_section_bounds_what_it_is_given_and_goes_with_its_job() {
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let gone = Arc::new(());
    let held = Arc::clone(&gone);
    let flow = Dataflow::new("stuck");
    let numbers = (0..100_000_u32).inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let numbers = flow.source("in", source::from_iter(numbers));
    let (_sink, stuck) = probe_sink();
    numbers
        .restart_section(quick(3), move |numbers| {
            let held = Arc::clone(&held);
            numbers.boundary().inspect(move |_| drop(Arc::clone(&held))).boundary()
        })
        .sink("stuck", stuck);
    let job = flow.start_with(&small()).unwrap();
    for _ in 0..3000 {
        tokio::task::yield_now().await;
    }
    assert!((1..80).contains(&pulled.load(SeqCst)), "{pulled:?}");
    assert!(Arc::strong_count(&gone) > 2, "the section holds it");
    job.abort();
    job.await.unwrap_err();
    drop(flow);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&gone), 1, "nothing of the section is left");
}

mod sinks {
    //! A sink that is made anew.

    use std::sync::Mutex;

    use millstream_engine::sink::{Committable, Sink, SinkStatus, SinkWith};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared {
        written: Arc<Mutex<Vec<u32>>>,
        calls: Arc<AtomicU32>,
        made: Arc<AtomicU32>,
        committed: Arc<AtomicU32>,
    }

    /// Fails at certain calls of its hooks, after half of the work.
    struct Flaky {
        shared: Shared,
        fails: &'static [u32],
    }

    impl Flaky {
        fn call(&self) -> Result<(), OperatorError> {
            let call = self.shared.calls.fetch_add(1, SeqCst);
            if self.fails.contains(&call) {
                return Err(std::io::Error::other("connection lost").into());
            }
            Ok(())
        }
    }

    impl Sink for Flaky {
        type Item = u32;

        async fn write(
            &mut self,
            records: &mut Vec<Record<u32>>,
        ) -> Result<SinkStatus, OperatorError> {
            for record in records.drain(..) {
                self.shared.written.lock().unwrap().push(record.value);
                self.call()?;
            }
            Ok(SinkStatus::More)
        }

        async fn flush(&mut self) -> Result<(), OperatorError> {
            self.call()
        }

        async fn prepare(&mut self) -> Result<Committable, OperatorError> {
            self.flush().await?;
            self.call()?;
            Ok(Committable(vec![7]))
        }

        async fn commit(&mut self, committable: Committable) -> Result<(), OperatorError> {
            assert_eq!(committable.0, [7]);
            self.call()?;
            self.shared.committed.fetch_add(1, SeqCst);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn j4_a_sink_is_given_again_what_it_had_not_flushed() {
        // Whichever call fails, and however many.
        for fails in [&[0_u32] as &[u32], &[3, 4], &[5], &[9, 11, 12], &[22, 23, 24, 25, 26]] {
            let shared = Shared::default();
            let state = shared.clone();
            let make = SinkWith(move |_| {
                state.made.fetch_add(1, SeqCst);
                Ok(Flaky { shared: state.clone(), fails })
            });
            let flow = Dataflow::new("flaky");
            let numbers = flow.source("in", source::from_iter(0..20_u32));
            let sink = sink::restarting(quick(9), make).with_unflushed(4);
            numbers.sink("table", sink);
            let report = flow.run_with(small()).await.unwrap();
            let mut written = shared.written.lock().unwrap().clone();
            assert!(written.len() < 40, "only what had not been flushed: {written:?}");
            written.sort_unstable();
            written.dedup();
            assert_eq!(written, (0..20).collect::<Vec<_>>(), "{fails:?}");
            assert_eq!(shared.committed.load(SeqCst), 1);
            assert_eq!(shared.made.load(SeqCst) as usize, 1 + fails.len());
            assert_eq!(operator(&report, "table").retries, fails.len() as u64);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn j4_a_sink_that_is_not_made_anew_any_more_fails_the_job() {
        let shared = Shared::default();
        let state = shared.clone();
        let make = SinkWith(move |_| Ok(Flaky { shared: state.clone(), fails: &[0, 1, 2] }));
        let flow = Dataflow::new("broken");
        flow.source("in", source::from_iter(0..3)).sink("table", sink::restarting(quick(3), make));
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("table"));
        assert_eq!(error.cause().unwrap().to_string(), "connection lost");
        assert_eq!(shared.committed.load(SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn j7_an_open_breaker_holds_the_stream_back_until_it_lets_a_probe_through() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let breaker = CircuitBreaker::after_failures(2).with_open_for(Duration::from_secs(10));
    let flow = Dataflow::new("guarded");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let call = move |n: &u32| {
        counter.fetch_add(1, SeqCst);
        if (1..4).contains(n) { Err(std::fmt::Error) } else { Ok(*n) }
    };
    let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Wait);
    let all = numbers.try_map(policy, call).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 4, 5]));
    assert_eq!(calls.load(SeqCst), 6, "none was made in vain, and none was left out");
    // It opened after 2, and its probe, 3, opened it again.
    assert!(report.elapsed() >= Duration::from_secs(20), "{:?}", report.elapsed());
    assert_eq!(operator(&report, "try_map").retries, 0, "to wait is not to try");
}

#[tokio::test(start_paused = true)]
async fn j7_an_open_breaker_diverts_where_that_is_chosen() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let breaker = CircuitBreaker::after_failures(2);
    let flow = Dataflow::new("diverted");
    let (dead, letters) = flow.dead_letters("given up");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let call = move |_: &u32| {
        counter.fetch_add(1, SeqCst);
        Err::<u32, _>(std::fmt::Error)
    };
    let policy = OnError::dead_letter(&dead).guarded_by(&breaker, WhenOpen::Divert);
    numbers.try_map(policy, call).ignore();
    let letters = letters.map(|letter| (letter.original, letter.error.to_string())).collect();
    let report = flow.run().await.unwrap();
    let letters = report.take(letters).unwrap();
    assert_eq!(letters.len(), 6);
    assert!(letters[2..].iter().all(|letter| letter.1 == "the circuit breaker is open"));
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn j8_a_value_is_tried_so_often_and_no_more_and_goes_to_the_dead_letters() {
    let tried = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&tried);
    let flow = Dataflow::new("poison");
    let (dead, letters) = flow.dead_letters("poison");
    let numbers = flow.source("in", source::from_iter(0..3_u32));
    let poison = move |n: &u32| {
        counter.fetch_add(u32::from(*n == 1), SeqCst);
        if *n == 1 { Err(std::fmt::Error) } else { Ok(*n) }
    };
    let policy = OnError::retry(Backoff::default().with_attempts(4)).or_dead_letter(&dead);
    let all = numbers.try_map(policy, poison).collect();
    let letters = letters.map(|letter| (letter.original, letter.attempts)).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 2]));
    assert_eq!((tried.load(SeqCst), report.take(letters)), (4, Some(vec![(1, 4)])));
}

#[tokio::test]
async fn j8_too_many_poisonous_values_in_a_row_stop_the_job() {
    let run = |words: &'static [&'static str]| async move {
        let flow = Dataflow::new("in a row");
        let words = flow.source("words", source::from_iter(words.iter().copied()));
        words.try_map(OnError::skip().stop_after(3), parse).ignore();
        flow.run().await
    };
    let report = run(&["a", "b", "1", "c", "d", "2"]).await.unwrap();
    assert_eq!(operator(&report, "try_map").skipped, 4);
    let error = run(&["a", "1", "b", "c", "d"]).await.unwrap_err();
    assert!(error.cause().unwrap().is::<ParseIntError>());
    assert_eq!(operator(error.report().unwrap(), "try_map").skipped, 3, "a, b and c");
}

#[tokio::test]
async fn j1_the_first_error_wins_and_the_others_are_attached() {
    let flow = Dataflow::new("two");
    for name in ["first", "second", "third"] {
        flow.source(name, torn(name)).named(name).ignore();
    }
    let panics = |_: &u32| panic!("at the same time");
    flow.source("fourth", source::once(1)).inspect(panics).named("panic").ignore();
    let error = start(flow.blueprint(), &JobOptions::default()).unwrap().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("first"));
    let others: Vec<_> = error.others().iter().map(Error::operator_name).collect();
    assert_eq!(others, [Some("second"), Some("third"), Some("panic")]);
    assert!(matches!(error.others()[2].kind(), ErrorKind::Panic(why) if why == "at the same time"));
    let shown = format!("{error:?}");
    assert!(shown.contains("; then operator `second` failed: second; then"), "{shown}");
    assert!(!error.to_string().contains("second"), "its message is its own");
}

#[tokio::test]
async fn j1_a_bounded_number_of_others_is_kept() {
    let flow = Dataflow::new("many");
    for n in 0..20 {
        flow.source(&format!("source {n}"), torn("torn")).ignore();
    }
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.others().len(), 8);
}

#[tokio::test]
async fn j1_after_a_failure_nothing_of_the_job_is_left_running() {
    let alive = Arc::new(());
    let flow = Dataflow::new("half");
    for n in 0..3 {
        let held = Arc::clone(&alive);
        let numbers = flow.source(&format!("endless {n}"), source::from_iter(0_u32..)).boundary();
        numbers.inspect(move |_| drop(Arc::clone(&held))).ignore();
    }
    flow.source("torn", torn("torn")).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("torn"));
    // The blueprint has its three, and no run has any.
    assert_eq!(Arc::strong_count(&alive), 4);
}
