//! Ctrl-c and SIGTERM, for jobs that were asked to listen: the first drains, the second aborts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::job::JobShared;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The signals that a job listens to, if it does.
pub(super) struct Signals {
    deadline: Option<Duration>,
    received: u32,
    next: Option<Signal>,
}

impl Signals {
    pub(super) fn new(deadline: Option<Duration>) -> Self {
        Self {
            deadline,
            received: 0,
            next: deadline.map(|_| next_signal()),
        }
    }

    /// Ready when the job has been asked to drain or abort.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &JobShared) -> Poll<()> {
        let (Some(deadline), Some(next)) = (self.deadline, &mut self.next) else {
            return Poll::Pending;
        };
        if next.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.received += 1;
        // Listening goes on before anything else happens, so that no second signal is missed.
        self.next = Some(next_signal());
        if self.received == 1 {
            tracing::info!("draining after a signal; another one aborts");
            shared.request_drain(shared.registry.clock.now() + deadline);
        } else {
            shared.halt();
        }
        Poll::Ready(())
    }
}

fn next_signal() -> Signal {
    Box::pin(async {
        let interrupt = wait_for_interrupt();
        let terminate = wait_for_terminate();
        let (mut interrupt, mut terminate) = (Box::pin(interrupt), Box::pin(terminate));
        std::future::poll_fn(|cx| {
            if interrupt.as_mut().poll(cx).is_ready() || terminate.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    })
}

async fn wait_for_interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "can't listen for ctrl-c");
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn wait_for_terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "can't listen for SIGTERM");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn wait_for_terminate() {
    std::future::pending::<()>().await;
}
