//! Handing a job's numbers to the `metrics` facade, and from there to Prometheus or wherever the
//! program exports to.

use std::collections::HashMap;

use metrics::Label;

use super::{DropReason, EdgeMetrics, JobMetrics, Latency, OperatorMetrics, StageMetrics, names};

/// Publishes one job's numbers, as what has been added since the last time: a second run of the
/// same pipeline counts on where the first stopped.
#[derive(Debug, Default)]
pub struct Publisher {
    published: HashMap<(&'static str, String, String), f64>,
    measured: HashMap<(&'static str, String), Latency>,
}

impl Publisher {
    /// Publishes what has changed.
    pub fn publish(&mut self, job: &JobMetrics) {
        let pipeline = &*job.pipeline;
        for stage in &job.stages {
            let name = &stage.name;
            self.stage(&At { pipeline, kind: "stage", name, extra: None }, stage);
        }
        for operator in &job.operators {
            let name = &operator.name;
            self.operator(&At { pipeline, kind: "operator", name, extra: None }, operator);
        }
        for edge in &job.edges {
            let name = &edge.name;
            self.edge(&At { pipeline, kind: "edge", name, extra: None }, edge);
        }
    }

    fn stage(&mut self, at: &At<'_>, stage: &StageMetrics) {
        self.count(names::STAGE_RECORDS_IN, at, stage.records_in);
        self.count(names::STAGE_RECORDS_CANCELLED, at, stage.cancelled);
        self.seconds(names::STAGE_BUSY, at, stage.busy.as_secs_f64());
        self.seconds(names::STAGE_IDLE, at, stage.idle.as_secs_f64());
        self.seconds(names::STAGE_BACKPRESSURED, at, stage.blocked.as_secs_f64());
        let running = stage.started - stage.finished.min(stage.started);
        whole(names::STAGE_INSTANCES, at, running as u64);
        gauge(names::STAGE_STALLED, at, stage.stalled().as_secs_f64());
        self.quantiles(names::STAGE_RUNNING, at, &stage.running);
        if let Some(watermark) = stage.watermark {
            #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
            let seconds = watermark.as_millis() as f64 / 1000.0;
            gauge(names::STAGE_WATERMARK, at, seconds);
        }
        if let Some(lag) = stage.lag {
            gauge(names::STAGE_WATERMARK_LAG, at, lag.as_secs_f64());
        }
    }

    fn operator(&mut self, at: &At<'_>, operator: &OperatorMetrics) {
        if let Some(records) = operator.records_in {
            self.count(names::OPERATOR_RECORDS_IN, at, records);
        }
        if let Some(records) = operator.records_out {
            self.count(names::OPERATOR_RECORDS_OUT, at, records);
        }
        self.count(names::OPERATOR_ERRORS, at, operator.errors);
        self.count(names::OPERATOR_RETRIES, at, operator.retries);
        if operator.evicted_keys > 0 {
            self.count(names::OPERATOR_EVICTED_KEYS, at, operator.evicted_keys);
        }
        let explained = operator.dropped.total();
        // Without counts by operator nobody knows what was filtered, and zero would be a lie.
        let filtered = operator.records_out.map(|_| operator.filtered.saturating_sub(explained));
        let filtered = filtered.map(|records| ("filtered", records));
        // The rare reasons show up with their first record, the common ones at once.
        let common = [DropReason::Skipped, DropReason::DeadLetter];
        let reasons = DropReason::ALL.into_iter().filter_map(|reason| {
            let records = operator.dropped.of(reason);
            (records > 0 || common.contains(&reason)).then(|| (reason.label(), records))
        });
        for (reason, records) in filtered.into_iter().chain(reasons) {
            self.count(names::OPERATOR_RECORDS_DROPPED, &at.with("reason", reason), records);
        }
    }

    fn edge(&mut self, at: &At<'_>, edge: &EdgeMetrics) {
        self.count(names::EDGE_RECORDS, at, edge.sent);
        for (reason, records) in edge.dropped.iter() {
            self.count(names::EDGE_RECORDS_DROPPED, &at.with("reason", reason.label()), records);
        }
        whole(names::EDGE_DEPTH, at, edge.depth);
        whole(names::EDGE_CAPACITY, at, edge.capacity);
        gauge(names::EDGE_UTILISATION, at, edge.utilisation());
        gauge(names::EDGE_DEPTH_MEAN, at, edge.mean_depth);
        self.seconds(names::EDGE_BACKPRESSURED, at, edge.blocked_for.as_secs_f64());
        self.quantiles(names::EDGE_QUEUEING, at, &edge.queueing);
        for input in edge.inputs.iter().filter(|input| !input.idle) {
            if let Some(lag) = input.lag {
                let at = at.with("producer", &input.producer);
                gauge(names::INPUT_WATERMARK_LAG, &at, lag.as_secs_f64());
            }
        }
    }

    fn count(&mut self, name: &'static str, at: &At<'_>, total: u64) {
        #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 records")]
        let added = self.advance(name, at, total as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole count"
        )]
        metrics::counter!(name, at.labels()).increment(added as u64);
    }

    fn seconds(&mut self, name: &'static str, at: &At<'_>, total: f64) {
        let added = self.advance(name, at, total);
        metrics::gauge!(name, at.labels()).increment(added);
    }

    /// What has come on top of what was published last.
    fn advance(&mut self, name: &'static str, at: &At<'_>, total: f64) -> f64 {
        let extra = at.extra.map(|(_, value)| value.to_owned()).unwrap_or_default();
        let key = (name, at.name.to_owned(), extra);
        let before = self.published.insert(key, total).unwrap_or(0.0);
        (total - before).max(0.0)
    }

    /// Quantiles of what was measured since the last time. Gauges, because a recorder may keep
    /// every sample of a histogram until somebody asks, and there may be millions.
    fn quantiles(&mut self, name: &'static str, at: &At<'_>, measured: &Latency) {
        let key = (name, at.name.to_owned());
        let before = self.measured.insert(key, measured.clone()).unwrap_or_default();
        let since = measured.since(&before);
        for (label, share) in [("50", 0.5), ("90", 0.9), ("99", 0.99)] {
            if let Some(time) = since.quantile(share) {
                gauge(name, &at.with("percentile", label), time.as_secs_f64());
            }
        }
    }
}

fn gauge(name: &'static str, at: &At<'_>, value: f64) {
    metrics::gauge!(name, at.labels()).set(value);
}

fn whole(name: &'static str, at: &At<'_>, value: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    gauge(name, at, value as f64);
}

/// Whose number it is.
#[derive(Clone, Copy)]
struct At<'a> {
    pipeline: &'a str,
    kind: &'static str,
    name: &'a str,
    extra: Option<(&'static str, &'a str)>,
}

impl<'a> At<'a> {
    fn with<'b>(&self, label: &'static str, value: &'b str) -> At<'b>
    where
        'a: 'b,
    {
        At { extra: Some((label, value)), ..*self }
    }

    fn labels(&self) -> Vec<Label> {
        let mut labels = vec![
            Label::new("pipeline", self.pipeline.to_owned()),
            Label::new(self.kind, self.name.to_owned()),
        ];
        labels.extend(self.extra.map(|(label, value)| Label::new(label, value.to_owned())));
        labels
    }
}
