//! Words that know the time: they limit a rate, group or choose by time, or say that something took
//! too long.
//!
//! All of them are fused into the loop of their stage. The time is that of the job's clock, and so
//! virtual in tests. A record's time of arrival is that at which it reaches the word. What is due
//! at that very time comes first: the results depend on the times alone, and neither on the sizes
//! of batches nor on when exactly a timer is served. While what comes behind is full, or waits, no
//! timer fires; one that was due is served as soon as there is room.
//!
//! What is held back and emitted later has the event time of its record, or the watermark if that
//! has passed it meanwhile, so that nothing gets late by being held.
//!
//! With a [`uid`](crate::DataStream::uid) a word's deadlines outlive the run: they are written down
//! by the wall clock, as it was when the run began and as the monotonic clock has gone since. What
//! came due between two runs fires as soon as the next one begins.

mod rate;
pub(crate) mod run_clock;

pub mod aggregate_with_boundary;
pub mod batch_min;
pub mod chunks_timeout;
pub mod debounce;
pub mod delay;
pub mod idle_timeout;
pub mod initial_timeout;
pub mod keep_alive;
pub mod limited_by;
mod limiter;
pub mod pause_when;
pub mod sample;
mod switch;
pub mod take_until_signal;
pub mod take_within;
pub mod throttle;
pub mod throttle_by_key;

pub use idle_timeout::IdleTimedOut;
pub use initial_timeout::{CompletionTimedOut, InitialTimedOut};
pub use limiter::{Acquire, RateLimiter};
pub use rate::Rate;
pub use switch::Switch;
pub use throttle::RateExceeded;
