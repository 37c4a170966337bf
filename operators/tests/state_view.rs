//! What operators keep by key, read from outside while the job runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use millstream_engine::batch::Barrier;
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{SinkProbe, SourceProbe, TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;

type Answer<T> = Result<T, ViewError>;

/// Polls a question once, as somebody does who is about to wait for it.
fn poll<F: Future>(question: Pin<&mut F>) -> Poll<F::Output> {
    question.poll(&mut Context::from_waker(Waker::noop()))
}

/// Asks, and lets the job do what it can until there is an answer.
#[track_caller]
fn ask<T>(driver: &mut TestDriver, question: impl Future<Output = Answer<T>>) -> Answer<T> {
    let mut question = pin!(question);
    for _ in 0..3 {
        if let Poll::Ready(answer) = poll(question.as_mut()) {
            return answer;
        }
        driver.settle();
    }
    panic!("no answer:\n{}", driver.explain());
}

fn sorted<T: Ord>(answer: Answer<Vec<T>>) -> Answer<Vec<T>> {
    answer.map(|mut all| {
        all.sort();
        all
    })
}

/// The last digits of numbers, counted by so many instances.
struct Digits {
    flow: Dataflow,
    input: SourceProbe<u64>,
    output: SinkProbe<(u64, u64)>,
    view: StateView<u64, u64>,
}

fn digits(instances: usize) -> Digits {
    let (input, source) = probe_source();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("digits");
    let numbers = flow.source("numbers", source).key_by(|n| n % 10).parallel(instances);
    let (counts, view) = numbers.running_count().uid("counts").queryable();
    counts.gather().sink("out", sink);
    Digits { flow, input, output, view }
}

fn quiet() -> JobOptions {
    JobOptions::default().with_publish_every(None).with_stall_warning(None)
}

#[test]
fn g10_a_view_sees_exactly_what_the_records_before_have_done() {
    for instances in [1, 2] {
        let Digits { flow, input, output, view } = digits(instances);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        output.request(usize::MAX);
        assert_eq!(ask(&mut driver, view.is_empty()), Ok(true));
        for n in 0..50 {
            assert_eq!(ask(&mut driver, view.get(&(n % 10))), Ok((n >= 10).then_some(n / 10)));
            driver.push(&input, n);
            assert_eq!(ask(&mut driver, view.get(&(n % 10))), Ok(Some(n / 10 + 1)));
            let keys = usize::try_from((n + 1).min(10)).unwrap();
            assert_eq!(ask(&mut driver, view.len()), Ok(keys));
        }
        assert_eq!(ask(&mut driver, view.get_all([7, 70, 3])), Ok(vec![Some(5), None, Some(5)]));
        assert_eq!(ask(&mut driver, view.get_all([])), Ok(vec![]));
        let all = sorted(ask(&mut driver, view.snapshot()));
        assert_eq!(all, Ok((0..10).map(|digit| (digit, 5)).collect()));
        driver.end(&input);
        driver.finish().unwrap();
    }
}

#[test]
fn g10_answers_come_while_the_sink_is_stuck_and_the_job_goes_on_as_if_nobody_had_asked() {
    for instances in [1, 3] {
        let Digits { flow, input, output, view } = digits(instances);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        output.request(5);
        let mut pushed = 0;
        while driver.try_push(&input, pushed).is_ok() {
            pushed += 1;
            let all = ask(&mut driver, view.snapshot()).unwrap();
            let counted: u64 = all.iter().map(|(_, count)| count).sum();
            assert!(counted <= pushed && counted >= pushed.min(5));
            assert!(pushed < 1_000_000, "it never fills up");
        }
        let all = sorted(ask(&mut driver, view.snapshot())).unwrap();
        for (key, count) in &all {
            assert_eq!(ask(&mut driver, view.get(key)), Ok(Some(*count)));
        }
        assert_eq!(sorted(ask(&mut driver, view.snapshot())), Ok(all));
        let told = driver.read(&output);
        assert_eq!(told.len() as u64, pushed);
        let total = |all: Vec<(u64, u64)>| all.into_iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(ask(&mut driver, view.snapshot()).map(total), Ok(pushed));
        driver.end(&input);
        driver.finish().unwrap();
    }
}

#[test]
fn g10_more_callers_than_there_is_room_for_are_all_answered() {
    let Digits { flow, input, output, view } = digits(2);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    output.request(usize::MAX);
    (0..100).for_each(|n| driver.push(&input, n));
    let question = |n: u64| Box::pin(view.clone().get(&(n % 10)));
    let mut waiting: Vec<_> = (0..200).map(question).collect();
    // Those who go away in between, while they wait for room or for an answer, do no harm.
    let mut fickle: Vec<_> = (0..200).map(question).collect();
    for question in waiting.iter_mut().interleave(fickle.iter_mut()) {
        assert!(poll(question.as_mut()).is_pending());
    }
    drop(fickle);
    let mut rounds = 0;
    while !waiting.is_empty() {
        driver.settle();
        waiting.retain_mut(|question| match poll(question.as_mut()) {
            Poll::Ready(answer) => {
                assert_eq!(answer, Ok(Some(10)));
                false
            }
            Poll::Pending => true,
        });
        rounds += 1;
        assert!(rounds < 30, "{} are left", waiting.len());
    }
    assert!(rounds > 5, "there was room for all of them: {rounds}");
    driver.end(&input);
    driver.finish().unwrap();
}

/// Takes from both in turn.
trait Interleave: Iterator + Sized {
    fn interleave(
        self,
        other: impl Iterator<Item = Self::Item>,
    ) -> impl Iterator<Item = Self::Item> {
        self.zip(other).flat_map(|(one, other)| [one, other])
    }
}

impl<I: Iterator> Interleave for I {}

#[test]
fn g10_a_busy_stage_answers_at_the_next_record() {
    let flow = Dataflow::new("busy");
    let view = Arc::new(Mutex::new(None::<StateView<u64, u64>>));
    let (seen, seeing) = (Arc::new(Mutex::new(None)), Arc::clone(&view));
    let telling = Arc::clone(&seen);
    let mut question = None;
    let numbers = flow.source("numbers", source::from_iter(0..500_000_u64));
    let asking = Arc::new(Mutex::new(move |n: u64| {
        if n == 100_000 {
            let view = seeing.lock().unwrap();
            question = view.as_ref().map(|view| Box::pin(view.get(&0)));
        }
        if n.is_multiple_of(1_000)
            && let Some(asked) = &mut question
            && let Poll::Ready(answer) = poll(asked.as_mut())
        {
            *telling.lock().unwrap() = Some((n, answer));
            question = None;
        }
        n
    }));
    let numbers = numbers.map(move |n| asking.lock().unwrap()(n));
    let (counts, counted) = numbers.key_by(|_| 0).count().queryable();
    *view.lock().unwrap() = Some(counted);
    counts.ignore();
    let driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.finish().unwrap();
    let (at, answer) = seen.lock().unwrap().take().unwrap();
    let count = answer.unwrap().unwrap();
    assert!(at < 110_000 && (90_000..=at).contains(&count), "{count} at {at}");
}

fn written(values: &[u64], instances: usize, queryable: bool) -> Snapshot {
    let (input, source) = probe_source();
    let flow = Dataflow::new("digits");
    let keyed = flow.source("numbers", source).key_by(|n| n % 10).parallel(instances);
    let counts = keyed.running_count();
    if queryable {
        counts.queryable().0.uid("counts").ignore();
    } else {
        counts.uid("counts").ignore();
    }
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    values.iter().for_each(|value| driver.push(&input, *value));
    driver.barrier(&input, Barrier(1));
    driver.snapshot(Barrier(1))
}

#[test]
fn g10_a_run_that_goes_on_from_a_snapshot_tells_of_what_was_in_it() {
    let values: Vec<_> = (0..37).collect();
    for (before, after, queryable) in [(1, 2, true), (2, 1, false), (3, 3, false)] {
        let Digits { flow, input, output, view } = digits(after);
        let options = quiet().with_state(written(&values, before, queryable));
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        assert_eq!(ask(&mut driver, view.get_all([3, 8])), Ok(vec![Some(4), Some(3)]));
        assert_eq!(ask(&mut driver, view.len()), Ok(10));
        driver.push(&input, 38);
        assert_eq!(driver.read(&output), [(8, 4)]);
        assert_eq!(ask(&mut driver, view.get(&8)), Ok(Some(4)));
    }
}

#[test]
fn g10_before_and_after_a_run_there_is_an_error_and_the_newest_run_is_the_one_that_counts() {
    let Digits { flow, input, output, view } = digits(2);
    let before = poll(pin!(view.get(&1)));
    assert_eq!(before, Poll::Ready(Err(ViewError::NotRunning)));
    assert_eq!(poll(pin!(view.len())), Poll::Ready(Err(ViewError::NotRunning)));
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    output.request(usize::MAX);
    driver.push(&input, 1);
    let mut unanswered = pin!(view.get(&1));
    assert!(poll(unanswered.as_mut()).is_pending());
    driver.end(&input);
    let last = poll(unanswered);
    assert_eq!(last, Poll::Ready(Ok(Some(1))), "asked before the end");
    driver.finish().unwrap();
    assert_eq!(poll(pin!(view.get(&1))), Poll::Ready(Err(ViewError::Ended)));
    assert_eq!(poll(pin!(view.snapshot())), Poll::Ready(Err(ViewError::Ended)));

    let flow = Dataflow::new("again");
    let numbers = flow.source("numbers", source::never::<u64>());
    let (counts, view) = numbers.key_by(|n| *n).count().queryable();
    counts.ignore();
    let mut first = TestDriver::start(flow.blueprint()).unwrap();
    assert_eq!(ask(&mut first, view.len()), Ok(0));
    let mut of_the_first = pin!(view.len());
    assert!(poll(of_the_first.as_mut()).is_pending());
    let mut second = TestDriver::start(flow.blueprint()).unwrap();
    let mut of_the_second = pin!(view.len());
    assert!(poll(of_the_second.as_mut()).is_pending());
    first.settle();
    assert_eq!(poll(of_the_first), Poll::Ready(Ok(0)), "who had asked the first is answered by it");
    assert!(poll(of_the_second.as_mut()).is_pending());
    drop(first);
    second.settle();
    assert_eq!(poll(of_the_second), Poll::Ready(Ok(0)));
    drop(second);
    assert_eq!(poll(pin!(view.len())), Poll::Ready(Err(ViewError::Aborted)));
}

#[test]
fn g10_who_has_asked_a_job_that_stops_is_told_so() {
    // Dropped, with questions at the counter and more before it.
    let Digits { flow, view, .. } = digits(2);
    let driver = TestDriver::start(flow.blueprint()).unwrap();
    let mut questions: Vec<_> = (0..40).map(|_| Box::pin(view.snapshot())).collect();
    questions.iter_mut().for_each(|question| assert!(poll(question.as_mut()).is_pending()));
    drop(driver);
    for question in &mut questions {
        assert_eq!(poll(question.as_mut()), Poll::Ready(Err(ViewError::Aborted)));
    }

    // Failed, by a record of which the answer knows nothing.
    let (input, source) = probe_source::<u64>();
    let flow = Dataflow::new("fails");
    let numbers = flow.source("numbers", source).key_by(|n| n % 10);
    let (counts, view) = numbers.count().max_keys(KeyLimit::fail(1)).queryable();
    counts.ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&input, 1);
    driver.push(&input, 2);
    assert_eq!(poll(pin!(view.get(&1))), Poll::Ready(Err(ViewError::Failed)));
    assert!(driver.finish().unwrap_err().to_string().contains("which is the limit"));

    // Failed by somebody else, before the stage could answer.
    let switch = KillSwitch::new("enough");
    let flow = Dataflow::new("fails");
    let numbers = flow.source("numbers", source::never::<u64>());
    let (counts, view) = numbers.key_by(|n| n % 10).count().queryable();
    counts.kill_switch(&switch).ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    switch.abort("enough");
    let mut question = pin!(view.len());
    assert!(poll(question.as_mut()).is_pending());
    driver.settle();
    assert_eq!(poll(question), Poll::Ready(Err(ViewError::Failed)));
}

