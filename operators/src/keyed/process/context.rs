//! What a function sees of the key at hand: its state, its timers, the time.

use std::fmt;
use std::time::Duration;

use millstream_engine::Record;
use millstream_engine::time::Timestamp;

use super::States;
use crate::keyed::timers::Timers;
use crate::time::ProcessingClock;

/// A timer that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Event time has passed this point: the watermark is beyond it, or the input has ended.
    EventTime(Timestamp),
    /// The clock has reached this point.
    ProcessingTime(Timestamp),
}

impl Timer {
    /// For when it was registered.
    #[must_use]
    pub const fn time(self) -> Timestamp {
        match self {
            Self::EventTime(time) | Self::ProcessingTime(time) => time,
        }
    }
}

/// The key at hand. Its parts are apart, so that the state can be held while a timer is set.
pub struct KeyContext<'a, K, S: States> {
    /// The key.
    pub key: &'a K,
    /// What is kept of it.
    pub states: S::View<'a>,
    /// Its timers.
    pub timers: KeyTimers<'a, K>,
    /// When the record happened, or for when the timer was set: for a timer by the clock, that is
    /// a time of the clock's, and no event time.
    pub time: Timestamp,
    /// How far event time has come: no record earlier than this will follow.
    pub watermark: Timestamp,
}

impl<K, S: States> KeyContext<'_, K, S> {
    /// A value with the event time at hand, to be emitted.
    #[must_use]
    pub const fn record<V>(&self, value: V) -> Record<V> {
        Record::at(value, self.time)
    }

    /// What the clock says: in milliseconds since the Unix epoch, and never earlier than before.
    #[must_use]
    pub fn processing_time(&self) -> Timestamp {
        self.timers.clock.now()
    }
}

impl<K: fmt::Debug, S: States> fmt::Debug for KeyContext<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyContext")
            .field("key", &self.key)
            .field("time", &self.time)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

/// The timers of the key at hand. There is at most one for each point of either time: who sets it
/// twice is called once. They are part of the state, and survive with it.
pub struct KeyTimers<'a, K> {
    pub(super) event: &'a mut Timers<K>,
    pub(super) processing: &'a mut Timers<K>,
    pub(super) clock: &'a ProcessingClock,
    pub(super) hash: u64,
    pub(super) key: &'a K,
}

impl<K: Eq + Clone> KeyTimers<'_, K> {
    /// Calls back when the watermark is beyond `time`, or the input has ended.
    pub fn set_event_time(&mut self, time: Timestamp) {
        self.event.register(time, self.hash, self.key);
    }

    /// Takes that back.
    pub fn delete_event_time(&mut self, time: Timestamp) {
        self.event.delete(time, self.hash, self.key);
    }

    /// Calls back when the clock has reached `time`; at once, if it has passed, be it while the job
    /// was not running. The end of the input does not wait for it.
    pub fn set_processing_time(&mut self, time: Timestamp) {
        self.processing.register(time, self.hash, self.key);
    }

    /// Calls back after `delay` by the clock, and gives the time for which that is set.
    pub fn set_after(&mut self, delay: Duration) -> Timestamp {
        let time = self.clock.now().saturating_add(delay);
        self.set_processing_time(time);
        time
    }

    /// Takes a timer by the clock back.
    pub fn delete_processing_time(&mut self, time: Timestamp) {
        self.processing.delete(time, self.hash, self.key);
    }

    /// Takes all timers of the key back.
    pub fn clear(&mut self) {
        self.event.delete_key(self.hash, self.key);
        self.processing.delete_key(self.hash, self.key);
    }
}

impl<K: fmt::Debug> fmt::Debug for KeyTimers<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTimers").field("key", &self.key).finish_non_exhaustive()
    }
}
