//! Millstream: a stream-processing engine that a Rust program embeds.
//!
//! A [`Dataflow`] is a blueprint. [`Dataflow::source`] gives a [`DataStream`], on which everything
//! is said that happens to its records, until a sink ends it; [`Dataflow::run`] runs it on the
//! tokio runtime of the caller. Operators in a row are fused into one loop. Between stages records
//! travel in batches over bounded edges, so a slow sink slows its source and memory stays bounded.
//!
//! ```
//! use millstream::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), millstream::Error> {
//! let flow = Dataflow::new("squares of evens");
//! let squares = flow
//!     .source("numbers", source::from_iter(1..=6_u64))
//!     .filter(|n| n % 2 == 0)
//!     .map(|n| n * n)
//!     .collect();
//!
//! let report = flow.run().await?;
//! assert_eq!(report.take(squares), Some(vec![4, 16, 36]));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`DataStream`] and [`KeyedStream`] list every operator, each with an example.
//! * [`source`] and [`sink`] have what streams begin and end in, and the contracts for your own.
//! * [`operator::Operator`] is the contract of an operator; [`DataStream::via`] the door it goes
//!   through.
//! * [`hub`]s are where dataflows meet at run time.
//! * [`JobHandle`](runtime::JobHandle) controls a running job, [`JobReport`](runtime::JobReport) is
//!   what it ends with, [`JobOptions`](runtime::JobOptions) are the choices about a run.
//! * [`concurrent`] is about calls, [`timing`] about rates and timers, [`buffer`] and [`fan`] about
//!   edges, [`hub`] about what is joined at run time, [`recovery`] about failures.
//! * [`metrics`] tells what is counted, and [`testing`] how to test operators and graphs without
//!   waiting.
//!
//! # Features
//!
//! * `files` (on by default): lines, CSV and JSON lines, plain or gzip, from and to files and the
//!   standard streams.
//! * `calendar`: windows by the hours, days, weeks and months of a time zone.
//! * `console`: the HTTP endpoint with `/metrics`, `/healthz`, `/readyz` and `/graph`.
//! * `woken-by-io`: sources that threads feed, woken by the runtime's I/O driver (Unix).

#[cfg(feature = "console")]
pub use millstream_console as console;
pub use millstream_engine::chain::Chain;
pub use millstream_engine::{BuildError, Error, ErrorKind, OperatorError, Record};
pub use millstream_engine::{batch, state, tail, testing};
pub use millstream_engine::{chain, edge, graph, key, metrics, operator, random, runtime};
#[cfg(feature = "files")]
pub use millstream_operators::file;
pub use millstream_operators::{DataStream, Dataflow, KeyedStream, prelude};
pub use millstream_operators::{aggregate, attempt, buffer, concurrent, control, fan, group, hub};
pub use millstream_operators::{keyed, linear, recovery, timing, window};

/// Clocks and event time, and how watermarks are made.
pub mod time {
    pub use millstream_engine::time::*;
    pub use millstream_operators::time::*;
}

/// Where records enter: sources, and the contract for your own.
pub mod source {
    pub use millstream_engine::source::*;
    pub use millstream_operators::source::*;
}

/// Where records leave: sinks, and the contract for your own.
pub mod sink {
    pub use millstream_engine::sink::*;
    pub use millstream_operators::sink::*;
}

/// The program in the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
