//! Times of keys, the earliest at hand, and many at once where many are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;

use millstream_engine::time::Timestamp;

use crate::waste::{FEW, is_wasteful};

/// A time, and the hash of the key that stands there.
type Mark = (Timestamp, u64);

/// Marks, which are taken out in order.
///
/// A heap gives up its first for a walk down all its levels. Where a good part is due at once, as
/// the windows of all keys that end together, it is taken out in one go and sorted.
#[derive(Default)]
pub(super) struct Marks {
    heap: BinaryHeap<Reverse<Mark>>,
    /// What was taken out of the heap in one go, the earliest last.
    due: Vec<Mark>,
    /// How many the heap has given up one by one since there was last nothing due.
    singly: usize,
}

impl Marks {
    /// What part of the heap is to be due before the rest of it is taken out in one go.
    const PART: usize = 16;

    pub(super) fn len(&self) -> usize {
        self.heap.len() + self.due.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.heap.capacity() + self.due.capacity()
    }

    pub(super) fn push(&mut self, mark: Mark) {
        self.heap.push(Reverse(mark));
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Timestamp> {
        let in_heap = self.heap.peek().map(|Reverse(mark)| mark);
        self.due.last().into_iter().chain(in_heap).min().map(|(time, _)| *time)
    }

    /// Takes the first if it is not later than `reached`.
    pub(super) fn pop(&mut self, reached: Timestamp) -> Option<Mark> {
        if self.singly > FEW && self.singly > self.heap.len() / Self::PART {
            self.take_out(reached);
        }
        let first = self.heap.peek().map(|Reverse(mark)| mark);
        if let Some(due) = self.due.last()
            && first.is_none_or(|first| due <= first)
        {
            return self.due.pop_if(|(time, _)| *time <= reached);
        }
        if first.is_none_or(|(time, _)| *time > reached) {
            self.singly = 0;
            return None;
        }
        self.singly += 1;
        self.heap.pop().map(|Reverse(mark)| mark)
    }

    /// Takes all that is due out of the heap.
    #[cold]
    fn take_out(&mut self, reached: Timestamp) {
        self.singly = 0;
        let mut marks = mem::take(&mut self.heap).into_vec();
        let due = marks.extract_if(.., |Reverse((time, _))| *time <= reached);
        self.due.extend(due.map(|Reverse(mark)| mark));
        self.due.sort_unstable_by_key(|mark| Reverse(*mark));
        self.heap = marks.into();
    }

    /// Begins again with these.
    pub(super) fn replace(&mut self, marks: impl Iterator<Item = Mark>) {
        self.due.clear();
        self.heap.clear();
        self.heap.extend(marks.map(Reverse));
    }

    /// Gives memory back that is mostly unused.
    pub(super) fn shrink(&mut self) {
        if is_wasteful(self.heap.capacity(), self.heap.len()) {
            self.heap.shrink_to(2 * self.heap.len());
        }
        if is_wasteful(self.due.capacity(), self.due.len()) {
            self.due.shrink_to(2 * self.due.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::random::Random;

    #[test]
    fn marks_are_taken_out_in_order_however_many_are_due_at_once() {
        let mut in_one_go = 0;
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let span = 1 + random.below(400);
            let (mut marks, mut model) = (Marks::default(), Vec::new());
            let mut reached = 0;
            for _ in 0..30 {
                for _ in 0..random.below(300) {
                    // Some are due at once, before those that were already taken out, too.
                    let time = (reached + random.below(span)).saturating_sub(20);
                    let mark = (millis(time), random.below(3));
                    marks.push(mark);
                    model.push(mark);
                }
                reached += random.below(span);
                model.sort_unstable();
                let due = model.partition_point(|(time, _)| *time <= millis(reached));
                // Whoever has no more room stops in between.
                for expected in model.drain(..due - due.min(random.below(40) as usize)) {
                    assert_eq!(marks.first(), Some(expected.0));
                    assert_eq!(marks.pop(millis(reached)), Some(expected));
                    in_one_go += usize::from(!marks.due.is_empty());
                }
                assert_eq!(marks.len(), model.len());
                assert_eq!(marks.first(), model.first().map(|(time, _)| *time));
                if model.first().is_none_or(|(time, _)| *time > millis(reached)) {
                    assert_eq!(marks.pop(millis(reached)), None);
                }
                if random.below(4) == 0 {
                    marks.shrink();
                }
                if random.below(8) == 0 {
                    marks.replace(model.iter().copied());
                }
            }
        }
        assert!(in_one_go > 1_000, "{in_one_go}");
    }

    #[test]
    fn what_was_taken_out_leaves_no_memory_behind() {
        let mut marks = Marks::default();
        (0..10_000).for_each(|n| marks.push((millis(n / 5_000), n)));
        while marks.pop(millis(1)).is_some() {}
        marks.shrink();
        assert_eq!((marks.len(), marks.capacity()), (0, 0));
    }

    fn millis(millis: u64) -> Timestamp {
        Timestamp::from_millis(i64::try_from(millis).unwrap())
    }
}
