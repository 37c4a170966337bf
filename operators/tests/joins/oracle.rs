//! What joins are to tell, straight from their definitions: every record is looked at for every
//! other.

use crate::rig::{Event, Output, Step};

/// Which join it is, and what was said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// By how much a right record may be later than a left one.
    pub(crate) bounds: (i64, i64),
    /// Whether left and right records without a partner are told of.
    pub(crate) alone: [bool; 2],
    pub(crate) grace: i64,
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

    pub(crate) fn watermark(&self) -> i64 {
        self.merged
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
        self.tell_alone(self.merged, &mut out);
        out
    }

    /// The end of all inputs.
    pub(crate) fn finish(mut self) -> Output {
        let mut out = Output::default();
        self.tell_alone(i64::MAX, &mut out);
        out
    }

    fn merge(&mut self) {
        let active = (0..2).filter(|side| !self.resting[*side]).map(|side| self.watermarks[side]);
        let all = self.watermarks.into_iter().filter(|time| *time < i64::MAX).max();
        self.merged = self.merged.max(active.min().or(all).unwrap_or(i64::MIN));
    }

    fn record(&mut self, side: usize, event: Event, out: &mut Output) {
        let name =
            |event: Event| if side == 0 { (Some(event.1), None) } else { (None, Some(event.1)) };
        if event.2 + self.case.grace < self.merged {
            return out.late.push((event.2, name(event)));
        }
        let mut told = false;
        for other in &mut self.seen {
            let (left, right) = if side == 0 { (event, other.event) } else { (other.event, event) };
            let apart = right.2 - left.2;
            let near = self.case.bounds.0 <= apart && apart <= self.case.bounds.1;
            if other.side != side && left.0 == right.0 && near {
                (told, other.told) = (true, true);
                out.told.push((left.2.max(right.2), (Some(left.1), Some(right.1))));
            }
        }
        self.seen.push(Seen { side, event, told });
    }

    /// Who has no partner, when the last time of one is over.
    fn tell_alone(&mut self, watermark: i64, out: &mut Output) {
        let case = self.case;
        for seen in &mut self.seen {
            let (_, number, time) = seen.event;
            let (last, name) = match seen.side {
                0 => (time + case.bounds.1, (Some(number), None)),
                _ => (time - case.bounds.0, (None, Some(number))),
            };
            if !seen.told && last + case.grace < watermark && case.alone[seen.side] {
                seen.told = true;
                out.told.push((time, name));
            }
        }
    }
}
