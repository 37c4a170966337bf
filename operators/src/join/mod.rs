//! Streams that meet by key, and what is made of the records that belong together.

mod alarm;
mod as_of_function;
mod as_of_join;
mod both_sides;
mod cogroup;
mod connect;
mod foreign_key;
mod foreign_key_join;
mod in_windows;
mod interval;
mod interval_function;
mod interval_join;
mod key_function;
mod key_join;
mod kind;
mod last_words;
mod lateness;
mod primary_key_join;
mod table_join;
mod timeline;
mod window_join;
mod windowing;

pub use as_of_function::{AsOfFunction, AsOfSides};
pub use as_of_join::{AsOfJoin, AsOfJoined};
pub use both_sides::BothSides;
pub use cogroup::{Applied, CoAggregated, CoGrouped};
pub use connect::EitherKey;
pub use foreign_key::{
    Answer, ByForeign, ByPrimary, Resolve, Respond, Said, Subscribe, Subscription, TableKey,
};
pub use foreign_key_join::{ForeignKeyJoin, ForeignKeyJoined};
pub use in_windows::JoinedInWindows;
pub use interval::Interval;
pub use interval_function::{IntervalFunction, IntervalSides};
pub use interval_join::{IntervalJoin, IntervalJoined};
pub use key_function::{AtEnd, Complete, JoinMode, KeyFunction, KeySides, Running};
pub use key_join::{KeyJoin, KeyJoined};
pub use kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
pub use primary_key_join::{PrimaryKeyJoin, TablesJoined, TwoTables};
pub use table_join::{NoTombstones, TableJoin, TableJoined, TableLookup};
pub use window_join::{Pairs, WindowJoin};
pub use windowing::{CoGroup, Sides, Telling, Windowing};
