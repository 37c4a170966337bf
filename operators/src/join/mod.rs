//! Streams that meet by key: how they come together, and what is made of those that belong together.

mod connect;
mod interval;
mod interval_function;
mod interval_join;
mod kind;
mod lateness;
mod timeline;

pub use connect::EitherKey;
pub use interval::Interval;
pub use interval_function::{IntervalFunction, IntervalSides};
pub use interval_join::{IntervalJoin, IntervalJoined};
pub use kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
