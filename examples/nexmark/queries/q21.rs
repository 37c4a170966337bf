//! Query 21, channel ids: the bids whose channel has an id, by its name or in its address.
//!
//! ```sql
//! SELECT auction, bidder, price, channel,
//!     CASE LOWER(channel)
//!         WHEN 'apple' THEN '0' WHEN 'google' THEN '1'
//!         WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
//!         ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2)
//!     END AS channel_id
//! FROM bid
//! WHERE channel_id IS NOT NULL
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
    channel_id: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events.filter_map(Event::bid).filter_map(|bid| {
        let channel_id = channel_id(&bid)?.to_owned();
        let Bid { auction, bidder, price, channel, .. } = bid;
        Some(Row { auction, bidder, price, channel, channel_id })
    })
}

fn channel_id(bid: &Bid) -> Option<&str> {
    match bid.channel.to_lowercase().as_str() {
        "apple" => Some("0"),
        "google" => Some("1"),
        "facebook" => Some("2"),
        "baidu" => Some("3"),
        // What the pattern finds stands behind an `&` or at the beginning.
        _ => bid.url.split('&').find_map(|part| part.strip_prefix("channel_id=")),
    }
}
