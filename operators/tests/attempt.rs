//! What becomes of values that failed, on whole jobs: every policy, and that nothing is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::batch::Barrier;
use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::testing::probe_source;
use millstream_engine::time::VirtualClock;
use millstream_operators::prelude::*;
use proptest::prelude::*;
use tokio::sync::Semaphore;

const WORDS: [&str; 5] = ["1", "one", "2", "two", "3"];

fn parse(word: &&'static str) -> Result<u32, ParseIntError> {
    word.parse()
}

fn steady(attempts: u32) -> Backoff {
    let backoff = Backoff::default().with_initial(Duration::from_millis(10));
    let backoff = backoff.with_jitter(0.0).with_factor(2.0);
    backoff.with_attempts(attempts)
}

fn operator(report: &JobReport, name: &str) -> OperatorMetrics {
    let mut operators = report.metrics().operators.iter();
    operators.find(|one| one.name == name).unwrap().clone()
}

#[tokio::test]
async fn j5_fail_names_the_operator_and_keeps_the_error() {
    let flow = Dataflow::new("fail");
    let words = flow.source("words", source::from_iter(WORDS));
    words.try_map(OnError::fail(), parse).named("parse").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parse"));
    assert!(error.cause().unwrap().is::<ParseIntError>());
    assert_eq!(operator(error.report().unwrap(), "parse").errors, 1);
}

#[tokio::test]
async fn j5_skip_counts_what_it_drops() {
    let flow = Dataflow::new("skip");
    let words = flow.source("words", source::from_iter(WORDS));
    let numbers = words.try_map(OnError::skip(), parse).collect();
    let options = JobOptions::default().with_operator_counts(true);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1, 2, 3]));
    let counts = operator(&report, "try_map");
    assert_eq!((counts.records_in, counts.records_out), (Some(5), Some(3)));
    assert_eq!((counts.filtered, counts.skipped, counts.errors), (2, 2, 2));
}

/// Gives each number its event time.
#[derive(Clone)]
struct Stamp;

impl<T: Send + 'static> Operator<T> for Stamp {
    type Out = T;
    const NAME: &'static str = "stamp";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        out.push(Record::at(record.value, Timestamp::from_millis(9)));
        Ok(())
    }
}

#[tokio::test]
async fn j5_a_dead_letter_tells_all_there_is_to_know() {
    let flow = Dataflow::new("letters");
    let (dead, letters) = flow.dead_letters("bad words");
    let words = flow.source("words", source::from_iter(WORDS)).via(Stamp);
    let policy = OnError::dead_letter(&dead);
    let numbers = words.try_map(policy, parse).named("parse").collect();
    let letters = letters.collect();
    let now = Timestamp::from_millis(1_000);
    let options = JobOptions::default().with_clock(VirtualClock::starting_at(now).clock());
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1, 2, 3]));
    let letters = report.take(letters).unwrap();
    let originals: Vec<_> = letters.iter().map(|letter| letter.original).collect();
    assert_eq!(originals, ["one", "two"]);
    let letter = &letters[0];
    assert_eq!(letter.error.to_string(), "invalid digit found in string");
    assert!(letter.error.is::<ParseIntError>());
    assert_eq!((letter.attempts, &*letter.operator), (1, "parse"));
    assert_eq!((letter.time, letter.event_time), (now, Timestamp::from_millis(9)));
    let counts = operator(&report, "parse");
    assert_eq!((counts.dead_letters, counts.errors, counts.skipped), (2, 2, 0));
}

#[tokio::test]
async fn j5_operators_and_instances_share_one_stream_of_dead_letters() {
    let flow = Dataflow::new("shared");
    let (dead, letters) = flow.dead_letters("bad numbers");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32)).parallel(3);
    let no_odd = |n: &u32| n.is_multiple_of(2).then_some(*n).ok_or(std::fmt::Error);
    let no_three = |n: &u32| n.is_multiple_of(3).then_some(*n).ok_or(std::fmt::Error);
    let even = numbers.try_map(OnError::dead_letter(&dead), no_odd).named("even");
    let sixes = even.gather().try_map(OnError::dead_letter(&dead), no_three).named("three");
    let sixes = sixes.count();
    let letters = letters.map(|letter| (letter.operator.to_string(), letter.original));
    let letters = letters.collect();
    let options = JobOptions::default().with_batch_records(4).with_edge_capacity(4);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(sixes), Some(17));
    let letters = report.take(letters).unwrap();
    let of = |name: &str| letters.iter().filter(|letter| letter.0 == name).count();
    assert_eq!((of("even"), of("three")), (50, 33));
}

