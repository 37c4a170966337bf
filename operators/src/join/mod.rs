//! Streams that meet by key: how they come together, and what is made of those that belong together.

mod both_sides;
mod cogroup;
mod connect;
mod in_windows;
mod kind;
mod lateness;
mod timeline;
mod window_join;
mod windowing;

pub use both_sides::BothSides;
pub use cogroup::{Applied, CoGrouped};
pub use connect::EitherKey;
pub use in_windows::JoinedInWindows;
pub use kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
pub use window_join::{Pairs, WindowJoin};
pub use windowing::{CoGroup, Sides, Telling, Windowing};
