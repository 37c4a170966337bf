//! From a pattern to its automaton: finds what makes no sense, writes repetitions out, and then
//! finds for each place the ways to go on, as Glushkov's construction does for regular expressions.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_engine::key::stable_hash;

use super::after_match::Skip;
use super::automaton::{Automaton, Contiguity, Ending, Guard, Move, Place, Resume};
use super::condition::Condition;
use super::sequence::{Body, Link, Step, Times};
use super::{Pattern, PatternError, shape};

/// The most places that a pattern may have.
const PLACES_MAX: usize = 1_000;

/// The most ways to go on from a place. With the ending, they are the bits of a `u64`.
const WAYS_MAX: usize = 62;

impl<T> Pattern<T> {
    /// Whether it makes sense. A dataflow with a pattern that does not is refused in any case.
    ///
    /// ```
    /// use millstream_operators::pattern::{Pattern, PatternError};
    ///
    /// let twice = Pattern::begin("a").when(|n| *n > 3).next("a");
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
            draft.end(open, &trailing)?;
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

/// A pattern with its repetitions written out.
enum Tree {
    /// A place.
    One(usize),
    /// One after the other. The first is entered as the whole is.
    All(Vec<(Enter, Tree)>),
    /// All of it, or nothing.
    Optional {
        tree: Box<Tree>,
        greedy: bool,
        /// What closes the way in, and not the way past.
        guards: Vec<Guard>,
    },
    /// Over and over again.
    Loop { tree: Box<Tree>, again: Enter, greedy: bool },
}

/// How a part of a pattern is entered.
#[derive(Clone)]
struct Enter {
    contiguity: Contiguity,
    guards: Vec<Guard>,
}

/// A place from which the way on is not known yet.
#[derive(Clone)]
struct Open {
    /// None: the beginning.
    from: Option<usize>,
    /// The negations since.
    guards: Vec<Guard>,
    /// The ways that the way on is outranked by.
    outranked: Vec<usize>,
}

/// An automaton in the making.
struct Draft<T> {
    names: Vec<Arc<str>>,
    taken: BTreeSet<Arc<str>>,
    negations: Vec<(usize, Arc<str>)>,
    conditions: Vec<Condition<T>>,
    places: Vec<Place>,
    start: Vec<Move>,
    /// Whether anything comes over and over again.
    loops: bool,
}

/// Writing out.
impl<T> Draft<T> {
    fn new() -> Self {
        Self {
            names: Vec::new(),
            taken: BTreeSet::new(),
            negations: Vec::new(),
            conditions: Vec::new(),
            places: Vec::new(),
            start: Vec::new(),
            loops: false,
        }
    }

    /// A sequence of steps, and the negations at its end.
    fn sequence(
        &mut self,
        steps: &[Step<T>],
        looped: bool,
    ) -> Result<(Tree, Vec<Guard>), PatternError> {
        let mut parts = Vec::new();
        let mut guards = Vec::new();
        for step in steps {
            let contiguity = match step.link {
                Link::Next => Contiguity::Strict,
                Link::FollowedBy => Contiguity::Relaxed,
                Link::FollowedByAny => Contiguity::Any,
                Link::NotNext | Link::NotFollowedBy => {
                    guards.push(self.negation(step, looped)?);
                    continue;
                }
            };
            let enter = Enter { contiguity, guards: std::mem::take(&mut guards) };
            parts.push((enter, self.step(step, looped)?));
        }
        Ok((Tree::All(parts), guards))
    }

    fn negation(&mut self, step: &Step<T>, looped: bool) -> Result<Guard, PatternError> {
        let Body::Event { name, condition } = &step.body else {
            return Err(PatternError::EmptyGroup);
        };
        let said = [
            ("times(…)", step.times.is_some()),
            ("optional()", step.optional),
            ("greedy()", step.greedy),
            ("consecutive()", step.consecutive),
            ("allow_combinations()", step.combinations),
            ("until(…)", step.until.is_some()),
        ];
        if let Some((word, _)) = said.into_iter().find(|(_, said)| *said) {
            return Err(PatternError::OfNegation { word, step: name.to_string() });
        }
        if looped {
            return Err(PatternError::NegationInLoop(name.to_string()));
        }
        self.take_name(name)?;
        let condition = self.condition(condition);
        self.negations.push((condition, Arc::clone(name)));
        Ok(Guard { condition, next_only: step.link == Link::NotNext })
    }

