//! What is kept of keys, what bounds it, and how it is written down.

use millstream_engine::edge::Keyed;
use millstream_engine::key::stable_hash;
use millstream_engine::operator::Operator;
use millstream_engine::testing::OperatorHarness;
use millstream_operators::keyed::process::Process;
use millstream_operators::pattern::{PatternFunction, TooManyPartialMatches};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed;

use crate::{Event, is, ms, some};

/// The operator of a pattern, in a harness: events are of the key that is their second letter.
macro_rules! harness {
    ($pattern:expr) => {
        OperatorHarness::new(operator($pattern).checkpointed())
    };
}

type Key = fn(&Event) -> char;
type Select = fn(&Match<'_, Event>) -> String;
type Search = Process<Event, millstream_engine::key::Made<Key>, PatternFunction<Event, Select>>;

fn key_of(event: &Event) -> char {
    event.name.chars().nth(1).unwrap_or(' ')
}

fn operator(pattern: Pattern<Event>) -> Search {
    let flow = Dataflow::new("kept");
    let events = flow.source("events", source::from_iter(Vec::<Event>::new()));
    let found = events.key_by(key_of as Key).pattern(pattern).select(crate::shown as Select);
    let (_, chain, _) = found.into_parts();
    let (_, operator, _) = chain.into_parts();
    operator
}

fn keyed(event: Event) -> Record<Keyed<Event>> {
    let time = crate::at(event.time);
    Record::at(Keyed { hash: stable_hash(&key_of(&event)), value: event }, time)
}

fn push<O: Operator<Keyed<Event>>>(harness: &mut OperatorHarness<Keyed<Event>, O>, script: &str) {
    crate::events(script).into_iter().for_each(|event| harness.push(keyed(event)));
}

fn a_b() -> Pattern<Event> {
    Pattern::begin("a").when(is("a")).followed_by("b").when(is("b"))
}

/// How many bytes the keys of a harness take when they are written.
fn written(harness: &OperatorHarness<Keyed<Event>, Search>) -> usize {
    // The first is the watermark of the instance.
    let entries = harness.snapshot().unwrap().into_entries();
    entries.values().map(Vec::len).sum::<usize>() - 8
}

#[test]
fn i8_a_key_with_no_partial_match_and_no_early_event_keeps_nothing() {
    let mut harness = harness!(a_b().within(ms(10)));
    push(&mut harness, "ax@0 by@0 cz@0");
    assert_eq!(harness.operator().keys(), 3);
    harness.watermark(crate::at(1));
    assert_eq!((harness.operator().keys(), harness.operator().timers()), (1, 1));
    harness.watermark(crate::at(10));
    assert_eq!((harness.operator().keys(), harness.operator().timers()), (0, 0));
    assert_eq!(written(&harness), 0);
    // And one whose match is whole.
    push(&mut harness, "ax@20 bx@21");
    harness.watermark(crate::at(22));
    assert_eq!(harness.values(), ["ax bx"]);
    assert_eq!((harness.operator().keys(), harness.operator().timers()), (0, 0));
}

#[test]
fn i8_patterns_survive_a_crash_at_any_step() {
    use millstream_engine::testing::{Step, assert_survives_crashes};

    let group = Pattern::begin("b").when(is("b")).next("c").when(is("c"));
    let pattern = Pattern::begin("a").when(is("a")).one_or_more().followed_by(group).optional();
    let pattern = pattern.not_next("n").when(is("n")).not_followed_by("m").when(is("m"));
    let pattern = pattern.within(ms(12)).after_match(AfterMatch::skip_to_next());
    let mut script = Vec::new();
    let all = "ax@1 ay@1 bx@3 ax@2 cx@5 ny@6 ax@8 ay@7 by@9 cy@10 mx@11 ax@11 bx@15 nx@16 cx@20";
    for event in crate::events(all) {
        let time = event.time;
        script.extend([Step::Record(keyed(event)), Step::Watermark(crate::at(time - 1))]);
    }
    script.push(Step::End);
    assert_survives_crashes(&operator(pattern).checkpointed(), &script);
}

#[test]
fn i8_time_is_up_when_the_watermark_reaches_it() {
    let mut harness = harness!(a_b().not_followed_by("c").when(is("c")).within(ms(10)));
    push(&mut harness, "ax@0 bx@5");
    harness.watermark(crate::at(9));
    assert!(harness.values().is_empty());
    harness.watermark(crate::at(10));
    assert_eq!(harness.values(), ["ax bx"]);
}

#[test]
fn i8_within_bounds_what_is_kept() {
    let pattern = a_b().within(ms(50));
    let mut harness = harness!(pattern);
    let mut most = [0; 2];
    for round in 0..2_000_i64 {
        push(&mut harness, &format!("ax{round}@{}", 10 * round));
        harness.watermark(crate::at(10 * round));
        let most = &mut most[usize::from(round >= 100)];
        *most = written(&harness).max(*most);
    }
    let [first, later] = most;
    // Numbers of events are written in more bytes as they grow.
    assert!(later <= first + 100, "it grows from {first} to {later} bytes");
    assert_eq!(harness.operator().keys(), 1);
}

#[test]
fn i8_an_event_is_kept_once_however_many_partial_matches_it_is_part_of() {
    let long = || "x".repeat(10_000);
    // 2¹⁰ partial matches of ten events.
    let pattern = Pattern::begin("a").when(is("a")).one_or_more().allow_combinations();
    let mut harness = harness!(some(pattern.followed_by("b").when(is("b"))));
    for time in 0..10 {
        harness.push(keyed(Event { name: format!("a{}", long()), time }));
    }
    harness.watermark(crate::at(20));
    let size = written(&harness);
    assert!((100_000..200_000).contains(&size), "{size} bytes");
    push(&mut harness, "bx@30");
    harness.watermark(crate::at(40));
    assert_eq!(harness.values().len(), 1_023);
}

#[test]
fn i8_partial_matches_that_are_over_give_their_memory_back() {
    /// So many come and go.
    const PARTIALS: i64 = 150;
    let pattern = Pattern::begin("a")
        .when(is("ab"))
        .followed_by("c")
        .when_with(|event, so_far| event.name[..1] == *"d" && so_far["a"][0].name.starts_with('b'));
    let mut harness = None;
    let round = |harness: &mut OperatorHarness<Keyed<Event>, Search>, start: i64| {
        let counted = allocation_counter::measure(|| {
            // One is open as long as the key lives, and many others come and go.
            for number in 0..PARTIALS {
                let time = start + number / 4;
                harness.push(keyed(Event { name: format!("bx{number:02000}"), time }));
            }
            harness.push(keyed(Event { name: "ax".to_owned(), time: start + 500 }));
            harness.push(keyed(Event { name: "dx".to_owned(), time: start + 500 }));
            harness.watermark(crate::at(start + 600));
            assert_eq!(harness.values().len(), PARTIALS as usize);
        });
        (counted.bytes_current, counted.bytes_max)
    };
    let made = allocation_counter::measure(|| {
        harness = Some(harness!(pattern.clone().max_partial_matches(160)));
    });
    let mut harness = harness.unwrap();
    let mut held = made.bytes_current;
    for start in 0..10 {
        let (current, most) = round(&mut harness, start * 1_000);
        held += current;
        assert!(most > 300_000, "something is kept meanwhile: {most} bytes");
        // Most of it is the room that the harness has for what comes out.
        assert!(held < 40 * 1_024, "{held} bytes after round {start}");
        assert_eq!(harness.operator().keys(), 1, "what began with an `a` is still open");
    }
}

#[test]
fn i8_too_many_partial_matches_fail_the_job_by_name() {
    let pattern = || Pattern::begin("a").when(is("a")).one_or_more();
    let loops = || pattern().greedy().next("b").when(is("b"));
    for (pattern, fits) in [
        (loops().max_partial_matches(6), 3),
        (loops().max_partial_matches(10), 4),
        (pattern().allow_combinations().next("b").when(is("b")).max_partial_matches(15), 4),
    ] {
        let mut harness = harness!(pattern);
        for time in 0..fits {
            push(&mut harness, &format!("ax@{time}"));
        }
        harness.watermark(crate::at(100));
        assert!(harness.take_error().is_none());
        push(&mut harness, "ax@101");
        harness.watermark(crate::at(102));
        let error = harness.take_error().unwrap();
        let cause = error.cause().unwrap().downcast_ref::<TooManyPartialMatches>();
        assert!(cause.is_some(), "{error}");
        assert!(error.to_string().contains("`pattern`"), "{error}");
    }
}

#[test]
fn i8_an_evicted_key_begins_anew() {
    let flow = Dataflow::new("evicted");
    let found = flow
        .source("events", source::from_iter(crate::events("ax@0 ay@1 az@2 bx@3 by@4 bz@5")))
        .event_time(|event| crate::at(event.time), Watermarks::monotonic())
        .key_by(key_of)
        .pattern(a_b().within(ms(100)))
        .select(crate::shown)
        .max_keys(KeyLimit::evict(2))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let found = runtime.block_on(flow.run()).unwrap().take(found).unwrap();
    assert!(!found.is_empty() && found.len() < 3, "{found:?}");
}

/// A harness that has taken over what another keeps.
fn restored(
    from: &OperatorHarness<Keyed<Event>, Search>,
    pattern: Pattern<Event>,
) -> Result<OperatorHarness<Keyed<Event>, Search>, String> {
    let mut harness = harness!(pattern);
    let restored = harness.restore(from.snapshot().unwrap());
    restored.map(|()| harness).map_err(|error| error.to_string())
}

#[test]
fn i8_state_of_a_pattern_of_another_shape_is_refused() {
    let mut before = harness!(a_b().within(ms(100)));
    push(&mut before, "ax@0 ay@1");
    before.watermark(crate::at(2));
    let step = || Pattern::begin("a").when(is("a"));
    for other in [
        a_b().within(ms(99)),
        step().next("b").when(is("b")).within(ms(100)),
        step().followed_by("c").when(is("b")).within(ms(100)),
        a_b().optional().within(ms(100)),
        a_b().times(2).within(ms(100)),
        a_b().next("c").within(ms(100)),
        step().within(ms(100)),
    ] {
        let refused = restored(&before, other).map(drop).unwrap_err();
        assert!(refused.contains("other steps") && refused.contains(".uid(…)"), "{refused}");
    }
    // Conditions, what is skipped, and the limit may change.
    let same = Pattern::begin("a").when(is("x")).followed_by("b").when(is("cb")).within(ms(100));
    let same = same.after_match(AfterMatch::skip_to_next()).max_partial_matches(10);
    let mut after = restored(&before, same).unwrap();
    push(&mut after, "cx@5 by@6");
    after.watermark(crate::at(9));
    assert_eq!(after.values(), ["ax cx", "ay by"]);
}

#[test]
fn i8_a_pattern_may_be_another_one_where_nothing_is_kept() {
    let mut before = harness!(a_b().within(ms(100)));
    push(&mut before, "ax@0 bx@1");
    before.watermark(crate::at(5));
    assert!(restored(&before, a_b().within(ms(99))).is_ok());
}

#[test]
fn i8_bytes_that_nobody_wrote_are_refused_and_do_not_panic() {
    use millstream_engine::random::Random;
    use millstream_engine::state::{StateScope, StateWriter};

    let pattern = || a_b().one_or_more().next("c").when(is("c")).within(ms(100));
    let mut before = harness!(pattern());
    push(&mut before, "ax@0 ax@1 bx@2 bx@3 cx@9");
    before.watermark(crate::at(5));
    let entries = before.snapshot().unwrap().into_entries();
    let of_key = |scope: &StateScope| match scope {
        StateScope::KeyGroup(group) => Some(*group),
        _ => None,
    };
    let found = entries.iter().find_map(|(scope, bytes)| Some((of_key(scope)?, bytes)));
    let (group, whole) = found.unwrap();
    let mut random = Random::new(7);
    let mut refused = 0;
    for _ in 0..5_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let place = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[place] = random.next_u64().to_le_bytes()[0];
        }
        let mut state = StateWriter::new(0);
        state.write(vec![0; 8]);
        state.write_key_group(group, bytes);
        let mut after = harness!(pattern());
        if after.restore(state).is_err() {
            refused += 1;
            continue;
        }
        push(&mut after, "bx@20 cx@21");
        after.end();
        after.events();
    }
    assert!(refused > 2_000, "{refused}");
}

#[test]
fn i8_what_is_found_does_not_depend_on_the_room_there_is() {
    let pattern = || some(Pattern::begin("x").followed_by_any("y"));
    let script = "a@1 b@1 c@1 d@2 e@3 f@3";
    let mut whole = harness!(pattern());
    push(&mut whole, script);
    whole.end();
    let whole = whole.events();
    for room in 1..4 {
        let mut harness = OperatorHarness::with_room(operator(pattern()), room);
        push(&mut harness, script);
        harness.end();
        assert_eq!(harness.events(), whole);
    }
    assert!(whole.len() > 15);
}
