//! Quantifiers, loops, groups and iterative conditions: Flink's documentation of FlinkCEP,
//! "Quantifiers", "Contiguity within looping patterns", "Groups of patterns".

use millstream_operators::prelude::*;

use crate::{Event, found, is, some};

fn a() -> Pattern<Event> {
    some(Pattern::begin("a").when(is("a")))
}

/// `a`, followed by any `b`, one or more, followed by `c`.
fn a_any_b(inner: impl Fn(Pattern<Event>) -> Pattern<Event>) -> Vec<String> {
    let begin = a().followed_by_any("b").when(is("b")).one_or_more();
    found(inner(begin).followed_by("c").when(is("c")), "a b1 d1 b2 d2 b3 c")
}

#[test]
fn i9_loops_are_relaxed_by_default() {
    // Flink's table of `a b+ c` over `a b1 d1 b2 d2 b3 c`, with any `b` following `a`.
    let expected = ["a b1 b2 b3 c", "a b1 b2 c", "a b1 c", "a b2 b3 c", "a b2 c", "a b3 c"];
    assert_eq!(a_any_b(|pattern| pattern), expected);
}

#[test]
fn i9_consecutive_loops_break_on_any_other_event() {
    // Flink's result of it is that of `c` being the very next event as well: `{a b3 c}`.
    let strict = a().followed_by_any("b").when(is("b")).one_or_more().consecutive();
    let strict = strict.next("c").when(is("c"));
    assert_eq!(found(strict, "a b1 d1 b2 d2 b3 c"), ["a b3 c"]);
    // Where `c` may come later, each `b` is a loop of its own.
    assert_eq!(a_any_b(Pattern::consecutive), ["a b1 c", "a b2 c", "a b3 c"]);
}

#[test]
fn i9_combinations_pass_over_what_matches() {
    // Flink: as relaxed, and `{a b1 b3 c}`.
    let expected =
        ["a b1 b2 b3 c", "a b1 b2 c", "a b1 b3 c", "a b1 c", "a b2 b3 c", "a b2 c", "a b3 c"];
    assert_eq!(a_any_b(Pattern::allow_combinations), expected);
}

/// Flink's second example: `c`, followed by one or more `a`, followed by `b`.
fn c_a_b(inner: impl Fn(Pattern<Event>) -> Pattern<Event>) -> Vec<String> {
    let begin = some(Pattern::begin("start").when(is("c")));
    let middle = inner(begin.followed_by("middle").when(is("a")).one_or_more());
    let mut found = found(middle.followed_by("end").when(is("b")), "c d a1 a2 a3 d a4 b");
    found.sort();
    found
}

#[test]
fn i9_the_three_loops_of_the_documentation() {
    assert_eq!(c_a_b(|p| p), ["c a1 a2 a3 a4 b", "c a1 a2 a3 b", "c a1 a2 b", "c a1 b"]);
    assert_eq!(c_a_b(Pattern::consecutive), ["c a1 a2 a3 b", "c a1 a2 b", "c a1 b"]);
    // Flink's documentation shows those that begin with `a2`, `a3` and `a4` too, as if `a` could
    // follow any way: with `followed_by`, the first is `a1`.
    assert_eq!(
        c_a_b(Pattern::allow_combinations),
        [
            "c a1 a2 a3 a4 b",
            "c a1 a2 a3 b",
            "c a1 a2 a4 b",
            "c a1 a2 b",
            "c a1 a3 a4 b",
            "c a1 a3 b",
            "c a1 a4 b",
            "c a1 b",
        ]
    );
}

fn loops(times: impl Fn(Pattern<Event>) -> Pattern<Event>, script: &str) -> Vec<String> {
    let pattern = times(a().followed_by("b").when(is("b")));
    found(pattern.followed_by("c").when(is("c")), script)
}

