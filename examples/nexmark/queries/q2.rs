//! Query 2, selection: what is bid for every 123rd auction.
//!
//! ```sql
//! SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0
//! ```

use millstream::prelude::*;
use serde::Serialize;

use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Row {
    auction: u64,
    price: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events
        .filter_map(Event::bid)
        .filter(|bid| bid.auction % 123 == 0)
        .map(|bid| Row { auction: bid.auction, price: bid.price })
}
