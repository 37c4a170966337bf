//! `Pattern`: the steps of a match, how they follow each other, and how often each comes.

use std::fmt;
use std::ops::{RangeFrom, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;
use super::{AfterMatch, Match, PatternError, shape};

/// What to look for: a sequence of steps. [The module](super) tells how to write one.
///
/// What is said of a step is said behind it, in any order.
#[must_use = "a pattern is looked for by `.pattern(…)`"]
pub struct Pattern<T> {
    pub(super) steps: Vec<Step<T>>,
    pub(super) within: Option<Duration>,
    pub(super) after_match: AfterMatch,
    pub(super) max_partial_matches: Option<usize>,
    /// What can be seen to be wrong while it is being said.
    pub(super) mistakes: Vec<PatternError>,
}

/// One step, or a group of them.
pub(super) struct Step<T> {
    pub(super) link: Link,
    pub(super) body: Body<T>,
    pub(super) times: Option<Times>,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    pub(super) consecutive: bool,
    pub(super) combinations: bool,
    pub(super) until: Option<Condition<T>>,
}

/// What a step takes.
pub(super) enum Body<T> {
    Event { name: Arc<str>, condition: Condition<T> },
    Group(Vec<Step<T>>),
}

/// How a step follows the one before. The first follows the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Next,
    FollowedBy,
    FollowedByAny,
    NotNext,
    NotFollowedBy,
}

/// How often a step comes: made of a number, of `from..=to`, or of `from..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub(super) from: usize,
    /// None: as often as one likes.
    pub(super) to: Option<usize>,
}

impl From<usize> for Times {
    fn from(times: usize) -> Self {
        Self { from: times, to: Some(times) }
    }
}

impl From<RangeInclusive<usize>> for Times {
    fn from(times: RangeInclusive<usize>) -> Self {
        Self { from: *times.start(), to: Some(*times.end()) }
    }
}

impl From<RangeFrom<usize>> for Times {
    fn from(times: RangeFrom<usize>) -> Self {
        Self { from: times.start, to: None }
    }
}

/// What a step of a pattern is made of: its name, or a pattern, which is then a group. Names are
/// for conditions to be said of, and for looking up what was found.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no step of a pattern",
    note = "a step is a name, as in `.next(\"large\")`, or another `Pattern`, for a group"
)]
pub trait IntoStep<T> {
    /// The pattern that has this as its only steps.
    fn into_pattern(self) -> Pattern<T>;

    /// Whether it is a group.
    const IS_GROUP: bool = false;
}

impl<T> IntoStep<T> for &str {
    fn into_pattern(self) -> Pattern<T> {
        Pattern::of(Step::named(self))
    }
}

impl<T> IntoStep<T> for String {
    fn into_pattern(self) -> Pattern<T> {
        Pattern::of(Step::named(&self))
    }
}

impl<T> IntoStep<T> for Pattern<T> {
    const IS_GROUP: bool = true;

    fn into_pattern(self) -> Self {
        self
    }
}

impl<T> Step<T> {
    fn named(name: &str) -> Self {
        Self::new(Body::Event { name: Arc::from(name), condition: Condition::new() })
    }

    const fn new(body: Body<T>) -> Self {
        Self {
            link: Link::Next,
            body,
            times: None,
            optional: false,
            greedy: false,
            consecutive: false,
            combinations: false,
            until: None,
        }
    }

    /// What errors call it.
    pub(super) fn called(&self) -> String {
        match &self.body {
            Body::Event { name, .. } => format!("`{name}`"),
            Body::Group(steps) => {
                let first = steps.first().map(Self::called).unwrap_or_default();
                format!("the group that begins with {first}")
            }
        }
    }
}

impl<T> Pattern<T> {
    /// A pattern that begins with this step. Each event that is like that begins a match.
    pub fn begin(step: impl IntoStep<T>) -> Self {
        let empty = Self {
            steps: Vec::new(),
            within: None,
            after_match: AfterMatch::no_skip(),
            max_partial_matches: None,
            mistakes: Vec::new(),
        };
        empty.then(Link::Next, step)
    }

