//! What has become of a run, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use millstream::prelude::*;

use crate::frontier::Address;

pub(crate) struct Outcome {
    pub(crate) titles: BTreeMap<Address, String>,
    pub(crate) failures: Vec<DeadLetter<Address>>,
    /// Addresses that were left when it was stopped.
    pub(crate) unvisited: usize,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(crate) fn show(&self) {
        let Self { titles, failures, unvisited, elapsed } = self;
        let mut reasons = BTreeMap::<String, (usize, &Address)>::new();
        for failure in failures {
            reasons.entry(failure.error.to_string()).or_insert((0, &failure.original)).0 += 1;
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["failed", "pages", "such as"]);
        for (reason, (pages, address)) in reasons {
            table.add_row([reason, pages.to_string(), address.to_string()]);
        }
        let (titles, failures) = (titles.len(), failures.len());
        println!("{table}\n{titles} titles, {failures} failures, {unvisited} pages left,");
        println!("in {elapsed:.1?}");
    }
}
