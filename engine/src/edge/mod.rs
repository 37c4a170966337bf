//! Edges: the bounded channels between stages, the only places with a queue.
#![doc = include_str!("README.md")]

mod channel;
mod inputs;
mod meter;
mod outbox;
mod route;
mod select;
#[cfg(test)]
mod tests;

pub(crate) use channel::timed_channel;
pub use channel::{Capacity, EdgeProbe, EdgeStats, Received, Receiver, Sender, Sent, channel};
pub use inputs::{Discipline, Inputs};
pub use meter::EdgeTimes;
pub use outbox::Outbox;
pub use route::{Broadcast, KeyRouter, Keyed, NoSuchBranch, PortRouter, Rebalance, Routed, Router};
pub use select::{Pick, Picker, Ports, Select};

pub(crate) use outbox::Weight;
