//! Ctrl-c and SIGTERM, for jobs that were asked to listen: the first drains, the second aborts.

use std::io;
use std::task::Context;
use std::time::Duration;

use super::job::JobShared;

/// The signals that a job listens to, from the moment it is made.
pub(super) struct Signals {
    deadline: Duration,
    received: u32,
    listener: platform::Listener,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen(deadline: Duration) -> io::Result<Self> {
        Ok(Self { deadline, received: 0, listener: platform::Listener::new()? })
    }

    /// Passes on the signals that have come, the way a handle would.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &JobShared) {
        while self.listener.poll_signal(cx).is_ready() {
            self.received += 1;
            if self.received == 1 {
                tracing::info!("draining after a signal; another one aborts");
                shared.request_drain(shared.registry.clock.now() + self.deadline);
            } else {
                shared.halt();
            }
        }
    }
}

#[cfg(unix)]
mod platform {
    use std::io;
    use std::task::{Context, Poll};

    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Listener {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Listener {
        pub(super) fn new() -> io::Result<Self> {
            let interrupt = signal(SignalKind::interrupt())?;
            Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
        }

        pub(super) fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            match self.interrupt.poll_recv(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => self.terminate.poll_recv(cx).map(drop),
            }
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::future::Future;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub(super) struct Listener(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>);

    impl Listener {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(Box::pin(tokio::signal::ctrl_c())))
        }

        pub(super) fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            match self.0.as_mut().poll(cx) {
                // Listens for the next one.
                Poll::Ready(Ok(())) => {
                    self.0 = Box::pin(tokio::signal::ctrl_c());
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            }
        }
    }
}
