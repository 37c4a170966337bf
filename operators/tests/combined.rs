//! Aggregates that are merged before the shuffle tell what they do without, hold no more than they
//! were given room for, and nothing while a barrier passes. (That windows are those of the oracle
//! is one of the laws of time.)

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Keyed;
use millstream_engine::key::Made;
use millstream_engine::metrics::{DropReason, JobMetrics, OperatorMetrics};
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    Event, OperatorHarness, SinkProbe, SourceProbe, TestDriver, explore, probe_sink, probe_source,
};
use millstream_operators::combine::{Combine, Combined, OnePane, PanesOf};
use millstream_operators::keyed::Aggregating;
use millstream_operators::prelude::*;

/// The key and the value of a record.
type Click = (u8, i64);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn below(random: &mut Random, bound: u64) -> usize {
    usize::try_from(random.below(bound)).unwrap()
}

fn clicks(random: &mut Random) -> Vec<Click> {
    let (count, keys) = (random.below(200), 1 + random.below(30));
    (0..count).map(|n| (random.below(keys) as u8, n as i64 * 7 % 101)).collect()
}

/// Runs a test for each seed, under a schedule, and with batches and edges, that come from it.
fn for_each_seed(seeds: u64, test: impl Fn(&mut Random, &JobOptions)) {
    for seed in 0..seeds {
        explore([seed], |schedule| {
            let mut random = Random::new(seed);
            let options = schedule.clone().with_batch_records(1 + below(&mut random, 6));
            let options = options.with_edge_capacity(1 + below(&mut random, 4));
            test(&mut random, &options);
        });
    }
}

fn operator<'a>(metrics: &'a JobMetrics, kind: &str) -> &'a OperatorMetrics {
    metrics.operators.iter().find(|operator| operator.kind == kind).unwrap()
}

/// Runs a flow whose sources end by themselves.
fn finish(flow: &Dataflow, options: &JobOptions) -> JobReport {
    TestDriver::start_with(flow.blueprint(), options).unwrap().finish().unwrap()
}

#[test]
fn g2_combined_words_tell_what_they_do_without() {
    for_each_seed(300, |random, options| {
        let clicks = clicks(random);
        let mut model = BTreeMap::<u8, (u64, i128, i64)>::new();
        for (key, value) in &clicks {
            let (count, sum, most) = model.entry(*key).or_insert((0, 0, *value));
            (*count, *sum, *most) = (*count + 1, *sum + i128::from(*value), *value.max(most));
        }
        let (before, behind) = (1 + below(random, 4), 1 + below(random, 4));
        let entries = below(random, 20);
        let flow = Dataflow::new("combined");
        let [one, two, three] =
            flow.source("clicks", source::from_iter(clicks)).broadcast::<3>().map(|clicks| {
                let clicks = clicks.parallel(before).key_by_ref(|click: &Click| &click.0);
                clicks.parallel(behind).combined(entries)
            });
        let counts = one.count().collect();
        let sums = (Sum::of(|click: &Click| click.1), Max::of(|click: &Click| click.1));
        let sums = two.aggregate(sums).collect();
        let most = three.reduce(|most: &mut Click, other| most.1 = most.1.max(other.1)).collect();
        let report = finish(&flow, options);
        let context = format!("{before} -> {behind} with {entries}");
        let counts: BTreeMap<_, _> = report.take(counts).unwrap().into_iter().collect();
        let expected: BTreeMap<_, _> = model.iter().map(|(key, of)| (*key, of.0)).collect();
        assert_eq!(counts, expected, "{context}");
        let sums: BTreeMap<_, _> = report.take(sums).unwrap().into_iter().collect();
        let expected: BTreeMap<_, _> =
            model.iter().map(|(key, of)| (*key, (of.1, Some(of.2)))).collect();
        assert_eq!(sums, expected, "{context}");
        let most = report.take(most).unwrap().into_iter().map(|(key, click)| (key, click.1));
        let expected: BTreeMap<_, _> = model.iter().map(|(key, of)| (*key, of.2)).collect();
        assert_eq!(most.collect::<BTreeMap<_, _>>(), expected, "{context}");
    });
}

