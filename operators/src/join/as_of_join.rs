//! `as_of_join`: each record with the version of something that was valid at its time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::as_of_function::{AsOfFunction, Validity};
use super::connect::{EitherKey, Order, meet};
use super::kind::{Inner, JoinKind, Left};
use super::lateness::Lateness;
use crate::KeyedStream;
use crate::fan::{Either, KeyedPair, Met, SideTag};
use crate::keyed::process::Processed;

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Puts each record together with the version of its key that was valid at its time: the latest
    /// record of `versions` with that time or an earlier one. Of several at one time it is the one
    /// that came last, in the order of their stream.
    ///
    /// Behind it is said what makes a version invalid, and how records are to be treated that come
    /// late; and then what is told: [`inner`](AsOfJoin::inner) of records for which there was a
    /// version, [`left`](AsOfJoin::left) of all.
    ///
    /// A record waits until the watermark has passed its time, because a version that is valid then
    /// may still come. So what is told does not depend on what came when: a stream that is read
    /// again gives the same.
    ///
    /// - **Emits** each record once, when the watermark has passed its time, in the order of time,
    ///   and with that time. With a [grace](AsOfJoin::grace) it waits so much longer, and the
    ///   watermark behind the join is so much later.
    /// - **Waits** for its output, between one record and the next.
    /// - **Ends** with the last of its inputs; who waits then is told of.
    /// - **State**: of each key, the records that wait; the versions that come, and the one before
    ///   them. A version goes when the watermark has passed the next one, but the last one of each
    ///   key stays, however old it is, unless it is [only valid for a time](AsOfJoin::valid_for) or
    ///   [deleted](AsOfJoin::deleted_by). [`max_keys`](crate::DataStream::max_keys) limits how many
    ///   keys there are; the records of one that makes room are told of with the versions that are
    ///   there. It needs an [`event_time`](crate::DataStream::event_time) on both sides, and
    ///   versions that come rarely need [`idle_after`](crate::prelude::Watermarks::idle_after) or a
    ///   heartbeat, or else the records wait for them. A [`uid`](crate::DataStream::uid) has it
    ///   written down.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("in euros");
    /// // When, which currency, and how much of it, or for how much.
    /// let time = |record: &(i64, &str, f64)| Timestamp::from_millis(record.0);
    /// let rates = [(0, "usd", 0.5), (100, "usd", 0.8)];
    /// let rates = flow.source("rates", source::from_iter(rates));
    /// let rates = rates.event_time(time, Watermarks::monotonic());
    /// let orders = [(70, "usd", 10.0), (100, "usd", 10.0), (101, "chf", 9.0)];
    /// let orders = flow.source("orders", source::from_iter(orders));
    /// let orders = orders.event_time(time, Watermarks::monotonic());
    /// let euros = orders
    ///     .key_by(|order| order.1)
    ///     .as_of_join(rates.key_by(|rate| rate.1))
    ///     .left(|order, rate| rate.map(|rate| order.2 * rate.2))
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(euros), Some(vec![Some(5.0), Some(8.0), None]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_of_join<R, D, J>(
        self,
        versions: KeyedStream<R, D, J>,
    ) -> AsOfJoin<L, R, EitherKey<K, J>>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    {
        let pair = meet(self, versions, Order::Any, "as_of_join");
        let validity = Validity { life: None, is_deletion: None };
        AsOfJoin { pair, validity, grace: Duration::ZERO, late: None }
    }
}

/// A stream, and the versions of something, that belong together by key and time. What is said on
/// it first is when versions are valid and how it treats what comes late, and then what is told.
#[must_use = "records that nobody is told of are a mistake: say what to tell, as `.left(…)`"]
pub struct AsOfJoin<L, R, K> {
    pair: KeyedPair<L, R, K>,
    validity: Validity<R>,
    grace: Duration,
    late: Option<SideTag<Either<L, R>>>,
}

/// The stream that an as-of join ends in.
pub type AsOfJoined<L, R, K, M> = Processed<Either<L, R>, Met<L, R>, K, AsOfFunction<L, R, M>>;

impl<L, R, K> AsOfJoin<L, R, K>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
{
    /// Says which of the versions mean that there is none from their time on. It is asked once of
    /// each when it comes, and what it calls a deletion is told to nobody.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("on duty");
    /// let time = |record: &(i64, Option<&str>)| Timestamp::from_millis(record.0);
    /// let duty = [(0, Some("ann")), (60, None)];
    /// let duty = flow.source("duty", source::from_iter(duty));
    /// let duty = duty.event_time(time, Watermarks::monotonic());
    /// let calls = flow.source("calls", source::from_iter([10, 70]));
    /// let calls = calls.event_time(|at| Timestamp::from_millis(*at), Watermarks::monotonic());
    /// let answered = calls
    ///     .key_by(|_| "desk")
    ///     .as_of_join(duty.key_by(|_| "desk"))
    ///     .deleted_by(|(_, who)| who.is_none())
    ///     .left(|at, duty| (*at, duty.and_then(|duty| duty.1)))
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(answered), Some(vec![(10, Some("ann")), (70, None)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn deleted_by<F>(mut self, is_deletion: F) -> Self
    where
        F: Fn(&R) -> bool + Send + Sync + 'static,
    {
        self.validity.is_deletion = Some(Arc::new(is_deletion));
        self
    }

    /// Lets a version be valid for so long, from its time to `life` later, both included: what is
    /// older counts as none. With it, nothing stays of a key that is quiet.
    pub const fn valid_for(mut self, life: Duration) -> Self {
        self.validity.life = Some(life);
        self
    }

    /// Lets records and versions that come late still count: one is too late when the watermark is
    /// more than `grace` beyond its time. Everything waits for so much longer. Default: zero.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sends records and versions that come too late to a
    /// [side output](crate::Dataflow::side_output), with their event time. Without it they are
    /// dropped, and counted as [late](millstream_engine::metrics::DropReason::Late).
    ///
    /// A version that comes too late is valid for nobody, not even for records that are yet to
    /// come: or else what is told would depend on when it came. Where that happens, give it
    /// [grace](AsOfJoin::grace).
    pub fn late_to(mut self, tag: &SideTag<Either<L, R>>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// Tells of each record for which there is a version.
    pub fn inner<O, F>(self, tell: F) -> AsOfJoined<L, R, K, Inner<F>>
    where
        O: Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Inner(tell))
    }

    /// Tells of each record, with the version if there is one.
    pub fn left<O, F>(self, tell: F) -> AsOfJoined<L, R, K, Left<F>>
    where
        O: Send + 'static,
        F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.tell(Left(tell))
    }

    fn tell<M: JoinKind<L, R>>(self, kind: M) -> AsOfJoined<L, R, K, M> {
        let Self { pair, validity, grace, late } = self;
        pair.process_with(|operator, blueprint| {
            let port = late.map(|tag| tag.port(operator, blueprint));
            AsOfFunction::new(kind, validity, Lateness::new(grace, port))
        })
    }
}

impl<L, R, K> fmt::Debug for AsOfJoin<L, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsOfJoin")
            .field("valid_for", &self.validity.life)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
