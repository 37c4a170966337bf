//! `sort`, `top_n` and `bottom_n`: order by value, of a stream that ends.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;

use super::limit::LimitExceeded;
use crate::DataStream;
use crate::part::{Backlog, LatestTime};
use crate::state::{
    Checkpointed, Codec, Part, State, gather_parts, read_list, write_list, write_parts,
};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Emits all records in the order of their values when the input ends, equal ones in the order
    /// in which they came. A stream of more than `max` records fails the job with
    /// [`LimitExceeded`]. Each instance of a parallel stream sorts its own.
    ///
    /// A record's event time stays, unless the watermark has passed it. Backpressures when its
    /// output does. Holds up to `max` records.
    ///
    /// State: the records, which another number of instances may share.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sorted");
    /// let sorted = flow.source("numbers", source::from_iter([3, 1, 2])).sort(1000).collect();
    /// assert_eq!(flow.run().await?.take(sorted), Some(vec![1, 2, 3]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sort(self, max: usize) -> DataStream<T, Via<C, Sort<T>>>
    where
        T: Ord,
    {
        self.via(Sort::new(max))
    }

    /// Emits the `count` greatest records when the input ends, the greatest first, and of equal
    /// ones those that came first. Each instance of a parallel stream has its own.
    ///
    /// A record's event time stays, unless the watermark has passed it. Backpressures when its
    /// output does. Holds up to `count` records.
    ///
    /// State: the records that are kept, which another number of instances may share.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("greatest");
    /// let greatest = flow.source("numbers", source::from_iter([3, 1, 4, 1, 5])).top_n(2);
    /// let greatest = greatest.collect();
    /// assert_eq!(flow.run().await?.take(greatest), Some(vec![5, 4]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn top_n(self, count: usize) -> DataStream<T, Via<C, TopN<T, false>>>
    where
        T: Ord,
    {
        self.via(TopN::new(count))
    }

    /// Emits the `count` least records when the input ends, the least first, and of equal ones
    /// those that came first. Otherwise as [`top_n`](DataStream::top_n).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("least");
    /// let least = flow.source("numbers", source::from_iter([3, 1, 4, 1, 5])).bottom_n(2);
    /// let least = least.collect();
    /// assert_eq!(flow.run().await?.take(least), Some(vec![1, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn bottom_n(self, count: usize) -> DataStream<T, Via<C, TopN<T, true>>>
    where
        T: Ord,
    {
        self.via(TopN::new(count))
    }
}

/// The operator behind [`DataStream::sort`].
pub struct Sort<T> {
    max: usize,
    held: Vec<Record<T>>,
    time: LatestTime,
    backlog: Backlog<T>,
    codec: Option<Codec<T>>,
}

impl<T> Sort<T> {
    fn new(max: usize) -> Self {
        let (time, backlog) = (LatestTime::new(), Backlog::new());
        Self { max, held: Vec::new(), time, backlog, codec: None }
    }
}

impl<T: State> Checkpointed for Sort<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Sort<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.max) }
    }
}

impl<T> fmt::Debug for Sort<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sort")
            .field("max", &self.max)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<T: Ord + Send + 'static> Operator<T> for Sort<T> {
    type Out = T;
    const NAME: &'static str = "sort";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.held.len() >= self.max {
            return Err(LimitExceeded { max: self.max as u64 }.into());
        }
        self.held.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        let mut records = std::mem::take(&mut self.held);
        records.sort_by(|a, b| a.value.cmp(&b.value));
        let time = self.time;
        let records = records.into_iter();
        self.backlog.extend(records.map(|one| Record::at(one.value, time.of(one.time))), out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.held, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        gather_parts(self.codec, state, &mut [&mut self.held, &mut self.time])
    }
}

/// The operator behind [`DataStream::top_n`] and, where `LEAST`, [`DataStream::bottom_n`].
pub struct TopN<T, const LEAST: bool> {
    count: usize,
    /// The worst of those kept is its greatest.
    kept: BinaryHeap<Ranked<T, LEAST>>,
    next: u64,
    time: LatestTime,
    backlog: Backlog<T>,
    codec: Option<Codec<T>>,
}

/// A record, smaller the better it is.
struct Ranked<T, const LEAST: bool> {
    record: Record<T>,
    came: u64,
}

