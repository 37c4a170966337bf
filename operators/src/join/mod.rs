//! Streams that meet by key: how they come together, and what is made of those that belong together.

mod alarm;
mod as_of_function;
mod as_of_join;
mod both_sides;
mod cogroup;
mod connect;
mod in_windows;
mod interval;
mod interval_function;
mod interval_join;
mod key_function;
mod key_join;
mod kind;
mod last_words;
mod lateness;
mod timeline;
mod window_join;
mod windowing;

pub use as_of_function::{AsOfFunction, AsOfSides};
pub use as_of_join::{AsOfJoin, AsOfJoined};
pub use both_sides::BothSides;
pub use cogroup::{Applied, CoGrouped};
pub use connect::EitherKey;
pub use in_windows::JoinedInWindows;
pub use interval::Interval;
pub use interval_function::{IntervalFunction, IntervalSides};
pub use interval_join::{IntervalJoin, IntervalJoined};
pub use key_function::{AtEnd, Complete, JoinMode, KeyFunction, KeySides, Running};
pub use key_join::{KeyJoin, KeyJoined};
pub use kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
pub use window_join::{Pairs, WindowJoin};
pub use windowing::{CoGroup, Sides, Telling, Windowing};
