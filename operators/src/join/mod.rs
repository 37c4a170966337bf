//! Streams that meet by key, and what is made of the records that belong together.

mod alarm;
mod as_of_function;
mod as_of_join;
mod connect;
mod interval;
mod interval_function;
mod interval_join;
mod key_function;
mod key_join;
mod kind;
mod last_words;
mod lateness;
mod timeline;

pub use as_of_function::{AsOfFunction, AsOfSides};
pub use as_of_join::{AsOfJoin, AsOfJoined};
pub use connect::EitherKey;
pub use interval::Interval;
pub use interval_function::{IntervalFunction, IntervalSides};
pub use interval_join::{IntervalJoin, IntervalJoined};
pub use key_function::{AtEnd, Complete, JoinMode, KeyFunction, KeySides, Running};
pub use key_join::{KeyJoin, KeyJoined};
pub use kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
