//! From a pattern to its automaton, in two steps: [`draft`](super::draft) writes repetitions out,
//! and [`ways`](super::ways) finds how it goes on from each place.

use std::sync::Arc;

use millstream_engine::key::stable_hash;

use super::after_match::Skip;
use super::automaton::{Automaton, Contiguity, Ending, Guard, Place, Resume};
use super::draft::{Draft, Enter};
use super::ways::Open;
use super::{Pattern, PatternError, shape};

impl<T> Pattern<T> {
    /// Whether it makes sense. A dataflow with a pattern that does not is refused in any case.
    ///
    /// ```
    /// use millstream_operators::pattern::{Pattern, PatternError};
    ///
    /// let twice = Pattern::begin("a").when(|n: &u32| *n > 3).next("a");
    /// assert_eq!(twice.check(), Err(PatternError::DuplicateName("a".to_owned())));
    /// ```
    ///
    /// # Errors
    ///
    /// The first mistake in it.
    pub fn check(&self) -> Result<(), PatternError> {
        self.compile().map(drop)
    }

    /// Makes it ready to be looked for.
    pub(super) fn compile(&self) -> Result<Automaton<T>, PatternError> {
        if let Some(mistake) = self.mistakes.first() {
            return Err(mistake.clone());
        }
        if self.within.is_some_and(|within| within.as_millis() == 0) {
            return Err(PatternError::NoTime);
        }
        if self.max_partial_matches == Some(0) {
            return Err(PatternError::NoPartialMatches);
        }
        let mut draft = Draft::new();
        let (root, trailing) = draft.sequence(&self.steps, false)?;
        let begin = Enter { contiguity: Contiguity::Strict, guards: Vec::new() };
        let start = Open { from: None, guards: Vec::new(), outranked: Vec::new() };
        if draft.enter(&root, &begin, start)?.is_some() {
            return Err(PatternError::Empty);
        }
        for open in draft.exits(&root)? {
            draft.end(&open, &trailing)?;
        }
        self.check_time(&draft, &trailing)?;
        Ok(Automaton {
            resume: self.resume(&draft.names)?,
            names: draft.names.into(),
            conditions: draft.conditions,
            places: draft.places,
            start: draft.start,
            within: self.within,
            max_partial_matches: self.max_partial_matches.unwrap_or(usize::MAX),
            shape: stable_hash(shape::of(&self.steps, self.within).as_str()),
        })
    }

    /// Whether something bounds how long a partial match waits.
    fn check_time(&self, draft: &Draft<T>, trailing: &[Guard]) -> Result<(), PatternError> {
        if self.within.is_some() {
            return Ok(());
        }
        let negation =
            |guard: &Guard| draft.negations.iter().find(|(of, _)| *of == guard.condition);
        if let Some(later) = draft.places.iter().find_map(|place| match &place.ending {
            Ending::Later(guards) => guards.last().or(trailing.last()),
            Ending::No | Ending::Now => None,
        }) {
            let name = negation(later).map(|(_, name)| name.to_string()).unwrap_or_default();
            return Err(PatternError::EndlessNegation(name));
        }
        // Where every step is the very next event, and none comes without end, no more partial
        // matches are open than there are places.
        let waits =
            |place: &Place| place.moves.iter().any(|way| way.contiguity != Contiguity::Strict);
        let is_bounded = !draft.loops && !draft.places.iter().any(waits);
        if is_bounded || self.max_partial_matches.is_some() {
            return Ok(());
        }
        Err(PatternError::Unbounded)
    }

    fn resume(&self, names: &[Arc<str>]) -> Result<Resume, PatternError> {
        let find = |step: &String| {
            let place = names.iter().position(|name| **name == **step);
            place.ok_or_else(|| PatternError::UnknownStep(step.clone()))
        };
        Ok(match &self.after_match.0 {
            Skip::No => Resume::Everywhere,
            Skip::ToNext => Resume::PastFirstEvent,
            Skip::PastLastEvent => Resume::PastLastEvent,
            Skip::ToFirst(step) => Resume::AtFirst(find(step)?),
            Skip::ToLast(step) => Resume::AtLast(find(step)?),
        })
    }
}
