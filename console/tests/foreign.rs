//! A program that has installed a recorder before the console could. The recorder is one for the
//! whole process, so this test has a process of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use metrics::NoopRecorder;
use millstream_console::{Console, ConsoleError, ConsoleOptions};
use support::{anywhere, get};

#[tokio::test]
async fn a_recorder_that_cannot_be_read_is_an_error() {
    metrics::set_global_recorder(NoopRecorder).unwrap();
    for _ in 0..2 {
        let refused = Console::bind(anywhere()).await.unwrap_err();
        assert!(matches!(refused, ConsoleError::ForeignRecorder));
        assert!(refused.to_string().contains("ConsoleOptions::with_metrics_text"));
    }
    let options = ConsoleOptions::default().with_metrics_text(String::new);
    let console = Console::bind_with(anywhere(), &options).await.unwrap();
    assert_eq!(get(&console, "/metrics").await.status, 200);
}
