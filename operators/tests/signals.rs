//! Signals, in a process of their own: the first drains the job, the second aborts it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::process::Command;
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::runtime::{JobState, Outcome};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_operators::prelude::*;

/// Sends a signal to this process, by the shell's own `kill`.
fn raise(name: &str) {
    let command = format!("kill -s {name} {}", std::process::id());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
}

#[tokio::test]
async fn k2_the_first_signal_drains_and_the_second_aborts() {
    let flow = Dataflow::new("signalled");
    let (source, numbers) = probe_source::<u32>();
    let (_sink, stuck) = probe_sink::<u32>();
    flow.source("numbers", numbers).sink("stuck", stuck);
    let options = JobOptions::default().with_drain_on_signals(Duration::from_secs(600));
    let job = flow.start_with(&options).unwrap();
    source.send(1).await;
    raise("TERM");
    while job.state() != JobState::Draining {
        tokio::task::yield_now().await;
    }
    // The sink takes nothing, so the drain lasts until somebody has enough of it.
    raise("INT");
    let error = job.await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Aborted);
    assert_eq!(error.report().unwrap().outcome(), Outcome::Aborted);
}
