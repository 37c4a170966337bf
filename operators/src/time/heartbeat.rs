//! `Heartbeat`: somebody outside says how far a stream has come.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use millstream_engine::time::Timestamp;

/// In the hand of the program around a job: says that a stream will bring nothing earlier than some
/// time, while no record does. [`Watermarks::with_heartbeat`](super::Watermarks::with_heartbeat)
/// gives it to a stream, or to several.
///
/// What it says counts from where the stream has taken everything that it had been handed, and only
/// then: it overtakes no record. It ends idleness, as a record does, and never turns time back. It
/// is heard by the runs that are there, and forgotten with them; a run that is started later begins
/// without. Clones are the same heartbeat.
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let heartbeat = Heartbeat::new();
/// let watermarks = Watermarks::monotonic().with_heartbeat(&heartbeat);
/// let flow = Dataflow::new("readings");
/// let (input, readings) = source::queue(16);
/// let timed = flow.source("readings", readings).event_time(|t: &Timestamp| *t, watermarks);
/// timed.boundary().named("behind").ignore();
/// let job = flow.start()?;
/// heartbeat.nothing_before(Timestamp::from_millis(5000));
/// drop(input);
/// let report = job.await?;
/// # let _ = report;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Heartbeat(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    next_id: u64,
    /// One for each stream that is running.
    streams: BTreeMap<u64, Stream>,
}

#[derive(Default)]
struct Stream {
    /// The latest that was said, and has not been heard.
    said: Option<Timestamp>,
    waker: Option<Waker>,
}

impl Heartbeat {
    /// One that has not said anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that no record earlier than `time` will be handed to the streams that listen.
    pub fn nothing_before(&self, time: Timestamp) {
        let mut listeners = self.listeners();
        let streams = listeners.streams.values_mut().map(|stream| {
            stream.said = stream.said.max(Some(time));
            stream.waker.take()
        });
        let wakers: Vec<_> = streams.collect();
        drop(listeners);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("streams", &self.listeners().streams.len())
            .finish_non_exhaustive()
    }
}

/// A stream that listens to a heartbeat.
pub(super) struct Listener {
    heartbeat: Heartbeat,
    id: u64,
    heard: Option<Heard>,
}

/// What was said counts behind every record that had been handed in by then. Whether there are any
/// shows when the stage looks for input: having heard, it looks once more.
struct Heard {
    time: Timestamp,
    certainty: Certainty,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// A record may have come before it, that has not been seen.
    Heard,
    /// If the stage comes to rest now, without a record, there is none.
    Looking,
    /// There is none.
    Sure,
}

impl Listener {
    pub(super) fn new(heartbeat: &Heartbeat) -> Self {
        let mut listeners = heartbeat.listeners();
        let id = listeners.next_id;
        listeners.next_id += 1;
        listeners.streams.insert(id, Stream::default());
        drop(listeners);
        Self { heartbeat: heartbeat.clone(), id, heard: None }
    }

    /// The stage comes to rest.
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
        if let Some(heard) = &mut self.heard
            && heard.certainty == Certainty::Looking
        {
            heard.certainty = Certainty::Sure;
            return;
        }
        let mut listeners = self.heartbeat.listeners();
        let Some(stream) = listeners.streams.get_mut(&self.id) else {
            return;
        };
        match stream.said.take() {
            Some(said) => {
                let time = self.heard.as_ref().map_or(said, |heard| heard.time.max(said));
                self.heard = Some(Heard { time, certainty: Certainty::Heard });
            }
            None => stream.waker = Some(cx.waker().clone()),
        }
    }

    /// A record has come: there may be more of them.
    #[inline]
    pub(super) const fn record_came(&mut self) {
        if let Some(heard) = &mut self.heard {
            heard.certainty = Certainty::Heard;
        }
    }

    /// Whether [`take`](Listener::take) is to be called.
    pub(super) fn has_news(&self) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.certainty != Certainty::Looking)
    }

    /// What was said, once it counts.
    pub(super) fn take(&mut self) -> Option<Timestamp> {
        let heard = self.heard.as_mut()?;
        match heard.certainty {
            Certainty::Sure => self.heard.take().map(|heard| heard.time),
            Certainty::Heard | Certainty::Looking => {
                heard.certainty = Certainty::Looking;
                None
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.heartbeat.listeners().streams.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_a_heartbeat_keeps_the_latest_word_for_each_stream_and_forgets_who_is_gone() {
        let heartbeat = Heartbeat::new();
        let cx = Context::from_waker(Waker::noop());
        heartbeat.nothing_before(Timestamp::from_millis(9));
        let mut listener = Listener::new(&heartbeat);
        listener.listen(&cx);
        assert!(!listener.has_news(), "said before it was there");
        heartbeat.nothing_before(Timestamp::from_millis(5));
        heartbeat.nothing_before(Timestamp::from_millis(3));
        listener.listen(&cx);
        assert_eq!(listener.take(), None, "a record may still be on its way");
        listener.record_came();
        listener.listen(&cx);
        assert_eq!(listener.take(), None, "there was one, and may be another");
        listener.listen(&cx);
        assert_eq!(listener.take(), Some(Timestamp::from_millis(5)));
        drop(listener);
        assert!(heartbeat.listeners().streams.is_empty());
    }
}
