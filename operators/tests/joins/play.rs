//! A graph of two inputs, in a test's hand: what comes out of it, and its state.

use std::fmt::Debug;
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::operator::Operator;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{SinkProbe, SourceProbe, TestDriver, probe_sink, probe_source};
use millstream_operators::fan::Either;
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed;

pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Options that leave a test alone.
pub(crate) fn quiet() -> JobOptions {
    JobOptions::default().with_publish_every(None).with_stall_warning(None)
}

/// What happens at one of the inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Play<L, R> {
    Left(L),
    Right(R),
    Watermark(Either<i64, i64>),
    Idle(Either<(), ()>),
}

/// A graph of two inputs and two outputs, the second for what is late.
pub(crate) struct Stage<L, R, O> {
    pub(crate) driver: TestDriver,
    pub(crate) left: SourceProbe<L>,
    pub(crate) right: SourceProbe<R>,
    pub(crate) out: SinkProbe<O>,
    late: Option<SinkProbe<Either<L, R>>>,
}

impl<L: Send + 'static, R: Send + 'static, O: Send + Debug + 'static> Stage<L, R, O> {
    /// Starts what `build` makes of the two inputs.
    pub(crate) fn start(
        options: &JobOptions,
        build: impl FnOnce(DataStream<L>, DataStream<R>, &SideTag<Either<L, R>>) -> DataStream<O>,
    ) -> Self {
        let mut late = None;
        let mut stage = Self::plain(options, |left, right| {
            let (tag, too_late) = left.flow().side_output::<Either<L, R>>("late");
            let (probe, sink) = probe_sink();
            too_late.sink("too late", sink);
            late = Some(probe);
            build(left, right, &tag)
        });
        stage.late = late;
        stage
    }

    /// The same, where nothing can be late.
    pub(crate) fn plain(
        options: &JobOptions,
        build: impl FnOnce(DataStream<L>, DataStream<R>) -> DataStream<O>,
    ) -> Self {
        let flow = Dataflow::new("stage");
        let (left, left_source) = probe_source::<L>();
        let (right, right_source) = probe_source::<R>();
        let (out, out_sink) = probe_sink();
        let lefts = flow.source("left", left_source).boxed();
        let rights = flow.source("right", right_source).boxed();
        let told = build(lefts, rights).parallel(1).via(Punctual(Timestamp::MIN));
        told.sink("out", out_sink);
        let driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
        Self { driver, left, right, out, late: None }
    }

    /// Lets something happen. A record has the event time that `time` says.
    pub(crate) fn play(&mut self, step: Play<Record<L>, Record<R>>) {
        let Self { driver, left, right, .. } = self;
        match step {
            Play::Left(record) => driver.push(left, record),
            Play::Right(record) => driver.push(right, record),
            Play::Watermark(Either::Left(to)) => driver.watermark(left, time(to)),
            Play::Watermark(Either::Right(to)) => driver.watermark(right, time(to)),
            Play::Idle(Either::Left(())) => driver.idle(left),
            Play::Idle(Either::Right(())) => driver.idle(right),
        }
    }

    /// What has come out since the last time.
    pub(crate) fn read(&mut self) -> Vec<O> {
        self.driver.read(&self.out)
    }

    /// What was late since the last time.
    pub(crate) fn late(&mut self) -> Vec<Either<L, R>> {
        self.late.as_ref().map_or_else(Vec::new, |late| self.driver.read(late))
    }

    /// What is kept.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let barrier = Barrier(1);
        self.driver.barrier(&self.left, barrier);
        self.driver.barrier(&self.right, barrier);
        Snapshot::from_bytes(&self.driver.snapshot(barrier).to_bytes()).unwrap()
    }

    /// Ends both inputs, and gives the rest.
    pub(crate) fn end(mut self) -> (Vec<O>, Vec<Either<L, R>>) {
        self.driver.end(&self.left);
        self.driver.end(&self.right);
        let rest = (self.read(), self.late());
        self.driver.finish().unwrap();
        rest
    }
}

/// Sees to it that no record is late behind a join.
#[derive(Clone)]
struct Punctual(Timestamp);

impl Checkpointed for Punctual {}

impl<O: Send + Debug + 'static> Operator<O> for Punctual {
    type Out = O;
    const NAME: &'static str = "punctual";

    fn process(
        &mut self,
        record: Record<O>,
        out: &mut impl Collector<O>,
    ) -> Result<(), OperatorError> {
        assert!(record.time >= self.0, "{record:?} is late behind {}", self.0);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<O>,
    ) -> Result<(), OperatorError> {
        self.0 = watermark;
        Ok(())
    }
}
