//! Time: order, lateness, and what is within it.

use millstream_operators::prelude::*;

use crate::{Event, Played, found, is, ms, play};

fn a_b(within: u64) -> Pattern<Event> {
    Pattern::begin("a").when(is("a")).followed_by("b").when(is("b")).within(ms(within))
}

fn told(told: &[(i64, &str)]) -> Vec<(i64, String)> {
    told.iter().map(|(time, text)| (*time, (*text).to_owned())).collect()
}

#[test]
fn i8_the_span_of_within_excludes_its_end() {
    // Flink: timed out when `timestamp - startTimestamp >= windowTime`.
    assert_eq!(play(a_b(10), 0, "a@0 b@9").found, told(&[(9, "a b")]));
    let over = play(a_b(10), 0, "a@0 b@10");
    assert_eq!((over.found, over.timed_out), (told(&[]), told(&[(10, "a")])));
}

#[test]
fn i8_events_are_matched_in_the_order_of_their_time() {
    let got = play(a_b(100), 20, "b@15 c@30 a@10 b@12 c@60");
    assert_eq!((got.found, got.late), (told(&[(12, "a b")]), vec![]));
}

#[test]
fn i8_events_of_one_time_are_matched_as_they_came() {
    assert_eq!(found(a_b(100), "a@5 b@5 b2@5"), ["a b"]);
    assert!(found(a_b(100), "b@5 a@5").is_empty());
    let got = play(a_b(100), 20, "c@30 a@15 b1@15 a2@15 b2@15");
    assert_eq!(got.found, told(&[(15, "a b1"), (15, "a2 b2")]));
}

#[test]
fn i8_an_event_before_the_watermark_is_late_and_one_at_it_is_not() {
    let got = play(a_b(100), 5, "c@20 b@15 a@14 a@15 b2@16");
    assert_eq!((got.found, got.late), (told(&[(16, "a b2")]), vec!["a".to_owned()]));
}

#[test]
fn i8_late_events_are_counted_where_they_go_nowhere() {
    use millstream_engine::metrics::DropReason;
    use millstream_engine::testing::{TestDriver, probe_source};

    let flow = Dataflow::new("late");
    let (input, source) = probe_source::<Event>();
    flow.source("events", source)
        .event_time(|event| crate::at(event.time), Watermarks::monotonic())
        .key_by(|_| ())
        .pattern(a_b(10))
        .select(|_| ())
        .ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    for event in crate::events("a@5 b@3 b@4 b@5") {
        driver.push(&input, event);
    }
    let metrics = driver.metrics();
    let operators = metrics.operators.iter().filter(|operator| operator.name == "pattern");
    let late = operators.map(|pattern| pattern.dropped.of(DropReason::Late)).sum::<u64>();
    assert_eq!(late, 2);
    driver.end(&input);
    driver.finish().unwrap();
}

#[test]
fn i8_a_match_comes_out_with_the_time_of_its_last_event() {
    assert_eq!(play(a_b(50), 0, "a@3 c@8 b@20 c@40").found, told(&[(20, "a b")]));
}

