//! `Global`: all records of a key.

use millstream_engine::key::KeyOf;

use super::{Counted, Counts};
use crate::aggregate::Aggregate;
use crate::window::{Trigger, WindowRules, Windows};

/// One window for all records of a key, with the number 0. It is complete at the end of the input,
/// and until then told of only if a trigger says so.
///
/// What is kept of a key is kept until then. No record is late for it, and event time is not
/// needed; a result has the latest event time of its records.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("running total");
/// let coins = flow.source("coins", source::from_iter([1, 2, 5, 2_u64]));
/// let totals = coins
///     .key_by(|_| "piggy bank")
///     .window(Global)
///     .trigger(OnCount::of(3))
///     .aggregate(Sum::of(|coin: &u64| *coin))
///     .map(|told| (told.value, told.firing))
///     .collect();
/// let expected = vec![(8, Firing::Early), (10, Firing::OnTime)];
/// assert_eq!(flow.run().await?.take(totals), Some(expected));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global;

impl<T: Send + 'static> Windows<T> for Global {
    type Window = u64;
    type Operator<K, G, R>
        = Counted<T, K, G, R>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;

    fn operator<K, G, R>(
        self,
        key: K,
        aggregate: G,
        rules: WindowRules<T, R>,
    ) -> Self::Operator<K, G, R>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger,
    {
        let counts = Counts { size: u64::MAX, step: u64::MAX, partial: true };
        Counted::new(counts, key, aggregate, rules)
    }
}
