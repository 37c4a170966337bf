//! What the linear words promise together: a random chain of them gives what the same chain of
//! iterators gives, fused, boxed or cut by an edge, at every size of batch and edge.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod demand;
mod words;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::Output;
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_operators::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use words::*;

fn options() -> impl Strategy<Value = JobOptions> {
    let sizes = (1..=5_usize, 1..=4_usize, any::<bool>(), any::<u64>());
    sizes.prop_map(|(batch, capacity, counts, schedule)| {
        let options = JobOptions::default().with_batch_records(batch);
        let options = options.with_edge_capacity(capacity).with_operator_counts(counts);
        options.with_publish_every(None).with_schedule_seed(schedule)
    })
}

/// Runs the dataflow on a runtime of its own.
fn run(flow: &Dataflow, options: JobOptions) -> Result<JobReport, TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    let report = runtime.block_on(flow.run_with(options));
    report.map_err(|error| TestCaseError::fail(error.to_string()))
}

/// Runs the dataflow, and compares what `output` leaves with `expected`.
fn check(
    flow: &Dataflow,
    options: JobOptions,
    output: Output<Vec<u32>>,
    expected: &[u32],
) -> Result<JobReport, TestCaseError> {
    let report = run(flow, options)?;
    let values = report.take(output);
    prop_assert_eq!(values.as_deref(), Some(expected));
    Ok(report)
}