#[test]
fn g2_combined_fewer_records_cross_the_shuffle_and_are_counted() {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("words");
    let clicks = flow.source("clicks", source).key_by(|click| click.0).parallel(3);
    clicks.combined(10).count().sink("counts", sink);
    let options = JobOptions::default().with_operator_counts(true);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    for n in 0..1_000 {
        driver.push(&input, (n as u8 % 10, 1));
    }
    output.request(usize::MAX);
    let crossed = |driver: &TestDriver| operator(&driver.metrics(), "key_by").records_in;
    assert_eq!(crossed(&driver), Some(0), "ten keys have room");
    driver.push(&input, (10, 1));
    assert_eq!(crossed(&driver), Some(10), "there is no room for the eleventh");
    driver.end(&input);
    assert_eq!(driver.read(&output).iter().map(|(_, count)| count).sum::<u64>(), 1_001);
    let combine = operator(&driver.metrics(), "combine").clone();
    assert_eq!((combine.records_in, combine.records_out), (Some(1_001), Some(11)));
    driver.finish().unwrap();
}

type ByValue = Made<fn(&u32) -> u32>;
type Counting = OperatorHarness<u32, Combine<u32, ByValue, OnePane, Count>>;

fn counting(entries: usize, room: usize) -> Counting {
    let combine = Combine::new(Made((|n: &u32| *n) as fn(&u32) -> u32), OnePane, Count, entries);
    OperatorHarness::with_room(combine, room)
}

/// How many records came out as they were, and of how many there were partials.
fn came_out<T, K, A>(events: Vec<Event<Keyed<Combined<T, K, A>>>>) -> (u64, u64) {
    let mut came = (0, 0);
    for event in events {
        match event {
            Event::Record(Record { value: Keyed { value: Combined::Record(_), .. }, .. }) => {
                came.0 += 1;
            }
            Event::Record(Record {
                value: Keyed { value: Combined::Partial(part), .. }, ..
            }) => {
                came.1 += part.records;
            }
            Event::Watermark(_) | Event::End => {}
        }
    }
    came
}

#[test]
fn g2_combined_holds_no_more_entries_than_it_was_given() {
    for (entries, room) in [(1, 1), (2, usize::MAX), (100, 7)] {
        let mut random = Random::new(entries as u64);
        let mut combine = counting(entries, room);
        let (mut as_it_is, mut merged) = (0, 0);
        for n in 0..5_000 {
            // Most of few keys, so that merging is never given up.
            let key = if random.below(3) == 0 { random.below(1_000) } else { random.below(3) };
            combine.push(key as u32);
            assert!(combine.operator().held() <= entries);
            assert!(combine.operator().capacity() <= 4 * entries + 16, "there is but one table");
            let (one, some) = came_out(combine.events());
            (as_it_is, merged) = (as_it_is + one, merged + some);
            assert!(as_it_is + merged + entries as u64 * 1_000 > n);
        }
        combine.end();
        let (one, some) = came_out(combine.events());
        assert_eq!(as_it_is + merged + one + some, 5_000, "every record is in one of them");
        assert_eq!(combine.operator().held(), 0);
    }
}

#[test]
fn g2_combined_records_pass_for_a_while_where_few_are_merged() {
    let mut combine = counting(100, usize::MAX);
    (0..101).for_each(|n| combine.push(n));
    assert_eq!(came_out(combine.events()), (1, 100), "a hundred keys, and nothing merged");
    (0..800).for_each(|n| combine.push(n % 2));
    assert_eq!(came_out(combine.events()), (800, 0), "they pass");
    (0..800).for_each(|n| combine.push(n % 2));
    assert_eq!(combine.operator().held(), 2, "then merging is tried again");
    combine.end();
    assert_eq!(came_out(combine.events()), (0, 800));
}

#[test]
fn g2_combined_order_is_kept_for_each_key() {
    for_each_seed(100, |random, options| {
        let (count, keys, entries) = (random.below(300), 1 + random.below(40), below(random, 9));
        let numbers: Vec<u64> = (0..count).map(|n| n * 64 + random.below(keys)).collect();
        let flow = Dataflow::new("in order");
        let lists = flow.source("numbers", source::from_iter(numbers)).key_by(|n| n % 64);
        let lists = lists.parallel(2).combined(entries).aggregate(ToList);
        let lists = lists.collect();
        let lists = finish(&flow, options).take(lists).unwrap();
        assert!(lists.iter().all(|(_, list)| list.is_sorted()), "{lists:?} with {entries}");
        assert_eq!(lists.iter().map(|(_, list)| list.len() as u64).sum::<u64>(), count);
    });
}

#[test]
fn g2_combined_does_nothing_where_there_is_no_shuffle() {
    let stages = |before, behind| {
        let flow = Dataflow::new("alone");
        let clicks = flow.source("clicks", source::from_iter([(1, 1)])).parallel(before);
        clicks.key_by(|click: &Click| click.0).parallel(behind).combined(9).count().ignore();
        let graph = flow.graph().unwrap();
        graph.operators.iter().any(|operator| operator.kind == "combine")
    };
    assert!(!stages(1, 1));
    assert!(stages(1, 2) && stages(2, 1) && stages(2, 2));
}

