//! `merge_sorted` and `merge_sorted_by`: two sorted streams as one.

use std::cmp::Ordering;

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Joins another stream to this one so that, if both are sorted, what comes out is.
    ///
    /// Else it is as [`merge_sorted_by`](DataStream::merge_sorted_by).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sorted");
    /// let odd = flow.source("odd", source::from_iter([1, 3, 5]));
    /// let even = flow.source("even", source::from_iter([2, 4]));
    /// let all = odd.merge_sorted(even).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 2, 3, 4, 5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_sorted<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T>
    where
        T: Ord,
    {
        merged(self, other, "merge_sorted", Ord::cmp)
    }

    /// As [`merge_sorted`](DataStream::merge_sorted), by the order that `compare` gives. Of equal
    /// records those of this stream come first.
    ///
    /// Emits the smaller of what both inputs have next, so it needs a record of each: a quiet one
    /// stalls the other, unless it is [idle](millstream_engine::batch::Batch::idle) or has ended.
    /// Of an idle input nothing is expected; what it has when it wakes up goes out as soon as it is
    /// the smaller, behind greater records that went out meanwhile. Ends with the last input. It
    /// has one instance, and two branches of one stream are refused, as with
    /// [`zip`](DataStream::zip).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("falling");
    /// let left = flow.source("left", source::from_iter([5, 1]));
    /// let right = flow.source("right", source::from_iter([4, 3]));
    /// let all = left.merge_sorted_by(right, |a, b| b.cmp(a)).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![5, 4, 3, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_sorted_by<D, F>(self, other: DataStream<T, D>, compare: F) -> DataStream<T>
    where
        D: Chain<Item = T>,
        F: FnMut(&T, &T) -> Ordering + Clone + Send + 'static,
    {
        merged(self, other, "merge_sorted_by", compare)
    }
}

fn merged<T, C, D, F>(
    left: DataStream<T, C>,
    right: DataStream<T, D>,
    kind: &'static str,
    compare: F,
) -> DataStream<T>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = T>,
    F: FnMut(&T, &T) -> Ordering + Clone + Send + 'static,
{
    let (edge, flow) = meet(&left, Discipline::Select, kind);
    left.forward(edge);
    join(right, edge, &flow);
    choose::<T, _>(flow, edge, 2, kind, move |_| MergeSorted(compare.clone()))
}

/// What is behind [`DataStream::merge_sorted`].
struct MergeSorted<F>(F);

impl<T, F> Picker<T> for MergeSorted<F>
where
    T: Send + 'static,
    F: FnMut(&T, &T) -> Ordering + Send,
{
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let expected = |port| !(ports.is_ended(port) || ports.is_idle(port));
        match (ports.peek(0), ports.peek(1)) {
            (Some(left), Some(right)) => {
                let order = (self.0)(&left.value, &right.value);
                Pick::Take(usize::from(order == Ordering::Greater))
            }
            (Some(_), None) if !expected(1) => Pick::Take(0),
            (None, Some(_)) if !expected(0) => Pick::Take(1),
            _ => Pick::Wait,
        }
    }

    fn take(
        &mut self,
        _port: usize,
        record: Record<T>,
        out: &mut Vec<Record<T>>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}
