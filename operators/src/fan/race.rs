//! `race`: the stream that is first.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Pick, Picker, Ports};
use millstream_engine::{OperatorError, Record};

use super::choose::choose;
use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Goes on with this stream or with `other`, whichever has a record first, and cancels the
    /// other one. If both have, it is this one.
    ///
    /// Ends with the winner. A stream that ends without a record has not won: the other one goes
    /// on. One that fails before there is a winner fails the job. Backpressures the winner when its
    /// output does. It has one instance.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("the first to answer");
    /// let slow = flow.source("slow", source::never());
    /// let quick = flow.source("quick", source::from_iter([1, 2]));
    /// let answers = slow.race(quick).collect();
    /// assert_eq!(flow.run().await?.take(answers), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn race<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        let (edge, flow) = meet(&self, Discipline::Merge, "race");
        self.forward(edge);
        join(other, edge, &flow);
        choose::<T, _>(flow, edge, 2, "race", |_| Race(None))
    }
}

/// What is behind [`DataStream::race`]: who has won.
struct Race(Option<usize>);

impl<T: Send + 'static> Picker<T> for Race {
    type Out = T;

    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick {
        let mut all = 0..ports.len();
        let first = all.clone().find(|port| ports.peek(*port).is_some());
        self.0 = self.0.or(first);
        let Some(winner) = self.0 else {
            return Pick::Wait;
        };
        let loser = all.find(|port| *port != winner && !ports.is_ended(*port));
        loser.map_or(Pick::Take(winner), Pick::Cancel)
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
