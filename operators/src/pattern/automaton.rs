//! A pattern made ready to be looked for: repetitions written out, so that where a partial match
//! stands is one number, and for each such place the ways to go on.

use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;

/// What a [`Pattern`](super::Pattern) becomes.
pub(super) struct Automaton<T> {
    /// The steps that take events.
    pub(super) names: Arc<[Arc<str>]>,
    pub(super) conditions: Vec<Condition<T>>,
    /// The places where a partial match can stand: behind an event taken by a step, in one of its
    /// repetitions.
    pub(super) places: Vec<Place>,
    /// The ways to begin.
    pub(super) start: Vec<Move>,
    pub(super) within: Option<Duration>,
    pub(super) resume: Resume,
    pub(super) max_partial_matches: usize,
    /// The hash of the pattern's shape.
    pub(super) shape: u64,
}

/// Where a partial match stands.
#[derive(Clone)]
pub(super) struct Place {
    /// The step that took the event.
    pub(super) step: usize,
    /// What the event was like: this holds, and that does not.
    pub(super) condition: usize,
    pub(super) unless: Option<usize>,
    /// The ways to go on, the nearest steps first.
    pub(super) moves: Vec<Move>,
    pub(super) ending: Ending,
}

/// Whether a match can end in a place.
#[derive(Clone)]
pub(super) enum Ending {
    No,
    /// It is whole.
    Now,
    /// It is when its time is up, if none of these has come. In the list of ways to go on, this is
    /// the last.
    Later(Vec<Guard>),
}

/// A way to go on.
#[derive(Clone)]
pub(super) struct Move {
    /// To which place.
    pub(super) to: usize,
    pub(super) contiguity: Contiguity,
    /// What closes it.
    pub(super) guards: Vec<Guard>,
    /// The ways that are closed when this one is taken, because it is that of a greedy loop.
    pub(super) outranks: u64,
}

/// Which events a way to go on may pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contiguity {
    /// None.
    Strict,
    /// Those that it could not take.
    Relaxed,
    /// All.
    Any,
}

/// An event like this closes a way to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) condition: usize,
    /// Only if it is the very next.
    pub(super) next_only: bool,
}

/// Where matching goes on after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    Everywhere,
    PastFirstEvent,
    PastLastEvent,
    AtFirst(usize),
    AtLast(usize),
}

impl Place {
    /// All ways to go on, as bits.
    pub(super) fn open(&self) -> u64 {
        let ways = self.moves.len() + usize::from(matches!(self.ending, Ending::Later(_)));
        all(ways)
    }

    /// The bit of the ending that is decided later.
    pub(super) const fn ending_bit(&self) -> u64 {
        1 << self.moves.len()
    }
}

/// So many bits; there are never more than 63.
pub(super) const fn all(ways: usize) -> u64 {
    (1 << ways) - 1
}

impl<T> Automaton<T> {
    pub(super) fn place(&self, place: usize) -> Option<&Place> {
        self.places.get(place)
    }

    /// The step of a place.
    pub(super) fn step(&self, place: usize) -> usize {
        self.place(place).map_or(usize::MAX, |place| place.step)
    }
}

impl<T> Automaton<T> {
    /// One that finds nothing, in the place of a pattern that makes no sense.
    pub(super) fn blank() -> Self {
        Self {
            names: Arc::new([]),
            conditions: Vec::new(),
            places: Vec::new(),
            start: Vec::new(),
            within: None,
            resume: Resume::Everywhere,
            max_partial_matches: 0,
            shape: 0,
        }
    }
}

impl<T> Clone for Automaton<T> {
    fn clone(&self) -> Self {
        Self {
            names: Arc::clone(&self.names),
            conditions: self.conditions.clone(),
            places: self.places.clone(),
            start: self.start.clone(),
            ..*self
        }
    }
}
