//! `distinct`: each value once, as far as is remembered.

use std::fmt;
use std::hash::Hash;

use hashbrown::HashTable;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::key::stable_hash;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::state::{
    Checkpointed, Codec, Part, State, read_list, read_parts, write_list, write_parts,
};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets each value through once, as far as it remembers: the last `max` different ones. When
    /// another comes, the one that was let through longest ago is forgotten, and goes through again
    /// if it comes again. Each instance of a parallel stream remembers its own.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Holds up
    /// to `max` values.
    ///
    /// State: the values that it remembers.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("once");
    /// let once = flow.source("numbers", source::from_iter([1, 2, 1, 3, 2])).distinct(100);
    /// let once = once.collect();
    /// assert_eq!(flow.run().await?.take(once), Some(vec![1, 2, 3]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn distinct(self, max: usize) -> DataStream<T, Via<C, Distinct<T>>>
    where
        T: Hash + Eq + Clone,
    {
        assert!(max > 0, "distinct among no values");
        self.via(Distinct::new(max))
    }
}

/// The operator behind [`DataStream::distinct`].
pub struct Distinct<T> {
    max: usize,
    /// A ring, oldest at `oldest` once it is full.
    values: Vec<(u64, T)>,
    oldest: usize,
    places: HashTable<usize>,
    codec: Option<Codec<T>>,
}

impl<T> Distinct<T> {
    const fn new(max: usize) -> Self {
        Self { max, values: Vec::new(), oldest: 0, places: HashTable::new(), codec: None }
    }
}

impl<T: Hash + Eq + Clone> Distinct<T> {
    /// Whether a value is none of those remembered. It is then.
    fn is_new(&mut self, value: &T) -> bool {
        let Self { max, values, oldest, places, .. } = self;
        let hash = stable_hash(value);
        let same = |at: &usize| values.get(*at).is_some_and(|one| one.0 == hash && one.1 == *value);
        if places.find(hash, same).is_some() {
            return false;
        }
        let at = if values.len() < *max {
            values.push((hash, value.clone()));
            values.len() - 1
        } else {
            let at = *oldest;
            *oldest = (at + 1) % *max;
            if let Some(place) = values.get_mut(at) {
                if let Ok(entry) = places.find_entry(place.0, |one| *one == at) {
                    entry.remove();
                }
                *place = (hash, value.clone());
            }
            at
        };
        places.insert_unique(hash, at, |at| values.get(*at).map_or(0, |one| one.0));
        true
    }
}

/// From the one that was let through longest ago to the last, whatever their places are.
impl<T: Hash + Eq + Clone> Part<T> for Distinct<T> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        let (newer, older) = self.values.split_at(self.oldest);
        let values: Vec<_> = older.iter().chain(newer).map(|(_, value)| value).collect();
        write_list(values.into_iter(), codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        read_list(codec, bytes, |value: T| {
            self.is_new(&value);
        })
    }
}

impl<T: State> Checkpointed for Distinct<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Distinct<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.max) }
    }
}

impl<T> fmt::Debug for Distinct<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distinct")
            .field("max", &self.max)
            .field("held", &self.values.len())
            .finish_non_exhaustive()
    }
}

impl<T: Hash + Eq + Clone + Send + 'static> Operator<T> for Distinct<T> {
    type Out = T;
    const NAME: &'static str = "distinct";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.is_new(&record.value) {
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[self])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn b13_the_oldest_is_forgotten_when_there_are_too_many() {
        let mut harness = OperatorHarness::new(Distinct::new(2));
        [1, 1, 2, 1, 3, 2, 1, 3, 2].into_iter().for_each(|n| harness.push(n));
        // 3 pushed 1 out, then 1 pushed 2 out, then 2 pushed 3 out.
        assert_eq!(harness.values(), [1, 2, 3, 1, 2]);
        assert_eq!((harness.operator().values.len(), harness.operator().places.len()), (2, 2));
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push(2);
        assert_eq!(fresh.values(), [2], "a clone is blank");
    }

    #[test]
    #[should_panic(expected = "distinct among no values")]
    fn b13_no_memory_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).distinct(0).ignore();
    }
}
