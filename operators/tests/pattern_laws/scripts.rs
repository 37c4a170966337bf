//! Random patterns, as they are given to the engine and to the oracle, and random events.

use std::time::Duration;

use millstream_engine::random::Random;
use millstream_operators::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) key: u8,
    pub(crate) kind: u8,
    pub(crate) value: u8,
    pub(crate) time: i64,
    pub(crate) id: u32,
}

/// How a step follows the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Gap {
    Strict,
    Relaxed,
    Any,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Links {
    By(Gap),
    Not { next_only: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) kinds: u8,
    /// No smaller than the event that was taken before it.
    pub(crate) rising: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) link: Links,
    pub(crate) condition: Condition,
    pub(crate) group: Option<Vec<Step>>,
    pub(crate) times: Option<(usize, Option<usize>)>,
    pub(crate) optional: bool,
    pub(crate) greedy: bool,
    pub(crate) inner: Gap,
    pub(crate) until: Option<Condition>,
}

#[derive(Clone, Debug)]
pub(crate) enum Skip {
    No,
    ToNext,
    PastLast,
    ToFirst(String),
    ToLast(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) steps: Vec<Step>,
    pub(crate) within: Option<i64>,
    pub(crate) skip: Skip,
}

impl Spec {
    /// The pattern of the engine.
    pub(crate) fn pattern(&self) -> Pattern<Event> {
        let pattern = sequence(&self.steps).after_match(match &self.skip {
            Skip::No => AfterMatch::no_skip(),
            Skip::ToNext => AfterMatch::skip_to_next(),
            Skip::PastLast => AfterMatch::skip_past_last_event(),
            Skip::ToFirst(step) => AfterMatch::skip_to_first(step),
            Skip::ToLast(step) => AfterMatch::skip_to_last(step),
        });
        match self.within {
            Some(within) => pattern.within(Duration::from_millis(within.unsigned_abs())),
            None => pattern.max_partial_matches(1_000_000),
        }
    }
}

fn sequence(steps: &[Step]) -> Pattern<Event> {
    let mut whole: Option<Pattern<Event>> = None;
    for step in steps {
        let pattern = match (whole, &step.group, step.link) {
            (None, None, _) => Pattern::begin(&*step.name),
            (None, Some(group), _) => Pattern::begin(sequence(group)),
            (Some(whole), _, Links::Not { next_only: true }) => whole.not_next(&*step.name),
            (Some(whole), _, Links::Not { .. }) => whole.not_followed_by(&*step.name),
            (Some(whole), None, Links::By(Gap::Strict)) => whole.next(&*step.name),
            (Some(whole), None, Links::By(Gap::Relaxed)) => whole.followed_by(&*step.name),
            (Some(whole), None, Links::By(Gap::Any)) => whole.followed_by_any(&*step.name),
            (Some(whole), Some(group), Links::By(Gap::Strict)) => whole.next(sequence(group)),
            (Some(whole), Some(group), Links::By(Gap::Relaxed)) => {
                whole.followed_by(sequence(group))
            }
            (Some(whole), Some(group), Links::By(Gap::Any)) => {
                whole.followed_by_any(sequence(group))
            }
        };
        whole = Some(described(pattern, step));
    }
    whole.unwrap()
}

