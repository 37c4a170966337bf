//! A graph with a join in it, to which a script is played step by step: what comes out at each.

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::operator::Operator;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{SinkProbe, SourceProbe, TestDriver, probe_sink, probe_source};
use millstream_operators::fan::Either;
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
        let [(told, told_sink), (_, _)] = [probe_sink::<Told>(), probe_sink::<Told>()];
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
