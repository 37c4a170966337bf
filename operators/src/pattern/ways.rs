//! The ways to go on from each place of a pattern, found as Glushkov's construction does for
//! regular expressions: what may come first in what follows, less what is optional.

use super::PatternError;
use super::automaton::{Ending, Guard, Move};
use super::draft::{Draft, Enter, Tree};

/// The most ways to go on from a place. With the ending, they are the bits of a `u64`.
const WAYS_MAX: usize = 62;

/// A place from which the way on is not known yet.
#[derive(Clone)]
pub(super) struct Open {
    /// None: the beginning.
    pub(super) from: Option<usize>,
    /// The negations since.
    pub(super) guards: Vec<Guard>,
    /// The ways that the way on is outranked by.
    pub(super) outranked: Vec<usize>,
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
    pub(super) fn enter(
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
    pub(super) fn exits(&mut self, tree: &Tree) -> Result<Vec<Open>, PatternError> {
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
    pub(super) fn end(&mut self, open: &Open, trailing: &[Guard]) -> Result<(), PatternError> {
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
