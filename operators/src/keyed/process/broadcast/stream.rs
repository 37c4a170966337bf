//! `connect_broadcast`: puts keyed records and rules before one function.

use std::fmt;

use millstream_engine::chain::{Boundary, Chain};
use millstream_engine::edge::Keyed;
use millstream_engine::graph::{
    Blueprint, Distribution, EdgeId, EdgeOptions, OperatorId, Role, StageDraft,
};
use millstream_engine::key::KeyOf;

use super::sides::{Changes, ToAll};
use super::{BroadcastFunction, BroadcastProcess, BroadcastProcessed};
use crate::fan::Either;
use crate::keyed::ToOwner;
use crate::{DataStream, KeyedStream};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Connects the records with a stream of rules, of which every instance gets every record: how
    /// rules change while the job runs.
    ///
    /// Emits what the function emits, for records, changes and timers; backpressures both sides
    /// when its output does; ends when both have ended. The rules are gathered in one instance on
    /// their way, so that all instances see their changes in one order. Against the records, a
    /// change comes in no particular order: see [`BroadcastFunction`].
    ///
    /// **Event time** is the earlier of both sides, if the rules have any: then a stream of rules
    /// that is mostly silent needs
    /// [`idle_after`](crate::time::Watermarks::idle_after), or else all timers wait for it. Rules
    /// without event time hold nobody up.
    ///
    /// **State.** The rules are in memory in every instance, and in a snapshot once for each. A
    /// later run may have any number of instances. It is refused if they did not know the same.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use millstream_operators::keyed::process::{
    ///     BroadcastContext, BroadcastFunction, KeyContext, ValueState,
    /// };
    /// use millstream_operators::prelude::*;
    ///
    /// /// Raises an alarm when a sensor rises beyond the limit of its room.
    /// #[derive(Clone)]
    /// struct Alarm;
    ///
    /// type Room = &'static str;
    /// type Highest = ValueState<i64>;
    ///
    /// impl BroadcastFunction<Room, (Room, i64), (Room, i64)> for Alarm {
    ///     type Out = String;
    ///     type States = Highest;
    ///     type Rules = BTreeMap<Room, i64>;
    ///
    ///     fn states(&self) -> Highest {
    ///         ValueState::new("highest")
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         reading: Record<(Room, i64)>,
    ///         limits: &BTreeMap<Room, i64>,
    ///         context: &mut KeyContext<'_, Room, Highest>,
    ///         out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         let (room, degrees) = reading.value;
    ///         let highest = *context.states.update(|| degrees, |best| *best = degrees.max(*best));
    ///         if limits.get(room).is_some_and(|limit| degrees == highest && degrees > *limit) {
    ///             out.push(context.record(format!("{room}: {degrees}")));
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process_broadcast(
    ///         &mut self,
    ///         change: Record<(Room, i64)>,
    ///         limits: &mut BTreeMap<Room, i64>,
    ///         context: &mut BroadcastContext<'_, Room, Highest>,
    ///         out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         let (room, limit) = change.value;
    ///         limits.insert(room, limit);
    ///         context.for_each_key(|context| {
    ///             let highest = context.states.get().filter(|_| *context.key == room);
    ///             if let Some(highest) = highest.filter(|degrees| **degrees > limit) {
    ///                 out.push(Record::from(format!("{room}: {highest}")));
    ///             }
    ///             Ok(())
    ///         })
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("alarms");
    /// let limits = flow.source("limits", source::once(("kitchen", 40)));
    /// let readings = [("kitchen", 21), ("kitchen", 55), ("hall", 70)];
    /// let readings = flow.source("readings", source::from_iter(readings));
    /// let alarms = readings.key_by(|reading| reading.0).connect_broadcast(limits).process(Alarm);
    /// let alarms = alarms.collect();
    /// // Whichever of the two comes first.
    /// assert_eq!(flow.run().await?.take(alarms).unwrap_or_default(), ["kitchen: 55"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect_broadcast<R, D>(
        self,
        rules: DataStream<R, D>,
    ) -> BroadcastConnected<T, C, K, R, D>
    where
        R: Clone + Send + 'static,
        D: Chain<Item = R>,
    {
        BroadcastConnected { keyed: self, rules }
    }
}

/// Keyed records and rules, made by [`KeyedStream::connect_broadcast`].
#[must_use = "streams that go nowhere are a mistake: say what to do with both"]
pub struct BroadcastConnected<T, C, K, R, D> {
    keyed: KeyedStream<T, C, K>,
    rules: DataStream<R, D>,
}

impl<T, C, K, R, D> BroadcastConnected<T, C, K, R, D>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    K: KeyOf<T, Owned: Eq + Clone>,
    R: Clone + Send + 'static,
    D: Chain<Item = R>,
{
    /// Does with each record, each change of the rules and each timer what `function` says.
    pub fn process<F>(self, function: F) -> BroadcastProcessed<T, R, K, F>
    where
        F: BroadcastFunction<K::Owned, T, R>,
    {
        self.process_with(|_, _| function)
    }

    /// As [`process`](BroadcastConnected::process), for a function that has to know its place in
    /// the graph: to [connect](crate::fan::SideTag::port) itself to side outputs.
    pub fn process_with<F>(
        self,
        function: impl FnOnce(OperatorId, &Blueprint) -> F,
    ) -> BroadcastProcessed<T, R, K, F>
    where
        F: BroadcastFunction<K::Owned, T, R>,
    {
        let (stream, key, parallelism) = self.keyed.into_parts();
        let (flow, chain, mut draft) = stream.into_parts();
        draft.operators.push(flow.blueprint().add_operator(Role::Operator, "key_by", None));
        let options = EdgeOptions { distribution: Distribution::Key, ..EdgeOptions::default() };
        let edge = flow.blueprint().add_edge::<Either<Keyed<T>, R>>("key_by", options);
        let router = ToOwner::new(key.clone(), Either::<_, R>::Left);
        DataStream::from_parts(flow.clone(), chain, draft).route(&[edge], router);
        flow.blueprint().meet(edge, self.rules.flow().blueprint());
        if self.rules.parallelism() == 1 {
            send::<T, _, _>(self.rules, edge);
        } else {
            send::<T, _, _>(self.rules.gather(), edge);
        }
        let draft = StageDraft { operators: Vec::new(), input: Some(edge), parallelism };
        DataStream::from_parts(flow, Boundary::edge(edge), draft)
            .via_with(|id, blueprint| BroadcastProcess::new(key, function(id, blueprint)))
    }
}

/// Sends the changes to all instances behind `edge`.
fn send<T, R, D>(rules: DataStream<R, D>, edge: EdgeId)
where
    T: Send + 'static,
    R: Clone + Send + 'static,
    D: Chain<Item = R>,
{
    let (flow, chain, draft) = rules.into_parts();
    let changes = Changes::new(flow.blueprint().has_event_time(&draft));
    let rules = DataStream::from_parts(flow, chain, draft).via(changes);
    rules.route(&[edge], ToAll::<T>::new());
}

impl<T, C, K, R, D> fmt::Debug for BroadcastConnected<T, C, K, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastConnected").field("keyed", &self.keyed).finish_non_exhaustive()
    }
}
