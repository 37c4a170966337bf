//! What may happen to a stream, drawn from a seed: disorder, ties, gaps, bursts, late records,
//! partitions that go idle, and times at both ends of time.

use std::collections::BTreeMap;

use millstream_engine::random::Random;

/// A record: its key, its value, its event time.
pub(crate) type Click = (u8, i64, i64);

/// Something that happens, and in which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Record(usize, Click),
    Watermark(usize, i64),
    Idle(usize),
    /// So many milliseconds pass.
    Advance(u64),
}

/// What stands between the source and the sink.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Tumbling, where the step is the size and `tumbling` is said.
    Sliding {
        size: i128,
        step: i128,
        offset: i128,
    },
    Session {
        gap: i128,
    },
    Counts {
        size: u64,
        step: u64,
        partial: bool,
    },
    Timers {
        delay: i64,
        life: i128,
    },
    Running,
}

/// When windows are told of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    OnTime,
    Each,
    Count(u64),
    Early(u64),
    Final,
}

impl When {
    /// Whether a window is told of as soon as it is complete.
    pub(crate) const fn is_on_time(self) -> bool {
        matches!(self, Self::OnTime | Self::Early(_))
    }
}

/// A graph, and how the stream comes into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// A `Tumbling`, and no `Sliding` that does the same.
    pub(crate) tumbling: bool,
    pub(crate) when: When,
    pub(crate) lateness: u64,
    pub(crate) discarding: bool,
    /// The disorder that `event_time` allows; the watermarks come from the source without it.
    pub(crate) disorder: Option<u64>,
    pub(crate) partitions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Why {
    Early,
    OnTime,
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Told {
    pub(crate) span: (i64, i64),
    pub(crate) value: i64,
    pub(crate) why: Why,
}

/// What is told of each key, and its late records, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) told: BTreeMap<u8, Vec<Told>>,
    pub(crate) late: BTreeMap<u8, Vec<(i64, i64)>>,
}

impl Output {
    /// The same in an order that depends on nothing.
    pub(crate) fn sorted(mut self) -> Self {
        self.told.values_mut().for_each(|told| told.sort_unstable());
        self.late.values_mut().for_each(|late| late.sort_unstable());
        self
    }

    /// In the order in which it came, where the contracts promise one: what is left of a window is
    /// told when the lateness is over, and windows that end together then come as they like.
    pub(crate) fn of(self, case: &Case) -> Self {
        let promised = matches!(case.when, When::OnTime | When::Early(_) | When::Each);
        if promised || case.lateness == 0 { self } else { self.sorted() }
    }

    /// Everything this and then everything of another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        other
            .told
            .into_iter()
            .for_each(|(key, told)| self.told.entry(key).or_default().extend(told));
        other
            .late
            .into_iter()
            .for_each(|(key, late)| self.late.entry(key).or_default().extend(late));
        self
    }
}

/// What a process function with timers does with them.
impl Case {
    /// The timers that a record sets, and the one that it deletes.
    pub(crate) fn timers(
        &self,
        time: i64,
        value: i64,
    ) -> (impl Iterator<Item = i64> + use<>, Option<i64>) {
        let Kind::Timers { delay, .. } = self.kind else { unreachable!() };
        let due = time.saturating_add(delay).saturating_sub(time.rem_euclid(4));
        let past = (value % 5 == 0).then_some(due.saturating_sub(3 * delay));
        let delete = (value % 3 == 0).then_some(due.saturating_sub(4));
        ([due].into_iter().chain(past), delete)
    }

    /// The timer that one sets when it fires.
    pub(crate) fn again(&self, time: i64) -> Option<i64> {
        (time.rem_euclid(8) == 0).then(|| time.saturating_add(3))
    }
}

pub(crate) struct Draw(pub(crate) Random);

impl Draw {
    pub(crate) fn new(seed: u64, law: u64) -> Self {
        Self(Random::fork(seed, usize::try_from(law).unwrap(), 0))
    }

