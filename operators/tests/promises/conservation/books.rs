//! The books of a run that is over: of every record it is known where it has gone.

use std::collections::BTreeMap;

use millstream_engine::graph::Role;
use millstream_engine::metrics::{EdgeMetrics, JobMetrics, OperatorMetrics};

/// How a run has ended, as far as its books are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Everything has come to its end. If not, what was stopped held something in hand.
    pub(crate) complete: bool,
    /// Somebody may have had enough before the end.
    pub(crate) cut: bool,
    /// Nothing went down while it was counting.
    pub(crate) counted: bool,
}

/// Words of which each record comes out, once, or is dropped for a reason.
const ONE_FOR_ONE: &[&str] = &[
    "map",
    "inspect",
    "log",
    "scan",
    "zip_with_index",
    "zip_with_next",
    "zip_with_previous",
    "sort",
    "map_batches",
    "elapsed",
    "timestamp",
    "delay",
    "initial_delay",
    "throttle",
    "throttle_or_fail",
    "throttle_by_key_or_drop",
    "limited_by",
    "batch_min",
    "debounce",
    "sample",
    "audit",
    "sample_first",
    "idle_timeout",
    "initial_timeout",
    "completion_timeout",
    "pause_when",
    "kill_switch",
    "finally",
    "map_async",
    "map_async_unordered",
    "map_async_keyed",
    "map_async_keyed_unordered",
    "map_blocking",
    "lookup_async",
    "scan_async",
    "try_map",
    "try_map_async",
    "sample_every",
    "sample_ratio",
    "sample_by_key",
    "limit",
    "process_with_side",
];

const PARTS: &[&str] = &["values", "errors"];

/// Sees to it that the books balance.
pub(crate) fn check(metrics: &JobMetrics, ended: Ended) {
    for edge in &metrics.edges {
        check_edge(metrics, edge, ended);
    }
    for index in 0..metrics.stages.len() {
        check_stage(metrics, index, ended);
    }
}

fn check_edge(metrics: &JobMetrics, edge: &EdgeMetrics, ended: Ended) {
    assert_eq!(edge.depth, 0, "{}", edge.name);
    let accounted = edge.received + edge.dropped.total();
    assert!(accounted <= edge.sent, "{}", edge.name);
    let handled = metrics.stages[edge.consumer].records_in;
    assert!(handled <= edge.received, "{}: {handled} of {}", edge.name, edge.received);
    if ended.complete && !ended.cut {
        assert_eq!(accounted, edge.sent, "{}", edge.name);
        assert_eq!(handled, edge.received, "{}", edge.name);
    }
}

fn check_stage(metrics: &JobMetrics, index: usize, ended: Ended) {
    let stage = &metrics.stages[index];
    let operators = metrics.operators.iter().filter(|one| one.stage == index);
    let operators: Vec<&OperatorMetrics> = operators.collect();
    let mut flowing = stage.records_in;
    for one in &operators {
        assert_eq!(one.records_in, Some(flowing), "{}", one.name);
        if one.role != Role::Sink {
            // Never more filtered than there was, or the sum below would wrap.
            assert!(flowing + one.added >= one.filtered, "{}", one.name);
            let out = flowing + one.added - one.filtered;
            assert_eq!(one.records_out, Some(out), "{}", one.name);
            if ended.complete && !ended.cut {
                check_word(metrics, one, flowing, out);
            }
            flowing = out;
        }
    }
    // Side outputs get what their operator gives them, which isn't what comes out of the stage, and
    // count what they didn't want as the stage's.
    let side = |edge: &&EdgeMetrics| is(metrics, edge, "side");
    let outputs = metrics.edges.iter().filter(|edge| edge.producers.contains(&index));
    let (sides, outputs): (Vec<_>, Vec<_>) = outputs.partition(side);
    let range = |most: u64| (if sides.is_empty() { most } else { most - stage.cancelled })..=most;
    let last = operators.last().unwrap();
    if last.role == Role::Sink {
        let gone = last.records_out.unwrap() + stage.cancelled;
        balance(&stage.name, flowing, range(gone), ended);
        return;
    }
    if outputs.iter().any(|edge| edge.producers.len() > 1) {
        // Others send to it as well: the sum over all of them is what counts.
        check_meeting(metrics, outputs[0], ended);
        return;
    }
    let sent = outputs.iter().map(|edge| edge.sent).sum::<u64>();
    let least = sent + stage.cancelled;
    if outputs.iter().any(|edge| is(metrics, edge, "part")) {
        balance(&stage.name, flowing, range(least), ended);
    } else {
        // What nobody wanted before the branches part counts once, and behind it for each.
        let copies = outputs.len().max(1) as u64;
        let most = least + stage.cancelled * (copies - 1);
        balance(&stage.name, flowing * copies, *range(least).start()..=most, ended);
    }
}

/// Where the stages that send to an edge send only there, all of them together.
fn check_meeting(metrics: &JobMetrics, edge: &EdgeMetrics, ended: Ended) {
    let mut given = BTreeMap::new();
    for &stage in &edge.producers {
        let last = metrics.operators.iter().rfind(|one| one.stage == stage).unwrap();
        given.insert(stage, last.records_out.unwrap());
    }
    let cancelled: u64 = given.keys().map(|stage| metrics.stages[*stage].cancelled).sum();
    let sides = metrics.edges.iter().filter(|edge| is(metrics, edge, "side"));
    let has_sides = |stage| sides.clone().any(|edge| edge.producers.contains(stage));
    let beside = given.keys().filter(|stage| has_sides(stage));
    let beside: u64 = beside.map(|stage| metrics.stages[*stage].cancelled).sum();
    let gone = edge.sent + cancelled;
    balance(&edge.name, given.values().sum(), gone - beside..=gone, ended);
}

/// What a word has let go of, it says why.
fn check_word(metrics: &JobMetrics, one: &OperatorMetrics, taken: u64, given: u64) {
    if let Some(number) = one.name.strip_prefix("section-") {
        // It answers for the operators in it.
        let tried = format!("tried-{number}");
        let tried = metrics.operators.iter().find(|one| one.name == tried).unwrap();
        assert_eq!(one.dropped.total(), tried.filtered, "{}", one.name);
    } else if ONE_FOR_ONE.contains(&one.kind) && !one.name.starts_with("tried-") {
        assert_eq!(taken, given + one.dropped.total(), "{}: {:?}", one.name, one.dropped);
    }
}

fn balance(name: &str, out: u64, gone: std::ops::RangeInclusive<u64>, ended: Ended) {
    if ended.complete {
        assert!(gone.contains(&out), "{name}: {out} of {gone:?}");
    } else if ended.counted {
        assert!(out >= *gone.start(), "{name}: {out} went out, {gone:?} arrived");
    }
}

/// What the stage behind an edge was said to be to the one before.
fn is(metrics: &JobMetrics, edge: &EdgeMetrics, what: &str) -> bool {
    let mut behind = metrics.operators.iter().filter(|one| one.stage == edge.consumer);
    let named = behind.next().is_some_and(|first| first.name.starts_with(what));
    // `flatten_result` has its own operators there.
    let parts = what == "part" && behind.next().is_some_and(|one| PARTS.contains(&one.kind));
    named || parts
}
