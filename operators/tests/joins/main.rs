//! Joins: streams that meet by key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod interval;
mod laws_interval;
mod oracle;
mod rig;
