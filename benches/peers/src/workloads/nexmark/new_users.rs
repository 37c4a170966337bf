//! Query 8, new users: who registered and sold something in the same ten seconds.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::stateful::Query;
use crate::model::Event;

const SIZE: i64 = 10_000;

/// By the window's end.
#[derive(Default)]
pub(super) struct NewUsers(BTreeMap<i64, Window>);

#[derive(Default)]
struct Window {
    names: HashMap<u64, String>,
    sellers: HashSet<u64>,
}

impl NewUsers {
    fn window(&mut self, time: i64) -> &mut Window {
        self.0.entry(time.div_euclid(SIZE) * SIZE + SIZE).or_default()
    }
}

impl Query for NewUsers {
    /// The person's id and name, and where the window starts.
    type Row = (u64, String, i64);

    fn take(&mut self, event: Event, _: &mut impl FnMut(Self::Row)) {
        match event {
            Event::Person(person) => {
                self.window(person.date_time).names.insert(person.id, person.name);
            }
            Event::Auction(auction) => {
                self.window(auction.date_time).sellers.insert(auction.seller);
            }
            Event::Bid(_) => {}
        }
    }

    fn close(&mut self, time: i64, tell: &mut impl FnMut(Self::Row)) {
        while let Some(window) = self.0.first_entry()
            && *window.key() <= time
        {
            let (end, Window { names, sellers }) = window.remove_entry();
            let new = names.into_iter().filter(|(id, _)| sellers.contains(id));
            new.for_each(|(id, name)| tell((id, name, end - SIZE)));
        }
    }
}
