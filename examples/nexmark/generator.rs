//! Events by the published model, from a seed: the same seed gives the same events everywhere.
//!
//! Of 50 events in a row the first is a person, three are auctions, and the others bids. Ids go up
//! by one, so what has been put up can be told from the number of an event alone. Half of the bids
//! are for a hot auction, the latest whose number ends in 00; three of four are by a hot bidder,
//! and three of four auctions are by a hot seller. The others fall on one of the last hundred
//! auctions or thousand people, or on one of the next ten, who will only come: they are announced
//! too early, as events in a real system are.
//!
//! Constants and distributions are those of the generator at <https://github.com/nexmark/nexmark>;
//! its [README](README.md) says where this one departs.

use millstream::random::Random;

use crate::model::{Auction, Bid, Event, Person};

/// Midnight of 15 July 2015, UTC.
pub(crate) const BASE_TIME: i64 = 1_436_918_400_000;

const PEOPLE: u64 = 1;
const AUCTIONS: u64 = 3;
const ROUND: u64 = 50;
const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// Auctions that bids are for, people who sell and bid, and how many of either only follow.
const OPEN_AUCTIONS: u64 = 100;
const ACTIVE_PEOPLE: u64 = 1000;
const LEAD: u64 = 10;
/// One auction, seller or bidder in so many is hot.
const HOT: u64 = 100;
const CHANNELS: u64 = 10_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
/// What an event is to be in bytes, on average.
const PERSON_BYTES: u64 = 200;
const AUCTION_BYTES: u64 = 500;
const BID_BYTES: u64 = 100;

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

/// The events, one after the other, in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    random: Random,
    seed: u64,
    /// Events in a second of event time.
    rate: f64,
    number: u64,
}

impl Generator {
    pub(crate) const fn new(seed: u64, rate: f64) -> Self {
        Self { random: Random::new(seed), seed, rate, number: 0 }
    }

    fn time_of(&self, number: u64) -> i64 {
        BASE_TIME + (number as f64 * 1000.0 / self.rate) as i64
    }

    /// The number, from zero, of the latest person.
    const fn last_person(&self) -> u64 {
        self.number / ROUND * PEOPLE
    }

    /// The number of the latest auction; none before the first.
    const fn last_auction(&self) -> Option<u64> {
        let (round, place) = (self.number / ROUND, self.number % ROUND);
        let so_far = place.saturating_sub(PEOPLE) + 1;
        match round * AUCTIONS + if place < PEOPLE { 0 } else { least(so_far, AUCTIONS) } {
            0 => None,
            auctions => Some(auctions - 1),
        }
    }

