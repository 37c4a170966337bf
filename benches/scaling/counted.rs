//! What counting costs: that of every run, and that by operator which a run may ask for.

use millstream::prelude::*;

use crate::cases::flow_of;
use crate::curve::{Aim, Curve, Size};
use crate::scratch::Scratch;
use crate::timed::nanoseconds;

const CHAIN: Size = Size(0, "a chain of ten steps");
const EDGE: Size = Size(1, "an edge with nothing to do");

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "counted-chain",
        question: "How many times longer does a chain take in a run that counts, as all do, than \
                   in one of a build that can't?",
        x: "",
        y: "times",
        aim: Aim::AtMost { aim: 1.01, must: Some(1.02) },
        points: &[CHAIN],
        measure: by_stage,
    },
    Curve {
        name: "counted-edge",
        question: "And an edge?",
        x: "",
        y: "times",
        aim: Aim::AtMost { aim: 1.02, must: Some(1.1) },
        points: &[EDGE],
        measure: by_stage,
    },
    Curve {
        name: "counted-by-operator",
        question: "How many times longer does a run take that counts by operator, too?",
        x: "",
        y: "times",
        aim: Aim::Shown,
        points: &[CHAIN, EDGE],
        measure: |case| {
            let counted = JobOptions::default().with_operator_counts(true);
            median_ratio(|| {
                let plain = nanoseconds(&flow_of(case), JobOptions::default());
                Ok(nanoseconds(&flow_of(case), counted.clone()) / plain)
            })
        },
    },
];

/// Of seven turns, because a ratio near one drowns in what else the machine does.
fn median_ratio(mut ratio: impl FnMut() -> Result<f64, String>) -> Result<f64, String> {
    let mut ratios = (0..7).map(|_| ratio()).collect::<Result<Vec<_>, _>>()?;
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().ok_or_else(|| "no turn".into())
}

/// Runs one of the cases and prints how many nanoseconds it took.
const PROGRAM: &str = r#"
mod cases;
mod ten_steps;
mod timed;

fn main() {
    let case = std::env::args().nth(1).and_then(|case| case.parse().ok()).unwrap_or(0);
    println!("{}", timed::nanoseconds(&cases::flow_of(case), Default::default()));
}
"#;

/// Two builds are laid out differently. With loops that begin where they please, the same number of
/// instructions has taken 7 % less and 12 % more time than without the counters.
const ALIGNED: &str = "-C llvm-args=--align-all-nofallthru-blocks=6";
const ALIGNED_UNCOUNTED: &str =
    "-C llvm-args=--align-all-nofallthru-blocks=6 --cfg millstream_uncounted";

fn by_stage(case: u64) -> Result<f64, String> {
    let build = |name, flags| {
        let scratch = Scratch::new(name, flags, PROGRAM)?;
        scratch.write("cases.rs", include_str!("cases.rs"))?;
        scratch.write("ten_steps.rs", include_str!("../support/ten_steps.rs"))?;
        scratch.write("timed.rs", include_str!("timed.rs"))?;
        scratch.build()?;
        Ok::<_, String>(scratch)
    };
    let counting = build("counting", ALIGNED)?;
    let uncounted = build("uncounted", ALIGNED_UNCOUNTED)?;
    let case = case.to_string();
    let run = |scratch: &Scratch| {
        let said = scratch.run(&case)?;
        said.trim().parse::<f64>().map_err(|error| format!("{said:?}: {error}"))
    };
    median_ratio(|| Ok(run(&counting)? / run(&uncounted)?))
}
