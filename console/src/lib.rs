//! The HTTP endpoint of a program that runs Millstream jobs: what Prometheus scrapes, what an
//! orchestrator probes, and the running graph as data and as a picture.
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use millstream_console::Console;
//! use millstream_engine::runtime::JobHandle;
//!
//! async fn serve(job: &JobHandle) -> Result<Console, millstream_console::ConsoleError> {
//!     let console = Console::bind(SocketAddr::from(([127, 0, 0, 1], 9187))).await?;
//!     console.watch(job.observer())?;
//!     Ok(console)
//! }
//! ```
//!
//! It answers GET and HEAD, and nothing that it answers changes anything:
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | every metric of the process, in Prometheus' text format |
//! | `/healthz` | 200, or 503 with the names of the watched pipelines that have failed |
//! | `/readyz` | 200 once every watched job runs with all its instances, otherwise 503 and why |
//! | `/graph` | every watched job with its live numbers, as JSON |
//! | `/graph.dot` | the graph of the job watched last, for Graphviz |
//! | `/graph.mmd` | the same, for Mermaid |
//!
//! A job that has ended stays visible. One that a later job of the same pipeline has taken over
//! from no longer counts for health and readiness.
//!
//! # Metrics
//!
//! The first console of a process installs a recorder for the `metrics` facade, which the later
//! ones share; what the program itself counts through the facade is served as well. A job hands its
//! numbers to the facade every second and at its end
//! ([`JobOptions::with_publish_every`][every]), and a scrape shows what was handed over last. What
//! a job publishes before there is a recorder is lost, so **bind the console before starting
//! jobs**. A program with a recorder of its own gives the console its text by
//! [`ConsoleOptions::with_metrics_text`].
//!
//! Beside that the console states `millstream_build_info{version}` and, for each watched pipeline,
//! `millstream_pipeline_state{pipeline,state}`: 1 for the state it is in, 0 for each of the others.
//!
//! # Who may ask
//!
//! There is no authentication. The console therefore binds to loopback only, unless
//! [`ConsoleOptions::expose_without_authentication`] says otherwise, and on loopback it answers
//! only requests for a loopback host, so that no web page reaches it by a name that it has pointed
//! there. Connections, heads, bodies and the time that each may take are bounded.
//!
//! # The shape of `/graph`
//!
//! `stage`, `consumer`, `operators` and `producers` are indices into the job's own lists. Unless
//! the job counts by operator ([`JobOptions::with_operator_counts`][counts]), `filtered` stays 0
//! and what operators within a stage hand to each other is `null`.
//!
//! ```json
//! { "jobs": [ {
//!   "pipeline": "clicks",
//!   "state": "running, draining, completed, drained, failed or aborted",
//!   "superseded": false,
//!   "held_up_by": "the name of a stage, or null",
//!   "records_in_flight_max": 4096,
//!   "operators": [ {
//!     "name": "parse", "kind": "map", "role": "source, operator or sink", "stage": 0,
//!     "records_in": 10, "records_out": 9, "filtered": 1,
//!     "skipped": 0, "dead_letters": 0, "errors": 0, "retries": 0
//!   } ],
//!   "stages": [ {
//!     "name": "clicks, parse", "operators": [0, 1],
//!     "instances": 1, "started": 1, "finished": 0, "failed": 0,
//!     "records_in": 10, "batches": 1,
//!     "busy_seconds": 0.5, "idle_seconds": 1.0, "blocked_seconds": 0.5,
//!     "busy_ratio": 0.25, "idle_ratio": 0.5, "blocked_ratio": 0.25,
//!     "watermark_milliseconds": 1700000000000
//!   } ],
//!   "edges": [ {
//!     "name": "parse -> write", "producers": [1], "consumer": 1,
//!     "distribution": "forward, rebalance or key",
//!     "when_full": "block, or another policy", "order": "first in first out, or another one",
//!     "channels": 1, "depth": 3, "capacity": 2048, "sent": 9, "received": 6, "dropped": 0,
//!     "blocked": 0, "watermark_held_by": "the name of an operator, or null"
//!   } ]
//! } ] }
//! ```
//!
//! [every]: millstream_engine::runtime::JobOptions::with_publish_every
//! [counts]: millstream_engine::runtime::JobOptions::with_operator_counts

mod console;
mod deadline;
mod error;
mod exposition;
mod graph;
mod guard;
mod options;
mod recorder;
mod reply;
mod routes;
mod server;
mod watched;

pub use console::Console;
pub use error::ConsoleError;
pub use options::ConsoleOptions;