#[test]
fn g10_state_that_is_on_its_way_out_is_not_told_as_missing() {
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("leaving");
    let (counts, view) = flow.source("numbers", source).key_by(|n| *n).count().queryable();
    counts.sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    (0..5).for_each(|n| driver.push(&input, n));
    output.request(2);
    driver.end(&input);
    assert_eq!(driver.records(&output).len(), 2);
    assert_eq!(ask(&mut driver, view.get(&1)), Err(ViewError::Ended));
    assert_eq!(driver.read(&output).len(), 3);
    driver.finish().unwrap();
}

/// Cannot be copied.
#[derive(Debug)]
struct Explosive;

impl Clone for Explosive {
    fn clone(&self) -> Self {
        panic!("it went off");
    }
}

#[test]
fn g10_a_value_that_panics_when_it_is_copied_fails_the_job_by_its_name() {
    let (input, source) = probe_source::<u64>();
    let flow = Dataflow::new("explosive");
    let numbers = flow.source("numbers", source).key_by(|n| *n);
    let table = numbers.fold(Ok(()), |kept, _| *kept = Err(Explosive));
    let (table, view) = table.named("store").queryable();
    table.ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&input, 1);
    let answer = ask(&mut driver, view.get(&1));
    assert!(matches!(answer, Err(ViewError::Failed | ViewError::Aborted)), "{answer:?}");
    let error = driver.finish().unwrap_err().to_string();
    assert!(error.contains("store") && error.contains("it went off"), "{error}");
}

