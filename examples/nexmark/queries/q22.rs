//! Query 22, folders of an address: the three parts of the path of a channel.
//!
//! ```sql
//! SELECT auction, bidder, price, channel,
//!     SPLIT_INDEX(url, '/', 3) AS dir1,
//!     SPLIT_INDEX(url, '/', 4) AS dir2,
//!     SPLIT_INDEX(url, '/', 5) AS dir3
//! FROM bid
//! ```

use millstream::prelude::*;
use serde::Serialize;

use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    dir1: Option<String>,
    dir2: Option<String>,
    dir3: Option<String>,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events.filter_map(Event::bid).map(|bid| {
        let mut parts = bid.url.split('/').skip(3).map(str::to_owned);
        let [dir1, dir2, dir3] = [(); 3].map(|()| parts.next());
        drop(parts);
        let Bid { auction, bidder, price, channel, .. } = bid;
        Row { auction, bidder, price, channel, dir1, dir2, dir3 }
    })
}
