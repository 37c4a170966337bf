//! A graph with a join in it, to which a script is played step by step: what comes out at each.

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Keyed;
use millstream_engine::key::{KeyOf, Made, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    OperatorHarness, SinkProbe, SourceProbe, TestDriver, probe_sink, probe_source,
};
use millstream_operators::fan::{Either, Met};
use millstream_operators::keyed::process::{Process, ProcessFunction, Processed};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed;

/// A record: its key, its number, its event time.
pub(crate) type Event = (u8, u32, i64);

/// What is told: the numbers of those that belong together, one of them at least.
pub(crate) type Told = (Option<u32>, Option<u32>);

/// What comes out at one step, in order: what is told, with its time, and who was late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) told: Vec<(i64, Told)>,
    pub(crate) late: Vec<(i64, Told)>,
}

impl Output {
    /// In an order that depends on nothing.
    pub(crate) fn sorted(mut self) -> Self {
        self.told.sort_unstable();
        self.late.sort_unstable();
        self
    }
}

/// Something that happens on one of two sides: 0 is the left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Record(usize, Event),
    Watermark(usize, i64),
    Idle(usize),
    End(usize),
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One of the two streams.
pub(crate) type Side = DataStream<Event>;

/// Sees to it that no record is late behind a join.
#[derive(Clone)]
struct Punctual(Timestamp);

impl Checkpointed for Punctual {}

impl Operator<Told> for Punctual {
    type Out = Told;
    const NAME: &'static str = "punctual";

    fn process(
        &mut self,
        record: Record<Told>,
        out: &mut impl Collector<Told>,
    ) -> Result<(), OperatorError> {
        assert!(record.time >= self.0, "{record:?} is late behind {}", self.0);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Told>,
    ) -> Result<(), OperatorError> {
        assert!(watermark >= self.0, "the watermark goes back to {watermark}");
        self.0 = watermark;
        Ok(())
    }
}

/// A run of a join.
pub(crate) struct Rig {
    pub(crate) driver: TestDriver,
    inputs: [SourceProbe<Event>; 2],
    told: SinkProbe<Told>,
    late: SinkProbe<Either<Event, Event>>,
    barriers: u64,
}

impl Rig {
    /// Starts a run of what `join` makes of two streams, in so many instances.
    pub(crate) fn start(
        options: &JobOptions,
        parallel: [usize; 2],
        join: impl FnOnce([Side; 2], &SideTag<Either<Event, Event>>) -> DataStream<Told>,
    ) -> Self {
        let flow = Dataflow::new("joined");
        let (left, left_source) = probe_source::<Event>();
        let (right, right_source) = probe_source::<Event>();
        let (told, told_sink) = probe_sink::<Told>();
        let (late, late_sink) = probe_sink();
        let (tag, too_late) = flow.side_output("late");
        let sides = [
            flow.source("left", left_source).parallel(parallel[0]).boxed(),
            flow.source("right", right_source).parallel(parallel[1]).boxed(),
        ];
        let joined = join(sides, &tag).via(Punctual(Timestamp::MIN));
        joined.parallel(1).via(Punctual(Timestamp::MIN)).sink("told", told_sink);
        too_late.sink("too late", late_sink);
        let driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
        told.request(usize::MAX);
        late.request(usize::MAX);
        Self { driver, inputs: [left, right], told, late, barriers: 0 }
    }

    /// Lets something happen, and tells what comes out.
    pub(crate) fn play(&mut self, step: Step) -> Output {
        let (driver, inputs) = (&mut self.driver, &self.inputs);
        match step {
            Step::Record(side, event) => {
                driver.push(&inputs[side], Record::at(event, at(event.2)));
            }
            Step::Watermark(side, time) => driver.watermark(&inputs[side], at(time)),
            Step::Idle(side) => driver.idle(&inputs[side]),
            Step::End(side) => driver.end(&inputs[side]),
        }
        self.output()
    }

