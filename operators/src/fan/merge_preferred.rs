//! `merge_preferred` and `merge_prioritized`: merges that favour some of their inputs.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::random::Random;
use millstream_engine::{OperatorError, Record};

use super::choose::{Given, choose};
use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Joins another stream to this one, of which a record is taken only when this one has none: a
    /// busy stream starves the other for as long as it is busy.
    ///
    /// Emits when any input does, ends with the last of them. What this stream has is looked at
    /// once for each batch, so up to a batch of the other's records may go before it. Its watermark
    /// is the earliest of the inputs that are not idle. It has one instance.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("urgent first");
    /// let urgent = flow.source("urgent", source::from_iter([1, 2]));
    /// let normal = flow.source("normal", source::from_iter([30, 40]));
    /// let sum = urgent.merge_preferred(normal).fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(73));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_preferred<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        let (edge, flow) = meet(&self, Discipline::Merge, "merge_preferred");
        self.forward(edge);
        join(other, edge, &flow);
        choose::<T, _>(flow, edge, 2, "merge_preferred", |_| MergePreferred)
    }
}

impl<T: Send + 'static> DataStream<T> {
    /// Joins any number of streams to this one. While several have a record, chance decides whose
    /// is next, by their weights: a stream of weight 3 gets three turns where one of weight 1 gets
    /// one, and nobody starves.
    ///
    /// Emits when any input does, ends with the last of them. The dice are the job's: a run with
    /// the same seed and the same arrivals chooses the same. Its watermark is the earliest of the
    /// inputs that are not idle. It has one instance.
    ///
    /// # Panics
    ///
    /// If a weight is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("by weight");
    /// let paid = flow.source("paid", source::from_iter([1, 2])).boxed();
    /// let free = flow.source("free", source::from_iter([30, 40])).boxed();
    /// let sum = paid.merge_prioritized(9, [(free, 1)]).fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(73));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn merge_prioritized(
        self,
        weight: u32,
        others: impl IntoIterator<Item = (Self, u32)>,
    ) -> Self {
        let mut weights = vec![weight];
        let (edge, flow) = meet(&self, Discipline::Merge, "merge_prioritized");
        self.forward(edge);
        for (other, weight) in others {
            weights.push(weight);
            join(other, edge, &flow);
        }
        assert!(weights.iter().all(|weight| *weight > 0), "an input of weight zero");
        let count = weights.len();
        let make =
            move |given: Given| MergePrioritized { weights: weights.clone(), random: given.random };
        choose::<T, _>(flow, edge, count, "merge_prioritized", make)
    }
}

/// What is behind [`DataStream::merge_preferred`].
struct MergePreferred;

impl<T: Send + 'static> Picker<T> for MergePreferred {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let mut in_order = 0..ports.len();
        in_order.find(|port| ports.peek(*port).is_some()).map_or(Pick::Wait, Pick::Take)
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

/// What is behind [`DataStream::merge_prioritized`].
struct MergePrioritized {
    weights: Vec<u32>,
    random: Random,
}

impl<T: Send + 'static> Picker<T> for MergePrioritized {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let weights = self.weights.iter().enumerate();
        let ready = || weights.clone().filter(|(port, _)| ports.peek(*port).is_some());
        let total = ready().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return Pick::Wait;
        }
        let mut left = self.random.below(total);
        for (port, weight) in ready() {
            match left.checked_sub(u64::from(*weight)) {
                Some(less) => left = less,
                None => return Pick::Take(port),
            }
        }
        Pick::Wait
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