/// Counts clicks by key under a `uid`, with or without a combiner, and crashes at a barrier behind
/// them if there is no end. Answers with the counts, or the state.
fn counted(
    clicks: &[Click],
    (instances, combined): (usize, Option<usize>),
    (options, state): (&JobOptions, Option<Snapshot>),
    ends: bool,
) -> Result<BTreeMap<u8, u64>, Snapshot> {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("counted");
    let keyed = flow.source("clicks", source).key_by(|click| click.0).parallel(instances);
    match combined {
        Some(entries) => keyed.combined(entries).count().uid("counts").sink("counts", sink),
        None => keyed.count().uid("counts").sink("counts", sink),
    }
    let options = state.into_iter().fold(options.clone(), JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    output.request(usize::MAX);
    clicks.iter().for_each(|click| driver.push(&input, *click));
    if !ends {
        driver.barrier(&input, Barrier(1));
        return Err(driver.snapshot(Barrier(1)));
    }
    driver.end(&input);
    let counts = driver.read(&output).into_iter().collect();
    driver.finish().unwrap();
    Ok(counts)
}

#[test]
fn g2_combined_a_crash_at_a_barrier_loses_nothing_and_state_knows_of_no_combiner() {
    for_each_seed(60, |random, options| {
        let clicks = clicks(random);
        let mut expected = BTreeMap::<u8, u64>::new();
        clicks.iter().for_each(|click| *expected.entry(click.0).or_default() += 1);
        let (before, after) = clicks.split_at(below(random, clicks.len() as u64 + 1));
        let how = |random: &mut Random| {
            let entries = 1 + below(random, 9);
            (1 + below(random, 4), (random.below(3) > 0).then_some(entries))
        };
        let first = how(random);
        let state = counted(before, first, (options, None), false).unwrap_err();
        let plain = counted(before, (1, None), (options, None), false).unwrap_err();
        assert_eq!(state.to_bytes(), plain.to_bytes(), "at {first:?}");
        let counts = counted(after, how(random), (options, Some(state)), true);
        assert_eq!(counts.ok(), Some(expected));
    });
}

#[test]
fn g2_combined_whatever_hangs_behind_the_shuffle_holds_a_barrier_up_and_breaks_nothing() {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("hangs");
    let keyed = flow.source("clicks", source).key_by(|click| click.0).parallel(2);
    // Each new key tells of another, and nobody takes that.
    let told = keyed.combined(50).count().max_keys(KeyLimit::evict(1));
    told.sink("told", sink);
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    (0..50).for_each(|key| driver.push(&input, (key, 1)));
    driver.barrier(&input, Barrier(1));
    let combine = operator(&driver.metrics(), "combine").stage;
    assert!(driver.metrics().stages[combine].blocked_now == 1, "{}", driver.explain());
    assert!(input.try_send((99, 1)).is_ok(), "the source has room of its own");
    driver.settle();
    output.request(usize::MAX);
    driver.end(&input);
    assert_eq!(driver.read(&output).iter().map(|(_, count)| count).sum::<u64>(), 51);
    driver.finish().unwrap();
}

/// A stage of two instances, each with an event time of its own: the first gets every other click.
/// Clicks without a value never get there, so an instance may be idle while the other goes on.
struct Apart {
    input: SourceProbe<(i64, u64)>,
    told: SinkProbe<Windowed<i64, TimeWindow, u64>>,
    late: Option<SinkProbe<(i64, u64)>>,
    driver: TestDriver,
}

fn apart(options: &JobOptions, combined: Option<usize>, sends_late: bool) -> Apart {
    let (input, source) = probe_source::<(i64, u64)>();
    let (told, sink) = probe_sink();
    let flow = Dataflow::new("apart");
    let watermarks = Watermarks::bounded_disorder(ms(3)).idle_after(ms(10));
    let clicks = flow.source("clicks", source).parallel(2).filter(|click| click.1 > 0);
    let clicks = clicks.event_time(|click: &(i64, u64)| at(click.0), watermarks);
    let keyed = clicks.key_by(|click| click.0.rem_euclid(3)).parallel(2);
    let late = sends_late.then(|| {
        let (tag, too_late) = flow.side_output::<(i64, u64)>("late");
        let (late, sink) = probe_sink();
        too_late.sink("too late", sink);
        late.request(usize::MAX);
        (late, tag)
    });
    let sum = Sum::of(|click: &(i64, u64)| click.1).map_result(|sum| sum as u64);
    let windows = Tumbling::of(ms(10));
    if let Some(entries) = combined {
        let windows = keyed.combined(entries).window(windows);
        let windows = match &late {
            Some((_, tag)) => windows.late_to(tag),
            None => windows,
        };
        windows.aggregate(sum).sink("told", sink);
    } else {
        let windows = keyed.window(windows);
        let windows = match &late {
            Some((_, tag)) => windows.late_to(tag),
            None => windows,
        };
        windows.aggregate(sum).sink("told", sink);
    }
    let driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
    told.request(usize::MAX);
    Apart { input, told, late: late.map(|(late, _)| late), driver }
}

#[test]
fn h6_combined_late_records_are_counted_and_sent_one_by_one() {
    for_each_seed(300, |random, options| {
        let sends_late = random.below(2) == 0;
        let combined = (random.below(8) > 0).then_some(1 + below(random, 6));
        let mut apart = apart(options, combined, sends_late);
        let (mut nows, mut records, mut pushed) = ([0, 0], 0, 0);
        for _ in 0..random.below(60) {
            if random.below(8) == 0 {
                apart.driver.advance(ms(random.below(25)));
            }
            // One that is quiet stays behind, and comes back with what is late.
            let instance = pushed % 2;
            nows[instance] += random.below(9) as i64;
            let is_one = u64::from(random.below(3) > 0);
            let click = (nows[instance] - random.below(6) as i64, is_one);
            apart.driver.push(&apart.input, click);
            (records, pushed) = (records + is_one, pushed + 1);
        }
        apart.driver.end(&apart.input);
        let told = apart.driver.read(&apart.told).iter().map(|told| told.value).sum::<u64>();
        let metrics = apart.driver.metrics();
        let dropped = operator(&metrics, "window").dropped.of(DropReason::Late);
        let late = apart.late.map(|late| apart.driver.read(&late).len() as u64);
        assert_eq!(told + dropped + late.unwrap_or_default(), records, "{combined:?}");
        assert!(late.is_none() || dropped == 0, "all of them are sent: {dropped} are not");
        apart.driver.finish().unwrap();
    });
}

#[test]
fn h6_combined_what_may_be_late_is_not_merged() {
    let by_parity = Made((|n: &i64| n % 2) as fn(&i64) -> i64);
    let panes = PanesOf(Tumbling::of(ms(10)));
    let mut combine = OperatorHarness::new(Combine::new(by_parity, panes, Aggregating(Count), 9));
    let push = |combine: &mut OperatorHarness<i64, _>, time: i64| {
        combine.push(Record::at(time, at(time)));
    };
    push(&mut combine, 1);
    assert_eq!(came_out(combine.events()), (1, 0), "nobody knows how far those behind have come");
    combine.watermark(at(9));
    [1, 3, 11, 2].into_iter().for_each(|time| push(&mut combine, time));
    assert_eq!(came_out(combine.events()), (0, 0));
    combine.watermark(at(10));
    let parts: Vec<_> = combine.events();
    assert!(matches!(parts.last(), Some(Event::Watermark(_))), "they go first: {parts:?}");
    assert_eq!(came_out(parts), (0, 3), "the window of 11 waits");
    push(&mut combine, 3);
    assert_eq!(came_out(combine.events()), (1, 0));
    combine.idle();
    assert_eq!(came_out(combine.events()), (0, 1));
    push(&mut combine, 12);
    combine.barrier();
    assert_eq!(came_out(combine.events()), (0, 1));
    push(&mut combine, i64::MAX);
    combine.end();
    assert_eq!(came_out(combine.events()), (1, 0), "the end of time lies in no window");
}

#[test]
fn h12_combined_windows_without_a_key_get_one_partial_from_each_instance() {
    let (input, source) = probe_source::<i64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("all");
    let numbers = flow.source("numbers", source).event_time(|n| at(*n), Watermarks::monotonic());
    let windows = numbers.parallel(4).combined(8).window_all(Tumbling::of(ms(1_000)));
    windows.count().sink("counts", sink);
    let options = JobOptions::default().with_operator_counts(true);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    output.request(usize::MAX);
    (0..5_000).for_each(|n| driver.push(&input, n));
    driver.end(&input);
    let counts: Vec<_> = driver.read(&output).iter().map(|told| told.value).collect();
    assert_eq!(counts, [1_000; 5]);
    let crossed = operator(&driver.metrics(), "key_by").records_in.unwrap();
    assert!((20..30).contains(&crossed), "four a window, and the first few: {crossed}");
    driver.finish().unwrap();
}
