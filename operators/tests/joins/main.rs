//! Joins: streams that meet by key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod cogroup;
mod laws_window;
mod play;
mod window;
