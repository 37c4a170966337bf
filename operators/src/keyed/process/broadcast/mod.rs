//! `connect_broadcast`: keyed records, and rules that every instance knows.

mod context;
mod function;
mod operator;
mod rules;
mod sides;
mod stream;

pub use context::BroadcastContext;
pub use function::BroadcastFunction;
pub use operator::{BroadcastProcess, BroadcastProcessed};
pub use rules::{Ruled, WithRules};
pub use stream::BroadcastConnected;
