//! Query 4, average price for a category: what auctions were sold for, on average.
//!
//! ```sql
//! SELECT category AS id, AVG(final) AS final
//! FROM (
//!     SELECT MAX(B.price) AS final, A.category
//!     FROM auction A, bid B
//!     WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
//!     GROUP BY A.id, A.category
//! )
//! GROUP BY category
//! ```
//!
//! The average is a whole number, as that of `BIGINT`s is: what is behind the point is cut off.

use millstream::prelude::*;
use serde::Serialize;

use super::mean::whole_mean;
use super::winning::{Won, winning_bids};
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    id: u64,
    #[serde(rename = "final")]
    price: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    winning_bids(events, instances)
        .key_by(|won| won.auction.category)
        .parallel(instances)
        .aggregate(whole_mean(|won: &Won| won.bid.price))
        .map(|(id, price)| Row { id, price })
}
