//! The graphs that the laws are about, and how a script is played to one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::operator::Operator;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{SourceProbe, TestDriver, probe_sink, probe_source};
use millstream_operators::keyed::process::{
    KeyContext, ProcessFunction, StateTtl, Timer, ValueState,
};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed;

use crate::scripts::{Case, Click, Kind, Output, Step, Told, When, Why};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    End,
    Drain,
    Crash,
}

/// How a script is played.
#[derive(Clone)]
pub(crate) struct Play<'a> {
    pub(crate) options: &'a JobOptions,
    pub(crate) parallel: usize,
    pub(crate) ending: Ending,
    /// Behind how many steps a barrier comes; a crash is behind the last step.
    pub(crate) barriers: &'a [usize],
    /// How long a partition may be quiet until it is idle.
    pub(crate) idle_after: Option<u64>,
    pub(crate) state: Option<Snapshot>,
    /// How many entries a combiner in front of the shuffle has, if there is one.
    pub(crate) combined: Option<usize>,
    /// How many instances there are in front of the shuffle.
    pub(crate) before: usize,
    /// What comes of the first partition while the barrier of a crash has not come of the others.
    pub(crate) ahead: &'a [Step],
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) output: Output,
    /// The state at the last barrier, as it comes back from the bytes that it is kept as.
    pub(crate) state: Snapshot,
    /// The watermarks that came out.
    pub(crate) watermarks: Vec<i64>,
}

