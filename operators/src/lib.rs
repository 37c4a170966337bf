//! The typed streams of Millstream, and every word said on them.
//!
//! [`Dataflow`] is where a graph begins and [`DataStream`] what it is said on. One operator is one
//! file: its struct, its contract, its `impl DataStream` block and its tests. All of it is written
//! against the public interface of `millstream-engine`, through the same door ([`DataStream::via`])
//! that a user's own operator goes through.
//!
//! The index, [`operators/README.md`](../../../operators/README.md), has every word by group: what
//! it does, its file, and the test of its contract.

pub mod attempt;
pub mod chunks;
pub mod chunks_sliding;
mod dataflow;
pub mod dedup;
pub mod fan;
#[cfg(feature = "files")]
pub mod file;
pub mod filter;
pub mod flat_map_iter;
pub mod inspect;
pub mod keyed;
pub mod log;
pub mod map;
mod part;
mod pipe;
pub mod prelude;
pub mod scan;
pub mod sink;
pub mod skip;
pub mod source;
pub mod stateful_map;
mod stream;
pub mod take;

pub use dataflow::Dataflow;
pub use keyed::KeyedStream;
pub use stream::DataStream;