/// What the operators of a stage have counted is what its edge has carried.
fn add_up(report: &JobReport) -> Result<(), TestCaseError> {
    let metrics = report.metrics();
    for edge in &metrics.edges {
        let of_stage = |stage| metrics.operators.iter().rfind(|one| one.stage == stage);
        let last = edge.producers.first().and_then(|&stage| of_stage(stage));
        if let Some(emitted) = last.and_then(|last| last.records_out) {
            prop_assert_eq!(emitted, edge.sent, "{}", edge.name);
        }
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_chain_of_words_gives_what_iterators_give(
        list in prop::collection::vec(0..50_u32, 0..60),
        said in prop::collection::vec((words(), seams()), 0..6),
        options in options(),
    ) {
        let flow = Dataflow::new("chain");
        let mut stream = flow.source("list", source::from_iter(list.clone())).boxed();
        let mut expected = list;
        for &(word, seam) in &said {
            stream = say(word, stream, seam);
            expected = model(word, expected);
        }
        let output = stream.collect();
        let report = check(&flow, options, output, &expected)?;
        if !said.iter().any(|(word, _)| word.cuts()) {
            add_up(&report)?;
        }
    }
}

/// The arguments of a fixed chain. Some make a word let everything through.
#[derive(Clone, Copy, Debug)]
struct Arguments {
    small: u32,
    size: usize,
    step: usize,
    take: u64,
    skip: u64,
}

fn arguments() -> impl Strategy<Value = Arguments> {
    let take = prop_oneof![0..30_u64, Just(u64::MAX)];
    (1..5_u32, 1..4_usize, 1..4_usize, take, 0..4_u64)
        .prop_map(|(small, size, step, take, skip)| Arguments { small, size, step, take, skip })
}

/// Three chains that the compiler fuses, each the model of itself.
#[derive(Clone, Copy, Debug)]
enum Fused {
    Expand,
    Group,
    Cut,
}

type Numbers<C> = DataStream<u32, C>;

fn expand<C: Chain<Item = u32>>(
    stream: Numbers<C>,
    with: Arguments,
) -> Numbers<impl Chain<Item = u32>> {
    stream
        .skip(with.skip)
        .flat_map_iter(move |n| n..n + with.small)
        .scan_with_initial(1, add)
        .via(Thrice)
        .take(with.take)
        .via(Thrice)
        .flat_map_iter(move |n| [n, n + 1])
        .dedup()
}

fn group<C: Chain<Item = u32>>(
    stream: Numbers<C>,
    with: Arguments,
) -> Numbers<impl Chain<Item = u32>> {
    stream
        .filter_map(move |n| n.checked_sub(with.small))
        .chunks_sliding(with.size, with.step)
        .map(|chunk| sum(&chunk))
        .via(Thrice)
        .chunks(with.size)
        .map(|chunk| sum(&chunk))
        .stateful_map(|| 0, number, Some)
}

fn cut<C: Chain<Item = u32>>(
    stream: Numbers<C>,
    with: Arguments,
) -> Numbers<impl Chain<Item = u32>> {
    let endless = move |n: u32| (n..).step_by(with.step).map(keep_small);
    stream
        .take_until(move |n| n % 7 == with.small)
        .via(Thrice)
        .skip_while(move |n| *n < with.small)
        .flat_map_iter(endless)
        .take(with.take.min(40))
        .scan(0, add)
        .chunks(with.size)
        .flat_map_iter(|chunk| chunk)
}

fn model_of(fused: Fused, with: Arguments, list: Vec<u32>) -> Vec<u32> {
    let small = with.small;
    match fused {
        Fused::Expand => {
            let list = model(Word::Skip(with.skip), list);
            let list = list.into_iter().flat_map(|n| n..n + small).collect();
            let list = model(Word::ScanWithInitial(1), list);
            let list = model(Word::Thrice, list);
            let list = model(Word::Take(with.take), list);
            let list = model(Word::Thrice, list);
            let list = list.into_iter().flat_map(|n| [n, n + 1]).collect();
            model(Word::Dedup, list)
        }
        Fused::Group => {
            let list = model(Word::FilterMap(small), list);
            let list = model(Word::ChunksSliding(with.size, with.step), list);
            let list = model(Word::Thrice, list);
            let list = model(Word::Chunks(with.size), list);
            let list = list.into_iter().zip(1..);
            let numbered: Vec<u32> = list.map(|(n, seen)| keep_small(n + seen)).collect();
            let count = u32::try_from(numbered.len()).unwrap();
            [numbered, vec![count]].concat()
        }
        Fused::Cut => {
            let found = list.iter().position(|n| n % 7 == small);
            let length = found.map_or(list.len(), |at| at + 1);
            let list = list.into_iter().take(length).collect();
            let list = model(Word::Thrice, list);
            let list = list.into_iter().skip_while(|n| *n < small);
            let endless = list.flat_map(|n| (n..).step_by(with.step).map(keep_small));
            let list = endless.take(usize::try_from(with.take.min(40)).unwrap());
            model(Word::Scan(0), list.collect())
        }
    }
}

/// A chain up to its seam.
fn fuse<C: Chain<Item = u32>>(
    fused: Fused,
    stream: Numbers<C>,
    with: Arguments,
    seam: Seam,
) -> DataStream<u32> {
    match fused {
        Fused::Expand => join(seam, expand(stream, with)),
        Fused::Group => join(seam, group(stream, with)),
        Fused::Cut => join(seam, cut(stream, with)),
    }
}

fn fused() -> impl Strategy<Value = (Fused, Arguments)> {
    let fused = prop_oneof![Just(Fused::Expand), Just(Fused::Group), Just(Fused::Cut)];
    (fused, arguments())
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn fused_boxed_and_cut_chains_agree(
        list in prop::collection::vec(0..50_u32, 0..30),
        (first, first_with) in fused(),
        (second, second_with) in fused(),
        options in options(),
    ) {
        let expected = model_of(first, first_with, list.clone());
        let expected = model_of(second, second_with, expected);
        for (between, behind) in [
            (None, Seam::Boxed),
            (None, Seam::Boundary),
            (Some(Seam::Boxed), Seam::Boundary),
            (Some(Seam::Boundary), Seam::Boxed),
        ] {
            let flow = Dataflow::new("fused");
            let stream = flow.source("list", source::from_iter(list.clone()));
            let with = first_with;
            let stream = match (between, first) {
                (None, Fused::Expand) => fuse(second, expand(stream, with), second_with, behind),
                (None, Fused::Group) => fuse(second, group(stream, with), second_with, behind),
                (None, Fused::Cut) => fuse(second, cut(stream, with), second_with, behind),
                (Some(seam), _) => {
                    fuse(second, fuse(first, stream, with, seam), second_with, behind)
                }
            };
            check(&flow, options.clone(), stream.collect(), &expected)?;
        }
    }
}

/// A source of numbers with event times and watermarks, all of them on time.
#[derive(Clone)]
struct Timed(std::vec::IntoIter<(u32, i64)>, i64);

impl Source for Timed {
    type Item = u32;

    async fn next(&mut self, batch: &mut SourceBatch<u32>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() {
            let Some((number, step)) = self.0.next() else {
                return Ok(SourceStatus::End);
            };
            self.1 += step;
            batch.watermark(Timestamp::from_millis(self.1));
            let time = self.1 + i64::from(number % 5);
            batch.push(Record::at(number, Timestamp::from_millis(time)));
        }
        Ok(SourceStatus::More)
    }
}

/// Emits each record with its time and the watermark in front of it; fails on late ones.
#[derive(Clone)]
struct OnTime(Timestamp);

impl Operator<u32> for OnTime {
    type Out = (u32, Timestamp, Timestamp);
    const NAME: &'static str = "on_time";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if record.time < self.0 {
            let (time, watermark) = (record.time, self.0);
            return Err(OperatorError::new(format!("{time} behind {watermark}")));
        }
        out.push(record.with(|number| (number, record.time, self.0)));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.0 = watermark;
        Ok(())
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn event_times_and_watermarks_do_not_depend_on_batches_and_seams(
        list in prop::collection::vec((0..50_u32, 0..4_i64), 0..60),
        said in prop::collection::vec((words(), seams()), 0..6),
        options in options(),
    ) {
        let mut traces = Vec::new();
        for varied in [false, true] {
            let flow = Dataflow::new("timed");
            let timed = Timed(list.clone().into_iter(), 0);
            let mut stream = flow.source("list", timed).boxed();
            for (word, seam) in said.clone() {
                stream = say(word, stream, if varied { seam } else { Seam::Boxed });
            }
            let trace = stream.via(OnTime(Timestamp::MIN)).collect();
            let options = if varied { options.clone() } else { JobOptions::default() };
            traces.push(run(&flow, options)?.take(trace));
        }
        prop_assert_eq!(&traces[0], &traces[1]);
    }
}
