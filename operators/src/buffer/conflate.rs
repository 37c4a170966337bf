//! `conflate`, `conflate_up_to` and `conflate_with_seed`: what waits is merged.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::{Outbox, Router};
use millstream_engine::graph::{EdgeOptions, StageDraft};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

/// One record handed over, and one that waits: what can be merged, is.
fn narrow() -> EdgeOptions {
    EdgeOptions { capacity: Some(1), batch: Some(1), ..EdgeOptions::default() }
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stage here, and merges the records that would have to wait for the next: `merge`
    /// takes a later value up into the one that waits.
    ///
    /// Emits whenever the next stage asks and there is something; never backpressures; ends with
    /// its input, behind what waits. A merged record has the latest of the event times and comes
    /// before the watermarks that came between. What was merged away is counted as superseded, by
    /// [`dropped`](millstream_engine::metrics::EdgeMetrics::dropped) of the edge.
    ///
    /// The waiting happens in two places: one record has been handed to the edge and is merged no
    /// more, and what comes while it lies there is merged into one more record before the edge. The
    /// next stage has in hand what it is working on. So put the word right before what is slow: an
    /// ordinary boundary behind it would take records as fast as they come, and nothing would be
    /// merged until that boundary is full too.
    ///
    /// A barrier carries the record that waits before it into the edge. A panic in `merge` fails
    /// the job with this operator's name.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("deltas");
    /// let deltas = flow.source("deltas", source::from_iter(1..=100_u64));
    /// // However few records come out, nothing of their sum is lost.
    /// let sum = deltas.conflate(|sum, n| *sum += n).fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(5050));
    /// # Ok(())
    /// # }
    /// ```
    pub fn conflate(self, merge: impl Fn(&mut T, T) + Send + Sync + 'static) -> DataStream<T> {
        self.conflated("conflate", usize::MAX, merge)
    }

    /// As [`conflate`](DataStream::conflate), but merges at most `max` records into one, and then
    /// backpressures until that one has been handed over: what other systems call `batch`. Zero
    /// keeps the dataflow from being started.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("groups");
    /// let numbers = flow.source("numbers", source::from_iter(1..=100_u64)).map(|n| vec![n]);
    /// let groups = numbers.conflate_up_to(3, |group, mut more| group.append(&mut more)).collect();
    /// let groups = flow.run().await?.take(groups).unwrap();
    /// assert!(groups.iter().all(|group| group.len() <= 3));
    /// assert_eq!(groups.concat(), (1..=100).collect::<Vec<_>>());
    /// # Ok(())
    /// # }
    /// ```
    pub fn conflate_up_to(
        self,
        max: usize,
        merge: impl Fn(&mut T, T) + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.conflated("conflate_up_to", max, merge)
    }

    fn conflated(
        self,
        kind: &'static str,
        max: usize,
        merge: impl Fn(&mut T, T) + Send + Sync + 'static,
    ) -> DataStream<T> {
        let (flow, instances) = (self.flow().clone(), self.parallelism());
        let edge = flow.blueprint().add_edge::<T>(kind, narrow());
        flow.blueprint().conflate_edge(edge, max, merge);
        self.forward(edge);
        DataStream::behind(flow, edge, instances, kind)
    }

    /// As [`conflate`](DataStream::conflate), for a summary of another type: `seed` makes one of
    /// the first value that waits, and `add` takes the later ones up. A value that does not have to
    /// wait comes out as its own seed.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("counts");
    /// let words = flow.source("words", source::from_iter(["a", "b", "c"]));
    /// let counts = words.conflate_with_seed(|_| 1_u64, |count, _| *count += 1);
    /// let all = counts.fold(0, |sum, count| *sum += count);
    /// assert_eq!(flow.run().await?.take(all), Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn conflate_with_seed<S, F, G>(self, seed: F, add: G) -> DataStream<S, Conflated<S, T, F>>
    where
        S: Send + 'static,
        F: Fn(T) -> S + Send + Sync + 'static,
        G: Fn(&mut S, T) + Send + Sync + 'static,
    {
        let (flow, parallelism) = (self.flow().clone(), self.parallelism());
        let seed = Arc::new(seed);
        let edge = flow.blueprint().add_edge::<Waiting<S, T>>("conflate_with_seed", narrow());
        let of_one = Arc::clone(&seed);
        let merge = move |waiting: &mut Waiting<S, T>, later| waiting.add(later, &*of_one, &add);
        flow.blueprint().conflate_edge(edge, usize::MAX, merge);
        self.route(&[edge], ToWaiting(PhantomData::<fn() -> S>));
        let draft = StageDraft { operators: Vec::new(), input: Some(edge), parallelism };
        DataStream::from_parts(flow, Boundary::edge(edge), draft).via(Settle { seed })
    }
}

/// A chain that begins behind a [`conflate_with_seed`](DataStream::conflate_with_seed).
pub type Conflated<S, T, F> = Via<Boundary<Waiting<S, T>>, Settle<F>>;

/// What waits before a [`conflate_with_seed`](DataStream::conflate_with_seed).
pub struct Waiting<S, T>(State<S, T>);

enum State<S, T> {
    Alone(T),
    Merged(S),
    /// Only while it is being merged.
    Taken,
}

impl<S, T> Waiting<S, T> {
    fn settle(self, seed: &impl Fn(T) -> S) -> Option<S> {
        match self.0 {
            State::Alone(value) => Some(seed(value)),
            State::Merged(summary) => Some(summary),
            State::Taken => None,
        }
    }

    fn add(&mut self, later: Self, seed: &impl Fn(T) -> S, add: &impl Fn(&mut S, T)) {
        let waiting = Self(std::mem::replace(&mut self.0, State::Taken));
        if let (Some(mut summary), State::Alone(value)) = (waiting.settle(seed), later.0) {
            add(&mut summary, value);
            self.0 = State::Merged(summary);
        }
    }
}

impl<S, T> fmt::Debug for Waiting<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// To the one consumer, as what can be merged.
struct ToWaiting<S>(PhantomData<fn() -> S>);

impl<S> Clone for ToWaiting<S> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<S: Send + 'static, T: Send + 'static> Router<T> for ToWaiting<S> {
    type Out = Waiting<S, T>;

    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<Self::Out>],
    ) -> Result<Flow, OperatorError> {
        let record = record.with(|value| Waiting(State::Alone(value)));
        Ok(outboxes.first_mut().map_or(Flow::More, |outbox| outbox.push(record)))
    }
}

/// The operator behind [`DataStream::conflate_with_seed`].
pub struct Settle<F> {
    seed: Arc<F>,
}

impl<F> Clone for Settle<F> {
    fn clone(&self) -> Self {
        Self { seed: Arc::clone(&self.seed) }
    }
}

impl<F> fmt::Debug for Settle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

impl<S, T, F> Operator<Waiting<S, T>> for Settle<F>
where
    S: Send + 'static,
    T: Send + 'static,
    F: Fn(T) -> S + Send + Sync + 'static,
{
    type Out = S;
    const NAME: &'static str = "conflate_with_seed";
    const STATELESS: bool = true;

    fn process(
        &mut self,
        record: Record<Waiting<S, T>>,
        out: &mut impl Collector<S>,
    ) -> Result<(), OperatorError> {
        if let Some(summary) = record.value.settle(&*self.seed) {
            out.push(Record::at(summary, record.time));
        }
        Ok(())
    }
}
