//! What is kept of one key: events that wait for their turn, and partial matches; and how an event
//! goes through them.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::automaton::{Automaton, Contiguity, Ending, Guard, Move, Resume, all};
use super::shared_buffer::SharedBuffer;
use super::{Match, TooManyPartialMatches};
use crate::waste::is_wasteful;

/// What is kept of one key.
///
/// Partial matches are in the order of the events they took, one that goes on before the one it
/// grew from. That is the order in which matches come out, and they are in the order of their first
/// events too, so that those whose time is up are in front.
pub(super) struct Matching<T> {
    /// Events whose turn has not come, by time and then as they came.
    pub(super) early: VecDeque<(Timestamp, T)>,
    pub(super) partials: Vec<Partial>,
    pub(super) buffer: SharedBuffer<T>,
    /// How many events there have been since nothing was kept.
    pub(super) seen: u64,
}

/// A partial match: it stands behind the event it took last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    /// Its chain of events.
    pub(super) link: usize,
    /// The ways to go on that are still open.
    pub(super) open: u64,
    /// It has seen no event since.
    pub(super) fresh: bool,
    pub(super) begin: Begin,
}

/// Where a match began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// The number of its first event.
    pub(super) number: u64,
    pub(super) time: Timestamp,
}

/// A match that is whole, or one whose time is up: a chain that is referred to.
struct Whole {
    link: usize,
    begin: Begin,
}

/// What is known of an event: whether each condition holds of it, as far as that does not depend
/// on what was matched before.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Vec<Option<bool>>);

