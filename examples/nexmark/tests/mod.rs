//! Every query against a plain evaluation of the same events, and what the files look like.

mod plain;
mod program;

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use tokio::runtime::Runtime;

use crate::generator::{BASE_TIME, Generator};
use crate::model::{Auction, Bid, Event};
use crate::options::Options;
use crate::run::{Ran, Run};
use crate::{dump, queries};

const SEEDS: [u64; 3] = [1, 2, 3];

/// Events as a test has them.
struct Scene {
    /// Events in a second of event time.
    rate: f64,
    events: usize,
    /// A size of batches to be tried, beside that of the engine.
    batch: usize,
}

/// Several events in a millisecond, some in a window, and few in days. With seven in a second, what
/// lies at the end of a window is mostly a bid.
const SCENES: [Scene; 3] = [
    Scene { rate: 10_000.0, events: 2_500, batch: 64 },
    Scene { rate: 7.0, events: 2_500, batch: 7 },
    Scene { rate: 0.01, events: 1_500, batch: 1 },
];

impl Scene {
    /// The events; where they are dense with few different prices, so that there are ties wherever
    /// there can be any.
    fn events(&self, seed: u64) -> Vec<Event> {
        let mut events: Vec<_> = Generator::new(seed, self.rate).take(self.events).collect();
        for event in events.iter_mut().filter(|_| self.rate > 1.0) {
            if let Event::Bid(bid) = event {
                bid.price = 10_u64.pow(bid.price.ilog10());
            }
        }
        events
    }
}

fn text(ran: Ran) -> String {
    let mut text = Vec::new();
    ran.table.write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Compares a query with the plain evaluation, however it is run. Answers how many rows it has.
fn compare(number: u8, events: &[Event], batch: usize, runtime: &Runtime) -> usize {
    let mut expected = plain::evaluate(number, events);
    expected.sort_unstable();
    for (instances, batch) in [(1, Some(batch)), (1, None), (4, Some(batch)), (4, None)] {
        let run = Run { instances, batch, keep: true };
        let ran = run.query(number, events.to_vec(), runtime).unwrap();
        assert_eq!(ran.table.rows(), expected.len() as u64, "rows of q{number}, {run:?}");
        let text = text(ran);
        let mut rows: Vec<_> = text.lines().skip(1).collect();
        rows.sort_unstable();
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "q{number}, {run:?}");
        }
    }
    expected.len()
}

/// Compares every query on the events of one seed.
fn compare_all(seed: u64) {
    let runtime = Runtime::new().unwrap();
    let mut rows = BTreeMap::<_, usize>::new();
    for scene in &SCENES {
        let events = scene.events(seed);
        for number in queries::ALL {
            let found = compare(number, &events, scene.batch, &runtime);
            *rows.entry(number).or_default() += found;
        }
    }
    assert_eq!(rows.len(), 23);
    assert!(rows.values().all(|rows| *rows > 0), "a comparison of nothing: {rows:?}");
}

#[test]
fn every_query_gives_what_a_plain_evaluation_does() {
    compare_all(SEEDS[0]);
}

#[test]
fn so_it_does_with_another_seed() {
    compare_all(SEEDS[1]);
}

#[test]
fn so_it_does_with_a_third_seed() {
    compare_all(SEEDS[2]);
}

/// The comparisons above would not notice rules that nothing comes under.
#[test]
fn the_events_have_ties_and_bounds_to_get_wrong() {
    let mut found = BTreeMap::<_, usize>::new();
    for (seed, scene) in SEEDS.iter().flat_map(|seed| SCENES.iter().map(move |scene| (seed, scene)))
    {
        let events = scene.events(*seed);
        let mut find = |what, times| *found.entry(what).or_default() += times;
        let bids: Vec<_> = events.iter().cloned().filter_map(Event::bid).collect();
        let together = |pair: &&[Bid]| pair[0].date_time == pair[1].date_time;
        find("bids in one millisecond", bids.windows(2).filter(together).count());
        for end in bids.iter().filter(|bid| bid.date_time % 10_000 == 0) {
            let window = end.date_time - 10_000..end.date_time;
            let in_it = bids.iter().filter(|bid| window.contains(&bid.date_time));
            let highest = in_it.map(|bid| bid.price).max();
            find("highest bids at the end of a window", usize::from(highest == Some(end.price)));
        }
        for auction in events.iter().cloned().filter_map(Event::auction) {
            let for_it = || bids.iter().filter(|bid| bid.auction == auction.id);
            let before = for_it().filter(|bid| bid.date_time < auction.date_time);
            find("bids before their auction", before.count());
            let at_last = for_it().filter(|bid| bid.date_time == auction.expires);
            find("bids when an auction expires", at_last.count());
            let at_first = for_it().filter(|bid| bid.date_time == auction.date_time);
            find("bids when an auction begins", at_first.count());
        }
    }
    assert!(found.values().all(|times| *times > 0), "{found:?}");
}

