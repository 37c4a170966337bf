//! The channels of a run's edges: made when either end first asks for its own, and taken by it.

use std::any::Any;
use std::sync::Arc;

use super::Seat;
use super::run::RunCore;
use crate::edge::{
    EdgeProbe, Merge, Order, Origin, Outbox, Rank, Receiver, Sender, Sorting, Terms, Weight,
    WhenFull, channel_with,
};
use crate::graph::blueprint::Graph;
use crate::graph::{EdgeId, OperatorId, PlannedChannel, Port};
use crate::metrics::{Channel, InputGauge};

/// The ends of an edge's channels that nobody has taken yet, in the order of the registry's.
struct Ends<T> {
    senders: Vec<Option<Sender<T>>>,
    receivers: Vec<Option<Receiver<T>>>,
}

/// What belongs to an outbox besides the end of its channel, which is the one at `place`.
struct Outgoing {
    place: usize,
    origin: Origin,
    terms: Option<Terms>,
}

/// The same of an input.
struct Incoming {
    place: usize,
    producer: usize,
    gauge: Arc<InputGauge>,
}

impl RunCore {
    /// The ends of an edge's channels, once they are [made](RunCore::make_ends).
    fn ends<T: Send + 'static>(&mut self, edge: EdgeId) -> Option<&mut Ends<T>> {
        self.edges.get_mut(&edge)?.downcast_mut()
    }

    /// Makes the channels of an edge, unless they are there.
    fn make_ends<T: Send + 'static>(&mut self, graph: &Graph, edge: EdgeId) {
        if self.edges.contains_key(&edge) {
            return;
        }
        let rank = graph.edges.get(edge.0).and_then(|edge| said::<Rank<T>>(edge.rank.as_ref()));
        let mut ends = Ends::<T> { senders: Vec::new(), receivers: Vec::new() };
        for planned in self.shared.registry.plan.channels(edge) {
            let sorting = match (planned.order, &rank) {
                (Order::Lifo, _) => Sorting::Lifo,
                (Order::Priority, Some(rank)) => Sorting::Priority(Arc::clone(rank)),
                (Order::Fifo | Order::Priority, _) => Sorting::Fifo,
            };
            let clock = self.shared.registry.clock.clone();
            let (sender, receiver) =
                channel_with(planned.capacity, sorting, planned.forgiving, Some(clock));
            self.register(edge, &planned, sender.probe());
            ends.senders.push(Some(sender));
            ends.receivers.push(Some(receiver));
        }
        self.edges.insert(edge, Box::new(ends));
    }

    fn register(&mut self, edge: EdgeId, planned: &PlannedChannel, probe: Box<dyn EdgeProbe>) {
        let &PlannedChannel { producer, ends, .. } = planned;
        if let Some(channels) = self.channels.get_mut(edge.0) {
            channels.push(Channel { producer, ends, probe, gauge: Arc::default() });
        }
    }

    /// What belongs to the outboxes of an instance that writes to `port`.
    fn outgoing(&self, graph: &Graph, port: Port, instance: usize) -> Vec<Outgoing> {
        let channels = self.channels.get(port.edge.0).into_iter().flatten().enumerate();
        let own = channels
            .filter(|(_, channel)| channel.producer == port.index && channel.ends.0 == instance);
        let outgoing = |(place, _)| Outgoing {
            place,
            origin: self.origin(graph, port),
            terms: self.terms(port.edge, instance),
        };
        own.map(outgoing).collect()
    }

    /// What belongs to the inputs of an instance that reads from `edge`.
    fn incoming(&self, edge: EdgeId, instance: usize) -> Vec<Incoming> {
        let channels = self.channels.get(edge.0).into_iter().flatten().enumerate();
        let own = channels.filter(|(_, channel)| channel.ends.1 == instance);
        let incoming = |(place, channel): (usize, &Channel)| Incoming {
            place,
            producer: channel.producer,
            gauge: Arc::clone(&channel.gauge),
        };
        own.map(incoming).collect()
    }

    /// For whom the outboxes of an instance collect.
    fn origin(&self, graph: &Graph, port: Port) -> Origin {
        let node = graph.edges.get(port.edge.0);
        let producer = node.and_then(|node| node.producers.get(port.index).copied());
        let plan = &self.shared.registry.plan;
        let operator = producer.map_or_else(|| Arc::from("?"), |id| plan.operator_name(id));
        let counters = self.stage_counters();
        let cancelled = Arc::clone(&counters.cancelled);
        Origin { operator, cancelled, woken: Some(Arc::clone(&counters.woken)) }
    }

    /// The terms on which an instance sends, where the edge is not an ordinary one.
    fn terms(&self, edge: EdgeId, instance: usize) -> Option<Terms> {
        let plan = &self.shared.registry.plan;
        let planned = plan.edges.get(edge.0)?;
        if planned.when_full == WhenFull::Block && planned.order != Order::Priority {
            return None;
        }
        let reader = plan.stages.get(planned.consumer.0).and_then(|stage| stage.operators.first());
        let id = reader.copied().unwrap_or(OperatorId(0));
        let seat = Seat {
            instances: 1,
            // Those that it counts with belong to the task behind the edge.
            counters: Arc::default(),
            keeps: None,
            ..self.seat(id, instance)
        };
        Some(Terms::new(planned.when_full, seat, self.shared.registry.clock.clone()))
    }
}

/// The outboxes of one producing instance, one for each instance that it writes to.
pub(super) fn outboxes<T: Send + 'static>(
    core: &mut RunCore,
    graph: &Graph,
    port: Port,
    instance: usize,
) -> Vec<Outbox<T>> {
    let node = graph.edges.get(port.edge.0);
    let weight = node.and_then(|node| said::<Weight<T>>(node.weight.as_ref()));
    let merge = node.and_then(|node| said::<Merge<T>>(node.merge.as_ref()));
    core.make_ends::<T>(graph, port.edge);
    let outgoing = core.outgoing(graph, port, instance);
    let mut outboxes = Vec::new();
    let Some(ends) = core.ends::<T>(port.edge) else {
        return outboxes;
    };
    for Outgoing { place, origin, terms } in outgoing {
        if let Some(sender) = ends.senders.get_mut(place).and_then(Option::take) {
            let outbox = Outbox::from(sender, origin, weight.clone());
            outboxes.push(outbox.on_terms(terms, merge.clone()));
        }
    }
    outboxes
}

/// The receivers of one consuming instance, each with its producer and its gauge.
pub(super) fn receivers<T: Send + 'static>(
    core: &mut RunCore,
    graph: &Graph,
    edge: EdgeId,
    instance: usize,
) -> Vec<(usize, Arc<InputGauge>, Receiver<T>)> {
    core.make_ends::<T>(graph, edge);
    let incoming = core.incoming(edge, instance);
    let mut receivers = Vec::new();
    let Some(ends) = core.ends::<T>(edge) else {
        return receivers;
    };
    for Incoming { place, producer, gauge } in incoming {
        if let Some(receiver) = ends.receivers.get_mut(place).and_then(Option::take) {
            receivers.push((producer, gauge, receiver));
        }
    }
    receivers
}

/// What was said of an edge's records, by its type.
fn said<T: Clone + 'static>(what: Option<&Box<dyn Any + Send>>) -> Option<T> {
    what?.downcast_ref::<T>().cloned()
}
