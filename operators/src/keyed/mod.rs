//! Streams whose records belong to keys, and state for each of them.

pub mod accumulate;
mod count;
mod fold;
pub mod process;
mod reduce;
mod stream;
mod table;
mod timers;

pub use count::Count;
pub use fold::Fold;
pub use reduce::Reduce;
pub use stream::KeyedStream;

pub(crate) use crate::state::without_uid;
