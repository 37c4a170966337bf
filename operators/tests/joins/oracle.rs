//! What joins are to tell, straight from their definitions: every record is looked at for every
//! other.

use crate::rig::{Event, Output, Step};

/// Which join it is, and what was said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// Whether left and right records without a partner are told of.
    pub(crate) alone: [bool; 2],
    pub(crate) grace: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// By how much a right record may be later than a left one.
    Interval(i64, i64),
    /// For how long a version is valid.
    AsOf(i64),
}

/// Whether a version means that there is none.
pub(crate) fn is_deletion(version: &Event) -> bool {
    version.1.is_multiple_of(5)
}

/// A record that was not late, and whether it has been told of.
struct Seen {
    side: usize,
    event: Event,
    told: bool,
}

/// Plays a script to a definition.
pub(crate) struct Oracle {
    case: Case,
    seen: Vec<Seen>,
    watermarks: [i64; 2],
    resting: [bool; 2],
    merged: i64,
}

impl Oracle {
    pub(crate) fn new(case: Case) -> Self {
        let (watermarks, resting) = ([i64::MIN; 2], [false; 2]);
        Self { case, seen: Vec::new(), watermarks, resting, merged: i64::MIN }
    }

    pub(crate) fn play(&mut self, step: Step) -> Output {
        let mut out = Output::default();
        match step {
            Step::Record(side, event) => {
                self.resting[side] = false;
                self.merge();
                self.record(side, event, &mut out);
            }
            Step::Watermark(side, time) => {
                self.watermarks[side] = self.watermarks[side].max(time);
            }
            Step::Idle(side) => self.resting[side] = true,
            Step::End(side) => (self.watermarks[side], self.resting[side]) = (i64::MAX, true),
        }
        self.merge();
        self.pass(self.merged, &mut out);
        out
    }

    /// The end of all inputs.
    pub(crate) fn finish(mut self) -> Output {
        let mut out = Output::default();
        self.pass(i64::MAX, &mut out);
        out
    }

    fn merge(&mut self) {
        let active = (0..2).filter(|side| !self.resting[*side]).map(|side| self.watermarks[side]);
        let all = self.watermarks.into_iter().filter(|time| *time < i64::MAX).max();
        self.merged = self.merged.max(active.min().or(all).unwrap_or(i64::MIN));
    }

    fn record(&mut self, side: usize, event: Event, out: &mut Output) {
        let alone = [(Some(event.1), None), (None, Some(event.1))][side];
        if event.2 + self.case.grace < self.merged {
            return out.late.push((event.2, alone));
        }
        let mut told = false;
        for other in self.seen.iter_mut().filter(|other| other.side != side) {
            let Kind::Interval(lower, upper) = self.case.kind else { break };
            let (left, right) = if side == 0 { (event, other.event) } else { (other.event, event) };
            if left.0 == right.0 && (lower..=upper).contains(&(right.2 - left.2)) {
                (told, other.told) = (true, true);
                out.told.push((left.2.max(right.2), (Some(left.1), Some(right.1))));
            }
        }
        self.seen.push(Seen { side, event, told });
    }

    /// Tells of those whose time is over.
    fn pass(&mut self, watermark: i64, out: &mut Output) {
        for this in 0..self.seen.len() {
            let Seen { side, event: (key, number, time), told } = self.seen[this];
            let partner = match self.case.kind {
                Kind::AsOf(_) if side == 1 => continue,
                Kind::AsOf(life) => {
                    let versions = self.seen.iter().filter(|other| other.side == 1);
                    let earlier = versions.filter(|it| it.event.0 == key && it.event.2 <= time);
                    let latest = earlier.max_by_key(|version| version.event.2);
                    let valid = latest.filter(|it| it.event.2 + life >= time);
                    valid.filter(|it| !is_deletion(&it.event)).map(|it| it.event.1)
                }
                Kind::Interval(..) => None,
            };
            let last = match self.case.kind {
                Kind::Interval(_, upper) if side == 0 => time + upper,
                Kind::Interval(lower, _) => time - lower,
                Kind::AsOf(_) => time,
            };
            if told || last + self.case.grace >= watermark {
                continue;
            }
            self.seen[this].told = true;
            if self.case.alone[side] || partner.is_some() {
                let alone = [(Some(number), partner), (None, Some(number))][side];
                out.told.push((time, alone));
            }
        }
    }
}
