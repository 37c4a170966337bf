//! The panes of one key, and how windows are put together from them.

use std::collections::VecDeque;

use millstream_engine::time::Timestamp;

use super::grid::Start;
use crate::aggregate::Aggregate;

/// Up to how many panes each window is summed up anew: that takes no more merges than to put it
/// together from sums that are kept, and less memory.
const FEW: usize = 8;

/// The panes of one key that hold anything, in the order of time.
#[derive(Debug)]
pub(super) struct Panes<A>(pub(super) VecDeque<(Timestamp, A)>);

impl<A> Panes<A> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// The accumulator of the pane that begins at `start`, made if it is not there; and whether it
    /// was not.
    #[inline]
    pub(super) fn entry(&mut self, start: Timestamp, create: impl FnOnce() -> A) -> (&mut A, bool) {
        // Most records belong to the last pane, or to a new one behind it.
        let last = self.0.len().wrapping_sub(1);
        let at = match self.0.back() {
            Some((back, _)) if *back == start => Ok(last),
            Some((back, _)) if *back > start => {
                self.0.binary_search_by_key(&start, |(pane, _)| *pane)
            }
            _ => Err(self.0.len()),
        };
        let (at, new) = match at {
            Ok(at) => (at, false),
            Err(at) => {
                self.0.insert(at, (start, create()));
                (at, true)
            }
        };
        #[allow(clippy::indexing_slicing, reason = "it has just been found or put there")]
        (&mut self.0[at].1, new)
    }

    /// The first pane from `start` on.
    pub(super) fn first_from(&self, start: Start) -> Option<Timestamp> {
        self.0.get(self.index(start)).map(|(pane, _)| *pane)
    }

    pub(super) fn are_few(&self) -> bool {
        self.0.len() <= FEW
    }

    /// How many panes begin before `start`.
    fn index(&self, start: Start) -> usize {
        let before = |(pane, _): &(Timestamp, A)| Start::from(pane.as_millis()) < start;
        if self.are_few() {
            return self.0.iter().take_while(|pane| before(pane)).count();
        }
        self.0.partition_point(before)
    }

    /// The panes from `from` up to `to`.
    fn between(&self, from: Start, to: Start) -> impl DoubleEndedIterator<Item = &(Timestamp, A)> {
        let from = self.index(from);
        let to = from.max(self.index(to));
        self.0.range(from..to)
    }

    /// Whether there is no pane in these bounds but one.
    pub(super) fn alone(&self, from: Start, to: Start) -> bool {
        self.between(from, to).nth(1).is_none()
    }

    /// Everything in these bounds.
    pub(super) fn sum<T, G>(&self, from: Start, to: Start, aggregate: &G) -> A
    where
        G: Aggregate<T, Accumulator = A>,
    {
        let mut sum = aggregate.create();
        self.between(from, to).for_each(|(_, pane)| aggregate.merge(&mut sum, pane));
        sum
    }
}

/// Puts windows together one after the other, each with a few merges, however long it is.
///
/// The panes of a window are in two parts. Of the front one there is, for each pane, the sum from
/// there to the end of the part; of the back one there is the sum of all, to which each new pane is
/// added. So a window is one sum of each. When the front has been left behind, all panes become the
/// new front: each is merged for this once. (It is a queue made of two stacks.)
#[derive(Debug)]
pub(super) struct Assembly<A> {
    /// Sums from a pane on, the earliest last.
    front: Vec<(Timestamp, A)>,
    back: Option<A>,
    /// Where the last window ended: what is before that, and not left behind, is in one of both.
    until: Start,
}

impl<A> Assembly<A> {
    pub(super) const fn new() -> Self {
        Self { front: Vec::new(), back: None, until: Start::MIN }
    }

    /// A pane has changed: if it is in here, it is all to be done again.
    #[inline]
    pub(super) fn changed(&mut self, pane: Timestamp) {
        if Start::from(pane.as_millis()) < self.until {
            *self = Self::new();
        }
    }

    /// The sum of a window that starts at `from` and ends at `to`, no earlier than that before.
    pub(super) fn next<T, G>(
        &mut self,
        from: Start,
        to: Start,
        panes: &Panes<A>,
        aggregate: &G,
    ) -> A
    where
        G: Aggregate<T, Accumulator = A>,
    {
        while self.front.pop_if(|(pane, _)| Start::from(pane.as_millis()) < from).is_some() {}
        if self.front.is_empty() {
            self.back = None;
            for (start, pane) in panes.between(from, to).rev() {
                let mut sum = aggregate.create();
                aggregate.merge(&mut sum, pane);
                if let Some((_, rest)) = self.front.last() {
                    aggregate.merge(&mut sum, rest);
                }
                self.front.push((*start, sum));
            }
        } else {
            for (_, pane) in panes.between(self.until, to) {
                let back = self.back.get_or_insert_with(|| aggregate.create());
                aggregate.merge(back, pane);
            }
        }
        self.until = to;
        let mut sum = aggregate.create();
        let front = self.front.last().map(|(_, front)| front);
        front.into_iter().chain(&self.back).for_each(|part| aggregate.merge(&mut sum, part));
        sum
    }
}
