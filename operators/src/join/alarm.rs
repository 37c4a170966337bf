//! `Alarm`: the one timer of a key.

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keyed::process::KeyTimers;

/// When a key is looked at next, if it is: in state, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Alarm(Option<i64>);

impl Alarm {
    pub(super) const fn unset() -> Self {
        Self(None)
    }

    /// Sees to it that the key is looked at no later than this.
    #[inline]
    pub(super) fn no_later<K: Eq + Clone>(
        &mut self,
        time: Timestamp,
        timers: &mut KeyTimers<'_, K>,
    ) {
        let set = self.0.map(Timestamp::from_millis);
        if set.is_none_or(|set| time < set) {
            set.into_iter().for_each(|set| timers.delete_event_time(set));
            timers.set_event_time(time);
            self.0 = Some(time.as_millis());
        }
    }

    /// It has gone off.
    pub(super) const fn rang(&mut self) {
        self.0 = None;
    }
}
