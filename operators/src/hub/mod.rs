//! Hubs: where dataflows meet at run time, with a bound on everything that waits in between.
//!
//! A [`BroadcastHub`] gives what one dataflow publishes to whoever subscribes meanwhile, and a
//! [`MergeHub`] brings what others produce into one dataflow. Neither is part of a graph: their
//! ends are ordinary sinks and sources, of any job in the process.

mod broadcast_hub;
mod error;
mod mailbox;
mod merge_hub;
mod publish;
mod subscription;

pub use broadcast_hub::{BroadcastHub, Start};
pub use error::HubError;
pub use merge_hub::{HubSink, MergeHub, MergeSource, Producer, ReadMerge, ToMerge};
pub use publish::{Publisher, ToSubscribers};
pub use subscription::{ReadSubscription, Subscription};