/// Who is told what becomes of partial matches.
pub(super) trait Listener<T> {
    /// One is whole, by an event or a time.
    fn found(&mut self, found: &Match<'_, T>, time: Timestamp);
    /// The time of one is up.
    fn timed_out(&mut self, partial: &Match<'_, T>, time: Timestamp);
}

impl<T> Matching<T> {
    pub(super) const fn new() -> Self {
        let buffer = SharedBuffer::new();
        Self { early: VecDeque::new(), partials: Vec::new(), buffer, seen: 0 }
    }

    /// Whether nothing is kept that could become part of a match.
    pub(super) fn is_blank(&self) -> bool {
        self.early.is_empty() && self.partials.is_empty()
    }

    /// When something is to be done next, after everything that happened up to then: the next event
    /// is taken, or what happened before the end of a partial match's time is all there.
    pub(super) fn due(&self, within: Option<Duration>) -> Option<Timestamp> {
        let next = self.early.front().map(|(time, _)| *time);
        let first = self.partials.first().map(|partial| partial.begin.time);
        let up = first.zip(within).map(|(begin, within)| begin.saturating_add(within));
        let last = up.map(|up| up.saturating_sub(MILLISECOND));
        next.into_iter().chain(last).min()
    }

    /// Lets an event wait for its turn.
    pub(super) fn put(&mut self, time: Timestamp, event: T) {
        let place = self.early.partition_point(|(other, _)| *other <= time);
        self.early.insert(place, (time, event));
    }

    /// Does everything that is due at `time`: what happened up to and at it is all there. Nothing
    /// else was due before, so that no partial match takes an event when its time is up.
    pub(super) fn advance(
        &mut self,
        automaton: &Automaton<T>,
        known: &mut Known,
        time: Timestamp,
        listener: &mut impl Listener<T>,
    ) -> Result<(), TooManyPartialMatches> {
        while self.early.front().is_some_and(|(at, _)| *at <= time)
            && let Some((at, event)) = self.early.pop_front()
        {
            self.take(automaton, known, event, at, listener)?;
        }
        self.time_out(automaton, time.saturating_add(MILLISECOND), listener);
        self.give_back();
        Ok(())
    }

    /// Gives memory back that is mostly unused.
    fn give_back(&mut self) {
        if self.partials.is_empty() {
            (self.partials, self.buffer) = (Vec::new(), SharedBuffer::new());
        } else if self.buffer.is_sparse() {
            let order = self.buffer.order(self.partials.iter().map(|partial| partial.link));
            let moved = self.buffer.compact(order);
            for partial in &mut self.partials {
                partial.link = moved.get(&partial.link).copied().unwrap_or(partial.link);
            }
        }
        if is_wasteful(self.partials.capacity(), self.partials.len()) {
            self.partials.shrink_to(self.partials.len() * 2);
        }
        if is_wasteful(self.early.capacity(), self.early.len()) {
            self.early.shrink_to(self.early.len() * 2);
        }
    }

    /// Takes an event, whose turn it is.
    fn take(
        &mut self,
        automaton: &Automaton<T>,
        known: &mut Known,
        event: T,
        time: Timestamp,
        listener: &mut impl Listener<T>,
    ) -> Result<(), TooManyPartialMatches> {
        let number = self.seen;
        self.seen += 1;
        known.forget(automaton.conditions.len());
        let event = self.buffer.hold(event, time, number);
        let before = std::mem::take(&mut self.partials);
        self.partials.reserve(before.len() + 1);
        let mut whole = Vec::new();
        for mut partial in before {
            let place = self.buffer.get(partial.link).and_then(|link| automaton.place(link.place));
            let Some(place) = place else { continue };
            let later: &[Guard] = match &place.ending {
                Ending::Later(guards) => guards,
                Ending::No | Ending::Now => &[],
            };
            let mut look = Look::new(automaton, known, &self.buffer, event, Some(partial.link));
            let taken = look.at(&place.moves, later, &mut partial.open, partial.fresh);
            partial.fresh = false;
            for way in bits(taken).filter_map(|way| place.moves.get(way)) {
                self.grow(automaton, way.to, event, Some(&partial), &mut whole);
            }
            if partial.open == 0 {
                self.buffer.release(partial.link);
            } else {
                self.partials.push(partial);
            }
        }
        let mut look = Look::new(automaton, known, &self.buffer, event, None);
        let taken = look.at(&automaton.start, &[], &mut all(automaton.start.len()), true);
        for way in bits(taken).filter_map(|way| automaton.start.get(way)) {
            self.grow(automaton, way.to, event, None, &mut whole);
        }
        self.buffer.give_up(event);
        let resume_at = self.tell(automaton, whole, time, listener);
        self.skip_to(resume_at);
        if self.buffer.links() > automaton.max_partial_matches {
            return Err(TooManyPartialMatches { max: automaton.max_partial_matches });
        }
        Ok(())
    }

    /// A partial match, or the beginning, has taken an event and stands in a place.
    fn grow(
        &mut self,
        automaton: &Automaton<T>,
        to: usize,
        event: usize,
        from: Option<&Partial>,
        whole: &mut Vec<Whole>,
    ) {
        let (Some(place), Some(held)) = (automaton.place(to), self.buffer.event(event)) else {
            return;
        };
        let begin = Begin { number: held.number, time: held.time };
        let begin = from.map_or(begin, |partial| partial.begin);
        let link = self.buffer.link(to, event, from.map(|partial| partial.link));
        if matches!(place.ending, Ending::Now) {
            self.buffer.refer(link);
            whole.push(Whole { link, begin });
        }
        let open = place.open();
        if open != 0 {
            self.buffer.refer(link);
            self.partials.push(Partial { link, open, fresh: true, begin });
        }
    }

    /// Gives up partial matches whose time is up at `now`. For those that only waited for that, it
    /// makes them whole.
    fn time_out(
        &mut self,
        automaton: &Automaton<T>,
        now: Timestamp,
        listener: &mut impl Listener<T>,
    ) {
        let Some(within) = automaton.within else {
            return;
        };
        let end = |partial: &Partial| partial.begin.time.saturating_add(within);
        while let Some(time) = self.partials.first().map(end).filter(|time| *time <= now) {
            let up = self.partials.partition_point(|partial| end(partial) <= time);
            let (mut whole, mut part) = (Vec::new(), Vec::new());
            for Partial { link, open, begin, .. } in self.partials.drain(..up) {
                let found = self.buffer.get(link).and_then(|link| automaton.place(link.place));
                match found.map(|place| (&place.ending, open & place.ending_bit() != 0)) {
                    Some((Ending::Later(_), true)) => whole.push(Whole { link, begin }),
                    // It has been told as a match.
                    Some((Ending::Now, _)) | None => self.buffer.release(link),
                    Some(_) => part.push(Whole { link, begin }),
                }
            }
            let resume_at = self.tell(automaton, whole, time, listener);
            self.skip_to(resume_at);
            for Whole { link, begin } in part {
                if begin.number >= resume_at {
                    listener.timed_out(&matched(automaton, &self.buffer, Some(link)), time);
                }
                self.buffer.release(link);
            }
        }
    }

    /// Tells of matches in their order, but for those that began before matching goes on after the
    /// ones before. Gives where it goes on.
    fn tell(
        &mut self,
        automaton: &Automaton<T>,
        whole: Vec<Whole>,
        time: Timestamp,
        listener: &mut impl Listener<T>,
    ) -> u64 {
        let mut resume_at = 0;
        for Whole { link, begin } in whole {
            if begin.number >= resume_at {
                listener.found(&matched(automaton, &self.buffer, Some(link)), time);
                resume_at = resume_at.max(self.resume(automaton, link, begin));
            }
            self.buffer.release(link);
        }
        resume_at
    }

    /// The number of the event at which matching goes on after a match.
    fn resume(&self, automaton: &Automaton<T>, link: usize, begin: Begin) -> u64 {
        let chain = || self.buffer.chain(Some(link));
        let of = |step: usize| {
            let taken = chain().filter(move |(link, _)| automaton.step(link.place) == step);
            taken.map(|(_, held)| held.number)
        };
        match automaton.resume {
            Resume::Everywhere => 0,
            Resume::PastFirstEvent => begin.number + 1,
            Resume::PastLastEvent => chain().next().map_or(0, |(_, held)| held.number + 1),
            Resume::AtFirst(step) => of(step).last().unwrap_or_default(),
            Resume::AtLast(step) => of(step).next().unwrap_or_default(),
        }
    }

    /// Gives up the partial matches that began before an event.
    fn skip_to(&mut self, number: u64) {
        let before = self.partials.partition_point(|partial| partial.begin.number < number);
        for partial in self.partials.drain(..before) {
            self.buffer.release(partial.link);
        }
    }
}

/// The shortest span of event time.
const MILLISECOND: Duration = Duration::from_millis(1);

/// The numbers of the bits that are set.
fn bits(set: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |bit| set & (1 << bit) != 0)
}

/// The events of a chain, to be shown.
fn matched<'a, T>(
    automaton: &'a Automaton<T>,
    buffer: &'a SharedBuffer<T>,
    last: Option<usize>,
) -> Match<'a, T> {
    let chain = buffer.chain(last);
    let taken = chain.map(|(link, held)| (automaton.step(link.place), held.time, &held.event));
    Match::new(&automaton.names, taken)
}