    fn output(&mut self) -> Output {
        let told = self.driver.records(&self.told);
        let late = self.driver.records(&self.late).into_iter().map(|late| match late.value {
            Either::Left((_, number, time)) => (time, (Some(number), None)),
            Either::Right((_, number, time)) => (time, (None, Some(number))),
        });
        let told = told.into_iter().map(|told| (told.time.as_millis(), told.value));
        Output { told: told.collect(), late: late.collect() }
    }

    /// What is kept.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.barriers += 1;
        let barrier = Barrier(self.barriers);
        self.inputs.iter().for_each(|input| self.driver.barrier(input, barrier));
        Snapshot::from_bytes(&self.driver.snapshot(barrier).to_bytes()).unwrap()
    }

    /// Ends both inputs, and tells what comes out.
    pub(crate) fn finish(mut self) -> Output {
        self.inputs.iter().for_each(|input| self.driver.end(input));
        let output = self.output();
        self.driver.finish().unwrap();
        output
    }
}

/// What an operator behind two streams gets.
pub(crate) type Sided = Keyed<Either<Event, Event>>;

/// One join alone.
pub(crate) type Alone<K, F> = OperatorHarness<Sided, Process<Either<Event, Event>, K, F>>;

/// The operator of a join.
pub(crate) fn operator<K, F>(
    joined: Processed<Either<Event, Event>, Met<Event, Event>, K, F>,
) -> Process<Either<Event, Event>, K, F>
where
    K: KeyOf<Either<Event, Event>, Owned = u8>,
    F: ProcessFunction<u8, Either<Event, Event>>,
{
    let (_, chain, _) = joined.into_parts();
    chain.into_parts().1
}

/// Two streams by key, that nothing comes from.
pub(crate) fn streams() -> [KeyedStream<Event, impl Chain<Item = Event>, ByKey>; 2] {
    let flow = Dataflow::new("alone");
    ["left", "right"].map(|side| {
        let stream = flow.source(side, source::from_iter(Vec::<Event>::new())).boxed();
        stream.key_by(key_of as fn(&Event) -> u8)
    })
}

/// How the key of an event is found.
pub(crate) type ByKey = Made<fn(&Event) -> u8>;

fn key_of(event: &Event) -> u8 {
    event.0
}

fn sided(event: Event, side: fn(Event) -> Either<Event, Event>) -> Record<Sided> {
    Record::at(Keyed { hash: stable_hash(&event.0), value: side(event) }, at(event.2))
}

/// A left record.
pub(crate) fn left(key: u8, number: u32, time: i64) -> Record<Sided> {
    sided((key, number, time), Either::Left)
}

/// A right record.
pub(crate) fn right(key: u8, number: u32, time: i64) -> Record<Sided> {
    sided((key, number, time), Either::Right)
}

/// What is told of two that belong together.
pub(crate) fn both(left: &Event, right: &Event) -> Told {
    (Some(left.1), Some(right.1))
}

/// What is told of a left one, with a partner or without.
pub(crate) fn left_told(left: &Event, right: Option<&Event>) -> Told {
    (Some(left.1), right.map(|right| right.1))
}

/// What is told of what there is.
pub(crate) fn any_told(sides: EitherOrBoth<&Event, &Event>) -> Told {
    (sides.left().map(|left| left.1), sides.right().map(|right| right.1))
}

/// Plays records and watermarks out of order and in it, of a few keys and both sides.
pub(crate) fn any_steps(seed: u64) -> Vec<millstream_engine::testing::Step<Sided>> {
    use millstream_engine::testing::Step;
    let mut random = Random::new(seed);
    let (mut now, mut told) = (0, i64::MIN);
    let mut steps: Vec<_> = (0..40)
        .map(|number| {
            now += i64::try_from(random.below(5)).unwrap();
            let time = now - i64::try_from(random.below(12)).unwrap();
            let key = random.below(3) as u8;
            match random.below(5) {
                0 => {
                    told = told.max(time - 3);
                    Step::Watermark(at(told))
                }
                1 | 2 => Step::Record(left(key, number, time)),
                _ => Step::Record(right(key, number, time)),
            }
        })
        .collect();
    steps.push(Step::End);
    steps
}