#[tokio::test(start_paused = true)]
async fn j5_retry_waits_and_keeps_the_order() {
    let flow = Dataflow::new("retry");
    let numbers = flow.source("numbers", source::from_iter(0..5_u32));
    let mut failures = 0;
    let f = move |n: &u32| {
        failures += u32::from(*n == 2);
        if *n == 2 && failures < 3 { Err(std::fmt::Error) } else { Ok(*n) }
    };
    let all = numbers.try_map(OnError::retry(steady(3)), f).collect();
    let options = JobOptions::default().with_operator_counts(true);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 1, 2, 3, 4]));
    let waited = Duration::from_millis(30);
    assert!(report.elapsed() >= waited, "{:?}", report.elapsed());
    assert!(report.elapsed() < waited * 2, "{:?}", report.elapsed());
    let counts = operator(&report, "try_map");
    assert_eq!((counts.errors, counts.retries, counts.skipped), (2, 2, 0));
    assert_eq!(counts.filtered, counts.added, "what was put off came out later");
}

#[tokio::test(start_paused = true)]
async fn j5_retry_ends_in_what_the_policy_says() {
    let flow = Dataflow::new("last resort");
    let (dead, letters) = flow.dead_letters("hopeless");
    let words = |name| flow.source(name, source::from_iter(WORDS));
    let retry = || OnError::retry(steady(3));
    let skipped = words("a").try_map(retry().or_skip(), parse).named("skip").collect();
    let lettered = words("b").try_map(retry().or_dead_letter(&dead), parse).collect();
    let letters = letters.map(|letter| (letter.original, letter.attempts)).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(skipped), Some(vec![1, 2, 3]));
    assert_eq!(report.take(lettered), Some(vec![1, 2, 3]));
    assert_eq!(report.take(letters), Some(vec![("one", 3), ("two", 3)]));
    let counts = operator(&report, "skip");
    assert_eq!((counts.errors, counts.retries, counts.skipped), (6, 4, 2));

    let flow = Dataflow::new("fail at last");
    let words = flow.source("words", source::from_iter(WORDS));
    words.try_map(retry(), parse).named("parse").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parse"));
    let counts = operator(error.report().unwrap(), "parse");
    assert_eq!((counts.errors, counts.retries), (3, 2));
}

/// Fails for each number the first time that it is asked.
fn at_first() -> impl FnMut(&u32) -> Result<u32, std::fmt::Error> + Clone + Send + 'static {
    let mut last = None;
    move |n| {
        if last.replace(*n) == Some(*n) { Ok(*n) } else { Err(std::fmt::Error) }
    }
}

#[tokio::test(start_paused = true)]
async fn j5_a_retry_is_waited_for_wherever_the_stream_is_cut() {
    let retry = || OnError::retry(steady(2));
    let flow = Dataflow::new("cut");
    let numbers = |name| flow.source(name, source::from_iter(0..5_u32));
    let before = numbers("a").take(2).try_map(retry(), at_first()).collect();
    let behind = numbers("b").try_map(retry(), at_first()).take(2).collect();
    let boxed = numbers("c").boxed().try_map(retry(), at_first()).boxed().take(2).collect();
    let twice = numbers("d").try_map(retry(), at_first());
    let twice = twice.flat_map_iter(|n| [n, n + 10]).try_map(retry(), at_first()).collect();
    let sliced = numbers("e").take(2).boxed().try_map(retry(), at_first()).boundary().collect();
    let report = flow.run().await.unwrap();
    for output in [before, behind, boxed, sliced] {
        assert_eq!(report.take(output), Some(vec![0, 1]));
    }
    let all = vec![0, 10, 1, 11, 2, 12, 3, 13, 4, 14];
    assert_eq!(report.take(twice), Some(all));
}

#[tokio::test(start_paused = true)]
async fn j5_nobody_waits_for_a_retry_that_nobody_wants() {
    let flow = Dataflow::new("enough");
    let numbers = flow.source("numbers", source::from_iter([1_u32]));
    let f = |n: &u32| (*n < 10).then_some(*n).ok_or(std::fmt::Error);
    let hour = Backoff::default().with_initial(Duration::from_secs(3600));
    let policy = OnError::retry(hour.with_max_delay(Duration::from_secs(3600)));
    let numbers = numbers.flat_map_iter(|n| [n, n * 10]);
    let one = numbers.try_map(policy, f).take(1).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(one), Some(vec![1]));
    assert!(report.elapsed() < Duration::from_secs(60), "{:?}", report.elapsed());
}

