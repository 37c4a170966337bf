//! The recorder behind the `metrics` facade, where what it has recorded can be read.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millstream_engine::time::Clock;

use crate::ConsoleError;
use crate::options::MetricsText;

/// Belongs to the recorder that the facade holds for the whole process and that can't be taken
/// back: without it a second console could not read what the first one's recorder records. `None`
/// if the program was first to install one, which doesn't change either.
static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Without buckets, a histogram would be rendered as a summary, which can't be added up.
const SECONDS: [f64; 15] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Where the text of the metrics comes from.
#[derive(Clone)]
pub(crate) enum Metrics {
    /// The recorder that this crate has installed.
    Shared(PrometheusHandle),
    /// A recorder of the program's own.
    Own(MetricsText),
}

impl Metrics {
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Shared(recorder) => recorder.render(),
            Self::Own(text) => text(),
        }
    }
}

/// The recorder of this process, installed by the first who asks.
pub(crate) fn installed() -> Result<PrometheusHandle, ConsoleError> {
    INSTALLED.get_or_init(install).clone().ok_or(ConsoleError::ForeignRecorder)
}

fn install() -> Option<PrometheusHandle> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    // It refuses only an empty list of buckets.
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS).ok()?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    millstream_engine::metrics::describe();
    Some(handle)
}

/// Folds up the samples of histograms, which otherwise pile up until the next scrape.
pub(crate) async fn keep_up(recorder: PrometheusHandle, clock: Clock) {
    loop {
        clock.sleep(UPKEEP_EVERY).await;
        let recorder = recorder.clone();
        // Millions of samples take tens of milliseconds, so not on a worker of the runtime.
        let folded = tokio::task::spawn_blocking(move || recorder.run_upkeep());
        if folded.await.is_err() {
            tracing::warn!("upkeep of the metrics recorder has panicked");
        }
    }
}
