//! What a job shows of itself: its numbers, who holds it up, its picture and its traces.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod numbers;
mod pictures;
mod stalls;
mod traces;
mod watchdog;
