//! How one step follows another: Flink's documentation of FlinkCEP, "Combining Patterns".

use millstream_operators::prelude::*;

use crate::{found, is, some};

fn a() -> Pattern<crate::Event> {
    some(Pattern::begin("a").when(is("a")))
}

#[test]
fn i8_strict_breaks_on_any_other_event() {
    // Flink: `a b` over `a c b1 b2` has no match, the `c` causes `a` to be discarded.
    let strict = || a().next("b").when(is("b"));
    assert!(found(strict(), "a c b1 b2").is_empty());
    assert_eq!(found(strict(), "a1 a2 b1 b2"), ["a2 b1"]);
}

#[test]
fn i8_relaxed_skips_what_does_not_match() {
    // Flink: `{a b1}`, up to the next matching one.
    let relaxed = || a().followed_by("b").when(is("b"));
    assert_eq!(found(relaxed(), "a c b1 b2"), ["a b1"]);
    assert_eq!(found(relaxed(), "a1 a2 b1"), ["a1 b1", "a2 b1"]);
}

#[test]
fn i8_any_relaxed_forks() {
    // Flink: `{a b1}`, `{a b2}`.
    let any = a().followed_by_any("b").when(is("b"));
    assert_eq!(found(any, "a c b1 b2"), ["a b1", "a b2"]);
}

#[test]
fn i8_an_event_may_be_in_many_matches_and_in_several_steps() {
    let pairs = some(Pattern::begin("first").followed_by("second"));
    assert_eq!(found(pairs, "a b c"), ["a b", "b c"]);
    let single = Pattern::begin("one").when(is("b"));
    assert_eq!(found(single, "a b1 b2"), ["b1", "b2"]);
}

#[test]
fn i8_not_next_looks_at_the_very_next_event_only() {
    let pattern = || a().not_next("n").when(is("n")).followed_by("b").when(is("b"));
    assert!(found(pattern(), "a n b").is_empty());
    assert_eq!(found(pattern(), "a c n b"), ["a b"]);
    assert_eq!(found(pattern(), "a b"), ["a b"]);
}

#[test]
fn i8_not_followed_by_looks_at_every_event_between() {
    let pattern = || a().not_followed_by("n").when(is("n")).followed_by("b").when(is("b"));
    assert!(found(pattern(), "a c n b").is_empty());
    assert_eq!(found(pattern(), "n a c b n"), ["a b"]);
    // Each partial match has its own.
    assert_eq!(found(pattern(), "a1 n a2 b"), ["a2 b"]);
}

#[test]
fn i8_a_negation_wins_over_the_step_behind_it() {
    // Flink: a path to a stop state discards all that the event would have led to.
    let both = || a().not_followed_by("n").when(is("nx")).followed_by("b").when(is("bx"));
    assert!(found(both(), "a x b").is_empty());
    assert_eq!(found(both(), "a b x"), ["a b"]);
}

#[test]
fn i8_negations_add_up_and_pass_over_what_is_optional() {
    let pattern = || {
        let begin = a().not_next("m").when(is("m")).not_followed_by("n").when(is("n"));
        begin.followed_by("b").when(is("b")).optional().followed_by("c").when(is("c"))
    };
    assert_eq!(found(pattern(), "a b c"), ["a b c", "a c"]);
    assert!(found(pattern(), "a m b c").is_empty());
    assert!(found(pattern(), "a x n b c").is_empty());
    // Once `b` is taken, nothing is said of what follows.
    assert_eq!(found(pattern(), "a b n c"), ["a b c"]);
}

#[test]
fn i8_what_an_optional_step_leaves_out_follows_as_it_says_itself() {
    let pattern = || a().followed_by("b").when(is("b")).optional().next("c").when(is("c"));
    assert_eq!(found(pattern(), "a x b c"), ["a b c"]);
    assert_eq!(found(pattern(), "a c"), ["a c"]);
    assert!(found(pattern(), "a x c").is_empty());
}

#[test]
fn i8_matches_of_one_event_come_in_the_order_of_the_events_they_took() {
    let pattern = a().followed_by_any("b").when(is("b")).followed_by("c").when(is("c"));
    let expected = ["a1 b1 c", "a1 b2 c", "a2 b1 c", "a2 b2 c"];
    assert_eq!(found(pattern, "a1 a2 b1 b2 c"), expected);
    // One that goes on comes before the one that it has grown from.
    let loops = a().followed_by("b").when(is("b")).one_or_more().followed_by("c").when(is("c"));
    assert_eq!(found(loops, "a b1 b2 c"), ["a b1 b2 c", "a b1 c"]);
}

#[test]
fn i8_found_events_are_looked_up_by_the_names_of_their_steps() {
    use millstream_engine::testing::{TestDriver, probe_sink, probe_source};

    let flow = Dataflow::new("names");
    let (input, source) = probe_source::<(char, i64)>();
    let (output, sink) = probe_sink();
    let pattern = Pattern::begin("a").when(|event: &(char, i64)| event.0 == 'a');
    let pattern = pattern.one_or_more().greedy().next("b").when(|event| event.0 == 'b').optional();
    let pattern = pattern.next("c").when(|event| event.0 == 'c').within(crate::ms(100));
    let pattern = pattern.after_match(AfterMatch::skip_past_last_event());
    flow.source("events", source)
        .event_time(|event| crate::at(event.1), Watermarks::monotonic())
        .key_by(|_| ())
        .pattern(pattern)
        .select(|found| {
            assert_eq!(found["a"], [&('a', 3), &('a', 5)]);
            assert_eq!(found.get("b"), Some(&[] as &[&(char, i64)]));
            assert_eq!((found.get("x"), found.first("b"), found.last("x")), (None, None, None));
            assert_eq!((found.first("a"), found.last("a")), (Some(&('a', 3)), Some(&('a', 5))));
            let names: Vec<_> = found.events().map(|(step, _)| step.to_owned()).collect();
            assert_eq!(names, ["a", "a", "c"]);
            (found.start().as_millis(), found.end().as_millis())
        })
        .sink("found", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    output.request(9);
    for event in [('a', 3), ('a', 5), ('c', 9)] {
        driver.push(&input, event);
    }
    driver.end(&input);
    let all = driver.records(&output);
    assert_eq!(all.first(), Some(&Record::at((3, 9), crate::at(9))));
    drop(driver);
}
