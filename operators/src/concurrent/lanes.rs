//! Serial for each key, concurrent over keys.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use millstream_engine::Record;

use super::emission::Ticket;

/// The lane of a key: its hash. Two keys that share one only wait for each other.
pub(super) type Lane = u64;

/// Records whose key is being worked on, in the order in which they came.
pub(super) struct Lanes<T> {
    /// A lane is here as long as one of its records is being worked on.
    busy: BTreeMap<Lane, VecDeque<(Ticket, Record<T>)>>,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        Self { busy: BTreeMap::new() }
    }

    /// The record, if nothing of its lane is being worked on; otherwise it waits.
    pub(super) fn enter(
        &mut self,
        lane: Lane,
        ticket: Ticket,
        record: Record<T>,
    ) -> Option<Record<T>> {
        match self.busy.entry(lane) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back((ticket, record));
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(record)
            }
        }
    }

    /// A record of the lane is done: the next one of it, if one waits.
    pub(super) fn leave(&mut self, lane: Lane) -> Option<(Ticket, Record<T>)> {
        let next = self.busy.get_mut(&lane)?.pop_front();
        if next.is_none() {
            self.busy.remove(&lane);
        }
        next
    }

    /// Forgets all that wait.
    pub(super) fn clear(&mut self) {
        self.busy.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_one_of_a_lane_at_a_time_in_order_and_nothing_is_left() {
        let mut lanes = Lanes::new();
        assert_eq!(lanes.enter(7, 0, Record::new("a")), Some(Record::new("a")));
        assert_eq!(lanes.enter(7, 1, Record::new("b")), None);
        assert_eq!(lanes.enter(8, 2, Record::new("c")), Some(Record::new("c")));
        assert_eq!(lanes.enter(7, 3, Record::new("d")), None);
        assert_eq!(lanes.leave(7), Some((1, Record::new("b"))));
        assert_eq!(lanes.leave(7), Some((3, Record::new("d"))));
        assert_eq!(lanes.leave(7), None);
        assert_eq!(lanes.leave(8), None);
        assert!(lanes.busy.is_empty());
    }
}
