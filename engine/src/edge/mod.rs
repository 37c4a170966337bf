//! Edges: the bounded channels between stages, the only places with a queue.
#![doc = include_str!("README.md")]

mod broadcast;
mod channel;
mod inputs;
mod meter;
mod outbox;
mod policy;
mod progress;
mod queue;
mod ranking;
mod route;
mod select;
mod sorted;
mod terms;
#[cfg(test)]
mod tests;

pub use broadcast::Broadcast;
pub use channel::{Capacity, EdgeProbe, EdgeStats, Received, Receiver, Sender, Sent, channel};
pub use inputs::{Discipline, Inputs};
pub use meter::EdgeTimes;
pub use outbox::Outbox;
pub use policy::{EdgeFull, Order, WhenFull};
pub use route::{
    Balance, Eager, HashRouter, KeyRouter, Keyed, NoSuchBranch, PortRouter, Rebalance, Routed,
    Router,
};
pub use select::{Pick, Picker, Ports, Select};

pub(crate) use channel::{Forgiving, channel_with};
pub(crate) use outbox::{Origin, Weight};
pub(crate) use policy::{Merge, Rank, Sorting, merging};
pub(crate) use terms::Terms;
