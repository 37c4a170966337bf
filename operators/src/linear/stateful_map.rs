//! `stateful_map`: a map with a state, made for each run, and a last word.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one with the help of a state. `make_state` makes it anew for
    /// each run and instance, when the first record or the end comes; `on_complete` takes it when
    /// the input has ended, and may give a last value. It is not called if the job fails or is
    /// aborted, or if nobody downstream wants more: the state is dropped then. Order and event
    /// times stay.
    ///
    /// Emits when its input does, and once more at its end if there is a last value: at the latest
    /// event time, or the watermark if that has passed it. Backpressures when its output does.
    ///
    /// State: what `make_state` made, as `f` left it.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("gaps");
    /// let times = flow.source("times", source::from_iter([3_u32, 4, 9]));
    /// let gap = |last: &mut u32, time: u32| time - std::mem::replace(last, time);
    /// let gaps = times.stateful_map(|| 0, gap, Some).collect();
    /// assert_eq!(flow.run().await?.take(gaps), Some(vec![3, 1, 5, 9]));
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closures, as those of other operators do"
    )]
    pub fn stateful_map<S, U, M, F, E>(
        self,
        make_state: M,
        f: F,
        on_complete: E,
    ) -> DataStream<U, Via<C, StatefulMap<S, M, F, E>>>
    where
        S: Send + 'static,
        U: Send + 'static,
        M: Fn() -> S + Clone + Send + 'static,
        F: FnMut(&mut S, T) -> U + Clone + Send + 'static,
        E: FnMut(S) -> Option<U> + Clone + Send + 'static,
    {
        self.via(StatefulMap::new(make_state, f, on_complete))
    }
}

/// The operator behind [`DataStream::stateful_map`].
pub struct StatefulMap<S, M, F, E> {
    make_state: M,
    f: F,
    on_complete: E,
    state: Option<S>,
    time: LatestTime,
    codec: Option<Codec<S>>,
}

impl<S, M, F, E> StatefulMap<S, M, F, E> {
    const fn new(make_state: M, f: F, on_complete: E) -> Self {
        Self { make_state, f, on_complete, state: None, time: LatestTime::new(), codec: None }
    }
}

impl<S: State, M, F, E> Checkpointed for StatefulMap<S, M, F, E> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<S, M: Clone, F: Clone, E: Clone> Clone for StatefulMap<S, M, F, E> {
    fn clone(&self) -> Self {
        let (make_state, f) = (self.make_state.clone(), self.f.clone());
        Self { codec: self.codec, ..Self::new(make_state, f, self.on_complete.clone()) }
    }
}

impl<S, M, F, E> fmt::Debug for StatefulMap<S, M, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulMap").field("begun", &self.state.is_some()).finish_non_exhaustive()
    }
}

impl<T, S, U, M, F, E> Operator<T> for StatefulMap<S, M, F, E>
where
    S: Send + 'static,
    U: Send + 'static,
    M: Fn() -> S + Clone + Send + 'static,
    F: FnMut(&mut S, T) -> U + Clone + Send + 'static,
    E: FnMut(S) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "stateful_map";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        let state = self.state.get_or_insert_with(&self.make_state);
        out.push(Record::at((self.f)(state, record.value), record.time));
        Ok(())
    }

    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<U>) -> Result<(), OperatorError> {
        let state = self.state.take().unwrap_or_else(&self.make_state);
        if let Some(last) = (self.on_complete)(state) {
            out.push(Record::at(last, self.time.take()));
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.state, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.state, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    fn count(seen: &mut u32, n: u32) -> (u32, u32) {
        *seen += 1;
        (*seen, n)
    }

    #[test]
    fn b6_stateful_map_makes_a_state_for_each_run() {
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let make_state = move || {
            counter.fetch_add(1, Relaxed);
            0
        };
        let operator = StatefulMap::new(make_state, count, |_| None);
        for run in 1..=2 {
            let mut harness = OperatorHarness::new(operator.clone());
            harness.push(7);
            harness.push(8);
            harness.end();
            assert_eq!(harness.values(), [(1, 7), (2, 8)]);
            assert_eq!(made.load(Relaxed), run);
        }
    }

    #[test]
    fn b6_stateful_map_emits_the_last_value_at_the_end_and_on_time() {
        let operator = StatefulMap::new(|| 0, count, |seen| Some((seen, 0)));
        let mut harness = OperatorHarness::new(operator.clone());
        let at = Timestamp::from_millis;
        harness.push(Record::at(7, at(3)));
        harness.watermark(at(5));
        harness.end();
        let expected = [
            Event::Record(Record::at((1, 7), at(3))),
            Event::Watermark(at(5)),
            Event::Record(Record::at((1, 0), at(5))),
            Event::End,
        ];
        assert_eq!(harness.events(), expected);
        let mut empty = OperatorHarness::new(operator);
        empty.end();
        assert_eq!(empty.values(), [(0, 0)], "an empty input ends, too");
    }
}
