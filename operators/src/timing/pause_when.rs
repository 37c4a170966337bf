//! `pause_when`: a stream that rests while a switch is on.

use std::fmt;
use std::task::Context;

use super::switch::{Listener, Switch};
use crate::DataStream;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets nothing through while `switch` is on. Nothing is dropped: the next record is held, and
    /// everything before it waits. Timers of what comes before and behind go on.
    ///
    /// Emits when its input does, backpressures when its output does and while it is paused. The
    /// end of the input passes also then, unless a record is held: that has to go first, so a drain
    /// does not get past a pause. What comes behind may cancel at any time.
    ///
    /// State: none. The record that is held goes out before a barrier, which waits for the end of
    /// the pause.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Switch};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let pause = Switch::new();
    /// pause.turn_on();
    /// let flow = Dataflow::new("paused");
    /// let numbers = flow.source("numbers", source::from_iter(0..5));
    /// let all = numbers.pause_when(&pause).collect();
    /// let job = flow.start()?;
    /// pause.turn_off();
    /// assert_eq!(job.await?.take(all), Some(vec![0, 1, 2, 3, 4]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause_when(self, switch: &Switch) -> DataStream<T, Via<C, PauseWhen<T>>> {
        self.via(PauseWhen { switch: Listener::new(switch), held: None })
    }
}

/// The operator behind [`DataStream::pause_when`].
pub struct PauseWhen<T> {
    switch: Listener,
    held: Option<Record<T>>,
}

impl<T> Clone for PauseWhen<T> {
    fn clone(&self) -> Self {
        Self { switch: self.switch.clone(), held: None }
    }
}

impl<T> fmt::Debug for PauseWhen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PauseWhen")
            .field("paused", &self.switch.is_on())
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for PauseWhen<T> {
    type Out = T;
    const NAME: &'static str = "pause_when";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.switch.is_on() {
            self.held = Some(record);
        } else {
            out.push(record);
        }
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        if self.held.is_some() {
            self.switch.listen(cx);
        }
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.held.is_some()
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.held.is_some() && self.switch.is_on()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if !self.switch.is_on()
            && let Some(record) = self.held.take()
        {
            out.push(record);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn d20_a_pause_holds_a_record_and_drops_none() {
        let switch = Switch::new();
        let operator = PauseWhen { switch: Listener::new(&switch), held: None };
        let mut harness = OperatorHarness::new(operator);
        harness.push(1);
        assert_eq!(harness.values(), [1]);
        switch.turn_on();
        harness.push(2);
        assert!(harness.values().is_empty());
        assert!(Operator::<i32>::waiting(harness.operator()));
        switch.turn_off();
        assert!(!Operator::<i32>::waiting(harness.operator()));
        assert!(Operator::<i32>::pending(harness.operator()), "to be resumed");
    }
}
