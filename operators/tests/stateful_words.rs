//! Every fused word that keeps something writes it down, and goes on from it as if nothing had
//! been. A word that is neither here nor among the exceptions below is found by the last test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was played is shown if the test fails")]
#![allow(clippy::redundant_closure_for_method_calls, reason = "words stand in a table")]

use std::collections::HashSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use millstream_engine::OperatorError;
use millstream_engine::batch::Barrier;
use millstream_engine::chain::{Boundary, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    Event, OperatorHarness, Step, TestDriver, assert_survives_crashes, probe_sink, probe_source,
};
use millstream_operators::linear::materialize::Signal;
use millstream_operators::prelude::*;
use millstream_operators::recovery::Supervision;
use millstream_operators::state::Checkpointed;
use millstream_operators::timing::{Rate, Switch};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Records, some of them late, watermarks, time that passes, and the end.
fn script(seed: u64) -> Vec<Step<u64>> {
    let mut random = Random::fork(seed, 0, 0);
    let mut time = 0;
    let mut steps: Vec<_> = (0..25)
        .map(|_| {
            time += i64::try_from(random.below(8)).unwrap();
            match random.below(8) {
                0 | 1 => Step::Watermark(at(time - 9)),
                2 | 3 => Step::Advance(millis(random.below(25))),
                kind => Step::Record(Record::at(random.below(6), at(time - 4 * (kind % 3) as i64))),
            }
        })
        .collect();
    steps.push(Step::End);
    steps
}

/// Plays steps up to the first at which the operator fails. Gives what came out, and that step.
fn play<T, O>(
    harness: &mut OperatorHarness<T, O>,
    steps: &[Step<T>],
) -> (Vec<Event<O::Out>>, Option<usize>)
where
    T: Clone,
    O: Operator<T>,
{
    let failed = steps.iter().position(|step| {
        harness.play(step);
        harness.take_error().is_some()
    });
    (harness.events(), failed)
}

/// How much time passes in these steps.
fn time_in<T>(steps: &[Step<T>]) -> Duration {
    let advances = steps.iter().filter_map(|step| match step {
        Step::Advance(by) => Some(*by),
        _ => None,
    });
    advances.sum()
}

/// Crashes a word at every step of many scripts. In a run that begins there, it emits what it would
/// have, or fails at the same step.
#[track_caller]
fn survives<T, U, O>(
    build: impl Fn(DataStream<T>) -> DataStream<U, Via<Boundary<T>, O>>,
    scripts: impl Iterator<Item = Vec<Step<T>>>,
) where
    T: Clone + Debug + Send + Sync + 'static,
    U: Clone + PartialEq + Debug + Send + 'static,
    O: Operator<T, Out = U> + Checkpointed,
{
    let flow = Dataflow::new("words");
    let words = flow.source("in", source::from_iter(Vec::<T>::new())).boxed();
    let (_, chain, _) = build(words).uid("the word").into_parts();
    let (_, operator, _) = chain.into_parts();
    let mut written = HashSet::new();
    for (number, script) in scripts.enumerate() {
        let (whole, failed) = play(&mut OperatorHarness::new(operator.clone()), &script);
        let healthy = &script[..failed.unwrap_or(script.len())];
        println!("`{}`, script {number}, fails at {failed:?}: {script:?}", O::NAME);
        assert_survives_crashes(&operator, healthy);
        for crash in 0..=healthy.len() {
            let mut before = OperatorHarness::new(operator.clone());
            let (mut events, _) = play(&mut before, &script[..crash]);
            if before.operator().pending() {
                continue;
            }
            let state = before.snapshot().unwrap();
            written.insert(format!("{state:?}"));
            let wall = at(0).saturating_add(time_in(&script[..crash]));
            let mut after = OperatorHarness::starting_at(operator.clone(), wall);
            after.restore(state).unwrap();
            let (rest, again) = play(&mut after, &script[crash..]);
            events.extend(rest);
            let again = again.map(|step| crash + step);
            assert_eq!((events, again), (whole.clone(), failed), "crash after {crash} steps");
        }
    }
    assert!(written.len() > 1, "`{}` keeps something, and writes always the same", O::NAME);
}

/// A line for each word, as it is said.
macro_rules! survive {
    ($($word:expr;)+) => {$(
        survives($word, (0..12).map(script));
    )+};
}

type Numbers = DataStream<u64>;