    fn step(&mut self, step: &Step<T>, looped: bool) -> Result<Tree, PatternError> {
        check_quantifier(step)?;
        let until = step.until.as_ref().map(|until| self.condition(until));
        let tree = match &step.body {
            Body::Event { name, condition } => {
                self.take_name(name)?;
                self.names.push(Arc::clone(name));
                let condition = self.condition(condition);
                Tree::One(self.add_place(self.names.len() - 1, condition, until)?)
            }
            Body::Group(steps) => {
                let (tree, trailing) = self.sequence(steps, looped || step.times.is_some())?;
                if let Some(last) = trailing.last() {
                    let name = self.negations.iter().find(|(of, _)| *of == last.condition);
                    let name = name.map(|(_, name)| name.to_string()).unwrap_or_default();
                    return Err(PatternError::NegationEndsGroup(name));
                }
                if tree.may_be_empty() {
                    return Err(PatternError::EmptyGroup);
                }
                tree
            }
        };
        let tree = match step.times {
            Some(times) => self.repeat(step, tree, times, until)?,
            None => tree,
        };
        if step.optional {
            let tree = Box::new(tree);
            return Ok(Tree::Optional { tree, greedy: step.greedy, guards: Vec::new() });
        }
        Ok(tree)
    }

    /// So many copies, each behind the other; the last of them optional, or in a loop.
    fn repeat(
        &mut self,
        step: &Step<T>,
        tree: Tree,
        times: Times,
        until: Option<usize>,
    ) -> Result<Tree, PatternError> {
        let contiguity = match (step.consecutive, step.combinations) {
            (true, _) => Contiguity::Strict,
            (_, true) => Contiguity::Any,
            (false, false) => Contiguity::Relaxed,
        };
        let until = until.map(|condition| Guard { condition, next_only: false });
        let guards: Vec<Guard> = until.into_iter().collect();
        let plain = Enter { contiguity, guards: Vec::new() };
        let again = Enter { contiguity, guards: guards.clone() };
        let mut parts = Vec::new();
        for _ in 1..times.from {
            parts.push((again.clone(), self.copy(&tree)?));
        }
        let mut rest = None;
        for _ in times.from..times.to.unwrap_or(times.from) {
            let first = (again.clone(), self.copy(&tree)?);
            let all = std::iter::once(first).chain(rest.map(|rest| (plain.clone(), rest)));
            let tree = Box::new(Tree::All(all.collect()));
            rest = Some(Tree::Optional { tree, greedy: step.greedy, guards: guards.clone() });
        }
        if times.to.is_none() {
            self.loops = true;
            let (tree, greedy) = (Box::new(tree), step.greedy);
            parts.push((again.clone(), Tree::Loop { tree, again, greedy }));
        } else {
            parts.push((again, tree));
        }
        parts.extend(rest.map(|rest| (plain, rest)));
        Ok(Tree::All(parts))
    }

    fn copy(&mut self, tree: &Tree) -> Result<Tree, PatternError> {
        Ok(match tree {
            Tree::One(place) => {
                let Some(Place { step, condition, unless, .. }) = self.places.get(*place) else {
                    return Err(PatternError::Empty);
                };
                Tree::One(self.add_place(*step, *condition, *unless)?)
            }
            Tree::All(parts) => {
                let copies =
                    parts.iter().map(|(enter, tree)| Ok((enter.clone(), self.copy(tree)?)));
                Tree::All(copies.collect::<Result<_, _>>()?)
            }
            Tree::Optional { tree, greedy, guards } => {
                let tree = Box::new(self.copy(tree)?);
                Tree::Optional { tree, greedy: *greedy, guards: guards.clone() }
            }
            Tree::Loop { tree, again, greedy } => {
                let tree = Box::new(self.copy(tree)?);
                Tree::Loop { tree, again: again.clone(), greedy: *greedy }
            }
        })
    }

    fn add_place(
        &mut self,
        step: usize,
        condition: usize,
        unless: Option<usize>,
    ) -> Result<usize, PatternError> {
        if self.places.len() == PLACES_MAX {
            return Err(PatternError::TooLong { max: PLACES_MAX });
        }
        let place = Place { step, condition, unless, moves: Vec::new(), ending: Ending::No };
        self.places.push(place);
        Ok(self.places.len() - 1)
    }

    fn take_name(&mut self, name: &Arc<str>) -> Result<(), PatternError> {
        if self.taken.insert(Arc::clone(name)) {
            return Ok(());
        }
        Err(PatternError::DuplicateName(name.to_string()))
    }

    fn condition(&mut self, condition: &Condition<T>) -> usize {
        self.conditions.push(condition.clone());
        self.conditions.len() - 1
    }
}

/// Whether what is said of how often a step comes goes together.
fn check_quantifier<T>(step: &Step<T>) -> Result<(), PatternError> {
    let called = || step.called();
    let of_loops = [
        ("greedy()", step.greedy),
        ("consecutive()", step.consecutive),
        ("allow_combinations()", step.combinations),
        ("until(…)", step.until.is_some()),
    ];
    if step.times.is_none()
        && let Some((word, _)) = of_loops.into_iter().find(|(_, said)| *said)
    {
        return Err(PatternError::NotALoop { word, step: called() });
    }
    if step.greedy && matches!(step.body, Body::Group(_)) {
        return Err(PatternError::OfGroup { word: "greedy()", step: called() });
    }
    if step.consecutive && step.combinations {
        return Err(PatternError::TwoContiguities(called()));
    }
    if step.greedy && step.combinations {
        return Err(PatternError::GreedyCombinations(called()));
    }
    Ok(())
}

impl Tree {
    fn may_be_empty(&self) -> bool {
        match self {
            Self::One(_) | Self::Loop { .. } => false,
            Self::All(parts) => parts.iter().all(|(_, tree)| tree.may_be_empty()),
            Self::Optional { .. } => true,
        }
    }
}

/// Finding the ways on.
impl<T> Draft<T> {
    fn moves(&mut self, from: Option<usize>) -> &mut Vec<Move> {
        match from.and_then(|place| self.places.get_mut(place)) {
            Some(place) => &mut place.moves,
            None => &mut self.start,
        }
    }

