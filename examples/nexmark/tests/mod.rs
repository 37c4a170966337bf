//! Every query against a plain evaluation of the same events, and what the files look like.

mod plain;

use std::collections::{BTreeMap, BTreeSet};

use tokio::runtime::Runtime;

use crate::generator::{BASE_TIME, Generator};
use crate::model::{Auction, Bid, Event};
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

/// Several events in a millisecond, some in a window, and few in days.
const SCENES: [Scene; 3] = [
    Scene { rate: 10_000.0, events: 2_500, batch: 64 },
    Scene { rate: 10.0, events: 2_500, batch: 7 },
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

#[test]
fn every_query_gives_what_a_plain_evaluation_does() {
    let runtime = Runtime::new().unwrap();
    let mut rows = BTreeMap::<_, usize>::new();
    for seed in SEEDS {
        for scene in &SCENES {
            let events = scene.events(seed);
            for number in queries::ALL.filter(|n| ![7, 8, 13].contains(n)) {
                let found = compare(number, &events, scene.batch, &runtime);
                *rows.entry((number, seed)).or_default() += found;
            }
        }
    }
    assert_eq!(rows.len(), 20 * SEEDS.len());
    assert!(rows.values().all(|rows| *rows > 0), "a comparison of nothing: {rows:?}");
}

/// The comparison above would not notice rules that nothing comes under.
#[test]
fn the_events_have_ties_and_bounds_to_get_wrong() {
    let mut found = [0; 4];
    for (seed, scene) in SEEDS.iter().flat_map(|seed| SCENES.iter().map(move |scene| (seed, scene)))
    {
        let events = scene.events(*seed);
        let bids: Vec<_> = events.iter().cloned().filter_map(Event::bid).collect();
        for pair in bids.windows(2) {
            found[0] += usize::from(pair[0].date_time == pair[1].date_time);
        }
        found[1] += bids.iter().filter(|bid| bid.date_time % 10_000 == 0).count();
        for auction in events.iter().cloned().filter_map(Event::auction) {
            let for_it = || bids.iter().filter(|bid| bid.auction == auction.id);
            found[2] += for_it().filter(|bid| bid.date_time < auction.date_time).count();
            found[3] += for_it().filter(|bid| bid.date_time == auction.expires).count();
        }
    }
    assert!(found.iter().all(|found| *found > 0), "{found:?}");
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let events = SCENES[1].events(1);
    dump::write(&path, &events).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
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
