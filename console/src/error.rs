//! Why there is no console, or no room in it.

use std::net::SocketAddr;

/// A console could not be set up, or takes no more jobs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// The address can be reached from other machines, and nothing would keep them out.
    #[error(
        "{address} is not a loopback address and the console has no authentication: bind to \
         127.0.0.1, or set `ConsoleOptions::expose_without_authentication(true)`"
    )]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Somebody else listens there.
    #[error("the address {address} is in use: choose another, or port 0 for any that is free")]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program has installed a recorder for the `metrics` facade, whose numbers the console
    /// can't read.
    #[error(
        "the program has a metrics recorder of its own: give the console its text by \
         `ConsoleOptions::with_metrics_text`, or bind the console first"
    )]
    ForeignRecorder,
    /// As many jobs as are allowed are watched, and none of them has ended.
    #[error("{max} running jobs are watched already: see `ConsoleOptions::with_jobs_max`")]
    TooManyJobs {
        /// How many may be watched.
        max: usize,
    },
}
