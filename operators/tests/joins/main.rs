//! Joins: streams that meet by key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod as_of;
mod cogroup;
mod connect;
mod foreign_key;
mod interval;
mod laws_interval;
mod laws_tables;
mod laws_window;
mod modes;
mod oracle;
mod outer;
mod play;
mod rig;
mod table;
mod tables;
mod window;