#[test]
fn g2_words_without_time_survive_a_crash_at_any_step() {
    survive! {
        |n: Numbers| n.scan(1, |sum, n| *sum = (*sum * 3 + n) % 1_000);
        |n: Numbers| n.scan_with_initial(1, |sum, n| *sum = (*sum * 3 + n) % 1_000);
        |n: Numbers| n.stateful_map(|| 5, |sum, n| { *sum += n; *sum }, Some);
        |n: Numbers| n.chunks(3);
        |n: Numbers| n.chunk_by(3, |n| n / 3);
        |n: Numbers| n.chunks_sliding(3, 1);
        |n: Numbers| n.chunks_sliding(2, 4);
        |n: Numbers| n.chunks_weighted(9, |n| usize::try_from(*n).unwrap());
        |n: Numbers| n.dedup();
        |n: Numbers| n.dedup_by_key(|n| n / 2);
        |n: Numbers| n.distinct(3);
        |n: Numbers| n.default_if_empty(7);
        |n: Numbers| n.intersperse(9);
        |n: Numbers| n.intersperse_between(7, 8, 9);
        |n: Numbers| n.limit(9);
        |n: Numbers| n.limit_weighted(20, |n| *n);
        |n: Numbers| n.log();
        |n: Numbers| n.map_batches(3, |all| all.iter().map(|n| n * 2).collect::<Vec<_>>());
        |n: Numbers| n.materialize();
        |n: Numbers| n.sample_every(3);
        |n: Numbers| n.sample_ratio(0.5);
        |n: Numbers| n.sort(20);
        |n: Numbers| n.sort(6);
        |n: Numbers| n.top_n(3);
        |n: Numbers| n.bottom_n(3);
        |n: Numbers| n.zip_with_index();
        |n: Numbers| n.zip_with_previous();
        |n: Numbers| n.zip_with_next();
        |n: Numbers| n.take(5);
        |n: Numbers| n.take_while(|n| *n < 5);
        |n: Numbers| n.take_until(|n| *n == 5);
        |n: Numbers| n.skip(3);
        |n: Numbers| n.skip_while(|n| *n < 5);
        |n: Numbers| n.chunks(3).supervise(Supervision::restart());
        |n: Numbers| n.limit(9).map_err(|error| error);
        |n: Numbers| n.zip_with_next().map_err(|error| error).supervise(Supervision::stop());
    }
    let signals = (0..12).map(|seed| {
        let signal = |step| match step {
            Step::Record(Record { value: 5, time }) => Step::Record(Record::at(Signal::End, time)),
            Step::Record(record) => Step::Record(record.with(Signal::Record)),
            Step::Watermark(watermark) => Step::Watermark(watermark),
            Step::Advance(by) => Step::Advance(by),
            Step::End => Step::End,
        };
        script(seed).into_iter().map(signal).collect()
    });
    survives(DataStream::<Signal<u64>>::dematerialize, signals);
}

#[test]
fn g2_words_that_know_the_time_survive_a_crash_at_any_step() {
    let rate = Rate::new(1, millis(10)).with_burst(2);
    let add = |sum: &mut u64, n| {
        *sum += n;
        *sum > 9
    };
    survive! {
        |n: Numbers| n.elapsed();
        |n: Numbers| n.aggregate_with_boundary(|| 0, add, millis(20));
        |n: Numbers| n.batch_min(3, millis(20));
        |n: Numbers| n.chunks_timeout(3, millis(20));
        |n: Numbers| n.chunks_weighted_timeout(9, millis(20), |n| usize::try_from(*n).unwrap());
        |n: Numbers| n.debounce(millis(11));
        |n: Numbers| n.delay(millis(17), 30);
        |n: Numbers| n.delay(millis(17), 3);
        |n: Numbers| n.initial_delay(millis(40));
        |n: Numbers| n.idle_timeout(millis(25));
        |n: Numbers| n.keep_alive(millis(11), || 77);
        |n: Numbers| n.sample(millis(20));
        |n: Numbers| n.audit(millis(20));
        |n: Numbers| n.sample_first(millis(20));
        |n: Numbers| n.take_within(millis(60));
        |n: Numbers| n.skip_within(millis(40));
        |n: Numbers| n.throttle(rate);
        |n: Numbers| n.throttle_weighted(rate, |n| u32::try_from(*n).unwrap());
        |n: Numbers| n.throttle_or_fail(rate);
        |n: Numbers| n.throttle_by_key_or_drop(rate, 3, |n| *n);
    }
    survive! {
        |n: Numbers| n.initial_timeout(millis(15));
        |n: Numbers| n.completion_timeout(millis(60));
        |n: Numbers| n.completion_timeout(millis(600));
    }
}