#[tokio::test]
async fn j5_a_slow_sink_of_dead_letters_holds_the_stream_back() {
    let flow = Dataflow::new("slow");
    let (dead, letters) = flow.dead_letters("bad numbers");
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let endless = (0..1000_u32).inspect(move |_| {
        counter.fetch_add(1, Relaxed);
    });
    let numbers = flow.source("numbers", source::from_iter(endless));
    let f = |_: &u32| Err::<u32, _>(std::fmt::Error);
    numbers.try_map(OnError::dead_letter(&dead), f).named("doomed").ignore();
    let (gate, written) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (closed, stored) = (Arc::clone(&gate), Arc::clone(&written));
    letters.for_each_concurrent(1, move |_| {
        let (gate, written) = (Arc::clone(&closed), Arc::clone(&stored));
        async move {
            gate.acquire().await.unwrap().forget();
            written.fetch_add(1, Relaxed);
        }
    });
    let options = JobOptions::default().with_batch_records(2).with_edge_capacity(4);
    let mut job = flow.start_with(&options).unwrap();
    let mut still = 0;
    let mut last = 0;
    while still < 1000 {
        assert!(futures_util::poll!(&mut job).is_pending());
        tokio::task::yield_now().await;
        let now = pulled.load(Relaxed);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    // What the edge, the stages and the sink hold between them, and no more.
    assert!((1..=20).contains(&last), "{last} pulled");
    assert_eq!(written.load(Relaxed), 0);
    gate.add_permits(1000);
    let report = job.await.unwrap();
    assert_eq!(written.load(Relaxed), 1000, "none is dropped");
    assert_eq!(operator(&report, "doomed").dead_letters, 1000);
}

#[derive(Clone)]
struct Broken;

impl Sink for Broken {
    type Item = DeadLetter<&'static str>;

    async fn write(
        &mut self,
        _records: &mut Vec<Record<Self::Item>>,
    ) -> Result<SinkStatus, OperatorError> {
        Err(OperatorError::new("the disk is full"))
    }
}

#[tokio::test]
async fn j5_a_failing_sink_of_dead_letters_stops_the_job() {
    let flow = Dataflow::new("broken");
    let (dead, letters) = flow.dead_letters("bad words");
    let words = flow.source("words", source::from_iter(WORDS.into_iter().cycle()));
    words.try_map(OnError::dead_letter(&dead), parse).ignore();
    letters.sink("letter box", Broken);
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("letter box"));
    assert_eq!(error.cause().unwrap().to_string(), "the disk is full");
}

/// Writes down what it is given, and which barriers come behind that.
#[derive(Clone, Default)]
struct Journal(Arc<std::sync::Mutex<Vec<String>>>);

impl Sink for Journal {
    type Item = DeadLetter<&'static str>;

    async fn write(
        &mut self,
        records: &mut Vec<Record<Self::Item>>,
    ) -> Result<SinkStatus, OperatorError> {
        let letters = records.drain(..).map(|record| record.value.original.to_owned());
        self.0.lock().unwrap().extend(letters);
        Ok(SinkStatus::More)
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<(), OperatorError> {
        self.0.lock().unwrap().push(format!("barrier {}", barrier.0));
        Ok(())
    }
}

#[tokio::test]
async fn j5_a_barrier_reaches_the_dead_letters_behind_what_failed_before_it() {
    let journal = Journal::default();
    let flow = Dataflow::new("barrier");
    let (dead, letters) = flow.dead_letters("bad words");
    let (source, words) = probe_source();
    let words = flow.source("words", words);
    words.try_map(OnError::dead_letter(&dead), parse).boundary().ignore();
    letters.boundary().sink("letter box", journal.clone());
    let job = flow.start().unwrap();
    for (number, word) in [(1, "one"), (2, "2"), (3, "three")] {
        source.send(word).await;
        source.barrier(Barrier(number)).await;
    }
    source.end().await;
    job.await.unwrap();
    let expected = ["one", "barrier 1", "barrier 2", "three", "barrier 3"];
    assert_eq!(*journal.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn j5_dead_letters_that_nobody_wants_any_more_are_no_failure() {
    let flow = Dataflow::new("one is enough");
    let (dead, letters) = flow.dead_letters("bad words");
    let words = flow.source("words", source::from_iter(WORDS.into_iter().cycle().take(1000)));
    let count = words.try_map(OnError::dead_letter(&dead), parse).count();
    let first = letters.map(|letter| letter.original).first();
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(count), Some(600));
    assert_eq!(report.take(first), Some(Some("one")));
}

#[tokio::test]
async fn j5_a_panic_is_no_error_to_be_skipped() {
    let flow = Dataflow::new("panic");
    let numbers = flow.source("numbers", source::from_iter(0..5_u32));
    let f = |n: &u32| -> Result<u32, std::fmt::Error> {
        assert_ne!(*n, 3, "no three");
        Ok(*n)
    };
    numbers.try_map(OnError::skip(), f).named("parse").map(|n| n).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parse"));
    assert!(matches!(error.kind(), ErrorKind::Panic(why) if why.contains("no three")));
}

#[test]
fn j5_a_handle_that_nobody_uses_is_a_mistake() {
    let flow = Dataflow::new("unused");
    let (_, letters) = flow.dead_letters::<u32>("bad words");
    flow.source("numbers", source::from_iter(0..5_u32)).ignore();
    letters.ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("nothing feeds `bad words`"), "{error}");
}

#[test]
fn j5_a_retry_runs_again_in_every_run_of_a_blueprint() {
    let flow = Dataflow::new("again");
    let numbers = flow.source("numbers", source::from_iter(0..3_u32));
    let all = numbers.try_map(OnError::retry(steady(2)), at_first()).collect();
    for _ in 0..2 {
        let report = run(&flow, JobOptions::default()).unwrap();
        assert_eq!(report.take(all), Some(vec![0, 1, 2]));
    }
}

/// Runs the dataflow on a runtime of its own, whose time passes at once.
fn run(flow: &Dataflow, options: JobOptions) -> Result<JobReport, millstream_engine::Error> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(flow.run_with(options))
}

