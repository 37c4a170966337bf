//! Query 7, highest bid: the highest bids of each ten seconds. A bid at the very end of a window is
//! compared with its highest price, too, though it lies in the next.

use std::collections::BTreeMap;

use super::stateful::Query;
use crate::model::{Bid, Event};

const SIZE: i64 = 10_000;

#[derive(Default)]
pub(super) struct HighestBids {
    /// By the window's end.
    windows: BTreeMap<i64, Window>,
    /// End and highest price of the window that was closed last.
    before: Option<(i64, u64)>,
}

#[derive(Default)]
struct Window {
    highest: Vec<Bid>,
    /// Those of its first millisecond.
    first: Vec<Bid>,
}

fn row(bid: Bid) -> <HighestBids as Query>::Row {
    (bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra)
}

impl Query for HighestBids {
    /// Auction, bidder, price, time and what else the bid says.
    type Row = (u64, u64, u64, i64, String);

    fn take(&mut self, event: Event, _: &mut impl FnMut(Self::Row)) {
        let Some(bid) = event.bid() else { return };
        let start = bid.date_time.div_euclid(SIZE) * SIZE;
        let window = self.windows.entry(start + SIZE).or_default();
        if bid.date_time == start {
            window.first.push(bid.clone());
        }
        let price = window.highest.first().map_or(0, |highest| highest.price);
        if bid.price > price {
            window.highest.clear();
        }
        if bid.price >= price {
            window.highest.push(bid);
        }
    }

    fn close(&mut self, time: i64, tell: &mut impl FnMut(Self::Row)) {
        while let Some(window) = self.windows.first_entry()
            && *window.key() <= time
        {
            let (end, Window { highest, first }) = window.remove_entry();
            let before = self.before.filter(|(before, _)| *before == end - SIZE);
            let price = highest.first().map_or(0, |bid| bid.price);
            highest.into_iter().for_each(|bid| tell(row(bid)));
            let at_its_end =
                first.into_iter().filter(|bid| before == Some((end - SIZE, bid.price)));
            at_its_end.for_each(|bid| tell(row(bid)));
            self.before = Some((end, price));
        }
    }
}
