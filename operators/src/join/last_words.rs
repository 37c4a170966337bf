//! `LastWords`: the output of a key that makes room for another one.

use millstream_engine::Record;
use millstream_engine::operator::Collector;

/// A collector that always has room: what a key has to say before it is given up can't wait.
pub(super) struct LastWords<'a, C>(pub(super) &'a mut C);

impl<T, C: Collector<T>> Collector<T> for LastWords<'_, C> {
    fn push(&mut self, record: Record<T>) {
        self.0.push(record);
    }

    fn is_full(&self) -> bool {
        false
    }
}
