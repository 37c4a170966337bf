//! Query 3, local item suggestion: who sells in Oregon, Idaho or California in category 10, and
//! what.
//!
//! ```sql
//! SELECT P.name, P.city, P.state, A.id
//! FROM auction A JOIN person P ON A.seller = P.id
//! WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')
//! ```
//!
//! A seller may register behind the auction. Nothing says when either is over, so both are kept for
//! ever.

use millstream::prelude::*;
use serde::Serialize;

use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Row {
    name: String,
    city: String,
    state: String,
    id: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    // Most events are bids: they need not travel.
    let (people, others) = events.filter(|event| !event.is_bid()).split(Event::is_person);
    let people = people
        .filter_map(Event::person)
        .filter(|person| ["OR", "ID", "CA"].contains(&person.state.as_str()));
    let auctions = others.filter_map(Event::auction).filter(|auction| auction.category == 10);
    people
        .key_by(|person| person.id)
        .parallel(instances)
        .join(auctions.key_by(|auction| auction.seller))
        .keep_all()
        .running(|sides| match sides {
            EitherOrBoth::Both(person, auction) => Some(Row {
                name: person.name.clone(),
                city: person.city.clone(),
                state: person.state.clone(),
                id: auction.id,
            }),
            _ => None,
        })
        .flatten_optional()
}
