//! The oracle of what each key has for itself: windows of so many records, timers, running totals.

use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::{MAX, Window, clamp, push};
use crate::scripts::{Case, Click, Kind, Output, Step, Why};

/// All that is known of a key.
#[derive(Default)]
struct Key {
    windows: Vec<Window>,
    records: u64,
    /// A total, and when it was last written.
    total: Option<(i64, i128)>,
    timers: BTreeSet<i64>,
}

pub(crate) fn expected(case: &Case, steps: &[Step]) -> Output {
    let (mut out, mut watermark) = (Output::default(), i128::from(i64::MIN));
    let mut keys: BTreeMap<u8, Key> = BTreeMap::new();
    for step in steps {
        match *step {
            Step::Record(_, click) => {
                record(keys.entry(click.0).or_default(), click, watermark, case, &mut out);
            }
            Step::Watermark(_, time) if i128::from(time) > watermark => {
                watermark = time.into();
                keys.iter_mut()
                    .for_each(|(name, key)| fire(*name, key, watermark, false, case, &mut out));
            }
            Step::Watermark(..) | Step::Idle(_) | Step::Advance(_) => {}
        }
    }
    for (name, key) in &mut keys {
        fire(*name, key, watermark, true, case, &mut out);
        let partial = matches!(case.kind, Kind::Counts { partial: true, .. });
        for window in key.windows.iter_mut().filter(|_| partial) {
            if window.fresh || case.when.is_on_time() {
                window.fire(*name, true, case, &mut out);
            }
        }
    }
    out
}

fn record(key: &mut Key, click: Click, watermark: i128, case: &Case, out: &mut Output) {
    let (name, value, time) = click;
    match case.kind {
        Kind::Counts { size, step, .. } => {
            if key.records.is_multiple_of(step) {
                let span = (i128::from(key.records / step), 0);
                key.windows.push(Window { span, ..Window::default() });
            }
            key.records += 1;
            let (records, size, step) = (key.records.into(), size.into(), i128::from(step));
            let full = |window: &Window| i128::abs(records) - window.span.0 * step == size;
            for window in &mut key.windows {
                if window.add(value, watermark == MAX, case) || full(window) {
                    window.fire(name, full(window), case, out);
                }
            }
            key.windows.retain(|window| !full(window));
        }
        Kind::Timers { life, .. } => {
            let now = watermark.max(time.into());
            let (total, written) = alive(key, now, life).unwrap_or((0, now));
            key.total = Some((total + value, written.max(now)));
            let (set, delete) = case.timers(time, value);
            key.timers.extend(set);
            delete.map(|time| key.timers.remove(&time));
        }
        _ => {
            let total = key.total.unwrap_or_default().0 + value;
            key.total = Some((total, 0));
            push(out, name, (0, 0), total, Why::OnTime);
        }
    }
}

/// What is kept, unless its life is over.
fn alive(key: &Key, now: i128, life: i128) -> Option<(i64, i128)> {
    key.total.filter(|(_, written)| now < clamp(written + life) || written + life >= MAX)
}

/// The timers that are due, and at the end all.
fn fire(name: u8, key: &mut Key, watermark: i128, end: bool, case: &Case, out: &mut Output) {
    let Kind::Timers { life, .. } = case.kind else { return };
    let due = |time: &i64| end || watermark == MAX || i128::from(*time) < watermark;
    while let Some(time) = key.timers.first().copied().filter(due) {
        key.timers.pop_first();
        let total = alive(key, watermark, life).map_or(-1, |(total, _)| total);
        push(out, name, (time.into(), 0), total, Why::OnTime);
        key.timers.extend(case.again(time));
    }
}
