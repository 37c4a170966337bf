//! `distinct_within` and `distinct_among`: the first record of each key, as far as is remembered.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Collector;
use millstream_engine::{OperatorError, Record};

use super::limit::{BoundedKeys as _, KeyBound};
use super::process::{KeyContext, Process, ProcessFunction, Processed, StateTtl, ValueState};
use super::{KeyLimit, KeyedStream};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T, Owned: Eq + Clone>> KeyedStream<T, C, K> {
    /// Lets the first record of each key through, and drops those that come for it while it is
    /// remembered: for as long as `ttl` says, by event time or by the clock; with
    /// [`refreshed_on_read`](StateTtl::refreshed_on_read), since the last of them.
    ///
    /// Emits at once. A record of a key that has been forgotten goes through again: choose a time
    /// in which no duplicate comes any more. The keys that are remembered are in memory, and in a
    /// snapshot; where there may be any number of them,
    /// [`max_keys`](crate::DataStream::max_keys) limits it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use millstream_operators::keyed::process::StateTtl;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders");
    /// let orders = flow.source("orders", source::from_iter([7, 8, 7]));
    /// let an_hour = StateTtl::processing_time(Duration::from_secs(3600));
    /// let orders = orders.key_by(|order| *order).distinct_within(an_hour).collect();
    /// assert_eq!(flow.run().await?.take(orders), Some(vec![7, 8]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn distinct_within(self, ttl: StateTtl) -> Processed<T, C, K, Distinct> {
        self.process(Distinct { ttl: Some(ttl) })
    }

    /// Lets the first record of each key through, and drops those that come for it while it is
    /// among the `max` keys, in each instance, that have been seen lately.
    ///
    /// Emits at once. A record of a key that had to make room goes through again: choose more keys
    /// than there are between duplicates. Which one that is, is found as by [`KeyLimit::evict`].
    /// The keys that are remembered are in memory, and in a snapshot, but not how long ago they
    /// were seen.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders");
    /// let orders = flow.source("orders", source::from_iter([7, 8, 7]));
    /// let orders = orders.key_by(|order| *order).distinct_among(1_000).collect();
    /// assert_eq!(flow.run().await?.take(orders), Some(vec![7, 8]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[track_caller]
    pub fn distinct_among(self, max: usize) -> Processed<T, C, K, Distinct> {
        let limit = KeyLimit::evict(max);
        self.via_keyed_with(|key, id, blueprint| {
            let bound = KeyBound::new(limit, id, blueprint);
            Process::new(key, Distinct { ttl: None }).bounded(bound)
        })
    }
}

/// The function behind [`distinct_within`](KeyedStream::distinct_within) and
/// [`distinct_among`](KeyedStream::distinct_among).
#[derive(Clone, Debug)]
pub struct Distinct {
    ttl: Option<StateTtl>,
}

impl<K, T> ProcessFunction<K, T> for Distinct
where
    K: 'static,
    T: Send + 'static,
{
    type Out = T;
    type States = ValueState<()>;
    const NAME: &'static str = "distinct";

    fn states(&self) -> ValueState<()> {
        self.ttl.into_iter().fold(ValueState::new("seen"), ValueState::with_ttl)
    }

    fn process(
        &mut self,
        record: Record<T>,
        context: &mut KeyContext<'_, K, ValueState<()>>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if context.states.get().is_none() {
            context.states.set(());
            out.push(record);
        }
        Ok(())
    }
}
