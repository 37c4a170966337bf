//! Fallible operators by hand: no dead letters, for those need a job around them.

use std::num::ParseIntError;
use std::time::Duration;

use millstream_engine::testing::{Event, OperatorHarness};
use millstream_engine::time::Timestamp;

use super::*;

type Parse = fn(&&'static str) -> Result<u32, ParseIntError>;

fn parse(policy: OnError<&'static str>) -> Attempt<&'static str, TryMap<Parse>> {
    let f: Parse = |word| word.parse();
    Attempt::new(policy, None, TryMap { f })
}

fn steady(attempts: u32) -> Backoff {
    let backoff = Backoff::default().with_initial(Duration::from_millis(10));
    let backoff = backoff.with_jitter(0.0).with_factor(1.0);
    backoff.with_attempts(attempts)
}

#[test]
fn j5_by_default_an_error_fails_the_job() {
    let mut harness = OperatorHarness::new(parse(OnError::default()));
    harness.push("1");
    harness.push("one");
    assert_eq!(harness.values(), [1]);
    let error = harness.take_error().unwrap();
    assert_eq!(error.operator_name(), Some("try_map"));
    assert!(error.cause().unwrap().is::<ParseIntError>());
}

#[test]
fn j5_skip_goes_on_and_keeps_event_times() {
    let mut harness = OperatorHarness::new(parse(OnError::skip()));
    let at = Timestamp::from_millis;
    for (word, millis) in [("1", 5), ("one", 6), ("2", 4)] {
        harness.push(Record::at(word, at(millis)));
    }
    let expected = [Record::at(1, at(5)), Record::at(2, at(4))].map(Event::Record);
    assert_eq!(harness.events(), expected);
    assert!(harness.take_error().is_none());
}

/// Fails until it has been asked so many times.
fn after(failures: u32) -> impl FnMut(&u32) -> Result<u32, std::fmt::Error> + Clone {
    let mut asked = 0;
    move |n| {
        asked += 1;
        if asked > failures {
            Ok(*n)
        } else {
            Err(std::fmt::Error)
        }
    }
}

#[test]
fn j5_retry_tries_again_on_the_original_when_its_time_has_come() {
    let f = after(2);
    let policy = OnError::retry(steady(3));
    let mut harness = OperatorHarness::new(Attempt::new(policy, None, TryMap { f }));
    let record = Record::at(7, Timestamp::from_millis(3));
    harness.push(record);
    assert!(Operator::<u32>::waiting(harness.operator()));
    harness.advance(Duration::from_millis(19));
    assert_eq!(harness.events(), []);
    harness.advance(Duration::from_millis(1));
    assert_eq!(harness.events(), [Event::Record(record)]);
    assert!(!Operator::<u32>::pending(harness.operator()));
}

#[test]
fn j5_retry_fails_or_skips_when_the_attempts_run_out() {
    let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2))));
    harness.push("one");
    harness.advance(Duration::from_secs(1));
    assert!(harness.take_error().is_some());

    let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2)).or_skip()));
    harness.push("one");
    harness.advance(Duration::from_secs(1));
    assert!(harness.take_error().is_none());
    harness.push("2");
    assert_eq!(harness.values(), [2]);
}

#[test]
fn j5_a_clone_has_nothing_to_try_again() {
    let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2))));
    harness.push("one");
    let clone = harness.operator().clone();
    assert!(!Operator::<&str>::pending(&clone));
}

#[test]
fn j5_without_a_place_for_dead_letters_nothing_is_lost() {
    let flow = crate::Dataflow::new("none");
    let (dead, _letters) = flow.dead_letters("nowhere");
    let mut harness = OperatorHarness::new(parse(OnError::dead_letter(&dead)));
    harness.push("one");
    assert!(harness.take_error().is_some());
}

#[test]
fn j5_an_iterator_pauses_where_there_is_no_room() {
    for room in 1..4 {
        let f = |n: &u32| n.checked_sub(1).map(|m| 0..=m).ok_or(std::fmt::Error);
        let operator = Attempt::new(OnError::skip(), None, TryFlatMapIter { f });
        let mut harness = OperatorHarness::with_room(operator, room);
        for n in [2, 0, 3] {
            harness.push(n);
        }
        harness.end();
        assert_eq!(harness.values(), [0, 1, 0, 1, 2], "room for {room}");
    }
}

#[test]
fn j5_filters_count_what_they_reject_as_delivered() {
    let even = |n: &u32| n.checked_sub(1).map(|m| m % 2 == 1).ok_or(std::fmt::Error);
    let filter = Attempt::new(OnError::skip(), None, TryFilter { f: even });
    let mut harness = OperatorHarness::new(filter);
    (0..5).for_each(|n| harness.push(n));
    assert_eq!(harness.values(), [2, 4]);

    let half = move |n: &u32| even(n).map(|even| even.then_some(n / 2));
    let filter_map = Attempt::new(OnError::skip(), None, TryFilterMap { f: half });
    let mut harness = OperatorHarness::new(filter_map);
    (0..5).for_each(|n| harness.push(n));
    assert_eq!(harness.values(), [1, 2]);
}