/// One partial match, or the beginning, looks at one event.
struct Look<'a, T> {
    automaton: &'a Automaton<T>,
    known: &'a mut Known,
    buffer: &'a SharedBuffer<T>,
    event: Option<&'a T>,
    last: Option<usize>,
    so_far: OnceCell<Match<'a, T>>,
}

impl<'a, T> Look<'a, T> {
    fn new(
        automaton: &'a Automaton<T>,
        known: &'a mut Known,
        buffer: &'a SharedBuffer<T>,
        event: usize,
        last: Option<usize>,
    ) -> Self {
        let event = buffer.event(event).map(|held| &held.event);
        Self { automaton, known, buffer, event, last, so_far: OnceCell::new() }
    }

    /// Finds the ways that are taken, and closes those that are closed by it.
    fn at(&mut self, moves: &[Move], later: &[Guard], open: &mut u64, fresh: bool) -> u64 {
        let mut taken = 0;
        for (number, way) in moves.iter().enumerate() {
            let bit = 1 << number;
            if *open & bit == 0 {
                continue;
            }
            if self.is_closed(&way.guards, fresh) {
                *open &= !bit;
                continue;
            }
            let takes = self.takes(way.to);
            if takes {
                taken |= bit;
                *open &= !way.outranks;
            }
            let stays = match way.contiguity {
                Contiguity::Strict => false,
                Contiguity::Relaxed => !takes,
                Contiguity::Any => true,
            };
            if !stays {
                *open &= !bit;
            }
        }
        let ending = 1 << moves.len();
        if *open & ending != 0 && self.is_closed(later, fresh) {
            *open &= !ending;
        }
        taken
    }

    fn is_closed(&mut self, guards: &[Guard], fresh: bool) -> bool {
        let applies = |guard: &&Guard| fresh || !guard.next_only;
        guards.iter().filter(applies).any(|guard| self.holds(guard.condition))
    }

    /// Whether the event is like that of a place.
    fn takes(&mut self, place: usize) -> bool {
        let Some(place) = self.automaton.place(place) else {
            return false;
        };
        self.holds(place.condition) && !place.unless.is_some_and(|unless| self.holds(unless))
    }

    fn holds(&mut self, number: usize) -> bool {
        let Self { automaton, known, buffer, event, last, so_far } = self;
        let (automaton, buffer, last) = (*automaton, *buffer, *last);
        let (Some(condition), Some(event)) = (automaton.conditions.get(number), *event) else {
            return false;
        };
        let holds = known.look_up(number, || condition.holds_of(event));
        if !holds || !condition.is_iterative() {
            return holds;
        }
        condition.holds_after(event, so_far.get_or_init(|| matched(automaton, buffer, last)))
    }
}

impl Known {
    fn forget(&mut self, conditions: usize) {
        self.0.clear();
        self.0.resize(conditions, None);
    }

    fn look_up(&mut self, condition: usize, find: impl FnOnce() -> bool) -> bool {
        match self.0.get_mut(condition) {
            Some(known) => *known.get_or_insert_with(find),
            None => find(),
        }
    }
}
