//! Streams whose records belong to keys, and state for each of them.

pub mod aggregate;
mod count;
mod fold;
mod reduce;
mod state;
mod stream;
mod timers;

pub use count::Count;
pub use fold::Fold;
pub use reduce::Reduce;
pub use stream::KeyedStream;
