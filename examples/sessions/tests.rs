//! Tests of the job on virtual time, whole and of its windows alone.

use std::collections::BTreeMap;

use millstream::edge::Keyed;
use millstream::key::{Made, stable_hash};
use millstream::testing::{OperatorHarness, TestDriver};
use millstream::window::{Accumulation, LateRecords, WindowRules, Windows};

use super::*;

/// What a run of the whole day gives: the visits that stand, and how many clicks were too late.
fn day(seed: u64, lateness: Duration) -> (Vec<(Visit, Vec<Visit>)>, u64) {
    let (flow, told, too_late) = graph(seed, lateness);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.advance(PACE * u32::try_from(CLOSES - OPENS).unwrap());
    let report = driver.finish().unwrap();
    (standing(report.take(told).unwrap()), report.take(too_late).unwrap())
}

/// From which minute to which somebody was about, and how many clicks that were.
type Span = (u64, u64, u64);

/// All visits of a day, from the clicks as they happened.
fn plainly(seed: u64) -> BTreeMap<&'static str, Vec<Span>> {
    let mut visits: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for minute in OPENS..CLOSES {
        for click in (0..2).flat_map(|server| clicks(seed, server, minute)) {
            let visits = visits.entry(click.visitor).or_default();
            match visits.last_mut().filter(|(_, last, _)| last + 30 > minute) {
                Some((_, last, count)) => (*last, *count) = (minute, *count + 1),
                None => visits.push((minute, minute, 1)),
            }
        }
    }
    visits
}

fn minute(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis() / 60_000).unwrap()
}

#[test]
fn in_the_end_visits_are_those_of_a_plain_loop_if_nothing_is_too_late() {
    for seed in 0..12 {
        let (visits, too_late) = day(seed, minutes(24 * 60));
        let mut found: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        for (Windowed { key, window, value, .. }, _) in visits {
            let span = (minute(window.start), minute(window.end) - 30, value);
            found.entry(key).or_default().push(span);
        }
        found.values_mut().for_each(|spans| spans.sort_unstable());
        assert_eq!((found, too_late), (plainly(seed), 0), "seed {seed}");
    }
}

#[test]
fn late_clicks_join_visits_and_every_click_is_told_of_or_too_late() {
    let (visits, too_late) = day(SEED, LATENESS);
    let all = plainly(SEED).values().flatten().map(|(_, _, count)| count).sum::<u64>();
    let told = visits.iter().map(|(visit, _)| visit.value).sum::<u64>();
    assert_eq!(told + too_late, all);
    assert!(too_late > 0);
    let joined: Vec<_> = visits.iter().filter(|(_, parts)| parts.len() > 1).collect();
    assert!(!joined.is_empty(), "no click has joined two visits");
    for (visit, parts) in joined {
        assert_eq!(visit.firing, Firing::Late);
        assert!(parts.iter().map(|part| part.value).sum::<u64>() < visit.value);
    }
}

#[test]
fn a_server_that_is_cut_off_holds_nobody_up() {
    let (flow, told, _) = graph(SEED, LATENESS);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.advance(PACE * u32::try_from(CUT.end - 1 - OPENS).unwrap());
    let reached = driver.metrics().stages.iter().filter_map(|stage| stage.watermark).min();
    assert!(reached.is_some_and(|reached| minute(reached) > CUT.end - 15), "{reached:?}");
    driver.advance(PACE * u32::try_from(CLOSES - CUT.end + 1).unwrap());
    assert!(driver.finish().unwrap().take(told).is_some());
}

#[test]
fn nothing_is_kept_of_visitors_who_are_gone() {
    let rules = WindowRules {
        trigger: OnWatermark,
        accumulation: Accumulation::Accumulating,
        lateness: LATENESS,
        late: LateRecords::dropped(),
    };
    let by_visitor = Made((|click| click.visitor) as fn(&Click) -> &'static str);
    let mut harness =
        OperatorHarness::new(Session::with_gap(GAP).operator(by_visitor, Count, rules));
    let at = |minute| Timestamp::from_millis(0).saturating_add(minutes(minute));
    for minute in OPENS..CLOSES {
        for click in clicks(SEED, 0, minute) {
            let hash = stable_hash(&click.visitor);
            harness.push(Record::at(Keyed { hash, value: click }, at(minute)));
        }
        harness.watermark(at(minute));
    }
    assert!(harness.operator().keys() > 0);
    // The last visit ends half an hour behind its last click, and is kept for as long as it may
    // still be corrected.
    harness.watermark(at(CLOSES + 30 + 90));
    assert_eq!(harness.operator().keys(), 0);
}
