//! What a probe and its end of the graph share.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A value that can be waited on.
#[derive(Debug, Default)]
pub(super) struct Watched<S> {
    state: Mutex<S>,
    changed: Notify,
}

impl<S> Watched<S> {
    pub(super) const fn new(state: S) -> Self {
        Self { state: Mutex::new(state), changed: Notify::const_new() }
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<R>(&self, act: impl FnOnce(&mut S) -> R) -> R {
        let changed = act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        changed
    }

    /// Tries after every change until it works out. Cancel safe if `attempt` takes nothing in vain.
    pub(super) async fn until<R>(&self, mut attempt: impl FnMut(&mut S) -> Option<R>) -> R {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let attempted = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                attempt(&mut state)
            };
            if let Some(result) = attempted {
                self.changed.notify_waiters();
                return result;
            }
            changed.await;
        }
    }
}
