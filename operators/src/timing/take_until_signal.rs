//! `take_until_signal`: a stream that somebody outside ends.

use std::cell::Cell;
use std::task::Context;

use super::switch::{Listener, Switch};
use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets everything through until `signal` is turned on, then ends the stream and cancels its
    /// input: at once, without another record, and without an error. Records that have not reached
    /// it by then are left out. Turning the switch off again changes nothing.
    ///
    /// To stop a whole job, [drain](millstream_engine::runtime::JobHandle::drain) it: this is for a
    /// part of one.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input or the
    /// signal. What comes behind still handles what it was given.
    ///
    /// State: whether the signal was given.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Switch};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let enough = Switch::new();
    /// let flow = Dataflow::new("until told");
    /// let numbers = flow.source("numbers", source::from_iter(0_u64..));
    /// let count = numbers.take_until_signal(&enough).count();
    /// let job = flow.start()?;
    /// enough.turn_on();
    /// assert!(job.await?.take(count).is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_until_signal(self, signal: &Switch) -> DataStream<T, Via<C, TakeUntilSignal>> {
        self.via(TakeUntilSignal { signal: Listener::new(signal), done: Cell::new(false) })
    }
}

/// The operator behind [`DataStream::take_until_signal`].
#[derive(Debug)]
pub struct TakeUntilSignal {
    signal: Listener,
    /// Set by whoever looks first, because a switch may be turned off again and an end may not.
    done: Cell<bool>,
}

impl TakeUntilSignal {
    #[inline]
    fn is_done(&self) -> bool {
        if !self.done.get() && self.signal.is_on() {
            self.done.set(true);
        }
        self.done.get()
    }
}

impl Checkpointed for TakeUntilSignal {}

impl Clone for TakeUntilSignal {
    fn clone(&self) -> Self {
        Self { signal: self.signal.clone(), done: Cell::new(false) }
    }
}

impl<T: Send + 'static> Operator<T> for TakeUntilSignal {
    type Out = T;
    const NAME: &'static str = "take_until_signal";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !self.is_done() {
            out.push(record);
        }
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        if !self.done.get() {
            self.signal.listen(cx);
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.is_done()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.done.get()])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [self.done.get_mut()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn k9_the_signal_ends_the_stream_for_good() {
        let signal = Switch::new();
        let done = Cell::new(false);
        let operator = TakeUntilSignal { signal: Listener::new(&signal), done };
        let mut harness = OperatorHarness::new(operator);
        harness.push(1);
        signal.turn_on();
        assert!(Operator::<i32>::done(harness.operator()));
        signal.turn_off();
        harness.push(2);
        assert_eq!(harness.values(), [1]);
        assert!(!Operator::<i32>::done(&harness.operator().clone()), "another run begins anew");
    }
}
