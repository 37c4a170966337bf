//! Query 8, new users: who registered and sold something in the same ten seconds.
//!
//! ```sql
//! SELECT P.id, P.name, P.starttime AS stime
//! FROM (
//!     SELECT id, name, window_start AS starttime, window_end AS endtime
//!     FROM TUMBLE(person, dateTime, 10 SECONDS)
//!     GROUP BY id, name, window_start, window_end
//! ) P JOIN (
//!     SELECT seller, window_start AS starttime, window_end AS endtime
//!     FROM TUMBLE(auction, dateTime, 10 SECONDS)
//!     GROUP BY seller, window_start, window_end
//! ) A ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime
//! ```

use millstream::prelude::*;
use serde::Serialize;

use super::time::SECOND;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Row {
    id: u64,
    name: String,
    stime: i64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    // Most events are bids: they need not travel.
    let (people, others) = events.filter(|event| !event.is_bid()).split(Event::is_person);
    let auctions = others.filter_map(Event::auction);
    people
        .filter_map(Event::person)
        .key_by(|person| person.id)
        .parallel(instances)
        .cogroup(auctions.key_by(|auction| auction.seller), Tumbling::of(10 * SECOND))
        .aggregate(First, Count)
        .filter_map(|told| {
            let (person, auctions) = told.value;
            let person = person.filter(|_| auctions > 0)?;
            Some(Row { id: person.id, name: person.name, stime: told.window.start.as_millis() })
        })
}