    fn next_person(&mut self) -> Person {
        let id = FIRST_ID + self.last_person();
        let name = format!("{} {}", self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES));
        let email_address = format!("{}@{}.com", self.text(7, ' '), self.text(5, ' '));
        let [a, b, c, d] = [(); 4].map(|()| self.random.below(10_000));
        let credit_card = format!("{a:04} {b:04} {c:04} {d:04}");
        let (city, state) = (self.one_of(&CITIES).to_owned(), self.one_of(&STATES).to_owned());
        let texts = [&name, &email_address, &credit_card, &city, &state];
        let size = 8 + texts.map(|text| text.len() as u64).iter().sum::<u64>();
        let extra = self.extra(size, PERSON_BYTES);
        let date_time = self.time_of(self.number);
        Person { id, name, email_address, credit_card, city, state, date_time, extra }
    }

    fn next_auction(&mut self) -> Auction {
        let id = FIRST_ID + self.last_auction().unwrap_or_default();
        let seller = if self.random.below(4) > 0 {
            FIRST_ID + self.last_person() / HOT * HOT
        } else {
            self.active_person()
        };
        let category = FIRST_CATEGORY + self.random.below(CATEGORIES);
        let initial_bid = self.price();
        let reserve = initial_bid + self.price();
        let date_time = self.time_of(self.number);
        // On average it takes as long as it takes for all auctions to be replaced.
        let replaced = self.time_of(self.number + OPEN_AUCTIONS * ROUND / AUCTIONS);
        let longest = ((replaced - date_time) * 2).max(1).unsigned_abs();
        let expires = date_time + 1 + self.random.below(longest).cast_signed();
        let (item_name, description) = (self.text(20, ' '), self.text(100, ' '));
        let size = 8 + 5 * 8 + (item_name.len() + description.len()) as u64;
        let extra = self.extra(size, AUCTION_BYTES);
        Auction {
            id,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller,
            category,
            extra,
        }
    }

    fn next_bid(&mut self) -> Bid {
        let last = self.last_auction().unwrap_or_default();
        let auction = if self.random.below(2) > 0 {
            FIRST_ID + last / HOT * HOT
        } else {
            let first = last.saturating_sub(OPEN_AUCTIONS);
            FIRST_ID + first + self.random.below(last - first + 1 + LEAD)
        };
        let bidder = if self.random.below(4) > 0 {
            // One behind the hot seller, so that nobody bids for what is his own.
            FIRST_ID + self.last_person() / HOT * HOT + 1
        } else {
            self.active_person()
        };
        let price = self.price();
        let (channel, url) = self.channel();
        let extra = self.extra(4 * 8, BID_BYTES);
        let date_time = self.time_of(self.number);
        Bid { auction, bidder, price, channel, url, date_time, extra }
    }

    fn active_person(&mut self) -> u64 {
        let people = self.last_person() + 1;
        let active = people.min(ACTIVE_PEOPLE);
        FIRST_ID + people - active + self.random.below(active + LEAD)
    }

    /// Between a dollar and a million, and as often between one and ten as between 100,000 and a
    /// million.
    fn price(&mut self) -> u64 {
        (10_f64.powf(self.random.ratio() * 6.0) * 100.0).round() as u64
    }

    /// A channel and its address, which is always the same. Half of the time it is a hot one.
    fn channel(&mut self) -> (String, String) {
        if self.random.below(2) > 0 {
            let hot = self.random.below(HOT_CHANNELS.len() as u64);
            let name = HOT_CHANNELS.get(hot as usize).copied().unwrap_or_default();
            return (name.to_owned(), self.address(CHANNELS + hot).0);
        }
        let channel = self.random.below(CHANNELS);
        let (mut url, mut random) = self.address(channel);
        if random.below(10) > 0 {
            let id = (channel as u32).reverse_bits().cast_signed().unsigned_abs();
            url = format!("{url}&channel_id={id}");
        }
        (format!("channel-{channel}"), url)
    }

    /// The address of a channel without its id, and what may decide more of it.
    fn address(&self, channel: u64) -> (String, Random) {
        let mut of_channel = Self { random: Random::fork(self.seed, channel as usize, 0), ..*self };
        let [one, two, three] = [(); 3].map(|()| of_channel.text(5, '_'));
        let url = format!("https://www.nexmark.com/{one}/{two}/{three}/item.htm?query=1");
        (url, of_channel.random)
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let place = self.random.below(words.len() as u64) as usize;
        words.get(place).copied().unwrap_or_default()
    }

    /// At least three letters and less than `bound`, one in 13 of them `special`. White space at
    /// the ends is cut off.
    fn text(&mut self, bound: u64, special: char) -> String {
        let length = 3 + self.random.below(bound - 3);
        let letter = |random: &mut Random| match random.below(13) {
            0 => special,
            _ => char::from(b'a' + random.below(26) as u8),
        };
        let text: String = (0..length).map(|_| letter(&mut self.random)).collect();
        text.trim().to_owned()
    }

    /// Letters that bring an event of `size` to about `average`, a fifth of them more or less.
    fn extra(&mut self, size: u64, average: u64) -> String {
        let missing = average.saturating_sub(size);
        let spread = (missing as f64 * 0.2).round() as u64;
        let length = missing - spread + self.random.below(2 * spread);
        // A number has enough chance in it for eight letters.
        let mut letters = String::with_capacity(length as usize);
        let mut chance = 0;
        for place in 0..length {
            if place % 8 == 0 {
                chance = self.random.next_u64() >> 1;
            }
            letters.push(char::from(b'a' + (chance % 26) as u8));
            chance /= 26;
        }
        letters
    }
}

impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let event = match self.number % ROUND {
            place if place < PEOPLE => Event::Person(Box::new(self.next_person())),
            place if place < PEOPLE + AUCTIONS => Event::Auction(Box::new(self.next_auction())),
            _ => Event::Bid(self.next_bid()),
        };
        self.number += 1;
        Some(event)
    }
}

const fn least(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}
