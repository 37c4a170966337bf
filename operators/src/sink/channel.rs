//! `channel`: into a tokio channel.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use millstream_engine::sink::{Sink, SinkFactory, SinkStatus};
use millstream_engine::{OperatorError, Record};
use tokio::sync::mpsc::{Sender, WeakSender};

/// A sink into a bounded tokio channel, a value at a time.
///
/// The receiver backpressures by not receiving. When it is dropped, the sink has enough, which is
/// no error. The values of a parallel stream come in no particular order between its instances.
///
/// The first run takes the sender with it, so that the receiver sees the end when the job is over,
/// even while the dataflow lives on. A further run needs another sender of the channel to be alive,
/// and fails with [`ChannelClosed`] otherwise. The end of the channel does not tell success from
/// failure: the job's handle does, or [`into_stream`](crate::DataStream::into_stream) does both.
///
/// # Cancel safety
///
/// Room is reserved before a value is sent, so a cancelled wait sends either all of it or nothing.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
/// let flow = Dataflow::new("sent");
/// flow.source("numbers", source::from_iter(1..=2)).sink("out", sink::channel(sender));
/// let job = flow.start()?;
/// assert_eq!(receiver.recv().await, Some(1));
/// assert_eq!(receiver.recv().await, Some(2));
/// assert_eq!(receiver.recv().await, None);
/// job.await?;
/// # Ok(())
/// # }
/// ```
pub const fn channel<T: Send + 'static>(sender: Sender<T>) -> Channel<T> {
    Channel { sender: Mutex::new(Held::Strong(sender)) }
}

/// The factory behind [`channel`].
pub struct Channel<T> {
    sender: Mutex<Held<T>>,
}

/// What the blueprint holds of a channel.
enum Held<T> {
    /// Before the first run.
    Strong(Sender<T>),
    /// Since then, so that the blueprint keeps no receiver waiting.
    Weak(WeakSender<T>),
}

/// Every sender of the channel was gone when the job was to start, so its receiver has seen the
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel was closed after an earlier run")]
pub struct ChannelClosed;

impl<T: Send + 'static> SinkFactory for Channel<T> {
    type Sink = ToChannel<T>;

    fn create(&self, _instance: usize) -> Result<ToChannel<T>, OperatorError> {
        let mut held = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let weak = match &*held {
            Held::Strong(sender) => sender.downgrade(),
            Held::Weak(weak) => weak.clone(),
        };
        let sender = match std::mem::replace(&mut *held, Held::Weak(weak.clone())) {
            Held::Strong(sender) => Some(sender),
            Held::Weak(_) => weak.upgrade(),
        };
        let sender = sender.ok_or(ChannelClosed)?;
        Ok(ToChannel { sender })
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

/// The running sink behind [`channel`].
pub struct ToChannel<T> {
    sender: Sender<T>,
}

impl<T: Send + 'static> Sink for ToChannel<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        // From behind, because what is left over has to stay in the vector.
        records.reverse();
        while !records.is_empty() {
            let Ok(permit) = self.sender.reserve().await else {
                return Ok(SinkStatus::Enough);
            };
            if let Some(record) = records.pop() {
                permit.send(record.value);
            }
        }
        Ok(SinkStatus::More)
    }
}

impl<T> fmt::Debug for ToChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToChannel")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn n1_a_dropped_receiver_is_enough_and_no_error() {
        let (sender, mut receiver) = mpsc::channel(1);
        let flow = Dataflow::new("enough");
        flow.source("numbers", source::from_iter(0_u64..)).sink("out", channel(sender));
        let job = flow.start().unwrap();
        assert_eq!(receiver.recv().await, Some(0));
        drop(receiver);
        let report = job.await.unwrap();
        assert!(report.records_written() <= 2, "{report}");
    }

    #[tokio::test]
    async fn n1_a_second_run_needs_a_living_sender() {
        let (sender, mut receiver) = mpsc::channel(8);
        let other = sender.clone();
        let flow = Dataflow::new("again");
        flow.source("numbers", source::from_iter(0..2)).sink("out", channel(sender));
        flow.run().await.unwrap();
        flow.run().await.unwrap();
        drop(other);
        let error = flow.run().await.unwrap_err();
        assert!(error.cause().unwrap().is::<ChannelClosed>());
        let mut seen = Vec::new();
        while let Some(number) = receiver.recv().await {
            seen.push(number);
        }
        assert_eq!(seen, [0, 1, 0, 1]);
    }

    #[tokio::test]
    async fn n1_the_instances_of_a_parallel_stream_share_a_channel() {
        let (sender, mut receiver) = mpsc::channel(8);
        let flow = Dataflow::new("shared");
        flow.source("numbers", source::from_iter(0..6)).parallel(3).sink("out", channel(sender));
        flow.run().await.unwrap();
        let mut seen = Vec::new();
        while let Some(number) = receiver.recv().await {
            seen.push(number);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }
}
