//! `combined`: the way to words whose aggregates are merged before the shuffle.

use std::fmt;
use std::marker::PhantomData;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::edge::{HashRouter, Keyed};
use millstream_engine::graph::{Blueprint, OperatorId};
use millstream_engine::key::KeyOf;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use super::{
    Combine, Combined, CombinedKey, CombinedWindows, Merging, OnePane, PanedWindows, Panes,
};
use crate::aggregate::{Aggregate, Count};
use crate::keyed::accumulate::{Accumulate, AccumulateMerged, AtEnd};
use crate::keyed::{Aggregating, KeyedChain, Reduce, ViaKeyed, shuffled};
use crate::{DataStream, KeyedStream};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Merges records of one key before they are sent to the instance that owns it, as far as they
    /// come close together: what crosses the shuffle is a partial accumulator for many records.
    /// Each instance in front of the shuffle holds `entries` of them at most, one at least. Behind
    /// it is said what is to be told: [`count`](CombinedStream::count),
    /// [`aggregate`](CombinedStream::aggregate), [`reduce`](CombinedStream::reduce), or
    /// [windows](CombinedStream::window).
    ///
    /// Worth it where there are fewer keys than records by far, or a few keys have most of them.
    /// (Beam and Hadoop call it a combiner, Flink local aggregation.) Where less than a quarter of
    /// the records could be merged lately, records pass as they are for a while. Where one instance
    /// meets one instance there is no shuffle, and `combined` does nothing.
    ///
    /// What is told is the same as without, if aggregating in parts gives the same: `Count`,
    /// integer sums, extremes. A sum of floats may differ in its last digits from run to run, which
    /// is why nothing is combined unasked. Records of one key that come from one instance stay in
    /// their order.
    ///
    /// # What is held, and until when
    ///
    /// A partial goes to the shuffle when there is no room for another key, before a barrier, and
    /// at the end. Of windows, also before the watermark by which the first of them is complete,
    /// and before the input is idle: so no result is told later than without. What is told at the
    /// end of the input only may wait here until then. Nothing that is held is state: at a
    /// barrier, nothing is. (`entries` bounds how many accumulators there are, not how large each
    /// is, which is for the aggregate to say.)
    ///
    /// [`max_keys`](DataStream::max_keys) behind it counts keys as ever. What it diverts is
    /// [`Combined`]: records, and partials of several.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("words");
    /// let words = ["to", "be", "or", "not", "to", "be"].map(String::from);
    /// let counts = flow
    ///     .source("words", source::from_iter(words))
    ///     .parallel(2)
    ///     .key_by_ref(|word: &String| word.as_str())
    ///     .combined(1 << 14)
    ///     .count()
    ///     .collect();
    /// let mut counts = flow.run().await?.take(counts).unwrap_or_default();
    /// counts.sort();
    /// let counts: Vec<_> = counts.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    /// assert_eq!(counts, [("be", 2), ("not", 1), ("or", 1), ("to", 2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn combined(self, entries: usize) -> CombinedStream<T, C, K> {
        CombinedStream { keyed: self, entries }
    }
}

/// Records of `T` that belong to keys, and are merged before the shuffle. Only words that can take
/// a result in parts are said on it; a running count, for example, can't:
///
/// ```compile_fail
/// # use millstream_operators::prelude::*;
/// let flow = Dataflow::new("parity");
/// let numbers = flow.source("numbers", source::from_iter(0..5));
/// numbers.key_by(|n| n % 2).combined(100).running_count();
/// ```
#[must_use = "a stream that goes nowhere is a mistake: say what to do for each key"]
pub struct CombinedStream<T, C, K> {
    keyed: KeyedStream<T, C, K>,
    entries: usize,
}

/// The stream of `(key, result)`, one for each key, of an aggregate `G` that is merged before the
/// shuffle.
pub type CombinedAggregated<T, C, K, G> =
    ViaCombined<T, C, K, G, AtEnd<PartOf<T, K, G>, CombinedKey<K>, Merging<G>>>;

/// The stream behind an operator whose input is combined for an aggregate `G`.
pub type ViaCombined<T, C, K, G, O> =
    ViaKeyed<PartOf<T, K, G>, AsRecords<T, C, K, G>, CombinedKey<K>, O>;

/// The chain to that operator where there is no shuffle: each record goes on as it is.
pub type AsRecords<T, C, K, G> =
    Via<C, AsRecord<<K as KeyOf<T>>::Owned, <G as Accumulate<T>>::State>>;