#[test]
fn options_are_checked() {
    let parse = |options: &str| Options::try_parse_from(format!("nexmark {options}").split(' '));
    for good in ["q0", "q22 --rate 0.02 --parallelism 4", "all --seed 7 --events 0 --batch 1"] {
        assert!(parse(good).is_ok(), "{good}");
    }
    for bad in ["q23", "5", "q", "q5 --rate 0", "q5 --rate NaN", "q5 --parallelism 0"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_table_has_a_header_and_is_in_order() {
    let runtime = Runtime::new().unwrap();
    let run = Run { instances: 4, batch: None, keep: true };
    let ran = run.query(2, SCENES[0].events(1), &runtime).unwrap();
    let text = text(ran);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("auction,price"));
    let rows: Vec<(u64, u64)> = lines
        .map(|line| {
            let (auction, price) = line.split_once(',').unwrap();
            (auction.parse().unwrap(), price.parse().unwrap())
        })
        .collect();
    assert!(rows.len() > 2 && rows.is_sorted());
    // The header is there also where nothing is below it.
    let ran = run.query(9, Vec::new(), &runtime).unwrap();
    assert!(self::text(ran).starts_with("id,itemName,description,initialBid,reserve,dateTime,"));
}

#[test]
fn a_dump_has_the_fields_of_the_model_in_its_lines() {
    let events = SCENES[1].events(1);
    let mut text = Vec::new();
    dump::write(&events, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), events.len());
    let fields = |kind: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{{\"{kind}\":"))).unwrap();
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = value[kind].as_object().unwrap();
        fields.keys().cloned().collect::<BTreeSet<_>>()
    };
    let names = |names: &str| names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let person = "id name emailAddress creditCard city state dateTime extra";
    let auction =
        "id itemName description initialBid reserve dateTime expires seller category extra";
    let bid = "auction bidder price channel url dateTime extra";
    assert_eq!(fields("person"), names(person));
    assert_eq!(fields("auction"), names(auction));
    assert_eq!(fields("bid"), names(bid));
}

#[test]
fn events_are_those_of_the_model() {
    let make = |seed| Generator::new(seed, 10_000.0).take(50_000).collect::<Vec<_>>();
    let events = make(1);
    assert!(events == make(1) && events != make(2), "a seed stands for its events");
    assert!(events.is_sorted_by_key(Event::time));
    assert_eq!(events[10].time().as_millis(), BASE_TIME + 1);
    let people: Vec<_> = events.iter().cloned().filter_map(Event::person).collect();
    let auctions: Vec<_> = events.iter().cloned().filter_map(Event::auction).collect();
    let bids: Vec<_> = events.iter().cloned().filter_map(Event::bid).collect();
    assert_eq!((people.len(), auctions.len(), bids.len()), (1_000, 3_000, 46_000));
    assert!(people.iter().map(|person| person.id).eq(1000..2000));
    assert!(auctions.iter().map(|auction| auction.id).eq(1000..4000));
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    let near = |is: f64, expected: f64| assert!((is - expected).abs() < 0.03, "{is}, {expected}");
    let of_bids = |holds: fn(&&Bid) -> bool| share(bids.iter().filter(holds).count(), bids.len());
    near(of_bids(|bid| bid.auction % 100 == 0), 0.505);
    near(of_bids(|bid| bid.bidder % 100 == 1), 0.7525);
    near(of_bids(|bid| bid.price < 100_000), 0.5);
    near(of_bids(|bid| !bid.channel.starts_with("channel-")), 0.5);
    near(of_bids(|bid| bid.url.contains("&channel_id=")), 0.45);
    let hot = auctions.iter().filter(|auction| auction.seller % 100 == 0).count();
    near(share(hot, auctions.len()), 0.7525);
    // A hundred auctions follow each other in a sixth of a second.
    let length = |auction: &Auction| (auction.expires - auction.date_time) as f64;
    near(auctions.iter().map(length).sum::<f64>() / auctions.len() as f64 / 166.7, 1.0);
    let bytes = |bid: &Bid| (4 * 8 + bid.extra.len()) as f64;
    near(bids.iter().map(bytes).sum::<f64>() / bids.len() as f64 / 100.0, 1.0);
}
