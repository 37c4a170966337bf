//! A pattern with its repetitions written out, and what makes no sense in it found.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::PatternError;
use super::automaton::{Contiguity, Ending, Guard, Move, Place};
use super::condition::Condition;
use super::sequence::{Body, Link, Step, Times};

/// The most places that a pattern may have.
const PLACES_MAX: usize = 1_000;

/// A pattern with its repetitions written out.
pub(super) enum Tree {
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
pub(super) struct Enter {
    pub(super) contiguity: Contiguity,
    pub(super) guards: Vec<Guard>,
}

/// An automaton in the making.
pub(super) struct Draft<T> {
    pub(super) names: Vec<Arc<str>>,
    taken: BTreeSet<Arc<str>>,
    pub(super) negations: Vec<(usize, Arc<str>)>,
    pub(super) conditions: Vec<Condition<T>>,
    pub(super) places: Vec<Place>,
    pub(super) start: Vec<Move>,
    /// Whether anything comes over and over again.
    pub(super) loops: bool,
}

/// Writing out.
impl<T> Draft<T> {
    pub(super) const fn new() -> Self {
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
    pub(super) fn sequence(
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