    pub(crate) fn below(&mut self, bound: u64) -> i64 {
        i64::try_from(self.0.below(bound)).unwrap()
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.0.below(bound) == 0
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.0.below(of.len() as u64)).unwrap()]
    }

    pub(crate) fn case(&mut self) -> Case {
        let mut some = |most| i128::from(1 + self.below(most));
        let (size, step, gap) = (some(20), some(12), some(12));
        let (count, every, delay) = (some(4) as u64, some(5) as u64, some(20) as i64);
        let (offset, life) = (some(25) - 1, some(40));
        let tumbling = Kind::Sliding { size, step: size, offset };
        let kind = self.one(&[
            tumbling,
            Kind::Sliding { size, step, offset },
            Kind::Session { gap },
            Kind::Counts { size: count, step: every, partial: gap % 2 == 0 },
            Kind::Timers { delay, life },
            Kind::Running,
        ]);
        let same = matches!(kind, Kind::Sliding { size, step, .. } if size == step);
        let n = 1 + self.0.below(3);
        let all = [When::OnTime, When::Each, When::Count(n), When::Early(n), When::Final];
        Case {
            kind,
            tumbling: same && !self.one_in(3),
            when: self.one(&all),
            lateness: self.one(&[0, 0, 3, 15, u64::MAX]),
            discarding: self.one_in(2),
            disorder: self.one(&[None, Some(0), Some(4), Some(12)]),
            partitions: 1,
        }
    }

    /// Records of one partition and, where they come from the source, its watermarks.
    pub(crate) fn script(&mut self, case: &Case, steps: u64) -> Vec<Step> {
        let (mut script, mut now) = (Vec::new(), self.below(100) - 50);
        let hostile = self.one_in(6) && !matches!(case.kind, Kind::Counts { .. });
        let keys = 1 + self.0.below(5);
        for n in 0..self.0.below(steps + 1) {
            now += match self.0.below(12) {
                0..3 => 0,
                3 => 40,
                _ => self.below(6),
            };
            let behind = if self.one_in(4) { self.below(40) } else { self.below(5) };
            let ends = [i64::MIN, i64::MIN + 1, 1 << 60, -1 << 60, i64::MAX - 1, i64::MAX];
            // The end of time is the end of everything: late in the script, so that there is one.
            let end = hostile && self.one_in(1 + (steps - n.min(steps)) / 2);
            let time = if end { self.one(&ends) } else { now - behind };
            if case.disorder.is_none() && self.one_in(3) {
                script.push(Step::Watermark(0, time));
                continue;
            }
            let key = self.0.below(keys) as u8;
            script.push(Step::Record(0, (key, 1 + self.below(1_000), time)));
        }
        script
    }
}

/// What happens to several partitions.
#[derive(Debug)]
pub(crate) struct Script(pub(crate) Vec<Step>);

impl Script {
    /// Its records alone, as if no time passed between them.
    pub(crate) fn records(&self) -> Vec<Step> {
        let is_record = |step: &&Step| matches!(step, Step::Record(..));
        self.0.iter().filter(is_record).copied().collect()
    }
}

impl Draw {
    /// Several partitions, each at its own pace, that go idle and come back. If they are `on_time`,
    /// one that comes back has caught up with the others.
    pub(crate) fn script_of_partitions(
        &mut self,
        case: &Case,
        steps: u64,
        on_time: bool,
    ) -> Script {
        let mut script = Vec::new();
        let start = self.below(100) - 50;
        let mut nows = vec![start; case.partitions];
        let mut idle = vec![false; case.partitions];
        let disorder = case.disorder.unwrap_or(5);
        let keys = 1 + self.0.below(4);
        for _ in 0..self.0.below(steps + 1) {
            let of = usize::try_from(self.0.below(case.partitions as u64)).unwrap();
            let latest = *nows.iter().max().unwrap();
            let rest = self.0.below(10);
            if rest == 0 && case.disorder.is_none() {
                script.push(Step::Idle(of));
                idle[of] = true;
            } else if rest == 0 {
                script.push(Step::Advance(1 + self.0.below(25)));
                idle.fill(true);
            } else if rest < 3 && case.disorder.is_none() {
                if !idle[of] {
                    script.push(Step::Watermark(of, nows[of] - disorder as i64));
                }
            } else {
                if std::mem::take(&mut idle[of]) && on_time {
                    nows[of] = latest;
                }
                nows[of] += if self.one_in(8) { 30 } else { self.below(8) };
                let behind = if on_time { disorder } else { disorder + 10 };
                let time = nows[of] - self.below(behind + 1);
                let key = self.0.below(keys) as u8;
                script.push(Step::Record(of, (key, 1 + self.below(1_000), time)));
            }
        }
        Script(script)
    }
}

/// The same script with the watermarks that `event_time` makes in it.
pub(crate) fn with_watermarks(case: &Case, script: &[Step]) -> Vec<Step> {
    let Some(disorder) = case.disorder else { return script.to_vec() };
    let mut steps = Vec::new();
    for step in script {
        steps.push(*step);
        if let Step::Record(partition, (_, _, time)) = *step {
            let watermark = time.saturating_sub(i64::try_from(disorder).unwrap());
            steps.push(Step::Watermark(partition, watermark));
        }
    }
    steps
}
