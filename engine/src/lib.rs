//! What a Millstream dataflow is and how it runs.
//!
//! This crate holds the contracts ([`operator`], [`source`], [`sink`], [`chain`], [`tail`]), what
//! travels ([`Record`], [`batch`]), the bounded [`edge`]s, the [`graph`] as plain data, and the
//! [`runtime`] that turns it into tasks, with [`time`], [`state`], [`key`]s, [`random`]ness and
//! [`metrics`]. It knows no concrete operator and no connector: those are in
//! `millstream-operators`, written against this crate's public interface, as a user's own are.
//!
//! The order in which they are best read: `time`, `record`, `batch`, `error`, `state`, `random`,
//! `key` · `operator`, `source`, `sink`, `tail`, `chain` · `edge` · `graph` · `runtime`.

pub mod batch;
mod batcher;
pub mod chain;
mod delegate;
pub mod edge;
mod error;
pub mod graph;
pub mod key;
mod link;
mod link_state;
pub mod metrics;
pub mod operator;
mod path;
pub mod random;
mod record;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod state;
mod sync;
pub mod tail;
pub mod testing;
#[cfg(test)]
mod tests;
pub mod time;

pub use error::{BuildError, Error, ErrorKind, OperatorError};
pub use record::Record;