#[test]
fn g2_a_signal_that_was_given_is_not_forgotten() {
    let signal = Switch::new();
    let flow = Dataflow::new("until told");
    let numbers = flow.source("numbers", source::from_iter(0..9_u64)).boxed();
    let (_, chain, _) = numbers.take_until_signal(&signal).uid("told").into_parts();
    let (_, operator, _) = chain.into_parts();
    for given in [false, true] {
        let mut before = OperatorHarness::<u64, _>::new(operator.clone());
        if given {
            signal.turn_on();
        }
        before.push(1);
        signal.turn_off();
        let mut after = OperatorHarness::<u64, _>::new(operator.clone());
        after.restore(before.snapshot().unwrap()).unwrap();
        assert_eq!(after.is_done(), given);
    }
}

/// Whether it sets the time, whether it needs it, and the version of its state.
const fn kind<T, O: Operator<T>>(_: &O) -> (bool, bool, u32) {
    (O::SETS_TIME, O::NEEDS_TIME, O::STATE_VERSION)
}

#[test]
fn g2_who_only_forwards_says_what_the_other_says() {
    #[derive(Clone)]
    struct Late;

    impl Operator<u64> for Late {
        type Out = u64;
        const NAME: &'static str = "late";
        const NEEDS_TIME: bool = true;
        const STATE_VERSION: u32 = 3;

        fn process(
            &mut self,
            record: Record<u64>,
            out: &mut impl Collector<u64>,
        ) -> Result<(), OperatorError> {
            out.push(record);
            Ok(())
        }
    }

    let flow = Dataflow::new("wrapped");
    let numbers = || flow.source("in", source::from_iter(0..9_u64)).boxed();
    let late = numbers().via(Late).map_err(|error| error).supervise(Supervision::stop());
    let (_, late, _) = late.into_parts().1.into_parts();
    assert_eq!(kind(&late), (false, true, 3));

    let time = |n: &u64| at(i64::try_from(*n).unwrap());
    let timed = numbers().event_time(time, Watermarks::monotonic()).map_err(|error| error);
    let (_, timed, _) =
        timed.supervise(Supervision::stop()).uid("time").into_parts().1.into_parts();
    assert_eq!(kind(&timed), (true, false, 1));
    let mut harness = OperatorHarness::new(timed);
    harness.push(5);
    assert_eq!(harness.events(), [Event::Record(Record::at(5, at(5))), Event::Watermark(at(5))]);
}

/// What a group of instances holds at a barrier, and as another number of them goes on from it.
fn rescaled<O>(
    word: impl Fn(DataStream<u64>) -> DataStream<u64, Via<Boundary<u64>, O>>,
    before: usize,
    after: usize,
) -> Result<Vec<u64>, String>
where
    O: Operator<u64, Out = u64> + Checkpointed,
{
    let mut state = None::<Snapshot>;
    let mut out = Vec::new();
    for (parallel, numbers) in [(before, [7, 3, 9]), (after, [8, 1, 4])] {
        let (input, source) = probe_source::<u64>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("numbers");
        let stream = word(flow.source("in", source).parallel(parallel)).uid("word");
        stream.boundary().sink("out", sink);
        let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
        let options = state.take().into_iter().fold(options, JobOptions::with_state);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options)
            .map_err(|error| error.to_string())?;
        numbers.into_iter().for_each(|n| driver.push(&input, n));
        driver.barrier(&input, Barrier(1));
        out.extend(driver.read(&output));
        state = Some(driver.snapshot(Barrier(1)));
        driver.end(&input);
        driver.advance(millis(100));
        let rest = driver.read(&output);
        driver.finish().unwrap();
        if numbers[0] == 8 {
            out.extend(rest);
        }
    }
    Ok(out)
}

#[test]
fn g2_what_may_as_well_be_elsewhere_moves_to_another_number_of_instances() {
    for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 3), (3, 2)] {
        println!("from {before} to {after} instances");
        let mut sorted = rescaled(|n| n.sort(9), before, after).unwrap();
        if after > 1 {
            sorted.sort_unstable();
        }
        assert_eq!(sorted, [1, 3, 4, 7, 8, 9]);
        let mut delayed = rescaled(|n| n.delay(millis(10), 9), before, after).unwrap();
        delayed.sort_unstable();
        assert_eq!(delayed, [1, 3, 4, 7, 8, 9]);
        let top = rescaled(|n| n.top_n(2), before, after).unwrap();
        assert!(top.contains(&9) && top.contains(&8), "{top:?}");
        if after == 1 {
            assert_eq!(top, [9, 8]);
        }
    }
    let refused = rescaled(|n| n.dedup(), 3, 1).unwrap_err();
    assert!(refused.contains("state of instance 1, which can't be moved"), "{refused}");
}

