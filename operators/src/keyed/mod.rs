//! Streams whose records belong to keys, and state for each of them.

pub mod accumulate;
mod aggregate;
mod chain;
mod changes;
mod count;
mod distinct;
mod fold;
mod hash;
pub mod limit;
mod owner;
pub mod process;
mod recency;
mod reduce;
mod stream;
mod table;
mod timers;
mod view;

pub use aggregate::Aggregating;
pub use chain::{KeyedChain, ViaKeyed};
pub use changes::{Change, ChangeKey, Table, TableByWatermark};
pub use distinct::Distinct;
pub use fold::Fold;
pub use limit::KeyLimit;
pub use reduce::Reduce;
pub use stream::KeyedStream;
pub use view::{Queryable, ReadableKeys, StateView, ViewError};

pub(crate) use hash::hash_of;
pub(crate) use owner::ToOwner;
pub(crate) use stream::shuffled;
pub(crate) use table::without_uid;
