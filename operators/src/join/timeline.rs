//! `Timeline`: records of one side of a key in the order of time.

use std::collections::VecDeque;
use std::ops::Range;

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Below this many places no memory is given back.
const FEW: usize = 16;

/// Records in the order of time, and those of one time in the order in which they came.
///
/// One that comes in order goes to the end, and what has passed leaves at the beginning: neither
/// looks at any other. One that comes out of order finds its place by halving, and moves those
/// between it and the nearer end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Timeline<V>(VecDeque<Dated<V>>);

/// A record, and when it happened: in state, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Dated<V> {
    at: i64,
    pub(super) item: V,
}

impl<V> Dated<V> {
    pub(super) const fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}

impl<V> Timeline<V> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Dated<V>> {
        self.0.front()
    }

    /// The one behind the first.
    pub(super) fn second(&self) -> Option<&Dated<V>> {
        self.0.get(1)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Dated<V>> {
        self.0.get_mut(place)
    }

    /// Puts a record in its place, behind those of the same time.
    pub(super) fn insert(&mut self, time: Timestamp, item: V) {
        let dated = Dated { at: time.as_millis(), item };
        if self.0.back().is_none_or(|last| last.at <= dated.at) {
            self.0.push_back(dated);
        } else {
            let place = self.count_until(time);
            self.0.insert(place, dated);
        }
    }

    /// Puts a record in its place, instead of the last one of the same time.
    pub(super) fn replace(&mut self, time: Timestamp, item: V) {
        let before = self.count_until(time).checked_sub(1).and_then(|last| self.0.get_mut(last));
        match before.filter(|before| before.at == time.as_millis()) {
            Some(before) => before.item = item,
            None => self.insert(time, item),
        }
    }

    /// The last one up to and at `time`.
    pub(super) fn latest(&self, time: Timestamp) -> Option<&Dated<V>> {
        self.0.get(self.count_until(time).checked_sub(1)?)
    }

    /// How many there are up to and at `time`.
    pub(super) fn count_until(&self, time: Timestamp) -> usize {
        self.0.partition_point(|dated| dated.at <= time.as_millis())
    }

    /// The places of all from `first` to `last`, both included.
    pub(super) fn between(&self, first: Timestamp, last: Timestamp) -> Range<usize> {
        let is_earlier = |dated: &Dated<V>| dated.at < first.as_millis();
        if self.0.back().is_none_or(is_earlier) {
            return 0..0;
        }
        self.0.partition_point(is_earlier)..self.count_until(last)
    }

    /// Takes the first one out, and gives memory back that is mostly unused.
    pub(super) fn pop_first(&mut self) -> Option<Dated<V>> {
        let first = self.0.pop_front();
        if self.0.capacity() > FEW && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(2 * self.0.len());
        }
        first
    }
}

/// Of a span of time.
impl<V> Timeline<V> {
    /// The record in this place.
    pub(super) fn get(&self, place: usize) -> Option<&V> {
        self.0.get(place).map(|dated| &dated.item)
    }

    /// The records in these places.
    pub(super) fn range(
        &self,
        places: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.0.range(places).map(|dated| &dated.item)
    }

    /// Drops those that are earlier than `time`, and tells when the first one is that is left.
    pub(super) fn let_go(&mut self, time: Timestamp) -> Option<Timestamp> {
        while self.first().is_some_and(|dated| dated.time() < time) {
            self.pop_first();
        }
        self.first().map(Dated::time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::random::Random;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn records_stand_in_the_order_of_time_and_then_of_their_coming() {
        let mut random = Random::new(7);
        let (mut timeline, mut sorted) = (Timeline::new(), Vec::new());
        for n in 0..400 {
            let time = i64::try_from(random.below(60)).unwrap_or(0);
            timeline.insert(at(time), n);
            sorted.push((time, n));
            sorted.sort_unstable();
            let (first, last) = (time - 5, time + n % 7 - 2);
            let between: Vec<_> = timeline.between(at(first), at(last)).collect();
            let is_between = |(_, (time, _)): &(usize, &(i64, i64))| (first..=last).contains(time);
            let expected = sorted.iter().enumerate().filter(is_between).map(|(place, _)| place);
            assert_eq!(between, expected.collect::<Vec<_>>());
            if n % 3 == 0 {
                let first = timeline.pop_first().map(|dated| (dated.at, dated.item));
                assert_eq!(first, Some(sorted.remove(0)));
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut timeline = Timeline::new();
        (0..10_000).for_each(|n| timeline.insert(at(n), n));
        while timeline.0.len() > 10 {
            timeline.pop_first();
        }
        assert!(timeline.0.capacity() < 200, "{}", timeline.0.capacity());
    }
}
