//! What was found: the events of a match, by the step that took them.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use millstream_engine::time::Timestamp;

/// The events of a match, or of a part of one, by the steps that took them.
///
/// The events are borrowed: clone what is to be kept. `found["small"]` are those of one step, in
/// the order of their times; of an optional step they may be none.
pub struct Match<'a, T> {
    names: &'a [Arc<str>],
    /// Each event with the step that took it, in order.
    taken: Vec<(usize, &'a T)>,
    /// The events step by step.
    by_step: Vec<&'a T>,
    /// Where those of each step end there.
    ends: Vec<usize>,
    start: Timestamp,
    end: Timestamp,
}

impl<'a, T> Match<'a, T> {
    /// The match of these events, the latest first.
    pub(super) fn new(
        names: &'a [Arc<str>],
        latest_first: impl Iterator<Item = (usize, Timestamp, &'a T)>,
    ) -> Self {
        let (mut start, mut end) = (Timestamp::MAX, Timestamp::MIN);
        let mut taken: Vec<_> = latest_first
            .map(|(step, time, event)| {
                start = start.min(time);
                end = end.max(time);
                (step, event)
            })
            .collect();
        taken.reverse();
        let mut by_step = Vec::with_capacity(taken.len());
        let ends = (0..names.len()).map(|step| {
            by_step.extend(taken.iter().filter(|(of, _)| *of == step).map(|(_, event)| *event));
            by_step.len()
        });
        let ends = ends.collect();
        Self { names, taken, by_step, ends, start, end }
    }

    /// The events that a step took, in order. None if the pattern has no such step.
    #[must_use]
    pub fn get(&self, step: &str) -> Option<&[&'a T]> {
        let step = self.names.iter().position(|name| **name == *step)?;
        self.of(step)
    }

    fn of(&self, step: usize) -> Option<&[&'a T]> {
        let start = match step.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.by_step.get(start..*self.ends.get(step)?)
    }

    /// The first event that a step took, if it took any.
    #[must_use]
    pub fn first(&self, step: &str) -> Option<&'a T> {
        self.get(step)?.first().copied()
    }

    /// The last event that a step took, if it took any.
    #[must_use]
    pub fn last(&self, step: &str) -> Option<&'a T> {
        self.get(step)?.last().copied()
    }

    /// All events in order, each with the name of the step that took it.
    pub fn events(&self) -> impl Iterator<Item = (&str, &'a T)> {
        self.taken.iter().map(|(step, event)| {
            let name = self.names.get(*step).map_or("", |name| &**name);
            (name, *event)
        })
    }

    /// When the first event happened. Where there is none yet, the end of time.
    #[must_use]
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// When the last event happened. Where there is none yet, [`Timestamp::MIN`].
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        self.end
    }
}

/// The events that a step took.
///
/// # Panics
///
/// If the pattern has no step of that name, as a map would.
impl<'a, T> Index<&str> for Match<'a, T> {
    type Output = [&'a T];

    #[track_caller]
    #[allow(clippy::panic, reason = "a name that is in no pattern is a mistake in the program")]
    fn index(&self, step: &str) -> &[&'a T] {
        let Some(events) = self.get(step) else {
            panic!("the pattern has no step `{step}`");
        };
        events
    }
}

impl<T: fmt::Debug> fmt::Debug for Match<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.events()).finish()
    }
}
