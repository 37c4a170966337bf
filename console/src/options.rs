//! How a console is to be served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Choices about a console; the defaults are right for most.
///
/// ```
/// use millstream_console::ConsoleOptions;
///
/// let options = ConsoleOptions::default().with_jobs_max(4).with_connections_max(8);
/// ```
#[derive(Clone)]
pub struct ConsoleOptions {
    pub(crate) exposed: bool,
    pub(crate) jobs_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) metrics_text: Option<MetricsText>,
}

/// Renders the metrics of a program's own recorder.
pub(crate) type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            exposed: false,
            jobs_max: 32,
            connections_max: 64,
            head_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            metrics_text: None,
        }
    }
}

impl ConsoleOptions {
    /// Allows an address that other machines can reach. Whoever reaches it can read everything that
    /// the console shows, so something else has to keep strangers out. Default: no.
    #[must_use]
    pub const fn expose_without_authentication(mut self, expose: bool) -> Self {
        self.exposed = expose;
        self
    }

    /// How many jobs are watched at most. Beyond that the one that ended first makes room, and with
    /// it goes what it said about health. Default: 32.
    #[must_use]
    pub fn with_jobs_max(mut self, jobs: usize) -> Self {
        self.jobs_max = jobs.max(1);
        self
    }

    /// How many connections are served at once. Further ones wait until one of these ends.
    /// Default: 64.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.clamp(1, 1024);
        self
    }

    /// How long a connection may be idle, or take to send the head of a request. Default: 5 s.
    #[must_use]
    pub const fn with_head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout;
        self
    }

    /// How long a request may take from its head to the last byte of the answer, however slowly the
    /// client reads. It also ends a connection that has not sent one by then. Default: 30 s.
    #[must_use]
    pub const fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Takes the metrics from `text`, in Prometheus' text format, instead of installing a recorder:
    /// for programs that have one of their own. It runs on a thread where it may block. Default: a
    /// recorder that all consoles of the process share.
    #[must_use]
    pub fn with_metrics_text(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics_text = Some(Arc::new(text));
        self
    }
}

impl fmt::Debug for ConsoleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleOptions")
            .field("exposed", &self.exposed)
            .field("jobs_max", &self.jobs_max)
            .field("connections_max", &self.connections_max)
            .field("head_timeout", &self.head_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("own_metrics_text", &self.metrics_text.is_some())
            .finish()
    }
}
