//! What windows, timers and running totals tell of a script: worked out from their contracts alone,
//! one step after another, and knowing nothing of the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::scripts::{Case, Click, Kind, Output, Step, Told, When, Why};

const MAX: i128 = i64::MAX as i128;

/// One window of one key.
#[derive(Clone, Copy, Default)]
struct Window {
    span: (i128, i128),
    value: i64,
    /// Records since it was last told of.
    count: u64,
    fresh: bool,
    held: bool,
    on_time: bool,
}

/// All that is known of a key.
#[derive(Default)]
struct Key {
    windows: Vec<Window>,
    records: u64,
    total: Option<(i64, i128)>,
    timers: BTreeSet<i128>,
}

struct Oracle<'a> {
    case: &'a Case,
    watermark: i128,
    /// How far the watermarks had come when the input ended, if it has.
    last: Option<i128>,
    out: Output,
}

pub(crate) fn expected(case: &Case, steps: &[Step]) -> Output {
    let (mut oracle, mut keys) = (
        Oracle { case, watermark: i64::MIN.into(), last: None, out: Output::default() },
        BTreeMap::new(),
    );
    for step in steps {
        match *step {
            Step::Record(_, click) => oracle.record(keys.entry(click.0).or_default(), click),
            Step::Watermark(_, time) if i128::from(time) > oracle.watermark => {
                oracle.watermark = time.into();
                keys.iter_mut().for_each(|(name, key)| oracle.tell(*name, key));
            }
            Step::Watermark(..) | Step::Idle(_) | Step::Advance(_) => {}
        }
    }
    oracle.last = Some(std::mem::replace(&mut oracle.watermark, MAX));
    for (name, key) in &mut keys {
        oracle.tell(*name, key);
        let partial = matches!(case.kind, Kind::Counts { partial: true, .. });
        for mut window in std::mem::take(&mut key.windows).into_iter().filter(|_| partial) {
            if window.fresh || case.when.is_on_time() {
                oracle.fire(*name, &mut window, true);
            }
        }
    }
    oracle.out
}

fn clamp(time: i128) -> i128 {
    time.clamp(i64::MIN.into(), MAX)
}