impl<T: Ord, const LEAST: bool> Ord for Ranked<T, LEAST> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = self.record.value.cmp(&other.record.value);
        let by_value = if LEAST { by_value } else { by_value.reverse() };
        by_value.then(self.came.cmp(&other.came))
    }
}

impl<T: Ord, const LEAST: bool> PartialOrd for Ranked<T, LEAST> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord, const LEAST: bool> PartialEq for Ranked<T, LEAST> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord, const LEAST: bool> Eq for Ranked<T, LEAST> {}

impl<T: Ord, const LEAST: bool> TopN<T, LEAST> {
    fn new(count: usize) -> Self {
        let (time, backlog) = (LatestTime::new(), Backlog::new());
        Self { count, kept: BinaryHeap::new(), next: 0, time, backlog, codec: None }
    }

    /// Keeps a record, if it is one of the best.
    fn keep(&mut self, record: Record<T>) {
        let came = self.next;
        self.next += 1;
        let ranked = Ranked { record, came };
        if self.kept.len() < self.count {
            self.kept.push(ranked);
        } else if let Some(mut worst) = self.kept.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }
}

/// In the order in which they came.
impl<T: Ord, const LEAST: bool> Part<T> for TopN<T, LEAST> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        let mut kept: Vec<_> = self.kept.iter().collect();
        kept.sort_unstable_by_key(|ranked| ranked.came);
        write_list(kept.into_iter().map(|ranked| &ranked.record), codec, bytes)?;
        self.time.write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        read_list(codec, bytes, |record| self.keep(record))?;
        self.time.read(codec, bytes)
    }
}

impl<T: State, const LEAST: bool> Checkpointed for TopN<T, LEAST> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T: Ord, const LEAST: bool> Clone for TopN<T, LEAST> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.count) }
    }
}

impl<T, const LEAST: bool> fmt::Debug for TopN<T, LEAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopN").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<T: Ord + Send + 'static, const LEAST: bool> Operator<T> for TopN<T, LEAST> {
    type Out = T;
    const NAME: &'static str = if LEAST { "bottom_n" } else { "top_n" };

    fn process(
        &mut self,
        record: Record<T>,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.keep(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        let kept = std::mem::take(&mut self.kept).into_sorted_vec();
        let time = self.time;
        let records = kept.into_iter().map(|ranked| ranked.record);
        self.backlog.extend(records.map(|one| Record::at(one.value, time.of(one.time))), out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[self])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        gather_parts(self.codec, state, &mut [self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b29_sort_is_stable_and_never_late() {
        let at = Timestamp::from_millis;
        for room in [1, 9] {
            let mut harness = OperatorHarness::with_room(Sort::new(3), room);
            for (n, millis) in [(3, 5), (1, 9), (2, 1)] {
                harness.push(Record::at(n, at(millis)));
            }
            harness.watermark(at(6));
            harness.end();
            let records = [(1, 9), (2, 6), (3, 6)];
            let records = records.map(|(n, millis)| Event::Record(Record::at(n, at(millis))));
            assert_eq!(harness.events()[1..4], records);
        }
    }

    #[test]
    fn b29_sort_fails_rather_than_hold_too_much() {
        let mut harness = OperatorHarness::new(Sort::new(2));
        [3, 2, 1].into_iter().for_each(|n| harness.push(n));
        let error = harness.take_error().unwrap();
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&LimitExceeded { max: 2 }));
    }

    #[test]
    fn b29_the_greatest_and_the_least_are_kept_and_no_more() {
        for room in [1, 9] {
            let mut top = OperatorHarness::with_room(TopN::<u32, false>::new(3), room);
            let mut bottom = OperatorHarness::with_room(TopN::<u32, true>::new(3), room);
            for n in [3, 9, 1, 7, 8, 1, 2] {
                top.push(n);
                bottom.push(n);
                assert!(top.operator().kept.len() <= 3);
            }
            top.end();
            bottom.end();
            assert_eq!(top.values(), [9, 8, 7]);
            assert_eq!(bottom.values(), [1, 1, 2]);
        }
        let mut none = OperatorHarness::new(TopN::<u32, false>::new(0));
        none.push(1);
        none.end();
        assert!(none.values().is_empty());
    }
}
