//! Windows by the number of records, and of all of them.

use millstream_engine::metrics::DropReason;

use super::*;
use Firing::{Early, OnTime};

/// An operator of such windows, driven by hand.
type Harness<W, R> =
    OperatorHarness<Keyed<Click>, <W as Windows<Click>>::Operator<ByKey, Total, R>>;

/// What was told: key, number of the window, total, why, event time.
type Full = (char, u64, u64, Firing, i64);

/// What a script of records of some keys brings about.
fn told<W: Windows<Click, Window = u64>, R: Trigger>(
    windows: W,
    rules: WindowRules<Click, R>,
    clicks: &[Click],
) -> (Vec<Full>, Harness<W, R>) {
    let mut harness = OperatorHarness::with_room(operator(windows, rules), 1);
    for (key, time, number) in clicks {
        harness.push(click(*key, *time, *number));
    }
    harness.end();
    let events = harness.events().into_iter().filter_map(|event| match event {
        Event::Record(Record { value, time }) => {
            Some((value.key, value.window, value.value, value.firing, time.as_millis()))
        }
        Event::Watermark(_) | Event::End => None,
    });
    (events.collect(), harness)
}

fn clicks<const N: usize>(key: char) -> [Click; N] {
    std::array::from_fn(|n| (key, 100 - n as i64, 1 << n))
}

#[test]
fn h10_a_count_window_is_told_of_when_it_is_full_each_key_by_itself() {
    let [a1, a2, a3, a4, a5] = clicks('a');
    let all = [a1, ('b', 7, 32), a2, a3, ('b', 8, 64), a4, a5];
    let (out, _) = told(CountWindows::of(2), rules(OnWatermark), &all);
    let expected = [('a', 0, 3, OnTime, 100), ('b', 0, 96, OnTime, 8), ('a', 1, 12, OnTime, 98)];
    assert_eq!(out, expected, "and the fifth of a is not told of");
}

#[test]
fn h10_the_partial_group_is_told_of_if_one_says_so() {
    let (out, _) = told(CountWindows::of(2).with_partial(), rules(OnWatermark), &clicks::<3>('a'));
    assert_eq!(out, [('a', 0, 3, OnTime, 100), ('a', 1, 4, OnTime, 98)]);
    let (out, _) = told(CountWindows::of(2).with_partial(), rules(OnWatermark), &clicks::<2>('a'));
    assert_eq!(out.len(), 1, "an empty group is none");
}

#[test]
fn h10_sliding_count_windows_overlap_or_leave_gaps() {
    let (out, _) = told(CountWindows::of(3).every(2), rules(OnWatermark), &clicks::<6>('a'));
    assert_eq!(out, [('a', 0, 7, OnTime, 100), ('a', 1, 28, OnTime, 98)]);
    let all = CountWindows::of(3).every(2).with_partial();
    let (out, _) = told(all, rules(OnWatermark), &clicks::<6>('a'));
    assert_eq!(out[2..], [('a', 2, 48, OnTime, 96)]);
    let (out, harness) = told(CountWindows::of(1).every(3), rules(OnWatermark), &clicks::<6>('a'));
    assert_eq!(out, [('a', 0, 1, OnTime, 100), ('a', 1, 8, OnTime, 97)]);
    assert_eq!(harness.counters().drops().of(DropReason::Sampled), 4);
}

#[test]
fn h10_a_trigger_tells_of_a_count_window_early() {
    let (out, _) = told(CountWindows::of(3), rules(OnEveryRecord), &clicks::<4>('a'));
    let firings: Vec<_> = out.iter().map(|told| (told.1, told.2, told.3)).collect();
    assert_eq!(firings, [(0, 1, Early), (0, 3, Early), (0, 7, OnTime), (1, 8, Early)]);
}

#[test]
fn h11_the_global_window_is_told_of_at_the_end_and_by_triggers() {
    let (out, _) = told(Global, rules(OnWatermark), &clicks::<5>('a'));
    assert_eq!(out, [('a', 0, 31, OnTime, 100)]);
    let (out, _) = told(Global, rules(OnCount::of(2)), &clicks::<5>('a'));
    let values: Vec<_> = out.iter().map(|told| (told.2, told.3)).collect();
    assert_eq!(values, [(3, Early), (15, Early), (31, OnTime)]);
    let discarding =
        WindowRules { accumulation: Accumulation::Discarding, ..rules(OnCount::of(2)) };
    let (out, _) = told(Global, discarding, &clicks::<5>('a'));
    let values: Vec<_> = out.iter().map(|told| (told.2, told.3)).collect();
    assert_eq!(values, [(3, Early), (12, Early), (16, OnTime)]);
}

#[test]
fn h11_the_global_window_by_the_clock() {
    let rules = rules(AfterProcessingTime::of(ms(100)));
    let mut harness = OperatorHarness::new(operator(Global, rules));
    harness.push(click('a', 0, 1));
    harness.advance(ms(99));
    assert!(harness.values().is_empty());
    harness.push(click('a', 0, 2));
    harness.advance(ms(1));
    assert_eq!(harness.values().iter().map(|told| told.value).collect::<Vec<_>>(), [3]);
    assert_eq!(harness.next_timer(), None);
}

#[tokio::test]
async fn h12_windows_without_a_key_bring_all_instances_together() {
    let flow = Dataflow::new("all");
    let clicks = (0..40).map(|n| ('a', n, 1));
    let totals = flow
        .source("clicks", source::from_iter(clicks))
        .event_time(time_of, Watermarks::monotonic())
        .parallel(3)
        .map(|click| click)
        .window_all(ten())
        .aggregate(Total)
        .map(|told| told.value)
        .collect();
    assert_eq!(flow.run().await.unwrap().take(totals), Some(vec![10; 4]));
}

#[test]
fn h6_windows_by_count_know_no_late_records_and_their_side_output_ends() {
    use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
    let (input, source) = probe_source::<Click>();
    let [(told, out), (late, side)] = [probe_sink(), probe_sink()];
    let flow = Dataflow::new("counts");
    let (tag, too_late) = flow.side_output::<Click>("late");
    let windows = flow.source("clicks", source).key_by(key_of).window(CountWindows::of(2));
    let two = windows.late_to(&tag).aggregate(Total);
    two.map(|told| (told.key, 0, told.value)).sink("told", out);
    too_late.sink("too late", side);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    for time in [1_000, -1_000] {
        driver.push(&input, ('a', time, 1));
    }
    assert_eq!(driver.read(&told), [('a', 0, 2)]);
    assert!(driver.read(&late).is_empty());
    driver.end(&input);
    driver.finish().unwrap();
}
