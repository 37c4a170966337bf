//! Patterns that make no sense are refused before they run, with what to say instead.

use millstream_operators::pattern::PatternError;
use millstream_operators::prelude::*;

use crate::{Event, is, ms, some};

fn a() -> Pattern<Event> {
    Pattern::begin("a").when(is("a"))
}

/// What a dataflow with this pattern is refused for.
#[track_caller]
fn mistake(pattern: Pattern<Event>) -> String {
    assert!(pattern.check().is_err());
    let flow = Dataflow::new("wrong");
    flow.source("events", source::from_iter(Vec::<Event>::new()))
        .event_time(|event| crate::at(event.time), Watermarks::monotonic())
        .key_by(|_| ())
        .pattern(pattern)
        .select(|_| ())
        .named("search")
        .ignore();
    let error = flow.validate().unwrap_err().to_string();
    let (_, mistake) = error.split_once("`search` ").unwrap();
    mistake.to_owned()
}

#[track_caller]
fn refused(pattern: Pattern<Event>, words: &[&str]) {
    let mistake = mistake(pattern);
    for word in words {
        assert!(mistake.contains(word), "`{word}` is not in: {mistake}");
    }
}

#[test]
fn i8_names_are_told_apart() {
    refused(some(a().next("b").followed_by("a")), &["two steps called `a`", "name of its own"]);
    refused(some(a().not_next("a").next("b")), &["two steps called `a`"]);
    refused(some(a().next(Pattern::begin("b").next("a"))), &["two steps called `a`"]);
}

#[test]
fn i8_what_could_wait_for_ever_is_refused() {
    refused(a().followed_by("b"), &["for ever", ".within(…)", ".max_partial_matches(…)"]);
    refused(a().next("b").one_or_more().consecutive(), &["for ever"]);
    refused(a().not_followed_by("c").followed_by("b"), &["for ever"]);
    // Where each is the very next event, there are no more than there are steps.
    assert_eq!(a().next("b").next("c").optional().check(), Ok(()));
    assert_eq!(a().times(3).consecutive().next("b").check(), Ok(()));
    refused(a().within(ms(0)), &["less than a millisecond"]);
    refused(a().followed_by("b").max_partial_matches(0), &[".max_partial_matches(1)"]);
}

#[test]
fn i8_a_negation_at_the_end_needs_a_time() {
    // Flink: "a pattern sequence cannot end with `notFollowedBy()`" without `within`.
    refused(some(a().not_followed_by("b")), &["negation `b`", "only time", ".within(…)"]);
    refused(some(a().not_next("b")), &["negation `b`", ".within(…)"]);
    refused(some(a().not_followed_by("b").next("c").optional()), &["negation `b`"]);
    assert_eq!(a().not_followed_by("b").within(ms(5)).check(), Ok(()));
}

#[test]
fn i8_negations_take_nothing_and_are_not_repeated() {
    let not = || a().not_followed_by("n").when(is("n"));
    for (pattern, word) in [
        (not().one_or_more(), ".times(…)"),
        (not().optional(), ".optional()"),
        (not().greedy(), ".greedy()"),
        (not().until(is("c")), ".until(…)"),
    ] {
        refused(some(pattern.next("b")), &[word, "negation `n`", "leave that out"]);
    }
    let group = || Pattern::begin("b").not_next("n").next("c");
    refused(some(a().next(group()).one_or_more()), &["negation `n`", "repeated"]);
    refused(some(a().next(Pattern::begin("x").next(group())).times(2)), &["negation `n`"]);
    assert_eq!(some(a().next(group()).optional().next("d")).check(), Ok(()));
    let ends = Pattern::begin("b").not_next("n");
    refused(some(a().next(ends).next("c")), &["group", "negation `n`", "behind the group"]);
}

#[test]
fn i9_what_is_said_of_loops_needs_one() {
    refused(some(a().greedy().next("b")), &[".greedy()", "`a`", "not repeated", ".one_or_more()"]);
    refused(some(a().consecutive()), &[".consecutive()", "not repeated"]);
    refused(some(a().allow_combinations()), &[".allow_combinations()", "not repeated"]);
    refused(some(a().until(is("b"))), &[".until(…)", "not repeated"]);
    let both = a().one_or_more().consecutive().allow_combinations();
    refused(some(both), &[".consecutive()", ".allow_combinations()", "say one"]);
    refused(some(a().times(2).one_or_more()), &["more than once", "`a`", "say it once"]);
    refused(some(a().times(0)), &["`a`", "no times", ".optional()"]);
    #[allow(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let reversed = a().times(3..=2);
    refused(some(reversed), &["no times"]);
}

#[test]
fn i9_greedy_loops_have_something_behind_them() {
    refused(some(a().one_or_more().greedy()), &[".greedy()", "`a`", "as soon as it is whole"]);
    let optional = a().one_or_more().greedy().next("b").optional();
    refused(some(optional), &[".greedy()", "`a`"]);
    let combinations = a().one_or_more().greedy().allow_combinations().next("b");
    refused(some(combinations), &[".greedy()", ".allow_combinations()"]);
    assert_eq!(a().one_or_more().greedy().not_next("b").within(ms(9)).check(), Ok(()));
}

#[test]
fn i9_groups_have_no_conditions_and_bounds_of_their_own() {
    let group = || Pattern::begin("b").next("c");
    refused(some(a().next(group()).when(is("b"))), &[".when", "group that begins with `b`"]);
    refused(some(a().next(group()).when_with(|_, _| true)), &[".when_with"]);
    refused(some(a().next(group()).times(2).greedy().next("d")), &[".greedy()", "group"]);
    refused(a().next(group().within(ms(5))), &[".within(…)", "whole pattern"]);
    refused(a().next(group().max_partial_matches(5)), &[".max_partial_matches(…)", "whole"]);
    let skips = group().after_match(AfterMatch::skip_to_next());
    refused(a().next(skips), &[".after_match(…)", "whole"]);
    let empty = Pattern::begin("b").optional().next("c").optional();
    refused(some(a().next(empty).one_or_more()), &["group", "every step is optional"]);
}

#[test]
fn i9_a_pattern_matches_something() {
    refused(some(a().optional()), &["nothing at all"]);
    refused(some(a().optional().next("b").times(0..=3)), &["nothing at all"]);
}

#[test]
fn i9_a_pattern_has_a_size() {
    assert_eq!(some(a().times(1_000).next("b").optional()).check().unwrap_err(), {
        PatternError::TooLong { max: 1_000 }
    });
    assert_eq!(some(a().times(1_000)).check(), Ok(()));
    let nested = Pattern::begin("b").times(200);
    refused(some(a().next(nested).times(1..=100_000_000)), &["more than 1000 steps"]);
    let names: Vec<_> = (0..70).map(|number| format!("b{number}")).collect();
    let wide = names.into_iter().fold(a(), |all, name| all.next(name).optional());
    refused(wide.next("c"), &["more than 62 ways", "`a`"]);
}

#[test]
fn i10_it_skips_to_steps_that_there_are() {
    let to =
        |step: &str| some(a().not_next("n").next("b")).after_match(AfterMatch::skip_to_last(step));
    refused(to("c"), &["skip to `c`", "no step"]);
    refused(to("n"), &["skip to `n`", "no step that takes events"]);
    assert_eq!(to("b").check(), Ok(()));
}

#[test]
fn i8_a_pattern_needs_event_time() {
    let flow = Dataflow::new("timeless");
    let events = flow.source("events", source::from_iter(Vec::<Event>::new()));
    events.key_by(|_| ()).pattern(a().next("b")).select(|_| ()).ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("`pattern` works by event time"), "{error}");
}
