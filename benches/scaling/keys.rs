//! Keys: what a record costs, and how much memory a key takes, as they grow in number.

use std::sync::Mutex;

use millstream::prelude::*;
use millstream::runtime::Output;

use crate::curve::{Aim, Curve, Size};
use crate::memory::{peak, resident};
use crate::timed::nanoseconds;

const COUNTS: &[Size] =
    &[Size(100_000, "100,000"), Size(1_000_000, "1 million"), Size(10_000_000, "10 million")];
/// How often each key comes.
const TIMES: u64 = 4;

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "keys",
        question: "What does counting by key cost, each key four times, on one thread?",
        x: "keys",
        y: "ns of CPU time a record",
        // A table that is larger than the caches costs some misses for each record.
        aim: Aim::Flat(6.0),
        points: COUNTS,
        measure: |keys| {
            let (flow, _) = counting(keys);
            Ok(nanoseconds(&flow, JobOptions::default()) / (keys * TIMES) as f64)
        },
    },
    Curve {
        name: "key-memory",
        question: "How much memory does counting take, at its highest, for each key of 8 bytes?",
        x: "keys",
        y: "bytes a key",
        aim: Aim::Shown,
        points: COUNTS,
        measure: |keys| {
            let (flow, _) = counting(keys);
            let before = resident()?;
            nanoseconds(&flow, JobOptions::default());
            Ok((peak()? - before) / keys as f64)
        },
    },
    Curve {
        name: "key-memory-kept",
        question: "And when all keys have come, and the table grows no more?",
        x: "keys",
        y: "bytes a key",
        aim: Aim::Shown,
        points: COUNTS,
        measure: kept,
    },
];

/// No two keys are near each other when they come one after the other.
fn key(n: u64, keys: u64) -> u64 {
    // A prime, so that every key is met before one comes again.
    n.wrapping_mul(2_654_435_761) % keys
}

fn counting(keys: u64) -> (Dataflow, Output<u64>) {
    let flow = Dataflow::new("keys");
    let sum = flow
        .source("records", source::from_iter(0..keys * TIMES))
        .key_by(move |n| key(*n, keys))
        .count()
        .fold(0, |sum, (_, count)| *sum += count);
    (flow, sum)
}

/// Looks at the last record, when every key is kept and none has been told of.
fn kept(keys: u64) -> Result<f64, String> {
    static SEEN: Mutex<Option<Result<f64, String>>> = Mutex::new(None);
    let flow = Dataflow::new("keys");
    let last = keys * TIMES - 1;
    let _ = flow
        .source("records", source::from_iter(0..=last))
        .key_by(move |n| key(*n, keys))
        .running_count()
        .inspect({
            let mut records = 0;
            move |_| {
                if records == last
                    && let Ok(mut seen) = SEEN.lock()
                {
                    *seen = Some(resident());
                }
                records += 1;
            }
        })
        .fold(0, |sum: &mut u64, (_, count)| *sum += count);
    let before = resident()?;
    nanoseconds(&flow, JobOptions::default());
    let seen = SEEN.lock().map_err(|error| error.to_string())?.take();
    Ok((seen.ok_or("no last record was seen")?? - before) / keys as f64)
}
