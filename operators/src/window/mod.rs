//! Windows: finite pieces of an endless stream, by key, and what is told of each.
//!
//! A [`WindowedStream`] is said in the order of a sentence: which windows, when they are told of,
//! what becomes of late records, and what is told. [`Windows`] is the contract of a kind of
//! windows, [`Trigger`] that of when they are told of, [`Aggregate`](crate::aggregate::Aggregate)
//! that of what.

mod aligned;
pub mod by_key;
#[cfg(feature = "calendar")]
mod calendar;
mod counted;
mod kept;
mod late;
mod reached;
mod result;
mod rules;
pub mod session;
pub mod sliding;
mod span;
mod stream;
mod sugar;
mod time_windows;
mod timers;
pub mod trigger;
mod tumbling;
mod wall_clock;
mod window_all;
mod windows;

pub use aligned::{Aligned, AlignedWindows, ByProcessingTime};
#[cfg(feature = "calendar")]
pub use calendar::Calendar;
pub use counted::{CountWindows, Counted, Global};
pub use late::{LateOutput, LateRecords};
pub use result::{Firing, Windowed};
pub use rules::{Accumulation, WindowRules};
pub use session::{Session, SessionGap};
pub use sliding::Sliding;
pub use span::TimeWindow;
pub use stream::{Aggregated, WindowedStream};
pub use time_windows::{Finality, OpenWindows, Opened, TimeWindows};
pub use trigger::Trigger;
pub use tumbling::Tumbling;
pub use window_all::WindowedAll;
pub use windows::Windows;
