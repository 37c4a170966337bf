//! The thermometers of a workshop: which of them are unsteady, and which have fallen silent.
//!
//! ```text
//!            ╭─▶ five minutes by device ─╮
//! readings ──┤                           ├─▶ watch each device ─▶ alarms
//!            ╰─▶ it is there ────────────╯          ▲
//!                                          limits ──╯ to every instance
//! ```
//!
//! Mean and deviation of each device's last five minutes are told every minute, in event time. They
//! are held against limits that change while the job runs. And a device that says nothing for a
//! while raises an alarm by the clock: no record need come for that, of this device or any other.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod devices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::keyed::process::{
    BroadcastContext, BroadcastFunction, KeyContext, Timer, ValueState,
};
use millstream::prelude::*;
use millstream::source::MissedTicks;

use devices::{Device, LIMITS, Limit, PACE, Reading, readings};

type Spread = (f64, f64);

const MINUTE: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_millis(150);

/// The job between its sources and its sink.
fn alarms(readings: DataStream<Reading>, limits: DataStream<Limit>) -> DataStream<String> {
    let watermarks = Watermarks::monotonic().with_step(MINUTE);
    let [windows, heard] = readings.event_time(|reading| reading.time, watermarks).broadcast();
    let degrees = |reading: &Reading| reading.degrees;
    let squares = |reading: &Reading| reading.degrees.powi(2);
    let spreads = windows
        .key_by(|reading| reading.device)
        .window(Sliding::of(5 * MINUTE, MINUTE))
        .aggregate((Mean::of(degrees), Mean::of(squares)).map_result(spread))
        .map(|five| (five.key, five.value));
    let heard = heard.map(|reading| (reading.device, None));
    let all = heard.merge(spreads).key_by(|(device, _)| *device);
    all.connect_broadcast(limits).process(Watch).named("watch").gather()
}

/// The mean of some readings and their deviation from it, by the mean of their squares.
fn spread((mean, of_squares): (Option<f64>, Option<f64>)) -> Option<Spread> {
    mean.zip(of_squares).map(|(mean, squares)| (mean, (squares - mean * mean).max(0.0).sqrt()))
}

/// Tells of a device when it becomes unsteady or silent, and when that is over. What it keeps: when
/// the device was heard, and the timer that the next reading takes back.
#[derive(Clone)]
struct Watch;

#[derive(Default)]
struct Kept {
    unsteady: bool,
    silent: bool,
    heard: Option<Timestamp>,
    timer: Option<Timestamp>,
}

impl BroadcastFunction<Device, (Device, Option<Spread>), Limit> for Watch {
    type Out = String;
    type States = ValueState<Kept>;
    type Rules = BTreeMap<Device, f64>;

    fn states(&self) -> ValueState<Kept> {
        ValueState::new("watch")
    }

    fn process(
        &mut self,
        seen: Record<(Device, Option<Spread>)>,
        limits: &BTreeMap<Device, f64>,
        context: &mut KeyContext<'_, Device, ValueState<Kept>>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let (device, spread) = seen.value;
        let mut kept = context.states.take().unwrap_or_default();
        if let Some((mean, deviation)) = spread {
            let limit = limits.get(device).copied().unwrap_or(1.0);
            let was = std::mem::replace(&mut kept.unsteady, deviation > limit);
            if was != kept.unsteady {
                let what = if was { "is steady again" } else { "is unsteady" };
                let what = format!("{what}: {mean:.1} ± {deviation:.1} °C, limit {limit:.1}");
                out.push(context.record(alarm(device, context.time, &what)));
            }
        } else {
            kept.heard = Some(context.time);
            kept.timer.into_iter().for_each(|old| context.timers.delete_processing_time(old));
            kept.timer = Some(context.timers.set_after(SILENCE));
            if std::mem::take(&mut kept.silent) {
                out.push(context.record(alarm(device, context.time, "is back")));
            }
        }
        context.states.set(kept);
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        limit: Record<Limit>,
        limits: &mut BTreeMap<Device, f64>,
        _context: &mut BroadcastContext<'_, Device, ValueState<Kept>>,
        _out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        limits.extend([limit.value]);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        _limits: &BTreeMap<Device, f64>,
        context: &mut KeyContext<'_, Device, ValueState<Kept>>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let heard = context.states.update(Kept::default, |kept| kept.silent = true).heard;
        let alarm = heard.map(|heard| alarm(context.key, heard, "was heard for the last time"));
        alarm.into_iter().for_each(|alarm| out.push(Record::at(alarm, context.watermark)));
        Ok(())
    }
}

fn alarm(device: Device, time: Timestamp, what: &str) -> String {
    let minute = time.as_millis() / 60_000;
    format!("{:02}:{:02}  {device:6} {what}", minute / 60, minute % 60)
}

#[tokio::main]
async fn main() -> Result<(), millstream::Error> {
    let flow = Dataflow::new("workshop");
    let ticks = flow.source("thermometers", source::interval(PACE, MissedTicks::Burst)).take(360);
    let changes = flow.source("changes", source::interval(120 * PACE, MissedTicks::Burst)).take(3);
    let limits = changes.filter_map(|tick| LIMITS.get(usize::try_from(tick).ok()?).copied());
    let limits = limits.inspect(|(device, limit)| println!("       {device:6} limit {limit:.1}"));
    let readings = ticks.flat_map_iter(|tick| readings(7, tick));
    alarms(readings.boundary(), limits.boundary()).for_each(|alarm| println!("{alarm}"));
    let report = flow.run().await?;
    println!("{} records in, {:.1?}", report.records_read(), report.elapsed());
    Ok(())
}