/// What crosses the shuffle for an aggregate `G`.
pub type PartOf<T, K, G> = Combined<T, <K as KeyOf<T>>::Owned, <G as Accumulate<T>>::State>;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> CombinedStream<T, C, K> {
    /// As [`KeyedStream::count`], with the records of a key counted on both sides of the shuffle.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("parity");
    /// let numbers = flow.source("numbers", source::from_iter(0..5)).parallel(2);
    /// let counts = numbers.key_by(|n| n % 2).combined(100).count().collect();
    /// let mut counts = flow.run().await?.take(counts).unwrap_or_default();
    /// counts.sort();
    /// assert_eq!(counts, [(0, 3), (1, 2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn count(self) -> CombinedAggregated<T, C, K, Count> {
        self.at_end(Count)
    }

    /// As [`KeyedStream::aggregate`], with accumulators merged behind the shuffle.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("how many, and the most");
    /// let numbers = flow.source("numbers", source::from_iter([3, 8, 5])).parallel(2);
    /// let most = (Count, Max::of(|n: &i32| *n));
    /// let told = numbers.key_by(|n| n % 2).combined(100).aggregate(most).collect();
    /// let mut told = flow.run().await?.take(told).unwrap_or_default();
    /// told.sort();
    /// assert_eq!(told, [(0, (1, Some(8))), (1, (2, Some(5)))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate<G>(self, aggregate: G) -> CombinedAggregated<T, C, K, Aggregating<G>>
    where
        G: Aggregate<T>,
    {
        self.at_end(Aggregating(aggregate))
    }

    /// As [`KeyedStream::reduce`], with a closure that has to be associative: it gets records, and
    /// what it made of others.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("highest");
    /// let numbers = flow.source("numbers", source::from_iter([3, 8, 5, 2])).parallel(2);
    /// let by_parity = numbers.key_by(|n| n % 2 == 0).combined(100);
    /// let highest = by_parity.reduce(|best, n| *best = n.max(*best)).collect();
    /// let mut highest = flow.run().await?.take(highest).unwrap_or_default();
    /// highest.sort();
    /// assert_eq!(highest, [(false, 5), (true, 8)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<F>(self, f: F) -> CombinedAggregated<T, C, K, Reduce<F>>
    where
        F: FnMut(&mut T, T) + Clone + Send + 'static,
    {
        self.at_end(Reduce::with(f))
    }

    /// Cuts the records of each key into windows, as [`KeyedStream::window`] does, of a kind that
    /// depends on nothing but event time: tumbling, sliding, calendar.
    ///
    /// Windows that depend on what else there is of a key can't be merged before:
    ///
    /// ```compile_fail
    /// # use std::time::Duration;
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("doc");
    /// # let numbers = flow.source("numbers", source::from_iter(0..9));
    /// # let numbers = numbers.event_time(|n| Timestamp::from_millis(*n), Watermarks::monotonic());
    /// let keyed = numbers.key_by(|n| n % 2).combined(100);
    /// keyed.window(Session::with_gap(Duration::from_secs(60))).count();
    /// ```
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("trips");
    /// let trips = [(1, "north", 7), (2, "north", 9), (3, "south", 4), (70, "north", 1)];
    /// let told = flow
    ///     .source("trips", source::from_iter(trips))
    ///     .event_time(|trip| Timestamp::from_millis(trip.0 * 1000), Watermarks::monotonic())
    ///     .key_by(|trip| trip.1)
    ///     .parallel(2)
    ///     .combined(1 << 14)
    ///     .window(Tumbling::of(Duration::from_secs(60)))
    ///     .aggregate((Count, Sum::of(|trip: &(i64, &str, u64)| trip.2)))
    ///     .map(|told| (told.window.start.as_millis(), told.key, told.value))
    ///     .collect();
    /// let mut told = flow.run().await?.take(told).unwrap_or_default();
    /// told.sort();
    /// let first = [(0, "north", (2, 16)), (0, "south", (1, 4))];
    /// assert_eq!(told, [&first[..], &[(60_000, "north", (1, 1))]].concat());
    /// # Ok(())
    /// # }
    /// ```
    pub const fn window<W: PanedWindows>(self, windows: W) -> CombinedWindows<T, C, K, W> {
        CombinedWindows::new(self, windows)
    }

    fn at_end<G: AccumulateMerged<T>>(self, aggregate: G) -> CombinedAggregated<T, C, K, G> {
        let merging = Merging(aggregate.clone());
        self.connect(OnePane, aggregate, false, |key, _, _| AtEnd::new(key, merging))
    }

    /// Puts the combiner in front of the shuffle and an operator behind it. Where there is no
    /// shuffle, there is no combiner.
    pub(super) fn connect<P, G, O>(
        self,
        panes: P,
        aggregate: G,
        sends_late: bool,
        operator: impl FnOnce(CombinedKey<K>, OperatorId, &Blueprint) -> O,
    ) -> ViaCombined<T, C, K, G, O>
    where
        P: Panes,
        G: Accumulate<T>,
        O: Operator<Keyed<PartOf<T, K, G>>>,
    {
        let in_place = self.keyed.is_in_place();
        let (stream, key, parallelism) = self.keyed.into_parts();
        if in_place {
            let records = stream.via(AsRecord(PhantomData));
            return KeyedStream::in_place(records, CombinedKey(key)).via_keyed_with(operator);
        }
        let combine = Combine::new(key.clone(), panes, aggregate, self.entries);
        let combined = stream.via(combine.sending_late(sends_late));
        let (flow, chain, draft) = shuffled(combined, HashRouter, parallelism).into_parts();
        DataStream::from_parts(flow, KeyedChain::shuffled(chain), draft)
            .via_with(|id, blueprint| operator(CombinedKey(key), id, blueprint))
    }
}

/// Where there is no shuffle: each record goes on as it is.
pub struct AsRecord<K, A>(PhantomData<fn() -> (K, A)>);

impl<K, A> Clone for AsRecord<K, A> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<K, A> fmt::Debug for AsRecord<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsRecord")
    }
}

impl<T, K, A> Operator<T> for AsRecord<K, A>
where
    T: Send + 'static,
    K: Send + 'static,
    A: Send + 'static,
{
    type Out = Combined<T, K, A>;
    const NAME: &'static str = "as_record";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        out.push(record.with(Combined::Record));
        Ok(())
    }
}

impl<T, C, K> fmt::Debug for CombinedStream<T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CombinedStream")
            .field("keyed", &self.keyed)
            .field("entries", &self.entries)
            .finish()
    }
}