/// What is said of a step behind it.
fn described(mut pattern: Pattern<Event>, step: &Step) -> Pattern<Event> {
    let Condition { kinds, rising } = step.condition;
    if step.group.is_none() {
        pattern = pattern.when(move |event| kinds & (1 << event.kind) != 0);
        if rising {
            pattern = pattern.when_with(|event, so_far| {
                so_far.events().last().is_none_or(|(_, last)| last.value <= event.value)
            });
        }
    }
    pattern = match step.times {
        None => pattern,
        Some((1, None)) => pattern.one_or_more(),
        Some((from, None)) => pattern.at_least(from),
        Some((from, Some(to))) if from == to => pattern.times(from),
        Some((from, Some(to))) => pattern.times(from..=to),
    };
    if step.optional {
        pattern = pattern.optional();
    }
    if step.greedy {
        pattern = pattern.greedy();
    }
    if step.times.is_some() {
        pattern = match step.inner {
            Gap::Strict => pattern.consecutive(),
            Gap::Relaxed => pattern,
            Gap::Any => pattern.allow_combinations(),
        };
    }
    match &step.until {
        Some(Condition { kinds, .. }) => {
            let kinds = *kinds;
            pattern.until(move |event| kinds & (1 << event.kind) != 0)
        }
        None => pattern,
    }
}

/// Draws from a seed.
pub(crate) struct Draw {
    pub(crate) random: Random,
    steps: usize,
}

impl Draw {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), steps: 0 }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn gap(&mut self) -> Gap {
        [Gap::Strict, Gap::Relaxed, Gap::Relaxed, Gap::Any][self.below(4)]
    }

    fn condition(&mut self) -> Condition {
        let mut kinds = 1 << self.below(4);
        if self.one_in(3) {
            kinds |= 1 << self.below(4);
        }
        Condition { kinds, rising: self.one_in(6) }
    }

    fn step(&mut self, first: bool, depth: usize) -> Step {
        self.steps += 1;
        let name = format!("s{}", self.steps);
        let condition = self.condition();
        let negated = !first && self.one_in(4);
        let link = if negated {
            Links::Not { next_only: self.one_in(3) }
        } else {
            Links::By(if first { Gap::Strict } else { self.gap() })
        };
        let group = (!negated && depth > 0 && self.one_in(5)).then(|| self.steps(depth - 1));
        let times = (!negated && self.one_in(2)).then(|| match self.below(5) {
            0 | 1 => (1 + self.below(2), None),
            2 => (2, Some(2)),
            _ => (1 + self.below(2), Some(2 + self.below(2))),
        });
        let inner = if times.is_some() { self.gap() } else { Gap::Relaxed };
        let greedy = times.is_some() && group.is_none() && inner != Gap::Any && self.one_in(2);
        let until = (times.is_some() && self.one_in(4)).then(|| self.condition());
        let until = until.map(|until| Condition { rising: false, ..until });
        let optional = !negated && self.one_in(4);
        Step { name, link, condition, group, times, optional, greedy, inner, until }
    }

    fn steps(&mut self, depth: usize) -> Vec<Step> {
        let count = 1 + self.below(3 + depth);
        (0..count).map(|number| self.step(number == 0, depth)).collect()
    }

    /// A pattern that makes sense.
    pub(crate) fn spec(&mut self) -> Spec {
        loop {
            self.steps = 0;
            let steps = self.steps(1);
            let within = (!self.one_in(4)).then(|| 3 + self.below(12) as i64);
            let name = format!("s{}", 1 + self.below(self.steps));
            let skip = match self.below(8) {
                0 => Skip::ToNext,
                1 => Skip::PastLast,
                2 => Skip::ToFirst(name),
                3 => Skip::ToLast(name),
                _ => Skip::No,
            };
            let spec = Spec { steps, within, skip };
            if spec.pattern().check().is_ok() {
                return spec;
            }
        }
    }

    /// Events in the order in which they come, so much out of order at most, but for some.
    pub(crate) fn events(&mut self, most: usize, disorder: usize) -> Vec<Event> {
        let mut time = 0;
        let keys = 1 + self.below(3);
        (0..most as u32)
            .map(|id| {
                time += self.below(3) as i64;
                let back = if self.one_in(12) { disorder + 3 } else { self.below(disorder + 1) };
                let (key, kind) = (self.below(keys) as u8, self.below(4) as u8);
                let value = self.below(5) as u8;
                Event { key, kind, value, time: time - back as i64, id }
            })
            .collect()
    }
}
