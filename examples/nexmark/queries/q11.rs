//! Query 11, user sessions: how many bids somebody made in each session.
//!
//! ```sql
//! SELECT bidder, COUNT(*) AS bid_count, SESSION_START(…) AS starttime, SESSION_END(…) AS endtime
//! FROM bid
//! GROUP BY bidder, SESSION(dateTime, 10 SECONDS)
//! ```
//!
//! A session begins with its first bid and ends ten seconds behind its last. A bid exactly ten
//! seconds behind the last begins another.

use millstream::prelude::*;
use serde::Serialize;

use super::time::SECOND;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    bidder: u64,
    bid_count: u64,
    starttime: i64,
    endtime: i64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.bidder)
        .parallel(instances)
        .window(Session::with_gap(10 * SECOND))
        .count()
        .map(|session| Row {
            bidder: session.key,
            bid_count: session.value,
            starttime: session.window.start.as_millis(),
            endtime: session.window.end.as_millis(),
        })
}
