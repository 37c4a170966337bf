//! The events of partial matches, each kept once however many take part in it.
//!
//! A partial match is the last link of a chain: the event it took, where it stands, and the link
//! before. Partial matches that have grown from one beginning share its links. What nobody refers
//! to any more is given up. Flink's `SharedBuffer`.

use std::collections::{BTreeMap, BTreeSet};

use millstream_engine::time::Timestamp;

use super::slab::Slab;

/// An event that somebody refers to.
pub(super) struct Held<T> {
    pub(super) event: T,
    pub(super) time: Timestamp,
    /// Its number among all events of the key since there was nothing kept of it.
    pub(super) number: u64,
    links: usize,
}

/// An event in a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) place: usize,
    pub(super) event: usize,
    pub(super) before: Option<usize>,
    references: usize,
}

/// Events, and the chains of them.
pub(super) struct SharedBuffer<T> {
    events: Slab<Held<T>>,
    links: Slab<Link>,
}

impl<T> SharedBuffer<T> {
    pub(super) const fn new() -> Self {
        Self { events: Slab::new(), links: Slab::new() }
    }

    /// How many links there are.
    pub(super) const fn links(&self) -> usize {
        self.links.len()
    }

    /// How many events are held.
    pub(super) const fn events(&self) -> usize {
        self.events.len()
    }

    /// Holds an event, to which nobody refers yet.
    pub(super) fn hold(&mut self, event: T, time: Timestamp, number: u64) -> usize {
        self.events.insert(Held { event, time, number, links: 0 })
    }

    /// Gives an event up to which still nobody refers.
    pub(super) fn give_up(&mut self, event: usize) {
        if self.event(event).is_some_and(|held| held.links == 0) {
            self.events.remove(event);
        }
    }

    pub(super) fn event(&self, event: usize) -> Option<&Held<T>> {
        self.events.get(event)
    }

    /// Adds an event to a chain. Who keeps the link has to [refer](SharedBuffer::refer) to it.
    pub(super) fn link(&mut self, place: usize, event: usize, before: Option<usize>) -> usize {
        if let Some(held) = self.events.get_mut(event) {
            held.links += 1;
        }
        before.into_iter().for_each(|before| self.refer(before));
        self.links.insert(Link { place, event, before, references: 0 })
    }

    pub(super) fn refer(&mut self, link: usize) {
        if let Some(link) = self.links.get_mut(link) {
            link.references += 1;
        }
    }

    /// Takes a reference back, and gives up what nobody refers to any more.
    pub(super) fn release(&mut self, link: usize) {
        let mut last = Some(link);
        while let Some(link) = last {
            let Some(found) = self.links.get_mut(link) else {
                return;
            };
            found.references = found.references.saturating_sub(1);
            if found.references > 0 {
                return;
            }
            let (event, before) = (found.event, found.before);
            self.links.remove(link);
            if let Some(held) = self.events.get_mut(event) {
                held.links = held.links.saturating_sub(1);
                self.give_up(event);
            }
            last = before;
        }
    }

    pub(super) fn get(&self, link: usize) -> Option<&Link> {
        self.links.get(link)
    }

    /// The links of a chain, the latest first, each with its event.
    pub(super) fn chain(&self, last: Option<usize>) -> impl Iterator<Item = (&Link, &Held<T>)> {
        let link = |link: Option<usize>| self.links.get(link?);
        std::iter::successors(link(last), move |found| link(found.before))
            .filter_map(|link| Some((link, self.events.get(link.event)?)))
    }

    /// Whether it holds a lot more room than it needs.
    pub(super) const fn is_sparse(&self) -> bool {
        self.links.is_sparse() || self.events.is_sparse()
    }

    /// Numbers what the given chains refer to, events by their numbers and links behind those that
    /// they follow: the same state is always numbered alike.
    pub(super) fn order(&self, chains: impl Iterator<Item = usize>) -> Order {
        let mut order = Order::default();
        let mut path = Vec::new();
        for last in chains {
            let mut next = Some(last);
            while let Some(number) = next
                && !order.renumbered.contains_key(&number)
                && let Some(link) = self.links.get(number)
            {
                path.push(number);
                order.events.extend(self.events.get(link.event).map(|e| (e.number, link.event)));
                next = link.before;
            }
            while let Some(number) = path.pop() {
                order.renumbered.insert(number, order.links.len());
                order.links.push(number);
            }
        }
        order
    }

    /// Lays what is in use out anew, without gaps. Gives the new numbers of links.
    pub(super) fn compact(&mut self, order: Order) -> BTreeMap<usize, usize> {
        let mut events = Slab::new();
        let held = order
            .events
            .iter()
            .filter_map(|(_, event)| Some((*event, events.insert(self.events.remove(*event)?))));
        let moved: BTreeMap<_, _> = held.collect();
        let mut links = Slab::new();
        for link in order.links.iter().filter_map(|link| self.links.get(*link)) {
            let before = link.before.and_then(|before| order.renumbered.get(&before)).copied();
            let event = moved.get(&link.event).copied().unwrap_or_default();
            links.insert(Link { event, before, ..*link });
        }
        *self = Self { events, links };
        order.renumbered
    }
}

/// What is in use, in an order that depends on nothing else.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Where the events are, in the order of their numbers.
    pub(super) events: BTreeSet<(u64, usize)>,
    pub(super) links: Vec<usize>,
    /// The number of each link in that order.
    pub(super) renumbered: BTreeMap<usize, usize>,
}