    /// Adds the ways from `open` into a tree. Gives the way past it, if there is one.
    fn enter(
        &mut self,
        tree: &Tree,
        enter: &Enter,
        open: Open,
    ) -> Result<Option<Open>, PatternError> {
        match tree {
            Tree::One(place) => {
                self.add_move(&open, *place, enter)?;
                Ok(None)
            }
            Tree::All(parts) => {
                let mut open = open;
                for (number, (of_part, tree)) in parts.iter().enumerate() {
                    let enter = if number == 0 { enter } else { of_part };
                    match self.enter(tree, enter, open)? {
                        Some(past) => open = past,
                        None => return Ok(None),
                    }
                }
                Ok(Some(open))
            }
            Tree::Optional { tree, greedy, guards } => {
                let before = self.moves(open.from).len();
                let inside = [&*enter.guards, guards].concat();
                let inside = Enter { contiguity: enter.contiguity, guards: inside };
                self.enter(tree, &inside, open.clone())?;
                let mut past = open;
                past.guards.extend(&enter.guards);
                if *greedy {
                    past.outranked.extend(before..self.moves(past.from).len());
                }
                Ok(Some(past))
            }
            Tree::Loop { tree, .. } => self.enter(tree, enter, open),
        }
    }

    /// Adds the ways within a tree. Gives the places where it can be left.
    fn exits(&mut self, tree: &Tree) -> Result<Vec<Open>, PatternError> {
        match tree {
            Tree::One(place) => {
                Ok(vec![Open { from: Some(*place), guards: Vec::new(), outranked: Vec::new() }])
            }
            Tree::All(parts) => {
                let mut opens = Vec::new();
                for (enter, tree) in parts {
                    let mut next = Vec::new();
                    for open in opens {
                        next.extend(self.enter(tree, enter, open)?);
                    }
                    next.extend(self.exits(tree)?);
                    opens = next;
                }
                Ok(opens)
            }
            Tree::Optional { tree, .. } => self.exits(tree),
            Tree::Loop { tree, again, greedy } => {
                let mut opens = self.exits(tree)?;
                for open in &mut opens {
                    let before = self.moves(open.from).len();
                    self.enter(tree, again, open.clone())?;
                    if *greedy {
                        open.outranked.extend(before..self.moves(open.from).len());
                    }
                }
                Ok(opens)
            }
        }
    }

    fn add_move(&mut self, open: &Open, to: usize, enter: &Enter) -> Result<(), PatternError> {
        let name = open.from.and_then(|place| self.places.get(place)?.step.into());
        let name = name.and_then(|step: usize| self.names.get(step)).cloned();
        let moves = self.moves(open.from);
        if moves.len() == WAYS_MAX {
            let step = name.map_or_else(|| "the beginning".to_owned(), |name| name.to_string());
            return Err(PatternError::TooManyWays { step, max: WAYS_MAX });
        }
        let bit = 1 << moves.len();
        for greedy in &open.outranked {
            if let Some(way) = moves.get_mut(*greedy) {
                way.outranks |= bit;
            }
        }
        let guards = [&*open.guards, &*enter.guards].concat();
        moves.push(Move { to, contiguity: enter.contiguity, guards, outranks: 0 });
        Ok(())
    }

    /// A match can end here, if none of the negations comes.
    fn end(&mut self, open: Open, trailing: &[Guard]) -> Result<(), PatternError> {
        let guards = [&*open.guards, trailing].concat();
        let Some(place) = open.from.and_then(|place| self.places.get_mut(place)) else {
            return Ok(());
        };
        if guards.is_empty() {
            if !open.outranked.is_empty() {
                let name = self.names.get(place.step).map_or("", |name| &**name);
                return Err(PatternError::GreedyEnd(format!("`{name}`")));
            }
            place.ending = Ending::Now;
            return Ok(());
        }
        let bit = place.ending_bit();
        for greedy in &open.outranked {
            if let Some(way) = place.moves.get_mut(*greedy) {
                way.outranks |= bit;
            }
        }
        place.ending = Ending::Later(guards);
        Ok(())
    }
}