    /// The very next event of the key is the next step; any other breaks the match. Flink calls
    /// that strict.
    pub fn next(self, step: impl IntoStep<T>) -> Self {
        self.then(Link::Next, step)
    }

    /// The next event that is like that is the next step; all before it are skipped. Flink calls
    /// that relaxed.
    pub fn followed_by(self, step: impl IntoStep<T>) -> Self {
        self.then(Link::FollowedBy, step)
    }

    /// Each later event that is like that is the next step, in a match of its own. Flink calls
    /// that non-deterministic relaxed.
    pub fn followed_by_any(self, step: impl IntoStep<T>) -> Self {
        self.then(Link::FollowedByAny, step)
    }

    /// The event that follows the step before is not like that. None need follow: at the end of a
    /// pattern, time decides.
    pub fn not_next(self, step: impl Into<String>) -> Self {
        self.then(Link::NotNext, step.into())
    }

    /// Nothing like that comes between the step before and the one behind, nor is that one like
    /// it. At the end of a pattern: before the time of [`within`](Pattern::within) is over.
    pub fn not_followed_by(self, step: impl Into<String>) -> Self {
        self.then(Link::NotFollowedBy, step.into())
    }

    /// What an event has to be like to be this step. Said more than once, all of it has to hold;
    /// without it, any event is.
    ///
    /// The closure is asked at most once for each event.
    pub fn when(mut self, condition: impl Fn(&T) -> bool + Clone + Send + 'static) -> Self {
        match self.last("when") {
            Some(Body::Event { condition: all, .. }) => all.and(condition),
            Some(Body::Group(_)) | None => {}
        }
        self
    }

    /// What an event has to be like to be this step, given what has been matched before it: Flink's
    /// iterative condition. It is asked for each partial match that the event could go on, behind
    /// what [`when`](Pattern::when) says, and each time what was matched is gathered: ask it last.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// // Each is larger than the one before.
    /// let rising = Pattern::begin("rising").one_or_more().when_with(|price: &u64, so_far| {
    ///     so_far.last("rising").is_none_or(|last| price > last)
    /// });
    /// assert!(rising.max_partial_matches(100).check().is_ok());
    /// ```
    pub fn when_with(
        mut self,
        condition: impl Fn(&T, &Match<'_, T>) -> bool + Clone + Send + 'static,
    ) -> Self {
        match self.last("when_with") {
            Some(Body::Event { condition: all, .. }) => all.and_iterative(condition),
            Some(Body::Group(_)) | None => {}
        }
        self
    }

    /// The step comes once or more often.
    pub fn one_or_more(self) -> Self {
        self.at_least(1)
    }

    /// The step comes so often or more often: Flink's `timesOrMore`.
    pub fn at_least(self, times: usize) -> Self {
        self.times(times..)
    }

    /// The step comes so often: `times(3)`, `times(2..=4)`. From zero on is from one on, and
    /// [`optional`](Pattern::optional).
    pub fn times(mut self, times: impl Into<Times>) -> Self {
        let mut times = times.into();
        let Some(step) = self.steps.last_mut() else {
            return self;
        };
        if times.from == 0 && times.to != Some(0) {
            times.from = 1;
            step.optional = true;
        }
        let twice = step.times.replace(times).is_some();
        let called = step.called();
        if twice {
            self.mistakes.push(PatternError::TwoQuantifiers(called));
        } else if times.to.unwrap_or(times.from) == 0 || times.to.is_some_and(|to| to < times.from)
        {
            self.mistakes.push(PatternError::NoTimes(called));
        }
        self
    }

    /// The step may be left out. Both are matches then: with it, and without.
    pub fn optional(self) -> Self {
        self.set(|step| step.optional = true)
    }

    /// The loop takes what it can: while it could take an event, that is no other step. Without it,
    /// each event after which the loop may be left is a choice, and both ways are followed.
    pub fn greedy(self) -> Self {
        self.set(|step| step.greedy = true)
    }

    /// Within the loop, each event is the very next one of the key. Default: what is not like the
    /// step is skipped.
    pub fn consecutive(self) -> Self {
        self.set(|step| step.consecutive = true)
    }

    /// Within the loop, events that are like the step may be skipped too, in matches of their own.
    pub fn allow_combinations(self) -> Self {
        self.set(|step| step.combinations = true)
    }

    /// The loop takes nothing more once an event has come that is like this, and nothing that is
    /// like it. What follows the loop may still follow.
    pub fn until(self, condition: impl Fn(&T) -> bool + Clone + Send + 'static) -> Self {
        self.set(|step| step.until = Some(Condition::of(condition)))
    }

    /// The last event of a match is less than `time` after its first: at exactly so much later, it
    /// is too late, as in Flink. Said more than once, the shortest holds.
    ///
    /// Partial matches whose time is up are given up, and go to
    /// [`timed_out_to`](super::PatternStream::timed_out_to).
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(self.within.map_or(time, |other| other.min(time)));
        self
    }

