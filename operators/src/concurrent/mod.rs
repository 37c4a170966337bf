//! Words that wait for futures: calls to services, blocking work, look-ups, streams of streams.
//!
//! Each begins a stage of its own, whose head keeps a bounded number of futures in reusable places,
//! polled by the stage's own task: no task an item, and no allocation once they are there. They
//! move on by themselves, whether or not anybody takes their results. With event time, results
//! don't cross a watermark in either direction, and a barrier waits for what is in flight.

mod adaptive;
mod attempts;
mod block;
mod budget;
mod call_policy;
mod calls;
mod concurrency;
mod emission;
mod flat_map;
mod flat_map_concat;
mod flat_map_merge;
mod flat_map_sequential;
mod inner;
mod lanes;
mod lookup;
pub mod lookup_async;
pub mod map_async;
pub mod map_async_keyed;
pub mod map_blocking;
mod opener;
pub mod scan_async;
mod slots;
mod switch_map;
pub(crate) mod taken;
pub mod try_map_async;
mod wakers;

pub use attempts::Answer;
pub use call_policy::{CallPolicy, TimedOut};
pub use concurrency::Concurrency;
pub use lookup::Lookup;
pub use try_map_async::{Called, Settle};
