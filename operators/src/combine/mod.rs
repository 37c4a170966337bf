//! Aggregates that are merged before the shuffle: in two steps, on both sides of it.
//!
//! In front of the shuffle a [`Combine`] folds records of one key into a [`Partial`] accumulator.
//! Behind it is the operator that would be there without: it gets [`Combined`] values, whose key is
//! found by [`CombinedKey`], and aggregates them by [`Merging`], for which to add a partial is to
//! merge it. A partial of windows has the event time of one of its records, so it falls into the
//! same windows by itself; and it gets there before the watermark by which one of them is complete.

mod held;
mod merging;
mod operator;
mod panes;
mod record;
mod stream;
mod window_all;
mod windows;

pub use merging::Merging;
pub use operator::Combine;
pub use panes::{OnePane, PanedWindows, Panes, PanesOf, WindowPane};
pub use record::{Combined, CombinedKey, Partial};
pub use stream::{AsRecord, AsRecords, CombinedAggregated, CombinedStream, PartOf, ViaCombined};
pub use window_all::{CombinedAll, CombinedWindowsAll};
pub use windows::{CombinedWindowed, CombinedWindows};
