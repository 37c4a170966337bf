//! A graph as a picture: DOT for Graphviz, Mermaid for Markdown.

use std::fmt::Write as _;

use super::{Distribution, GraphView, Role};
use crate::metrics::JobMetrics;

impl GraphView {
    /// The graph in Graphviz' DOT language: operators as nodes, stages as boxes around them.
    #[must_use]
    pub fn to_dot(&self) -> String {
        self.dot(None)
    }

    /// As [`to_dot`](GraphView::to_dot), with the numbers of a job of it: what went in and out of
    /// each operator, how each stage spends its time, how full each edge is.
    #[must_use]
    pub fn to_dot_with(&self, metrics: &JobMetrics) -> String {
        self.dot(Some(metrics))
    }

    fn dot(&self, metrics: Option<&JobMetrics>) -> String {
        let mut dot = String::new();
        // Writing to a string can't fail.
        let mut line = |text: std::fmt::Arguments<'_>| {
            dot.write_fmt(text).ok();
            dot.push('\n');
        };
        line(format_args!("digraph \"{}\" {{", escape(&self.name)));
        line(format_args!("  rankdir=LR;\n  node [shape=box, style=rounded];"));
        for (index, stage) in self.stages.iter().enumerate() {
            line(format_args!("  subgraph cluster_{index} {{"));
            let title = title(stage.instances, &Self::stage_note(metrics, index));
            line(format_args!("    label=\"{title}\";"));
            for &operator in &stage.operators {
                let Some(node) = self.operators.get(operator) else {
                    continue;
                };
                let shape = match node.role {
                    Role::Source => ", shape=cds",
                    Role::Sink => ", shape=cylinder",
                    Role::Operator => "",
                };
                let (name, note) = (escape(&node.name), Self::operator_note(metrics, operator));
                line(format_args!("    o{operator} [label=\"{name}{note}\"{shape}];"));
            }
            line(format_args!("  }}"));
            for (from, to) in stage.operators.iter().zip(stage.operators.iter().skip(1)) {
                line(format_args!("  o{from} -> o{to};"));
            }
        }
        for (from, to, label) in self.arrows(metrics) {
            line(format_args!("  o{from} -> o{to} [label=\"{label}\", style=bold];"));
        }
        dot.push_str("}\n");
        dot
    }

    /// The graph as a Mermaid flowchart, which Markdown viewers draw.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        self.mermaid(None)
    }

    /// As [`to_mermaid`](GraphView::to_mermaid), with the numbers of a job of it.
    #[must_use]
    pub fn to_mermaid_with(&self, metrics: &JobMetrics) -> String {
        self.mermaid(Some(metrics))
    }

    fn mermaid(&self, metrics: Option<&JobMetrics>) -> String {
        let mut chart = String::from("flowchart LR\n");
        let mut line = |text: std::fmt::Arguments<'_>| {
            chart.write_fmt(text).ok();
            chart.push('\n');
        };
        for (index, stage) in self.stages.iter().enumerate() {
            // Mermaid can't read an empty title.
            let mut title = title(stage.instances, &Self::stage_note(metrics, index));
            if title.is_empty() {
                title.push(' ');
            }
            line(format_args!("  subgraph s{index} [\"{title}\"]"));
            for &operator in &stage.operators {
                let Some(node) = self.operators.get(operator) else {
                    continue;
                };
                let (open, close) = match node.role {
                    Role::Source => ("([", "])"),
                    Role::Sink => ("[(", ")]"),
                    Role::Operator => ("[", "]"),
                };
                let name = node.name.replace('"', "#quot;");
                let note = Self::operator_note(metrics, operator);
                line(format_args!("    o{operator}{open}\"{name}{note}\"{close}"));
            }
            for (from, to) in stage.operators.iter().zip(stage.operators.iter().skip(1)) {
                line(format_args!("    o{from} --> o{to}"));
            }
            line(format_args!("  end"));
        }
        for (from, to, label) in self.arrows(metrics) {
            let arrow = match (&*label, metrics) {
                ("", _) => String::new(),
                (label, None) => format!("|{label}|"),
                (label, Some(_)) => format!("|\"{label}\"|"),
            };
            line(format_args!("  o{from} ==>{arrow} o{to}"));
        }
        chart
    }

    /// Each edge, from operator to operator, with what is worth saying about it.
    fn arrows<'a>(
        &'a self,
        metrics: Option<&'a JobMetrics>,
    ) -> impl Iterator<Item = (usize, usize, String)> + 'a {
        self.edges.iter().enumerate().flat_map(move |(index, edge)| {
            let label = match edge.distribution {
                Distribution::Forward => "",
                Distribution::Rebalance => "rebalance",
                Distribution::Key => "by key",
            };
            let label = titled(label, &Self::edge_note(metrics, index));
            let consumer = self.stages.get(edge.consumer);
            let to = consumer.and_then(|stage| stage.operators.first().copied());
            let producers = edge.producers.iter();
            producers.filter_map(move |&from| to.map(|to| (from, to, label.clone())))
        })
    }
}

fn escape(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

fn title(instances: usize, note: &str) -> String {
    let several = if instances == 1 { String::new() } else { format!("{instances} instances") };
    titled(&several, note)
}

fn titled(title: &str, note: &str) -> String {
    match (title, note) {
        ("", note) => note.to_owned(),
        (title, "") => title.to_owned(),
        (title, note) => format!("{title}: {note}"),
    }
}
