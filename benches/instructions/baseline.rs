//! What the hot paths cost when the baseline was written, and what to say of a count beside it.
//! Tested in `tests/baseline.rs` of the root: this package has no tests of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much more a path may take than it did, in per cent.
pub(crate) const MOST: f64 = 5.0;

const RENEW: &str = "cargo bench -p millstream-benches --bench instructions -- --renew";

/// Counts, and what was compiled with: another compiler makes other instructions of the same code.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) compiler: String,
    /// By path, for each record.
    pub(crate) instructions: BTreeMap<String, f64>,
}

impl Baseline {
    /// Forgets the paths for which `keep` does not hold.
    pub(crate) fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.instructions.retain(|name, _| keep(name));
    }

    /// With other counts of some paths.
    ///
    /// # Errors
    ///
    /// If they come from another compiler, so that all have to be counted.
    pub(crate) fn with(mut self, newer: Self) -> Result<Self, String> {
        if self.compiler != newer.compiler {
            let Self { compiler, .. } = self;
            return Err(format!("the baseline is of {compiler}: renew all of it, with {RENEW}"));
        }
        self.instructions.extend(newer.instructions);
        Ok(self)
    }
}

/// A count beside the baseline.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// A line for each path.
    pub(crate) table: Vec<String>,
    /// What is worth knowing.
    pub(crate) notes: Vec<String>,
    /// What fails a build: a sentence each.
    pub(crate) faults: Vec<String>,
}

impl Comparison {
    /// Only more instructions from the same compiler are a fault. After a change of the compiler
    /// nobody can tell what is whose doing: then the table is shown, and that is all.
    pub(crate) fn of(baseline: &Baseline, counted: &Baseline) -> Self {
        let head = format!("{:<24} {:>10} {:>10}", "", "baseline", "now");
        let mut told = Self { table: vec![head], notes: Vec::new(), faults: Vec::new() };
        for (name, now) in &counted.instructions {
            told.path(name, baseline.instructions.get(name).copied(), *now);
        }
        let gone = baseline.instructions.keys();
        for name in gone.filter(|name| !counted.instructions.contains_key(*name)) {
            told.faults.push(format!("`{name}` is in the baseline and no path: {RENEW}"));
        }
        if baseline.compiler != counted.compiler {
            let faults = std::mem::take(&mut told.faults);
            told.notes.splice(0..0, faults);
            told.notes.push(format!(
                "The baseline is of another compiler, so no difference fails the build: it may be \
                 the compiler's doing.\nbaseline: {}\nhere:     {}\nA baseline of this one comes \
                 of `{RENEW}`, best from a commit that is known to be good.",
                baseline.compiler, counted.compiler
            ));
        }
        told
    }

    fn path(&mut self, name: &str, before: Option<f64>, now: f64) {
        let Some(before) = before else {
            self.table.push(format!("{name:<24} {:>10} {now:>10.2}", ""));
            self.faults.push(format!("`{name}` has no baseline yet: {RENEW} {name}"));
            return;
        };
        // As it is told: nobody is refused for 5.0 %.
        let change = ((now / before - 1.0) * 1_000.0).round() / 10.0;
        self.table.push(format!("{name:<24} {before:>10.2} {now:>10.2} {change:>+7.1}%"));
        if change > MOST {
            self.faults.push(format!(
                "`{name}` takes {now:.2} instructions a record. That is {change:.1} % more than \
                 the {before:.2} of the baseline, and at most {MOST} % are allowed. Make it \
                 cheaper, or renew the baseline with `{RENEW} {name}` and say in the commit what \
                 it is worth."
            ));
        } else if change < -MOST {
            self.notes.push(format!(
                "`{name}` takes {:.1} % less than the baseline says. To hold that: {RENEW} {name}",
                -change
            ));
        }
    }
}
