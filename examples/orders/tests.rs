//! Tests of the job on virtual time: the table is that of a plain loop, whatever was heard when.

use millstream::testing::TestDriver;

use super::*;

/// The table of a day as the job makes it, in order, and how much came too late for it.
fn table(day: u64, line: u64) -> (Vec<Priced>, u64) {
    let (flow, priced, too_late) = graph(day, line);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.advance(PACE * u32::try_from(CLOSES + DELAY - OPENS).unwrap());
    let report = driver.finish().unwrap();
    let mut priced = report.take(priced).unwrap();
    priced.sort_unstable();
    (priced, report.take(too_late).unwrap())
}

/// The same, from what happened.
fn plainly(day: u64) -> Vec<Priced> {
    let mut priced = Vec::new();
    let mut news = news(day, 0);
    news.sort_by_key(|(_, change)| change.minute);
    for order in (OPENS..CLOSES).flat_map(|minute| ordered(day, minute)) {
        let mut before = news.iter().filter(|(_, change)| change.minute <= order.minute);
        let last = before.rfind(|(_, change)| change.customer == order.customer);
        priced.push((order, last.and_then(|(_, change)| change.tier)));
    }
    priced.sort_unstable();
    priced
}

#[test]
fn i5_each_order_has_the_version_that_was_valid_when_it_was_made() {
    for seed in 0..10 {
        let (priced, too_late) = table(seed, seed);
        assert_eq!((priced, too_late), (plainly(seed), 0), "seed {seed}");
    }
}

#[test]
fn what_had_been_heard_by_then_would_have_been_another_version_for_many() {
    let (priced, _) = table(SEED, SEED);
    let news = news(SEED, SEED);
    let wrong = priced.iter().filter(|(order, tier)| as_heard(&news, order) != *tier).count();
    assert!(wrong > 10, "{wrong} of {}", priced.len());
}

#[test]
fn a_replay_gives_the_identical_table() {
    let first = table(SEED, 0);
    assert_eq!(first, table(SEED, 0));
    for line in 1..10 {
        assert_eq!(table(SEED, line), first, "line {line}");
    }
}