#[test]
fn g10_a_stage_that_has_not_begun_answers_when_it_does() {
    let (first, first_source) = probe_source::<(u64, u64)>();
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("second");
    let keyed = flow.source("numbers", source).key_by(|n| *n).parallel(2);
    let (counts, view) = keyed.running_count().queryable();
    flow.source("first", first_source).concat(counts).sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    output.request(usize::MAX);
    let mut early = pin!(view.get(&5));
    assert!(poll(early.as_mut()).is_pending());
    driver.settle();
    assert!(poll(early.as_mut()).is_pending(), "it is not the turn of the second input");
    driver.end(&first);
    assert_eq!(ask(&mut driver, early), Ok(None));
    driver.push(&input, 5);
    assert_eq!(ask(&mut driver, view.get(&5)), Ok(Some(1)));
    driver.end(&input);
    driver.finish().unwrap();
}

type Upsert = (u8, Option<u32>);

#[test]
fn g10_answers_are_those_of_a_model_at_the_last_record() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut random = Random::fork(seed, 0, 0);
        let (input, source) = probe_source::<Upsert>();
        let flow = Dataflow::new("table");
        let instances = 1 + usize::try_from(random.below(4)).unwrap();
        let keyed = flow.source("upserts", source).key_by(|upsert| upsert.0).parallel(instances);
        let (changes, view) = keyed.table(|upsert| upsert.1).queryable();
        changes.ignore();
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        let mut model = BTreeMap::new();
        let mut below = |n| u8::try_from(random.below(n)).unwrap();
        for _ in 0..150 {
            let key = below(12);
            match below(8) {
                0 => {
                    model.remove(&key);
                    driver.push(&input, (key, None));
                }
                1..=3 => {
                    let value = u32::from(below(100));
                    model.insert(key, value);
                    driver.push(&input, (key, Some(value)));
                }
                4 => assert_eq!(ask(&mut driver, view.len()), Ok(model.len())),
                5 => {
                    let all: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
                    assert_eq!(sorted(ask(&mut driver, view.snapshot())), Ok(all));
                }
                6 => {
                    let keys = [key, below(12), below(12), key];
                    let values = keys.iter().map(|key| model.get(key).copied()).collect();
                    assert_eq!(ask(&mut driver, view.get_all(keys)), Ok(values));
                }
                _ => assert_eq!(ask(&mut driver, view.get(&key)), Ok(model.get(&key).copied())),
            }
        }
    }
}

