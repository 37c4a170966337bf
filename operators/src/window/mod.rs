//! Windows: finite pieces of an endless stream, by key, and what is told of each.
//!
//! A [`WindowedStream`] is said in the order of a sentence: which windows, when they are told of,
//! what becomes of late records, and what is told. [`Windows`] is the contract of a kind of windows,
//! [`Trigger`] that of when they are told of, [`Aggregate`](crate::aggregate::Aggregate) that of what.

pub mod by_key;
mod result;
mod rules;
pub mod session;
pub mod sliding;
mod span;
mod stream;
pub mod trigger;
mod windows;

pub use result::{Firing, Windowed};
pub use rules::{Accumulation, WindowRules};
pub use session::{Session, SessionGap};
pub use sliding::Sliding;
pub use span::TimeWindow;
pub use stream::WindowedStream;
pub use trigger::Trigger;
pub use windows::Windows;