impl Oracle<'_> {
    fn push(&mut self, key: u8, (start, end): (i128, i128), value: i64, why: Why) {
        let span = (i64::try_from(clamp(start)).unwrap(), i64::try_from(clamp(end)).unwrap());
        self.out.told.entry(key).or_default().push(Told { span, value, why });
    }

    fn is_over(&self, end: i128) -> bool {
        clamp(clamp(end) + i128::from(self.case.lateness)) <= self.watermark
    }

    /// Tells of a window if there is anything new.
    fn fire(&mut self, key: u8, window: &mut Window, complete: bool) {
        let why = [[Why::Early; 2], [Why::OnTime, Why::Late]];
        let why = why[usize::from(complete)][usize::from(window.on_time)];
        window.count = 0;
        if window.fresh || (window.held && why == Why::OnTime) {
            (window.fresh, window.on_time) = (false, window.on_time || complete);
            self.push(key, window.span, window.value, why);
            if self.case.discarding {
                (window.held, window.value) = (false, 0);
            }
        }
    }

    /// Adds a record to a window. Tells whether the trigger wants to tell of it.
    fn add(&self, window: &mut Window, value: i64, complete: bool) -> bool {
        (window.value, window.count) = (window.value + value, window.count + 1);
        (window.fresh, window.held) = (true, true);
        match self.case.when {
            When::OnTime => complete,
            When::Each => true,
            When::Count(n) => window.count >= n,
            When::Early(n) => complete || window.count >= n,
            When::Final => false,
        }
    }

    fn record(&mut self, key: &mut Key, (name, value, time): Click) {
        let t = i128::from(time);
        let spans: Vec<(i128, i128)> = match self.case.kind {
            Kind::Running => {
                let total = key.total.unwrap_or_default().0 + value;
                key.total = Some((total, 0));
                return self.push(name, (0, 0), total, Why::OnTime);
            }
            Kind::Timers { life, .. } => {
                let now = t.max(self.watermark);
                let alive = self.alive(key, now, life).map(|total| (total, key.total.unwrap().1));
                let (total, written) = alive.unwrap_or((0, now));
                key.total = Some((total + value, written.max(now)));
                let (set, delete) = self.case.timers(time, value);
                key.timers.extend(set.map(i128::from));
                delete.map(|time| key.timers.remove(&i128::from(time)));
                return;
            }
            Kind::Counts { size, step, .. } => return self.count(key, name, value, (size, step)),
            Kind::Session { gap } => return self.visit(key, name, value, (t, clamp(t + gap))),
            Kind::Sliding { size, step, offset } => {
                let last = t - (t - offset).rem_euclid(step);
                let starts = (0..).map(|n| last - n * step).take_while(|start| start + size > t);
                starts.map(|start| (start, start + size)).collect()
            }
        };
        let kept = spans.iter().rev().filter(|span| !self.is_over(span.1)).collect::<Vec<_>>();
        if kept.is_empty() && !spans.is_empty() {
            self.out.late.entry(name).or_default().push((value, time));
        }
        for span in kept {
            let at = key.windows.iter().position(|window| window.span == *span);
            let at = at.unwrap_or_else(|| {
                key.windows.push(Window { span: *span, ..Window::default() });
                key.windows.len() - 1
            });
            let complete = clamp(span.1) <= self.watermark;
            if self.add(&mut key.windows[at], value, complete) {
                self.fire(name, &mut key.windows[at], complete);
            }
        }
    }

    /// A record of sessions, which joins all that it touches.
    fn visit(&mut self, key: &mut Key, name: u8, value: i64, own: (i128, i128)) {
        let touches =
            |one: &mut Window| (one.span.0 < own.1 && own.0 < one.span.1) || one.span.1 == own.1;
        let touched: Vec<Window> = key.windows.extract_if(.., touches).collect();
        if touched.is_empty() && self.is_over(own.1) {
            let time = i64::try_from(own.0).unwrap();
            return self.out.late.entry(name).or_default().push((value, time));
        }
        let mut session = Window { span: own, ..Window::default() };
        for one in touched {
            session.span = (session.span.0.min(one.span.0), session.span.1.max(one.span.1));
            (session.value, session.count) = (session.value + one.value, session.count + one.count);
            session.on_time |= one.on_time;
        }
        let complete = session.span.1 <= self.watermark;
        if self.add(&mut session, value, complete) {
            self.fire(name, &mut session, complete);
        }
        key.windows.push(session);
    }

    fn count(&mut self, key: &mut Key, name: u8, value: i64, (size, step): (u64, u64)) {
        if key.records.is_multiple_of(step) {
            let span = (i128::from(key.records / step), 0);
            key.windows.push(Window { span, ..Window::default() });
        }
        key.records += 1;
        let records = i128::from(key.records);
        let full = |window: &Window| records - window.span.0 * i128::from(step) == i128::from(size);
        for window in &mut key.windows {
            if self.add(window, value, self.watermark == MAX) || full(window) {
                self.fire(name, window, full(window));
            }
        }
        key.windows.retain(|window| !full(window));
    }

    fn alive(&self, key: &Key, now: i128, life: i128) -> Option<i64> {
        let (total, written) = key.total?;
        (now < clamp(written + life) || written + life >= MAX).then_some(total)
    }

    /// What is due of a key, now that time has come so far.
    fn tell(&mut self, name: u8, key: &mut Key) {
        if let Kind::Timers { life, .. } = self.case.kind {
            let reached = self.watermark;
            let due = |time: &i128| *time < reached || reached == MAX;
            while let Some(time) = key.timers.first().copied().filter(due) {
                key.timers.pop_first();
                let total =
                    self.alive(key, self.last.unwrap_or(self.watermark), life).unwrap_or(-1);
                self.push(name, (time, 0), total, Why::OnTime);
                key.timers.extend(self.case.again(time as i64).map(i128::from));
            }
        }
        if matches!(self.case.kind, Kind::Counts { .. }) {
            return;
        }
        key.windows.sort_by_key(|window| (clamp(window.span.1), window.span.0));
        for window in &mut key.windows {
            let complete = clamp(window.span.1) <= self.watermark;
            let over = window.fresh && self.is_over(window.span.1);
            if over || (complete && self.case.when.is_on_time()) {
                self.fire(name, window, complete);
            }
        }
        key.windows.retain(|window| !self.is_over(window.span.1));
    }
}