#[test]
fn i9_a_step_comes_as_often_as_it_says() {
    let script = "a b1 b2 b3 b4 c";
    assert_eq!(loops(|b| b.times(2), script), ["a b1 b2 c"]);
    assert_eq!(loops(|b| b.times(2..=3), script), ["a b1 b2 b3 c", "a b1 b2 c"]);
    assert_eq!(loops(|b| b.at_least(3), script), ["a b1 b2 b3 b4 c", "a b1 b2 b3 c"]);
    assert_eq!(loops(|b| b.times(3..), script), loops(|b| b.at_least(3), script));
    assert_eq!(loops(|b| b.times(2).optional(), script), ["a b1 b2 c", "a c"]);
    assert_eq!(loops(|b| b.times(0..=1), script), ["a b1 c", "a c"]);
    assert_eq!(loops(|b| b.at_least(4).optional(), script), ["a b1 b2 b3 b4 c", "a c"]);
    assert!(loops(|b| b.times(5), script).is_empty());
}

#[test]
fn i9_a_greedy_loop_takes_what_it_can() {
    let script = "a b1 b2 b3 b4 c";
    assert_eq!(loops(|b| b.one_or_more().greedy(), script), ["a b1 b2 b3 b4 c"]);
    assert_eq!(loops(|b| b.times(2..=3).greedy(), script), ["a b1 b2 b3 c"]);
    assert_eq!(loops(|b| b.at_least(2).greedy(), "a b1 d b2 d c"), ["a b1 b2 c"]);
    let optional = |b: Pattern<Event>| b.one_or_more().optional().greedy();
    assert_eq!(loops(optional, "a c"), ["a c"]);
    assert_eq!(loops(optional, "a b1 c"), ["a b1 c"]);
    assert_eq!(loops(|b| b.one_or_more().optional(), "a b1 c"), ["a b1 c", "a c"]);
}

#[test]
fn i9_a_greedy_loop_outranks_what_it_could_take_itself() {
    // The step behind it would take `b` too, and gets what the loop leaves.
    let pattern = a().followed_by("b").when(is("b")).one_or_more().greedy();
    let pattern = pattern.followed_by("c").when(is("bc"));
    assert_eq!(found(pattern, "a b1 b2 c"), ["a b1 b2 c"]);
    // A loop that is full, or broken, can take nothing more.
    let pattern = a().next("b").when(is("b")).times(1..=2).greedy();
    assert_eq!(found(pattern.next("c").when(is("bc")), "a b1 b2 b3"), ["a b1 b2 b3"]);
    let broken = |b: Pattern<Event>| b.one_or_more().consecutive().greedy();
    assert_eq!(loops(broken, "a b1 d b2 c"), ["a b1 c"]);
}

#[test]
fn i9_until_closes_a_loop() {
    // Flink: `(a+ until b)` over `a1 c a2 b a3` is `{a1 a2} {a1} {a2} {a3}`.
    let pattern = some(Pattern::begin("a").when(is("a")).one_or_more().until(is("b")));
    assert_eq!(found(pattern, "a1 c a2 b a3"), ["a1", "a1 a2", "a2", "a3"]);
    // What follows the loop may still come, and be the very event that closes it.
    assert_eq!(loops(|b| b.one_or_more().greedy().until(is("u")), "a b1 u b2 c"), ["a b1 c"]);
    let closed = a().followed_by("b").when(is("b")).one_or_more().greedy().until(is("c"));
    assert_eq!(found(closed.followed_by("c").when(is("c")), "a b1 b2 c b3 c"), ["a b1 b2 c"]);
    // What closes it is never taken by it.
    let both = |b: Pattern<Event>| b.times(2..=3).until(|event| event.name == "b2");
    assert!(loops(both, "a b1 b2 b3 c").is_empty());
}

