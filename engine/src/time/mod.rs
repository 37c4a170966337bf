//! The two kinds of time: event time, which records carry, and the clock, which is the only place
//! where the engine learns what time it is.

mod clock;
mod timestamp;
mod virtual_clock;

pub use clock::{Clock, Instant, Sleep};
pub use timestamp::Timestamp;
pub use virtual_clock::VirtualClock;
