//! What becomes of the others: Flink's documentation of FlinkCEP, "After Match Skip Strategy".

use millstream_operators::prelude::*;

use crate::{Event, found, is, some};

/// `b+ c` over `b1 b2 b3 c`.
fn b_c(after_match: AfterMatch) -> Vec<String> {
    let pattern = some(Pattern::begin("b").when(is("b")).one_or_more().consecutive());
    let pattern = pattern.next("c").when(is("c")).after_match(after_match);
    found(pattern, "b1 b2 b3 c")
}

#[test]
fn i10_by_default_every_match_comes_out() {
    assert_eq!(b_c(AfterMatch::default()), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(AfterMatch::default(), AfterMatch::no_skip());
}

#[test]
fn i10_skip_to_next_tells_one_match_for_each_first_event() {
    assert_eq!(b_c(AfterMatch::skip_to_next()), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    // Flink: `a b+` over `a b1 b2 b3`.
    let pattern = || some(Pattern::begin("a").when(is("a")).next("b").when(is("b")).one_or_more());
    assert_eq!(found(pattern(), "a b1 b2 b3"), ["a b1", "a b1 b2", "a b1 b2 b3"]);
    let next = pattern().after_match(AfterMatch::skip_to_next());
    assert_eq!(found(next, "a b1 b2 b3 a b4"), ["a b1", "a b4"]);
}

#[test]
fn i10_skip_past_the_last_event_lets_no_matches_overlap() {
    assert_eq!(b_c(AfterMatch::skip_past_last_event()), ["b1 b2 b3 c"]);
    let pairs = some(Pattern::begin("x").followed_by_any("y"));
    let pairs = pairs.after_match(AfterMatch::skip_past_last_event());
    assert_eq!(found(pairs, "a b c d e"), ["a b", "c d"]);
}

#[test]
fn i10_skip_to_first_and_last_of_a_step() {
    assert_eq!(b_c(AfterMatch::skip_to_first("b")), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(b_c(AfterMatch::skip_to_last("b")), ["b1 b2 b3 c", "b3 c"]);
}

/// Flink's `(a | b | c) (b | c) c+.greedy d` over `a b c1 c2 c3 d`.
fn alternatives(after_match: AfterMatch) -> Vec<String> {
    let pattern = Pattern::begin("first").when(is("abc")).next("second").when(is("bc"));
    let pattern = pattern.next("third").when(is("c")).one_or_more().greedy();
    let pattern = pattern.next("last").when(is("d")).after_match(after_match);
    found(some(pattern), "a b c1 c2 c3 d")
}

#[test]
fn i10_skip_to_first_gives_up_what_began_before_it() {
    let all = ["a b c1 c2 c3 d", "b c1 c2 c3 d", "c1 c2 c3 d"];
    assert_eq!(alternatives(AfterMatch::no_skip()), all);
    let first = alternatives(AfterMatch::skip_to_first("third"));
    assert_eq!(first, ["a b c1 c2 c3 d", "c1 c2 c3 d"]);
}

#[test]
fn i10_a_step_that_took_nothing_skips_nothing() {
    // Flink: "by default a NO_SKIP strategy will be used in this case".
    let pattern = some(Pattern::begin("a").when(is("a")).next("b").when(is("b")).optional());
    let pattern = pattern.next("c").when(is("c")).after_match(AfterMatch::skip_to_first("b"));
    assert_eq!(found(pattern, "a1 c1 a2 b c2"), ["a1 c1", "a2 b c2"]);
}

#[test]
fn i10_what_is_whole_first_wins() {
    // What began at `a1` is not whole yet; Flink would wait for it.
    let pattern = some(Pattern::begin("a").when(is("a")).followed_by("b").when(is("b")));
    let digit = |event: &Event| event.name[1..].to_owned();
    let same = pattern.when_with(move |event, so_far| digit(so_far["a"][0]) == digit(event));
    let same = same.after_match(AfterMatch::skip_past_last_event());
    assert_eq!(found(same, "a1 a2 b2 b1 a3 b3"), ["a2 b2", "a3 b3"]);
}

#[test]
fn i10_what_time_decides_skips_too() {
    let pattern = Pattern::begin("a").when(is("a")).followed_by("b").when(is("b"));
    let quiet = || pattern.clone().not_followed_by("c").when(is("c")).within(crate::ms(10));
    assert_eq!(found(quiet(), "a1@0 a2@1 b@2 a3@3 b@4"), ["a1 b", "a2 b", "a3 b"]);
    let last = quiet().after_match(AfterMatch::skip_past_last_event());
    assert_eq!(found(last, "a1@0 a2@1 b@2 a3@3 b@4"), ["a1 b", "a3 b"]);
}