#[test]
fn i9_an_iterative_condition_sees_what_was_matched() {
    let digit = |event: &Event| event.name[1..].parse::<u32>().unwrap();
    let rising =
        a().followed_by("b").when(is("b")).one_or_more().when_with(move |event, so_far| {
            assert_eq!(so_far["a"].len(), 1);
            so_far.last("b").is_none_or(|last| digit(last) < digit(event))
        });
    let rising = rising.greedy().next("c").when(is("c"));
    assert_eq!(found(rising, "a b3 b1 b5 b4 b7 c"), ["a b3 b5 b7 c"]);
    // A sum, as in Flink's example: what would exceed it is not like the step, and is skipped.
    let sum = a().followed_by("b").when(is("b")).one_or_more().when_with(move |event, so_far| {
        so_far["b"].iter().map(|before| digit(before)).sum::<u32>() + digit(event) < 6
    });
    let sum = sum.greedy().followed_by("c").when(is("c"));
    assert_eq!(found(sum, "a b3 b4 b2 b1 c"), ["a b3 b2 c"]);
    // Of a negation.
    let no_more = a()
        .not_followed_by("more")
        .when_with(move |event, so_far| is("b")(event) && digit(event) > digit(so_far["a"][0]));
    let no_more = no_more.followed_by("c").when(is("c"));
    assert_eq!(found(no_more, "a5 b3 a2 b4 c"), ["a5 c"]);
}

#[test]
fn i8_a_condition_is_asked_once_for_each_event() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let asked = Arc::new(AtomicUsize::new(0));
    let ask = Arc::clone(&asked);
    let pattern = a().followed_by_any("b").when(move |event: &Event| {
        ask.fetch_add(1, Ordering::Relaxed);
        event.name.starts_with('b')
    });
    assert_eq!(found(pattern, "a1 a2 a3 a4 b1 b2").len(), 8);
    assert_eq!(asked.load(Ordering::Relaxed), 5, "nobody asked of the first");
}

#[test]
fn i9_groups_are_repeated_whole() {
    let group = || Pattern::begin("b").when(is("b")).followed_by("c").when(is("c"));
    let twice = a().followed_by(group()).times(2).followed_by("d").when(is("d"));
    assert_eq!(found(twice, "a b1 x c1 b2 c2 d"), ["a b1 c1 b2 c2 d"]);
    let any = || a().next(group()).one_or_more().optional().next("d").when(is("d"));
    assert_eq!(found(any(), "a d"), ["a d"]);
    assert_eq!(found(any(), "a b1 c1 x b2 c2 d"), ["a b1 c1 b2 c2 d"]);
    let strict = a().next(group()).one_or_more().consecutive().next("d").when(is("d"));
    assert!(found(strict, "a b1 c1 x b2 c2 d").is_empty());
    let closed = a().next(group()).one_or_more().until(is("u")).followed_by("d").when(is("d"));
    assert_eq!(found(closed, "a b1 c1 u b2 c2 d"), ["a b1 c1 d"]);
    let first = some(Pattern::begin(group()).times(2));
    assert_eq!(found(first, "b1 c1 b2 c2"), ["b1 c1 b2 c2"]);
}

#[test]
fn i9_groups_are_steps_of_groups() {
    let inner = Pattern::begin("c").when(is("c")).next("d").when(is("d"));
    let outer = Pattern::begin("b").when(is("b")).next(inner).times(1..=2);
    let pattern = a().next(outer).times(2).consecutive().next("e").when(is("e"));
    assert_eq!(found(pattern.clone(), "a b c d b c d c d e"), ["a b c d b c d c d e"]);
    assert!(found(pattern, "a b c d c d e").is_empty());
}

#[test]
fn i9_a_negation_within_a_group_is_between_its_steps() {
    let group = Pattern::begin("b").when(is("b")).not_followed_by("n").when(is("n"));
    let group = group.followed_by("c").when(is("c"));
    let pattern = || a().followed_by(group.clone()).optional().followed_by("d").when(is("d"));
    assert_eq!(found(pattern(), "a n b c n d"), ["a b c d", "a d"]);
    assert_eq!(found(pattern(), "a b n c d"), ["a d"]);
}
