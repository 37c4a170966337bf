//! `Switch`: something outside a stream that is on or off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// A switch in the program's hand, for [`pause_when`](crate::DataStream::pause_when) and
/// [`take_until_signal`](crate::DataStream::take_until_signal). Clones are the same switch; any
/// number of streams may listen to it. It is off at first.
///
/// ```
/// use millstream_operators::{prelude::*, timing::Switch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let enough = Switch::new();
/// let flow = Dataflow::new("until told");
/// let silent = flow.source("silent", source::never::<u32>());
/// let count = silent.take_until_signal(&enough).count();
/// let job = flow.start()?;
/// enough.turn_on();
/// assert_eq!(job.await?.take(count), Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Switch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    on: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    next_id: u64,
    /// One for each running operator that listens.
    wakers: BTreeMap<u64, Waker>,
}

impl Switch {
    /// A switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns it on.
    pub fn turn_on(&self) {
        self.turn(true);
    }

    /// Turns it off.
    pub fn turn_off(&self) {
        self.turn(false);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Acquire)
    }

    fn turn(&self, on: bool) {
        if self.0.on.swap(on, Ordering::AcqRel) != on {
            let wakers: Vec<_> = self.listeners().wakers.values().cloned().collect();
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switch").field(&self.is_on()).finish()
    }
}

/// One operator that listens to a switch. A clone does not yet.
#[derive(Debug)]
pub(super) struct Listener {
    switch: Switch,
    id: Option<u64>,
}

impl Listener {
    pub(super) fn new(switch: &Switch) -> Self {
        Self { switch: switch.clone(), id: None }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.switch.is_on()
    }

    /// Has the stage woken when the switch is turned.
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
        let mut listeners = self.switch.listeners();
        let id = *self.id.get_or_insert_with(|| {
            listeners.next_id += 1;
            listeners.next_id
        });
        listeners.wakers.insert(id, cx.waker().clone());
    }
}

impl Clone for Listener {
    fn clone(&self) -> Self {
        Self::new(&self.switch)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.switch.listeners().wakers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d20_a_listener_that_is_gone_is_forgotten() {
        let switch = Switch::new();
        let mut listener = Listener::new(&switch);
        listener.listen(&Context::from_waker(Waker::noop()));
        listener.listen(&Context::from_waker(Waker::noop()));
        assert_eq!(switch.listeners().wakers.len(), 1);
        drop(listener);
        assert!(switch.listeners().wakers.is_empty());
    }
}
