//! `flat_map_iter`: one record in, the items of an iterator out.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::Remainder;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into the items of an iterator, all of which have its event time.
    ///
    /// Emits the items of one value before it takes the next one, and waits in the middle of an
    /// iterator while its output is full: an endless one is fine, if something behind it ends the
    /// stream. Ends with its input, behind the last item.
    ///
    /// State: none. What is left of an iterator goes out before a barrier.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("words");
    /// let lines = flow.source("lines", source::from_iter(["to be", "or not"]));
    /// let words = lines.flat_map_iter(str::split_whitespace).collect();
    /// assert_eq!(flow.run().await?.take(words), Some(vec!["to", "be", "or", "not"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flat_map_iter<I, F>(self, f: F) -> DataStream<I::Item, Via<C, FlatMapIter<I, F>>>
    where
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
        F: FnMut(T) -> I + Clone + Send + 'static,
    {
        let left = Remainder::none();
        self.via(FlatMapIter { f, left })
    }
}

/// The operator behind [`DataStream::flat_map_iter`].
#[derive(Debug)]
pub struct FlatMapIter<I: IntoIterator, F> {
    f: F,
    left: Remainder<I::IntoIter>,
}

impl<I: IntoIterator, F: Clone> Clone for FlatMapIter<I, F> {
    fn clone(&self) -> Self {
        Self { f: self.f.clone(), left: Remainder::none() }
    }
}

impl<T, I, F> Operator<T> for FlatMapIter<I, F>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
    F: FnMut(T) -> I + Clone + Send + 'static,
{
    type Out = I::Item;
    const NAME: &'static str = "flat_map_iter";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<I::Item>,
    ) -> Result<(), OperatorError> {
        let items = (self.f)(record.value).into_iter();
        self.left.emit(items, record.time, out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.left.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<I::Item>) -> Result<(), OperatorError> {
        self.left.resume(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;

    fn repeat() -> impl Operator<u32, Out = u32> {
        let f = |n: u32| std::iter::repeat_n(n, n as usize);
        let left = Remainder::none();
        FlatMapIter { f, left }
    }

    #[test]
    fn b3_flat_map_iter_gives_every_item_the_event_time_of_its_input() {
        let at = Timestamp::from_millis(7);
        let mut harness = OperatorHarness::new(repeat());
        harness.push(Record::at(2, at));
        let expected = [2, 2].map(|n| Event::Record(Record::at(n, at)));
        assert_eq!(harness.events(), expected);
    }

    #[test]
    fn b3_flat_map_iter_pauses_where_there_is_no_room() {
        for room in 1..5 {
            let mut harness = OperatorHarness::with_room(repeat(), room);
            for n in [3, 0, 1, 2] {
                harness.push(n);
            }
            harness.end();
            assert_eq!(harness.values(), [3, 3, 3, 1, 2, 2], "room for {room}");
        }
    }

    #[test]
    fn b3_flat_map_iter_pulls_no_item_without_room() {
        struct Room(Vec<u32>);
        impl Collector<u32> for Room {
            fn push(&mut self, record: Record<u32>) {
                self.0.push(record.value);
            }
            fn is_full(&self) -> bool {
                self.0.len() == 2
            }
        }
        let f = |n: u32| (n..).inspect(|m| assert!(*m < 2, "pulled without room"));
        let left = Remainder::none();
        let mut operator = FlatMapIter { f, left };
        let mut room = Room(Vec::new());
        operator.process(Record::new(0), &mut room).unwrap();
        assert_eq!(room.0, [0, 1]);
        assert!(Operator::<u32>::pending(&operator));
        assert!(!Operator::<u32>::pending(&operator.clone()), "a clone is blank");
    }
}
