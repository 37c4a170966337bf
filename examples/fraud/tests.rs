//! Tests of the job on virtual time: against a plain loop, one story by hand, and what is kept.

use millstream::batch::Barrier;
use millstream::state::Snapshot;
use millstream::testing::{SourceProbe, TestDriver, probe_source};

use super::*;

/// The job, driven by hand.
struct Driven {
    driver: TestDriver,
    events: SourceProbe<Event>,
    told: Told,
}

impl Driven {
    fn new() -> Self {
        let flow = Dataflow::new("fraud");
        let (events, source) = probe_source();
        let told = job(flow.source("events", source));
        let driver = TestDriver::start(flow.blueprint()).unwrap();
        Self { driver, events, told }
    }

    /// How many bytes are kept.
    fn kept(&mut self, barrier: u64) -> usize {
        self.driver.barrier(&self.events, Barrier(barrier));
        let snapshot: Snapshot = self.driver.snapshot(Barrier(barrier));
        snapshot.to_bytes().len()
    }

    /// The alarms, how many small charges came to nothing, and how many events came too late.
    fn end(mut self) -> (Vec<Alarm>, u64, u64) {
        self.driver.end(&self.events);
        let report = self.driver.finish().unwrap();
        let (alarms, nothing, too_late) = self.told;
        let mut alarms = report.take(alarms).unwrap();
        alarms.sort_by_key(|(small, large)| (small.card, small.millis, large.millis));
        (alarms, report.take(nothing).unwrap(), report.take(too_late).unwrap())
    }
}

const fn charged(second: i64, cents: u64) -> Event {
    Event { card: 1, millis: 1000 * second, what: What::Charged { cents } }
}

const fn confirmed(second: i64) -> Event {
    Event { card: 1, millis: 1000 * second, what: What::Confirmed }
}

/// Every small charge with the first large one behind it, if both are within a minute and nobody
/// has confirmed anything by its end.
fn plainly(mut events: Vec<Event>) -> Vec<Alarm> {
    events.sort_by_key(|event| (event.card, event.millis));
    let mut alarms = Vec::new();
    let cents = |event: &Event| match event.what {
        What::Charged { cents } => Some(cents),
        What::Confirmed => None,
    };
    for (place, small) in events.iter().enumerate() {
        let minute =
            |event: &&Event| event.card == small.card && event.millis < small.millis + 60_000;
        let mut rest = events[place + 1..].iter().take_while(minute);
        if cents(small).is_some_and(|cents| cents < 200)
            && let Some(large) =
                rest.find(|event| cents(event).is_some_and(|cents| cents >= 50_000))
            && rest.all(|event| event.what != What::Confirmed)
        {
            alarms.push((*small, *large));
        }
    }
    alarms
}

#[test]
fn i8_alarms_are_those_of_a_plain_loop() {
    for seed in 0..8 {
        let events = hour(seed);
        let mut driven = Driven::new();
        for (_, event) in &events {
            driven.driver.push(&driven.events, *event);
        }
        let (alarms, nothing, too_late) = driven.end();
        let expected = plainly(events.into_iter().map(|(_, event)| event).collect());
        assert!(expected.len() > 3 && nothing > 30, "{} {nothing}", expected.len());
        assert_eq!((alarms, too_late), (expected, 0), "seed {seed}");
    }
}

#[test]
fn i8_a_confirmation_counts_that_comes_before_its_charge() {
    let (small, large) = (charged(100, 90), charged(110, 80_000));
    for (minute, alarms) in [
        (vec![small, large, confirmed(118)], vec![]),
        (vec![confirmed(118), large, small], vec![]),
        // Not confirmed, or too late, or before there was anything to confirm.
        (vec![large, small], vec![(small, large)]),
        (vec![small, large, confirmed(160)], vec![(small, large)]),
        (vec![confirmed(109), small, large], vec![(small, large)]),
        // The large one comes when the minute is over.
        (vec![small, charged(160, 80_000)], vec![]),
    ] {
        let mut driven = Driven::new();
        for event in &minute {
            driven.driver.push(&driven.events, *event);
        }
        assert_eq!(driven.end().0, alarms, "{minute:?}");
    }
}

#[test]
fn i8_what_is_kept_is_bounded_by_a_minute() {
    // Waits for its time to be over, and moves it on for all others.
    let last = Event { card: 3, ..charged(10_000, 1_000) };
    let mut driven = Driven::new();
    driven.driver.push(&driven.events, last);
    let least = driven.kept(0);
    let mut driven = Driven::new();
    let mut most = [0, 0];
    for second in 0..3600 {
        driven.driver.push(&driven.events, charged(second, 90));
        driven.driver.push(&driven.events, Event { card: 2, ..charged(second, 100_000) });
        if second % 100 == 99 {
            let kept = driven.kept(second.unsigned_abs());
            let half = &mut most[usize::from(second >= 1800)];
            *half = kept.max(*half);
        }
    }
    assert!(most[1] <= most[0] + 64 && most[0] > 10 * least, "{most:?}");
    driven.driver.push(&driven.events, last);
    assert_eq!(driven.kept(9999), least);
}
