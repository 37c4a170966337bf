//! Query 3, local item suggestion: who sells in Oregon, Idaho or California in category 10, and
//! what. Either may come first.

use hashbrown::HashMap;

use super::stateful::Query;
use crate::model::{Event, Person};

/// By the person's id: who it is, and the auctions.
#[derive(Default)]
pub(super) struct Suggestions {
    people: HashMap<u64, Person>,
    auctions: HashMap<u64, Vec<u64>>,
}

fn row(person: &Person, auction: u64) -> <Suggestions as Query>::Row {
    (person.name.clone(), person.city.clone(), person.state.clone(), auction)
}

impl Query for Suggestions {
    /// Name, city and state of the person, and the auction.
    type Row = (String, String, String, u64);

    fn take(&mut self, event: Event, tell: &mut impl FnMut(Self::Row)) {
        match event {
            Event::Person(person) if ["OR", "ID", "CA"].contains(&person.state.as_str()) => {
                let auctions = self.auctions.get(&person.id).into_iter().flatten();
                auctions.for_each(|auction| tell(row(&person, *auction)));
                self.people.insert(person.id, *person);
            }
            Event::Auction(auction) if auction.category == 10 => {
                if let Some(person) = self.people.get(&auction.seller) {
                    tell(row(person, auction.id));
                }
                self.auctions.entry(auction.seller).or_default().push(auction.id);
            }
            _ => {}
        }
    }

    /// Nothing ends: both sides are kept for ever.
    fn close(&mut self, _: i64, _: &mut impl FnMut(Self::Row)) {}
}