/// Operators that keep something, or may, and are no `Checkpointed`: where they are, and why.
const EXCEPTIONS: [(&str, &str); 16] = [
    ("attempt/mod.rs Attempt", "a record that is tried again is pending, and so is the barrier"),
    ("combine/operator.rs Combine", "what it holds goes before the barrier"),
    ("concurrent/try_map_async.rs Settle", "only how many failed in a row"),
    ("control/finally.rs Finally", "what it does is for this run's end"),
    ("control/kill_switch.rs Killable", "the switch is not the stream's"),
    ("fan/side_output.rs ProcessWithSide", "nothing but a side output"),
    ("fan/tee.rs Tee", "nothing but side outputs"),
    ("fan/unzip.rs Unzip", "nothing but a side output"),
    ("group/each.rs Each", "substreams are not written yet"),
    ("group/fragment.rs Then", "a part of a substream"),
    (
        "keyed/process/broadcast/sides.rs Changes",
        "no word of its own, and its watermark is told again",
    ),
    ("linear/elapsed.rs Stamped", "nothing but the clock"),
    ("linear/flat_map_iter.rs FlatMapIter", "what is left of an iterator is pending"),
    ("linear/map_with_resource.rs MapWithResource", "a resource is made anew for each run"),
    ("timing/limited_by.rs LimitedBy", "a record that waits is pending"),
    ("timing/pause_when.rs PauseWhen", "a record that waits is pending"),
];

/// The type that an `impl` of this trait is for, and the text of the block.
fn implementors<'a>(text: &'a str, of: &str) -> Vec<(String, &'a str)> {
    let blocks = text.split("\nimpl").skip(1);
    let found = blocks.filter_map(|block| {
        let block = &block[..block.find("\n}\n").unwrap_or(block.len())];
        let head = block.split(['{']).next()?.split("where").next()?;
        let (before, owner) = head.split_once(" for ")?;
        // What is not in brackets is the name of the trait.
        let mut depth = 0;
        let outside = before.replace("->", "").chars().fold(String::new(), |mut name, letter| {
            depth += i32::from(letter == '<') - i32::from(letter == '>');
            name.extend((depth == 0 && !matches!(letter, '<' | '>')).then_some(letter));
            name
        });
        let named = outside.trim() == of;
        let is_name = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        named.then(|| (owner.trim().chars().take_while(is_name).collect(), block))
    });
    found.collect()
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.push((path, code.to_owned()));
        }
    }
}

#[test]
fn g2_no_operator_is_forgotten() {
    let planted = "\nimpl<T> Operator<T> for Lost<T>\nwhere T: Send {\n    const STATELESS: bool = \
        true;\n}\n\nimpl Checkpointed for Lost {}\n\nimpl<O: Operator<T>> Other<O> for X {}\n";
    let names = |of| implementors(planted, of).into_iter().map(|(name, _)| name);
    assert_eq!(names("Checkpointed").collect::<Vec<_>>(), ["Lost"]);
    assert_eq!(names("Operator").collect::<Vec<_>>(), ["Lost"]);

    let mut all = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let is_written = |owner: &String, path: &String| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let nearby = all.iter().filter(|(other, _)| other.starts_with(folder));
        let mut written = nearby.flat_map(|(_, text)| implementors(text, "Checkpointed"));
        written.any(|(name, _)| name == *owner)
    };
    let (mut seen, mut excused) = (0, HashSet::new());
    for (path, text) in &all {
        for (owner, block) in implementors(text, "Operator") {
            seen += 1;
            let name = format!("{path} {owner}");
            let exempt = EXCEPTIONS.iter().any(|(exception, _)| *exception == name);
            let stateless = block.contains("const STATELESS: bool = true;");
            let fine = stateless || is_written(&owner, path);
            assert!(fine || exempt, "`{name}` writes no state: make it `Checkpointed`");
            assert!(!(fine && exempt), "`{name}` is no exception any more");
            excused.extend(exempt.then_some(name));
        }
    }
    assert!(seen > 80, "{seen}");
    assert_eq!(excused.len(), EXCEPTIONS.len(), "an exception that is no operator");
}
