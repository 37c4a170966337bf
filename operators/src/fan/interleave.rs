//! `interleave`: so many records of each in turn.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Takes `count` records of this stream, then as many of `other`, and so on. When one of them
    /// has ended, the rest of the other follows.
    ///
    /// Emits when the input has a record whose turn it is, and backpressures the other. Ends with
    /// the last input. Its watermark is the earliest of the inputs that are not idle. It has one
    /// instance, and two branches of one stream are refused, as with [`zip`](DataStream::zip).
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two and two");
    /// let small = flow.source("small", source::from_iter(1..=3));
    /// let large = flow.source("large", source::from_iter(10..=14));
    /// let all = small.interleave(large, 2).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 2, 10, 11, 3, 12, 13, 14]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn interleave<D: Chain<Item = T>>(
        self,
        other: DataStream<T, D>,
        count: usize,
    ) -> DataStream<T> {
        assert!(count > 0, "interleaving zero records");
        let (edge, flow) = meet(&self, Discipline::Select, "interleave");
        self.forward(edge);
        join(other, edge, &flow);
        let make = move |_| Interleave { count, turn: 0, left: count };
        choose::<T, _>(flow, edge, 2, "interleave", make)
    }
}

/// What is behind [`DataStream::interleave`].
struct Interleave {
    count: usize,
    /// The input whose turn it is, and how many records it has left in it.
    turn: usize,
    left: usize,
}

impl<T: Send + 'static> Picker<T> for Interleave {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let other = 1 - self.turn;
        if self.left == 0 || (ports.is_ended(self.turn) && !ports.is_ended(other)) {
            self.turn = other;
            self.left = self.count;
        }
        if ports.is_ended(self.turn) {
            // The rest of the one that is left, however many turns it takes.
            self.turn = 1 - self.turn;
        }
        Pick::Take(self.turn)
    }

    fn take(
        &mut self,
        _port: usize,
        record: Record<T>,
        out: &mut Vec<Record<T>>,
    ) -> Result<(), OperatorError> {
        self.left = self.left.saturating_sub(1);
        out.push(record);
        Ok(())
    }
}
