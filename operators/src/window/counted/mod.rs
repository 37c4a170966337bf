//! Windows of each key by itself: so many records, or all of them.

mod count_windows;
mod global;
mod operator;
mod state;

pub use count_windows::CountWindows;
pub use global::Global;
pub use operator::Counted;

/// Where windows begin and end, by how many records of the key there have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    /// How many records are in a window.
    size: u64,
    /// How many come between the beginnings of two.
    step: u64,
    /// Whether windows that are not full are told of at the end.
    partial: bool,
}
