//! The typed streams of Millstream, and every word said on them.
//!
//! [`Dataflow`] is where a graph begins and [`DataStream`] what it is said on. One operator is one
//! file: its struct, its contract, its `impl DataStream` block and its tests. All of it is written
//! against the public interface of `millstream-engine`, through the same door ([`DataStream::via`])
//! that a user's own operator goes through.
//!
//! The index, [`operators/README.md`](../../../operators/README.md), has every word by group: what
//! it does, its file, and the test of its contract.

pub mod aggregate;
pub mod attempt;
pub mod buffer;
pub mod combine;
pub mod concurrent;
pub mod control;
mod dataflow;
pub mod fan;
#[cfg(feature = "files")]
pub mod file;
pub mod group;
pub mod hub;
pub mod join;
pub mod keyed;
pub mod linear;
mod part;
pub mod pattern;
pub mod prelude;
pub mod recovery;
pub mod sink;
pub mod source;
pub mod state;
mod stream;
pub mod time;
pub mod timing;
mod waste;
pub mod window;

pub use dataflow::Dataflow;
pub use keyed::KeyedStream;
pub use stream::DataStream;