/// Fails a value as often as it says itself.
fn as_often_as_it_says() -> impl FnMut(&(u32, u32)) -> Result<u32, std::fmt::Error> + Clone {
    let mut asked = None;
    move |&(number, failures)| {
        let before = match asked {
            Some((last, before)) if last == number => before,
            _ => 0,
        };
        asked = Some((number, before + 1));
        if before < failures { Err(std::fmt::Error) } else { Ok(number) }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn j5_every_value_ends_in_exactly_one_way(
        failures in prop::collection::vec(prop_oneof![3 => Just(0), 2 => 1..4_u32], 0..40),
        attempts in 1..4_u32,
        to_dead_letters in any::<bool>(),
        batch in 1..5_usize,
        capacity in 1..4_usize,
        boundary in any::<bool>(),
    ) {
        let values: Vec<(u32, u32)> = (0..).zip(failures).collect();
        let flow = Dataflow::new("all ways");
        let (dead, letters) = flow.dead_letters::<(u32, u32)>("bad values");
        // The handle is always used, so that the graph is whole.
        let none = flow.source("none", source::from_iter(Vec::new()));
        none.try_map(OnError::dead_letter(&dead), as_often_as_it_says()).ignore();
        let retry = OnError::retry(steady(attempts));
        let policy = if to_dead_letters { retry.or_dead_letter(&dead) } else { retry.or_skip() };
        let stream = flow.source("values", source::from_iter(values.clone()));
        let numbers = stream.try_map(policy, as_often_as_it_says()).named("tried");
        let numbers = if boundary { numbers.boundary() } else { numbers.boxed() };
        let (numbers, letters) = (numbers.collect(), letters.collect());
        let options = JobOptions::default().with_operator_counts(true).with_publish_every(None);
        let options = options.with_batch_records(batch).with_edge_capacity(capacity);
        let report = run(&flow, options).map_err(|error| TestCaseError::fail(error.to_string()))?;

        let saved = values.iter().filter(|value| value.1 < attempts).map(|value| value.0);
        prop_assert_eq!(report.take(numbers), Some(saved.collect::<Vec<_>>()));
        let lost: Vec<_> = values.iter().copied().filter(|value| value.1 >= attempts).collect();
        let letters = report.take(letters).unwrap_or_default();
        let originals: Vec<_> = letters.iter().map(|letter| letter.original).collect();
        prop_assert_eq!(&originals, if to_dead_letters { &lost } else { &originals });
        prop_assert!(letters.iter().all(|letter| letter.attempts == attempts));

        let counts = operator(&report, "tried");
        let given_up = counts.skipped + counts.dead_letters;
        prop_assert_eq!(counts.dead_letters, letters.len() as u64);
        prop_assert_eq!(given_up, lost.len() as u64);
        prop_assert_eq!(counts.filtered - counts.added, given_up);
        prop_assert_eq!(counts.records_in, Some(values.len() as u64));
        prop_assert_eq!(counts.records_out, Some(values.len() as u64 - given_up));
        prop_assert_eq!(counts.errors, counts.retries + given_up);
        let errors = values.iter().map(|value| u64::from(value.1.min(attempts))).sum::<u64>();
        prop_assert_eq!(counts.errors, errors);
    }
}
