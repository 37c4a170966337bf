//! The console: what a program holds while it is served.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use millstream_engine::runtime::JobObserver;
use millstream_engine::time::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::guard::Guard;
use crate::recorder::{self, Metrics};
use crate::routes::Routes;
use crate::server;
use crate::watched::Watched;
use crate::{ConsoleError, ConsoleOptions};

/// A console that is being served, by tasks that it owns: **dropping it stops serving** and closes
/// its connections. See the [crate](crate) for what it answers.
#[must_use = "dropping the console stops serving it"]
#[derive(Debug)]
pub struct Console {
    local_address: SocketAddr,
    watched: Arc<Watched>,
    tasks: JoinSet<()>,
}

impl Console {
    /// Serves on a loopback address, on the current tokio runtime. Port 0 takes any that is free.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use millstream_console::Console;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_console::ConsoleError> {
    /// let console = Console::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    /// println!("http://{}/metrics", console.local_addr());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is in use, not on loopback or otherwise not to be had, or the program has a
    /// metrics recorder of its own.
    pub async fn bind(address: SocketAddr) -> Result<Self, ConsoleError> {
        Self::bind_with(address, &ConsoleOptions::default()).await
    }

    /// Serves as `options` say.
    ///
    /// # Errors
    ///
    /// As [`bind`](Console::bind).
    pub async fn bind_with(
        address: SocketAddr,
        options: &ConsoleOptions,
    ) -> Result<Self, ConsoleError> {
        let is_loopback = address.ip().to_canonical().is_loopback();
        if !is_loopback && !options.exposed {
            return Err(ConsoleError::NotLoopback { address });
        }
        let refused = |source: std::io::Error| match source.kind() {
            ErrorKind::AddrInUse => ConsoleError::AddressInUse { address, source },
            _ => ConsoleError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_address = listener.local_addr().map_err(refused)?;
        let metrics = match &options.metrics_text {
            Some(text) => Metrics::Own(Arc::clone(text)),
            None => Metrics::Shared(recorder::installed()?),
        };
        let watched = Arc::new(Watched::new(options.jobs_max));
        let clock = Clock::system();
        let mut tasks = JoinSet::new();
        if let Metrics::Shared(recorder) = &metrics {
            tasks.spawn(recorder::keep_up(recorder.clone(), clock.clone()));
        }
        let guard = if is_loopback { Guard::LoopbackNames } else { Guard::Open };
        let routes = Routes::new(guard, metrics, Arc::clone(&watched));
        tasks.spawn(server::serve(listener, routes, clock, options.clone()));
        tracing::info!(address = %local_address, "console is served");
        Ok(Self { local_address, watched, tasks })
    }

    /// Shows a job from now on, also when it has ended. It does not keep the job alive.
    ///
    /// # Errors
    ///
    /// [`ConsoleError::TooManyJobs`] if as many running jobs are watched as are allowed.
    pub fn watch(&self, job: JobObserver) -> Result<(), ConsoleError> {
        self.watched.add(job)
    }

    /// The address it is served on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Stops serving, and waits until the address is free and every connection closed.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}
