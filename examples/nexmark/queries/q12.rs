//! Query 12, processing time windows: how many bids somebody made in each ten seconds by the clock.
//!
//! ```sql
//! SELECT bidder, COUNT(*) AS bid_count, window_start AS starttime, window_end AS endtime
//! FROM TUMBLE(bid, PROCTIME(), 10 SECONDS)
//! GROUP BY bidder, window_start, window_end
//! ```
//!
//! The windows go by the clock of the job, whatever that is, and don't look at `dateTime`.

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
        .window(Tumbling::of(10 * SECOND).by_processing_time())
        .count()
        .map(|told| Row {
            bidder: told.key,
            bid_count: told.value,
            starttime: told.window.start.as_millis(),
            endtime: told.window.end.as_millis(),
        })
}
