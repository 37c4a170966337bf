//! What windows of time tell of a script: worked out from their contracts alone, one step after
//! another, and knowing nothing of the engine.

use std::collections::BTreeMap;

use crate::scripts::{Case, Click, Kind, Output, Step, Told, When, Why};

pub(crate) const MAX: i128 = i64::MAX as i128;

/// One window of one key, with the records since it was last told of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) span: (i128, i128),
    pub(crate) value: i64,
    pub(crate) count: u64,
    pub(crate) fresh: bool,
    pub(crate) held: bool,
    pub(crate) on_time: bool,
}

struct Oracle<'a> {
    case: &'a Case,
    watermark: i128,
    out: Output,
}

pub(crate) fn expected(case: &Case, steps: &[Step]) -> Output {
    if !matches!(case.kind, Kind::Sliding { .. } | Kind::Session { .. }) {
        return crate::by_key::expected(case, steps);
    }
    let mut oracle = Oracle { case, watermark: i64::MIN.into(), out: Output::default() };
    let mut keys: BTreeMap<u8, Vec<Window>> = BTreeMap::new();
    for step in steps.iter().copied().chain([Step::Watermark(0, i64::MAX)]) {
        match step {
            Step::Record(_, click) => oracle.record(keys.entry(click.0).or_default(), click),
            Step::Watermark(_, time) => {
                oracle.watermark = oracle.watermark.max(time.into());
                keys.iter_mut().for_each(|(key, windows)| oracle.tell(*key, windows));
            }
            Step::Idle(_) | Step::Advance(_) => {}
        }
    }
    oracle.out
}

pub(crate) fn clamp(time: i128) -> i128 {
    time.clamp(i64::MIN.into(), MAX)
}

pub(crate) fn push(out: &mut Output, key: u8, span: (i128, i128), value: i64, why: Why) {
    let millis = |time| i64::try_from(clamp(time)).unwrap();
    let span = (millis(span.0), millis(span.1));
    out.told.entry(key).or_default().push(Told { span, value, why });
}

impl Window {
    /// Tells of it if there is anything new.
    pub(crate) fn fire(&mut self, key: u8, complete: bool, case: &Case, out: &mut Output) {
        let why = [[Why::Early; 2], [Why::OnTime, Why::Late]];
        let why = why[usize::from(complete)][usize::from(self.on_time)];
        self.count = 0;
        if self.fresh || (self.held && why == Why::OnTime) {
            (self.fresh, self.on_time) = (false, self.on_time || complete);
            push(out, key, self.span, self.value, why);
            if case.discarding {
                (self.held, self.value) = (false, 0);
            }
        }
    }

    /// Adds a record. Tells whether the trigger wants to tell of it.
    pub(crate) fn add(&mut self, value: i64, complete: bool, case: &Case) -> bool {
        (self.value, self.count) = (self.value + value, self.count + 1);
        (self.fresh, self.held) = (true, true);
        match case.when {
            When::OnTime => complete,
            When::Each => true,
            When::Count(n) => self.count >= n,
            When::Early(n) => complete || self.count >= n,
            When::Final => false,
        }
    }
}

impl Oracle<'_> {
    fn is_over(&self, end: i128) -> bool {
        clamp(clamp(end) + i128::from(self.case.lateness)) <= self.watermark
    }

    fn take_in(&mut self, window: &mut Window, (key, value, _): Click) {
        let complete = clamp(window.span.1) <= self.watermark;
        if window.add(value, complete, self.case) {
            window.fire(key, complete, self.case, &mut self.out);
        }
    }

    fn record(&mut self, windows: &mut Vec<Window>, click: Click) {
        let time = i128::from(click.2);
        let spans: Vec<_> = match self.case.kind {
            Kind::Sliding { size, step, offset } => {
                let last = time - (time - offset).rem_euclid(step);
                let starts = (0..).map(|n| last - n * step).take_while(|start| start + size > time);
                starts.map(|start| (start, start + size)).collect()
            }
            Kind::Session { gap } => return self.visit(windows, click, (time, clamp(time + gap))),
            _ => unreachable!(),
        };
        let kept = spans.iter().rev().filter(|span| !self.is_over(span.1)).collect::<Vec<_>>();
        if kept.is_empty() && !spans.is_empty() {
            self.out.late.entry(click.0).or_default().push((click.1, click.2));
        }
        for span in kept {
            if !windows.iter().any(|window| window.span == *span) {
                windows.push(Window { span: *span, ..Window::default() });
            }
            let window = windows.iter_mut().find(|window| window.span == *span);
            self.take_in(window.unwrap(), click);
        }
    }

    /// A record of sessions, which joins all that it lies in.
    fn visit(&mut self, sessions: &mut Vec<Window>, click: Click, own: (i128, i128)) {
        let overlaps =
            |one: &mut Window| (one.span.0 < own.1 && own.0 < one.span.1) || one.span.1 == own.1;
        let joined: Vec<Window> = sessions.extract_if(.., overlaps).collect();
        if joined.is_empty() && self.is_over(own.1) {
            return self.out.late.entry(click.0).or_default().push((click.1, click.2));
        }
        let mut session = Window { span: own, ..Window::default() };
        for one in joined {
            session.span = (session.span.0.min(one.span.0), session.span.1.max(one.span.1));
            (session.value, session.count) = (session.value + one.value, session.count + one.count);
            session.on_time |= one.on_time;
        }
        self.take_in(&mut session, click);
        sessions.push(session);
    }

    fn tell(&mut self, key: u8, windows: &mut Vec<Window>) {
        windows.sort_by_key(|window| (clamp(window.span.1), window.span.0));
        for window in &mut *windows {
            let complete = clamp(window.span.1) <= self.watermark;
            let left = window.fresh && self.is_over(window.span.1);
            if left || (complete && self.case.when.is_on_time()) {
                window.fire(key, complete, self.case, &mut self.out);
            }
        }
        windows.retain(|window| !self.is_over(window.span.1));
    }
}
