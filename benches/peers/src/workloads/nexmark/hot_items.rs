//! Query 5, hot items: the auctions with the most bids in the last ten seconds, every two seconds.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::stateful::Query;
use crate::model::Event;

const SIZE: i64 = 10_000;
const SLIDE: i64 = 2_000;

/// The bids for each auction in each window, by the window's end.
#[derive(Default)]
pub(super) struct HotItems(BTreeMap<i64, HashMap<u64, u64>>);

impl Query for HotItems {
    /// The auction, and how many bids it has.
    type Row = (u64, u64);

    fn take(&mut self, event: Event, _: &mut impl FnMut(Self::Row)) {
        let Some(bid) = event.bid() else { return };
        let first = bid.date_time.div_euclid(SLIDE) * SLIDE + SLIDE;
        for end in (first..first + SIZE).step_by(SLIDE as usize) {
            *self.0.entry(end).or_default().entry(bid.auction).or_default() += 1;
        }
    }

    fn close(&mut self, time: i64, tell: &mut impl FnMut(Self::Row)) {
        while let Some(window) = self.0.first_entry()
            && *window.key() <= time
        {
            let counts = window.remove();
            let most = counts.values().copied().max().unwrap_or_default();
            counts.into_iter().filter(|(_, count)| *count == most).for_each(&mut *tell);
        }
    }
}