fn ms(millis: impl TryInto<u64>) -> Duration {
    Duration::from_millis(millis.try_into().ok().unwrap())
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What a process function keeps and does: a total for each key that lives for some time, told
/// whenever a timer fires.
#[derive(Clone)]
struct Totals(Case);

type Kept<'a> = KeyContext<'a, u8, ValueState<i64>>;

impl ProcessFunction<u8, Click> for Totals {
    type Out = Out;
    type States = ValueState<i64>;

    fn states(&self) -> ValueState<i64> {
        let Kind::Timers { life, .. } = self.0.kind else { unreachable!() };
        ValueState::new("total").with_ttl(StateTtl::event_time(ms(life)))
    }

    fn process(
        &mut self,
        record: Record<Click>,
        context: &mut Kept<'_>,
        _out: &mut impl Collector<Out>,
    ) -> Result<(), OperatorError> {
        let (_, value, time) = record.value;
        context.states.update(|| 0, |total| *total += value);
        let (set, delete) = self.0.timers(time, value);
        set.for_each(|time| context.timers.set_event_time(at(time)));
        delete.into_iter().for_each(|time| context.timers.delete_event_time(at(time)));
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut Kept<'_>,
        out: &mut impl Collector<Out>,
    ) -> Result<(), OperatorError> {
        let value = context.states.get().copied().unwrap_or(-1);
        let time = timer.time().as_millis();
        out.push(context.record((*context.key, Told { span: (time, 0), value, why: Why::OnTime })));
        let again = self.0.again(time);
        again.into_iter().for_each(|time| context.timers.set_event_time(at(time)));
        Ok(())
    }
}

/// What comes out of any of the graphs: the key, and what is told of it.
type Out = (u8, Told);

/// The bounds of a window.
trait Span {
    fn span(&self) -> (i64, i64);
}

impl Span for TimeWindow {
    fn span(&self) -> (i64, i64) {
        (self.start.as_millis(), self.end.as_millis())
    }
}

impl Span for u64 {
    fn span(&self) -> (i64, i64) {
        (i64::try_from(*self).unwrap(), 0)
    }
}

fn told<W: Span>(one: &Windowed<u8, W, i64>) -> Out {
    let why = match one.firing {
        Firing::Early => Why::Early,
        Firing::OnTime => Why::OnTime,
        Firing::Late => Why::Late,
    };
    (one.key, Told { span: one.window.span(), value: one.value, why })
}

/// Notes the watermarks that come by.
#[derive(Clone)]
struct Note(Arc<Mutex<Vec<i64>>>);

impl Checkpointed for Note {}

impl Operator<Out> for Note {
    type Out = Out;
    const NAME: &'static str = "note";

    fn process(
        &mut self,
        record: Record<Out>,
        out: &mut impl Collector<Out>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Out>,
    ) -> Result<(), OperatorError> {
        self.0.lock().unwrap().push(watermark.as_millis());
        Ok(())
    }
}

/// The values, added up.
#[derive(Clone)]
struct Total;

impl Aggregate<Click> for Total {
    type Accumulator = i64;
    type Out = i64;
    const NAME: &'static str = "total";

    fn create(&self) -> i64 {
        0
    }

    fn add(&self, total: &mut i64, click: &Click) {
        *total += click.1;
    }

    fn merge(&self, total: &mut i64, other: &i64) {
        *total += other;
    }

    fn result(&self, total: &i64) -> i64 {
        *total
    }
}

/// Says one kind of windows with every trigger.
macro_rules! windows {
    ($clicks:expr, $windows:expr, $case:expr, $late:expr) => {{
        let windows =
            $clicks.window($windows).allowed_lateness(ms($case.lateness)).late_to($late.unwrap());
        let windows = if $case.discarding { windows.discarding() } else { windows };
        macro_rules! told {
            ($told:expr) => {
                $told.aggregate(Total).uid("keys").map(|one| told(&one)).boxed()
            };
        }
        match $case.when {
            When::OnTime => told!(windows),
            When::Each => told!(windows.trigger(OnEveryRecord)),
            When::Count(n) => told!(windows.trigger(OnCount::of(n))),
            When::Early(n) => told!(windows.trigger(OnWatermark.with_early(OnCount::of(n)))),
            When::Final => told!(windows.trigger(OnFinal)),
        }
    }};
}

/// The same windows, merged before the shuffle.
macro_rules! combined_windows {
    ($clicks:expr, $windows:expr, $case:expr, $late:expr) => {{
        let windows =
            $clicks.window($windows).allowed_lateness(ms($case.lateness)).late_to($late.unwrap());
        let windows = if $case.discarding { windows.discarding() } else { windows };
        windows.aggregate(Total).uid("keys").map(|one| told(&one)).boxed()
    }};
}

fn build(
    case: &Case,
    clicks: DataStream<Click>,
    (parallel, combined): (usize, Option<usize>),
    late: Option<&SideTag<Click>>,
) -> DataStream<Out> {
    let keyed = clicks.key_by(|click| click.0).parallel(parallel);
    if let Some(entries) = combined {
        let Kind::Sliding { size, step, offset } = case.kind else { unreachable!() };
        let keyed = keyed.combined(entries);
        return if case.tumbling {
            combined_windows!(keyed, Tumbling::of(ms(size)).offset(ms(offset)), case, late)
        } else {
            combined_windows!(keyed, Sliding::of(ms(size), ms(step)).offset(ms(offset)), case, late)
        };
    }
    let total = |(key, value)| (key, Told { span: (0, 0), value, why: Why::OnTime });
    match case.kind {
        Kind::Sliding { size, offset, .. } if case.tumbling => {
            windows!(keyed, Tumbling::of(ms(size)).offset(ms(offset)), case, late)
        }
        Kind::Sliding { size, step, offset } => {
            windows!(keyed, Sliding::of(ms(size), ms(step)).offset(ms(offset)), case, late)
        }
        Kind::Session { gap } => windows!(keyed, Session::with_gap(ms(gap)), case, late),
        Kind::Counts { size, step, partial } => {
            let counts = CountWindows::of(size).every(step);
            let counts = if partial { counts.with_partial() } else { counts };
            windows!(keyed, counts, case, late)
        }
        Kind::Timers { .. } => keyed.process(Totals(*case)).uid("keys").boxed(),
        Kind::Running => {
            let sums = keyed.running_fold(0, |sum: &mut i64, click: Click| *sum += click.1);
            sums.uid("keys").map(total).boxed()
        }
    }
}

/// What was told, and what was late, for each key.
fn output_of(records: Vec<Record<Result<Out, Click>>>) -> Output {
    let mut output = Output::default();
    for record in records {
        match record.value {
            Ok((key, told)) => output.told.entry(key).or_default().push(told),
            Err((key, value, time)) => {
                assert_eq!(record.time, at(time), "a late record keeps its time");
                output.late.entry(key).or_default().push((value, time));
            }
        }
    }
    output
}

/// Plays a script to the graph of a case.
pub(crate) fn play(case: &Case, steps: &[Step], play: Play<'_>) -> Played {
    let flow = Dataflow::new("laws");
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut inputs: Vec<SourceProbe<Click>> = Vec::new();
    let partitions = (0..case.partitions).map(|partition| {
        let (input, source) = probe_source::<Click>();
        inputs.push(input);
        let clicks = flow.source(&format!("partition {partition}"), source);
        let Some(disorder) = case.disorder else { return clicks.boxed() };
        let watermarks = Watermarks::bounded_disorder(ms(disorder));
        let watermarks = match play.idle_after {
            Some(quiet) => watermarks.idle_after(ms(quiet)),
            None => watermarks,
        };
        let clicks = clicks.event_time(|click| at(click.2), watermarks);
        clicks.uid(&format!("time {partition}")).boxed()
    });
    let clicks = partitions.reduce(DataStream::merge).unwrap();
    let [(results, sink), (rest, rest_sink)] = [probe_sink(), probe_sink()];
    let windows = !matches!(case.kind, Kind::Timers { .. } | Kind::Running);
    let late = windows.then(|| flow.side_output::<Click>("late")).map(|(late, too_late)| {
        too_late.map(Err).sink("too late", rest_sink);
        late
    });
    let clicks = if play.before > 1 { clicks.parallel(play.before) } else { clicks };
    let told = build(case, clicks, (play.parallel, play.combined), late.as_ref());
    told.parallel(1).via(Note(Arc::clone(&notes))).map(Ok).sink("told", sink);
    let options = play.state.into_iter().fold(play.options.clone(), JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    results.request(usize::MAX);
    rest.request(usize::MAX);

    let mut state = Snapshot::default();
    let put = |driver: &mut TestDriver, step: &Step| match *step {
        Step::Record(to, click) => driver.push(&inputs[to], Record::at(click, at(click.2))),
        Step::Watermark(of, time) => driver.watermark(&inputs[of], at(time)),
        Step::Idle(of) => driver.idle(&inputs[of]),
        Step::Advance(by) => driver.advance(ms(by)),
    };
    let barrier = |driver: &mut TestDriver, number: usize, ahead: &[Step]| {
        let barrier = Barrier(1 + number as u64);
        let (first, others) = inputs.split_first().unwrap();
        driver.barrier(first, barrier);
        ahead.iter().for_each(|step| put(driver, step));
        others.iter().for_each(|input| driver.barrier(input, barrier));
        Snapshot::from_bytes(&driver.snapshot(barrier).to_bytes()).unwrap()
    };
    for (number, step) in steps.iter().enumerate() {
        if play.barriers.contains(&number) {
            state = barrier(&mut driver, number, &[]);
        }
        put(&mut driver, step);
    }
    match play.ending {
        Ending::End => inputs.iter().for_each(|input| driver.end(input)),
        Ending::Drain => driver.job().unwrap().request_drain(ms(1_000_u64)),
        Ending::Crash => state = barrier(&mut driver, steps.len(), play.ahead),
    }
    let mut records = driver.records(&results);
    records.extend(driver.records(&rest));
    let output = output_of(records);
    if play.ending != Ending::Crash {
        driver.finish().unwrap();
    }
    let watermarks = std::mem::take(&mut *notes.lock().unwrap());
    Played { output, state, watermarks }
}
