//! Whole graphs whose operators write their state at a barrier, and go on from it in another run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use millstream_engine::batch::Barrier;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{Snapshot, StateScope};
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_engine::{ErrorKind, OperatorError};
use millstream_operators::prelude::*;

/// Counts words by `parallel` instances, from where `state` left off, and gives what comes out with
/// the state behind it.
fn run(words: &[&str], parallel: usize, state: Option<Snapshot>) -> (Vec<(String, u64)>, Snapshot) {
    let (input, source) = probe_source::<String>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("words");
    let words_in = flow.source("words", source).take(1_000).uid("the first thousand");
    let keyed = words_in.key_by_ref(|word: &String| word.as_str()).parallel(parallel);
    keyed.running_count().uid("counts").boundary().sink("out", sink);
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = state.into_iter().fold(options, JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    words.iter().for_each(|word| driver.push(&input, (*word).to_owned()));
    driver.barrier(&input, Barrier(7));
    let out = driver.read(&output);
    let snapshot = driver.snapshot(Barrier(7));
    driver.end(&input);
    driver.finish().unwrap();
    // Through the bytes that it is kept as.
    (out, Snapshot::from_bytes(&snapshot.to_bytes()).unwrap())
}

const WORDS: [&str; 12] = ["to", "be", "or", "not", "to", "be", "to", "do", "be", "do", "be", "do"];

#[test]
fn g2_state_survives_a_restart_at_every_record_with_any_number_of_instances() {
    let (mut whole, end) = run(&WORDS, 1, None);
    whole.sort();
    for crash in 0..=WORDS.len() {
        for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 5)] {
            let (first, second) = WORDS.split_at(crash);
            let (mut out, state) = run(first, before, None);
            let (rest, state) = run(second, after, Some(state));
            out.extend(rest);
            out.sort();
            assert_eq!(out, whole, "behind {crash} words, from {before} to {after} instances");
            let groups = |state: &Snapshot| state.operator("counts").unwrap().entries.clone();
            assert_eq!(groups(&state), groups(&end), "the state is independent of its way here");
        }
    }
}

#[test]
fn state_is_written_by_key_group_and_without_a_key_by_instance() {
    let (_, state) = run(&WORDS, 3, None);
    let scopes = |uid| state.operator(uid).unwrap().entries.keys().copied().collect::<Vec<_>>();
    assert_eq!(scopes("the first thousand"), [StateScope::Instance(0)]);
    let counts = scopes("counts");
    assert_eq!(counts.len(), 5, "five words, each in a group of its own");
    assert!(counts.iter().all(|scope| matches!(scope, StateScope::KeyGroup(_))));
}

fn refusal(state: &Snapshot, build: impl FnOnce(DataStream<u32>) -> DataStream<u32>) -> String {
    let flow = Dataflow::new("later");
    build(flow.source("numbers", source::from_iter(0..9)).boxed()).ignore();
    let options = JobOptions::default().with_state(state.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(flow.run_with(options)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Build(_) | ErrorKind::Operator), "{error:?}");
    error.to_string()
}

#[test]
fn f27_state_that_nobody_takes_over_is_refused_before_the_job_starts() {
    let (_, state) = run(&WORDS, 1, None);
    let orphaned = refusal(&state, |numbers| numbers.take(3).uid("the first thousand").boxed());
    assert!(orphaned.contains("state of an operator with the uid `counts`"), "{orphaned}");
    let mut only_take = state;
    assert!(only_take.forget("counts"));
    assert!(!only_take.forget("counts"));
    let foreign = refusal(&only_take, |numbers| numbers.skip(3).uid("the first thousand").boxed());
    assert!(foreign.contains("written by `take` and can't be taken over by `skip`"), "{foreign}");
}

/// Passes everything on, and writes whatever it likes.
#[derive(Clone)]
struct Writes(&'static [u8]);

impl Operator<u32> for Writes {
    type Out = u32;
    const NAME: &'static str = "take";
    const STATE_VERSION: u32 = 2;

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn snapshot(
        &self,
        state: &mut millstream_engine::state::StateWriter,
    ) -> Result<(), millstream_engine::state::StateError> {
        state.write(self.0.to_vec());
        Ok(())
    }
}

impl millstream_operators::state::Checkpointed for Writes {}

fn written(bytes: &'static [u8], parallel: usize) -> Snapshot {
    let (input, source) = probe_source::<u32>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("earlier");
    let numbers = flow.source("numbers", source).parallel(parallel).via(Writes(bytes));
    numbers.uid("the first thousand").boundary().sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.barrier(&input, Barrier(1));
    assert!(driver.read(&output).is_empty());
    let snapshot = driver.snapshot(Barrier(1));
    driver.end(&input);
    driver.finish().unwrap();
    snapshot
}

#[test]
fn state_of_a_newer_version_is_refused() {
    let newer = written(b"????????", 1);
    let newer = refusal(&newer, |numbers| numbers.take(3).uid("the first thousand").boxed());
    assert!(newer.contains("is of version 2, and this program knows version 1"), "{newer}");
}

#[test]
fn state_of_an_instance_that_is_no_more_is_refused_where_it_cannot_be_moved() {
    let (input, source) = probe_source::<u32>();
    drop(input);
    let flow = Dataflow::new("fewer");
    let numbers = flow.source("numbers", source).parallel(1).via(Writes(b""));
    numbers.uid("the first thousand").ignore();
    let options = JobOptions::default().with_state(written(b"", 2));
    let error = TestDriver::start_with(flow.blueprint(), &options).unwrap_err().to_string();
    assert!(error.contains("state of instance 1, which can't be moved"), "{error}");
}

/// Works by event time.
#[derive(Clone)]
struct NeedsTime;

impl Operator<u32> for NeedsTime {
    type Out = u32;
    const NAME: &'static str = "by_time";
    const NEEDS_TIME: bool = true;

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}

fn monotonic(stream: DataStream<u32>) -> DataStream<u32> {
    let time = |n: &u32| Timestamp::from_millis(i64::from(*n));
    stream.event_time(time, Watermarks::monotonic()).boxed()
}

#[test]
fn event_time_without_watermarks_fails_before_the_run() {
    let mistake = |timed: &dyn Fn(DataStream<u32>, DataStream<u32>) -> DataStream<u32>| {
        let flow = Dataflow::new("time");
        let a = flow.source("a", source::from_iter(0..9_u32)).boxed();
        let b = flow.source("b", source::from_iter(0..9_u32)).boxed();
        timed(a, b).map(|n| n).via(NeedsTime).ignore();
        flow.validate().err().map(|error| error.to_string())
    };
    let says = |origin: &str| {
        format!(
            "`by_time` works by event time, and the records of source `{origin}` have none: say \
             `.event_time(…)` behind it"
        )
    };
    let of_b = mistake(&|a, b| monotonic(a).merge(b)).unwrap();
    assert!(of_b.contains(&says("b")), "{of_b}");
    let of_one = mistake(&|a, b| a.merge(b)).unwrap();
    assert!(of_one.contains(&says("a")) || of_one.contains(&says("b")), "{of_one}");
    assert_eq!(mistake(&|a, b| monotonic(a.merge(b))), None);
    assert_eq!(mistake(&|a, b| monotonic(a).merge(monotonic(b)).boundary()), None);
}