#[test]
fn g10_a_table_by_watermark_is_seen_as_it_has_been_told() {
    let (input, source) = probe_source::<Upsert>();
    let flow = Dataflow::new("table");
    let upserts = flow.source("upserts", source);
    let keyed = upserts.key_by(|upsert| upsert.0);
    let (changes, view) = keyed.table_by_watermark(|upsert| upsert.1).queryable();
    changes.ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&input, (1, Some(10)));
    assert_eq!(ask(&mut driver, view.get(&1)), Ok(None));
    assert_eq!(ask(&mut driver, view.len()), Ok(0));
    driver.watermark(&input, Timestamp::from_millis(1));
    driver.push(&input, (1, Some(11)));
    assert_eq!(ask(&mut driver, view.snapshot()), Ok(vec![(1, 10)]));
}

#[test]
fn g10_every_word_that_keeps_something_by_key_can_be_asked() {
    let numbers = [3_u64, 8, 5, 2];
    let asked = |build: fn(DataStream<u64>) -> StateView<bool, u64>| {
        let (input, source) = probe_source::<u64>();
        let flow = Dataflow::new("words");
        let view = build(flow.source("numbers", source).boxed());
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        numbers.iter().for_each(|n| driver.push(&input, *n));
        sorted(ask(&mut driver, view.snapshot())).unwrap()
    };
    macro_rules! of {
        ($($word:tt)+) => {
            asked(|numbers| {
                let even = |n: &u64| n.is_multiple_of(2);
                let (stream, view) = numbers.key_by(even).$($word)+.queryable();
                stream.uid("word").max_keys(KeyLimit::evict(9)).ignore();
                view
            })
        };
    }
    let (sums, most, counts) = ([(false, 8), (true, 10)], [(false, 5), (true, 8)], 2);
    assert_eq!(of!(count()), [(false, counts), (true, counts)]);
    assert_eq!(of!(running_count()), [(false, counts), (true, counts)]);
    assert_eq!(of!(fold(0, |sum, n| *sum += n)), sums);
    assert_eq!(of!(running_fold(0, |sum, n| *sum += n)), sums);
    assert_eq!(of!(reduce(|best, n| *best = n.max(*best))), most);
    assert_eq!(of!(running_reduce(|best, n| *best = n.max(*best))), most);
    assert_eq!(of!(aggregate(Count)), [(false, counts), (true, counts)]);
    assert_eq!(of!(running_aggregate(Count)), [(false, counts), (true, counts)]);
    assert_eq!(of!(table(Some)), [(false, 5), (true, 2)]);
}
