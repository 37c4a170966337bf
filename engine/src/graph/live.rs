//! A graph as a picture with its numbers on it, and as JSON.

use std::fmt::Write as _;

use super::{Distribution, GraphView, Role};
use crate::metrics::{Drops, EdgeMetrics, JobMetrics, OperatorMetrics, StageMetrics};

impl GraphView {
    /// The graph as JSON: `{"name", "operators", "stages", "edges"}`, with the numbers of a job of
    /// it if there are any. Operators, stages and edges are lists, and refer to each other by their
    /// place in them, which like the names is the same in every run of one blueprint.
    ///
    /// Times are in seconds, ratios between 0 and 1, and what is not known is `null`.
    #[must_use]
    pub fn to_json(&self, metrics: Option<&JobMetrics>) -> String {
        let mut json = Json(String::new());
        json.object(|json| {
            json.text("name", &self.name);
            json.number("records_in_flight_max", self.records_in_flight_max);
            if let Some(metrics) = metrics {
                let culprit = metrics.explain().culprit;
                json.maybe_text("held_up_by", culprit.as_ref().map(|culprit| &*culprit.stage));
            }
            json.list("operators", self.operators.iter().enumerate(), |json, (index, operator)| {
                json.text("name", &operator.name);
                json.text("kind", operator.kind);
                json.text("role", role(operator.role));
                json.number("stage", operator.stage);
                if let Some(counts) = metrics.and_then(|all| all.operators.get(index)) {
                    counted(json, counts);
                }
            });
            json.list("stages", self.stages.iter().enumerate(), |json, (index, stage)| {
                json.text("name", &stage.name);
                json.numbers("operators", &stage.operators);
                json.number("instances", stage.instances);
                if let Some(counts) = metrics.and_then(|all| all.stages.get(index)) {
                    spent(json, counts);
                }
            });
            json.list("edges", self.edges.iter().enumerate(), |json, (index, edge)| {
                json.text("name", &edge.name);
                json.numbers("producers", &edge.producers);
                json.number("consumer", edge.consumer);
                json.text("distribution", distribution(edge.distribution));
                json.text("when_full", &edge.when_full.to_string());
                json.text("order", &edge.order.to_string());
                json.number("channels", edge.channels);
                json.number("capacity_records", edge.capacity_records);
                json.number("batch_records", edge.batch_records);
                if let Some(counts) = metrics.and_then(|all| all.edges.get(index)) {
                    carried(json, counts);
                }
            });
        });
        json.0
    }

    /// What is worth knowing of an operator at a glance.
    pub(super) fn operator_note(metrics: Option<&JobMetrics>, index: usize) -> String {
        let counts = metrics.and_then(|metrics| metrics.operators.get(index));
        let shown = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
        counts.map_or_else(String::new, |one| match one.role {
            Role::Source => format!(" ({} out)", shown(one.records_out)),
            Role::Sink => format!(" ({} in)", shown(one.records_out)),
            Role::Operator if one.records_in.is_none() => String::new(),
            Role::Operator => format!(" ({} → {})", shown(one.records_in), shown(one.records_out)),
        })
    }

    /// What is worth knowing of a stage at a glance.
    pub(super) fn stage_note(metrics: Option<&JobMetrics>, index: usize) -> String {
        let counts = metrics.and_then(|metrics| metrics.stages.get(index));
        counts.map_or_else(String::new, |stage| {
            let [busy, idle, blocked] = stage.ratios().map(|share| share * 100.0);
            format!("{busy:.0} % busy, {idle:.0} % idle, {blocked:.0} % blocked")
        })
    }

    /// What is worth knowing of an edge at a glance.
    pub(super) fn edge_note(metrics: Option<&JobMetrics>, index: usize) -> String {
        let counts = metrics.and_then(|metrics| metrics.edges.get(index));
        counts.map_or_else(String::new, |edge| format!("{} of {}", edge.depth, edge.capacity))
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Operator => "operator",
        Role::Sink => "sink",
    }
}

const fn distribution(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Forward => "forward",
        Distribution::Rebalance => "rebalance",
        Distribution::Key => "key",
    }
}

fn counted(json: &mut Json, counts: &OperatorMetrics) {
    json.maybe("records_in", counts.records_in);
    json.maybe("records_out", counts.records_out);
    json.number("filtered", counts.filtered);
    json.number("errors", counts.errors);
    json.number("retries", counts.retries);
    dropped(json, &counts.dropped);
}

fn dropped(json: &mut Json, drops: &Drops) {
    json.key("dropped");
    json.object(|json| {
        for (reason, records) in drops.iter() {
            json.number(reason.label(), records);
        }
    });
}

fn spent(json: &mut Json, counts: &StageMetrics) {
    let [busy, idle, blocked] = counts.ratios();
    json.number("started", counts.started);
    json.number("finished", counts.finished);
    json.number("failed", counts.failed);
    json.number("records_in", counts.records_in);
    json.number("busy_ratio", busy);
    json.number("idle_ratio", idle);
    json.number("blocked_ratio", blocked);
    json.number("stalled_seconds", counts.stalled().as_secs_f64());
    json.maybe("watermark_milliseconds", counts.watermark.map(|watermark| watermark.as_millis()));
    json.maybe("watermark_lag_seconds", counts.lag.map(|lag| lag.as_secs_f64()));
}

fn carried(json: &mut Json, counts: &EdgeMetrics) {
    json.number("sent", counts.sent);
    json.number("received", counts.received);
    dropped(json, &counts.dropped);
    json.number("depth", counts.depth);
    json.number("mean_depth", counts.mean_depth);
    json.number("capacity", counts.capacity);
    json.number("utilisation_ratio", counts.utilisation());
    json.number("blocked", counts.blocked);
    json.number("blocked_seconds", counts.blocked_for.as_secs_f64());
    let queueing = |share| counts.queueing.quantile(share).map(|time| time.as_secs_f64());
    json.maybe("queueing_seconds_median", queueing(0.5));
    json.maybe("queueing_seconds_99th_percentile", queueing(0.99));
    let held_by = counts.held_by.as_ref().filter(|_| counts.producers.len() > 1);
    json.maybe_text("watermark_held_by", held_by.map(|(producer, _)| &**producer));
}

/// Writes JSON. Writing to a string can't fail.
struct Json(String);

impl Json {
    fn key(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.string(name);
        self.0.push(':');
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                control if control.is_control() => {
                    write!(self.0, "\\u{:04x}", u32::from(control)).ok();
                }
                plain => self.0.push(plain),
            }
        }
        self.0.push('"');
    }

    fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.0.push('{');
        fill(self);
        self.0.push('}');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.key(name);
        self.string(text);
    }

    fn maybe_text(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.number(name, "null"),
        }
    }

    /// Numbers here are finite.
    fn number(&mut self, name: &str, number: impl std::fmt::Display) {
        self.key(name);
        write!(self.0, "{number}").ok();
    }

    fn maybe(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.number(name, "null"),
        }
    }

    fn numbers(&mut self, name: &str, numbers: &[usize]) {
        let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
        self.number(name, format_args!("[{}]", numbers.join(",")));
    }

    fn list<I>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = I>,
        mut fill: impl FnMut(&mut Self, I),
    ) {
        self.key(name);
        self.0.push('[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.object(|json| fill(json, item));
        }
        self.0.push(']');
    }
}