    /// What becomes of other partial matches when one is whole.
    pub fn after_match(mut self, after_match: AfterMatch) -> Self {
        self.after_match = after_match;
        self
    }

    /// The most partial matches that a key may have, each beginning that they have grown from
    /// counted too; at one more, the job [fails](super::TooManyPartialMatches). Every event that is
    /// kept is in one of them, so that it bounds those as well.
    ///
    /// It may be said instead of [`within`](Pattern::within), or beside it, where many events could
    /// come in that time: `allow_combinations` doubles the partial matches with each.
    pub fn max_partial_matches(mut self, max: usize) -> Self {
        self.max_partial_matches = Some(max);
        self
    }

    fn of(step: Step<T>) -> Self {
        Self {
            steps: vec![step],
            within: None,
            after_match: AfterMatch::no_skip(),
            max_partial_matches: None,
            mistakes: Vec::new(),
        }
    }

    fn then<S: IntoStep<T>>(mut self, link: Link, step: S) -> Self {
        let inner = step.into_pattern();
        self.mistakes.extend(inner.mistakes);
        let of_the_whole = [
            ("within(…)", inner.within.is_some()),
            ("after_match(…)", inner.after_match != AfterMatch::no_skip()),
            ("max_partial_matches(…)", inner.max_partial_matches.is_some()),
        ];
        let said = of_the_whole.into_iter().filter(|(_, said)| *said);
        self.mistakes.extend(said.map(|(word, _)| PatternError::InGroup(word)));
        let steps =
            if S::IS_GROUP { vec![Step::new(Body::Group(inner.steps))] } else { inner.steps };
        self.steps.extend(steps.into_iter().map(|step| Step { link, ..step }));
        self
    }

    /// What the last step takes, for something that is said of steps only.
    fn last(&mut self, word: &'static str) -> Option<&mut Body<T>> {
        let step = self.steps.last_mut()?;
        if matches!(step.body, Body::Group(_)) {
            let step = step.called();
            self.mistakes.push(PatternError::OfGroup { word, step });
            return None;
        }
        Some(&mut step.body)
    }

    fn set(mut self, change: impl FnOnce(&mut Step<T>)) -> Self {
        if let Some(step) = self.steps.last_mut() {
            change(step);
        }
        self
    }
}

impl<T> Clone for Body<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Event { name, condition } => {
                Self::Event { name: Arc::clone(name), condition: condition.clone() }
            }
            Self::Group(steps) => Self::Group(steps.clone()),
        }
    }
}

impl<T> Clone for Step<T> {
    fn clone(&self) -> Self {
        Self { body: self.body.clone(), until: self.until.clone(), ..*self }
    }
}

impl<T> Clone for Pattern<T> {
    fn clone(&self) -> Self {
        Self {
            steps: self.steps.clone(),
            within: self.within,
            after_match: self.after_match.clone(),
            max_partial_matches: self.max_partial_matches,
            mistakes: self.mistakes.clone(),
        }
    }
}

impl<T> fmt::Debug for Pattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", shape::of(&self.steps, self.within))
    }
}
