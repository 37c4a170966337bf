//! `CountWindows`: windows of so many records of a key.

use millstream_engine::key::KeyOf;

use super::{Counted, Counts};
use crate::aggregate::Aggregate;
use crate::window::{Trigger, WindowRules, Windows};

/// Windows of so many records of a key, in the order in which they come. They are told of when they
/// are full, as [`OnTime`](crate::window::Firing::OnTime), and known by their numbers: the first
/// of each key is 0.
///
/// No record is late for them, and event time is not needed; a result has the latest event time of
/// its records. A trigger has them told of early. How many records of a key there have been is kept
/// for as long as the job runs.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("warmest of two");
/// let degrees = flow.source("degrees", source::from_iter([20, 22, 21, 23, 24]));
/// let warmest = degrees
///     .key_by(|_| "kitchen")
///     .window(CountWindows::of(2))
///     .aggregate(Max::of(|degrees: &i32| *degrees))
///     .map(|two| two.value)
///     .collect();
/// assert_eq!(flow.run().await?.take(warmest), Some(vec![Some(22), Some(23)]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindows(Counts);

impl CountWindows {
    /// Windows of `records` records, one at least, one behind the other.
    #[must_use]
    pub const fn of(records: u64) -> Self {
        let size = if records == 0 { 1 } else { records };
        Self(Counts { size, step: size, partial: false })
    }

    /// Lets a window begin with every `step`-th record. If that is less than their size they
    /// overlap, and a record is added to each that it lies in; if it is more, the records between
    /// them are dropped and counted as
    /// [sampled](millstream_engine::metrics::DropReason::Sampled).
    #[must_use]
    pub const fn every(self, step: u64) -> Self {
        Self(Counts { step: if step == 0 { 1 } else { step }, ..self.0 })
    }

    /// Tells of the windows that are not full when the input ends. Default: it does not.
    #[must_use]
    pub const fn with_partial(self) -> Self {
        Self(Counts { partial: true, ..self.0 })
    }
}

impl<T: Send + 'static> Windows<T> for CountWindows {
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
        Counted::new(self.0, key, aggregate, rules)
    }
}