#[test]
fn i8_a_match_comes_out_when_the_watermark_has_passed_it() {
    use millstream_engine::testing::{TestDriver, probe_sink, probe_source};

    let flow = Dataflow::new("when");
    let (input, source) = probe_source::<Event>();
    let (output, sink) = probe_sink();
    flow.source("events", source)
        .event_time(|event| crate::at(event.time), Watermarks::monotonic())
        .key_by(|_| ())
        .pattern(a_b(50))
        .select(crate::shown)
        .sink("found", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    output.request(9);
    for event in crate::events("a@3 b@5") {
        driver.push(&input, event);
    }
    assert!(driver.read(&output).is_empty(), "another event of this time may come");
    driver.push(&input, crate::events("c@6").remove(0));
    assert_eq!(driver.read(&output), ["a b"]);
    drop(driver);
}

#[test]
fn i8_timed_out_partial_matches_go_to_a_side_output_once() {
    let three = a_b(10).followed_by("c").when(is("c")).within(ms(10));
    let got = play(three.clone(), 0, "a1@0 a2@4 b@6 x@30");
    // Not `a1` and `a2`, of which nothing was waited for any more.
    assert_eq!(got.timed_out, told(&[(10, "a1 b"), (14, "a2 b")]));
    let got = play(three, 0, "a@0 b@6 c@9 x@30");
    assert_eq!((got.found, got.timed_out), (told(&[(9, "a b c")]), told(&[])));
}

#[test]
fn i8_a_match_is_not_timed_out_when_it_could_go_on() {
    let pattern = || Pattern::begin("a").when(is("a")).one_or_more().within(ms(5));
    let got = play(pattern(), 0, "a1@0 a2@1 x@20");
    assert_eq!(got.found, told(&[(0, "a1"), (1, "a1 a2"), (1, "a2")]));
    assert_eq!(got.timed_out, told(&[]));
    // One that waits for another way to go on is.
    let got = play(a_b(5).followed_by_any("b2").when(is("b")), 0, "a@0 b1@1 b2@2 x@20");
    assert_eq!(got.found, told(&[(2, "a b1 b2")]));
    assert_eq!(got.timed_out, told(&[(5, "a b1")]));
}

#[test]
fn i8_a_negation_at_the_end_is_decided_when_the_time_is_up() {
    let quiet = a_b(10).not_followed_by("c").when(is("c"));
    let got = play(quiet.clone(), 0, "a@0 b@4 x@9 c@10");
    assert_eq!((got.found, got.timed_out), (told(&[(10, "a b")]), told(&[])));
    assert_eq!(play(quiet.clone(), 0, "a@0 b@4 c@9 x@30"), Played::default());
    // Before the step before it, it says nothing.
    assert_eq!(play(quiet, 0, "a@0 c@2 b@4 x@30").found, told(&[(10, "a b")]));
    let next = a_b(10).not_next("c").when(is("c"));
    assert_eq!(play(next.clone(), 0, "a@0 b@4 x@5 c@6").found, told(&[(10, "a b")]));
    assert_eq!(play(next, 0, "a@0 b@4 c@5").found, told(&[]));
}

#[test]
fn i8_a_greedy_loop_before_a_negation_at_the_end_is_told_whole() {
    let pattern = Pattern::begin("a").when(is("a")).one_or_more().greedy();
    let pattern = pattern.not_followed_by("c").when(is("c")).within(ms(10));
    let pattern = pattern.after_match(AfterMatch::skip_past_last_event());
    assert_eq!(play(pattern, 0, "a1@0 a2@3 a3@7").found, told(&[(10, "a1 a2 a3")]));
}

#[test]
fn i8_at_the_end_of_the_input_all_time_is_over() {
    let got = play(a_b(1_000_000), 0, "a@0");
    assert_eq!(got.timed_out, told(&[(1_000_000, "a")]));
    let quiet = a_b(1_000_000).not_followed_by("c").when(is("c"));
    assert_eq!(play(quiet, 0, "a@0 b@1").found, told(&[(1_000_000, "a b")]));
}

#[test]
fn i8_the_ends_of_time_are_times_like_others() {
    let pattern = || Pattern::begin("a").when(is("a")).followed_by("b").when(is("b"));
    let script = format!("a@{} b@{}", i64::MAX - 1, i64::MAX);
    let got = play(pattern().within(ms(10)), 0, &script);
    assert_eq!((got.found, got.timed_out.len()), (told(&[]), 1), "time is over at its end");
    let got = play(pattern().max_partial_matches(9), 0, &script);
    assert_eq!(got.found, told(&[(i64::MAX, "a b")]));
    let first = format!("a@{} b@{}", i64::MIN, i64::MIN + 3);
    assert_eq!(play(pattern().within(ms(10)), 0, &first).found.len(), 1);
}

#[test]
fn i8_the_shortest_of_several_times_holds() {
    // Flink: "the smallest is applied".
    assert_eq!(found(a_b(10).within(ms(20)), "a@0 b@15"), [""; 0]);
    assert_eq!(found(a_b(20).within(ms(10)), "a@0 b@15"), [""; 0]);
    assert_eq!(found(a_b(20).within(ms(30)), "a@0 b@15"), ["a b"]);
}
