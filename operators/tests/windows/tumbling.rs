//! Tumbling windows: where they begin and end, and when they are told of.

use super::*;
use Firing::OnTime;

#[test]
fn h3_a_window_is_complete_when_the_watermark_reaches_its_end() {
    let mut windows = Driven::new(operator(ten(), rules(OnWatermark)));
    assert!(windows.push('a', 0, 1).is_empty());
    assert!(windows.push('a', 9, 2).is_empty(), "the last point is in");
    assert!(windows.push('a', 10, 4).is_empty(), "the end is not");
    assert!(windows.watermark(9).is_empty(), "a record at 9 may still follow");
    assert_eq!(windows.watermark(10), [('a', 0, 3, OnTime)]);
    assert!(windows.watermark(19).is_empty());
    assert_eq!(windows.end(), [('a', 10, 4, OnTime)], "the end of the input completes all");
}

#[test]
fn h3_windows_before_the_epoch_and_at_the_ends_of_time() {
    let mut windows = Driven::new(operator(ten(), rules(OnWatermark)));
    for time in [-1, -10, -11, i64::MIN, i64::MAX - 1, i64::MAX] {
        assert!(windows.push('a', time, 1).is_empty());
    }
    let early = windows.watermark(-10);
    let first_start = i64::MIN;
    assert_eq!(early, [('a', first_start, 1, OnTime), ('a', -20, 1, OnTime)]);
    assert_eq!(windows.watermark(0), [('a', -10, 2, OnTime)]);
    assert_eq!(windows.end(), [('a', i64::MAX - 7, 2, OnTime)]);
}

#[test]
fn h7_the_result_tells_key_window_and_value_at_the_last_point_of_the_window() {
    let mut harness = OperatorHarness::new(operator(ten(), rules(OnWatermark)));
    harness.push(click('a', 12, 7));
    harness.watermark(at(20));
    let told =
        Windowed { key: 'a', window: TimeWindow::new(at(10), at(20)), value: 7, firing: OnTime };
    let told = Event::Record(Record::at(told, at(19)));
    assert_eq!(harness.events(), [told, Event::Watermark(at(20))], "in front of the watermark");
}

#[test]
fn h3_windows_come_out_in_the_order_of_time_and_empty_ones_are_not_told_of() {
    let mut windows = Driven::new(operator(ten(), rules(OnWatermark)));
    for (time, number) in [(55, 1), (5, 2), (31, 4), (9, 8), (50, 16)] {
        assert!(windows.push('a', time, number).is_empty());
    }
    let all = [('a', 0, 10, OnTime), ('a', 30, 4, OnTime), ('a', 50, 17, OnTime)];
    assert_eq!(windows.watermark(100), all);
    assert!(windows.end().is_empty());
}

#[test]
fn h3_a_window_of_many_keys_comes_out_bit_by_bit_and_the_watermark_waits_behind_it() {
    let keys = 'a'..='z';
    let operator = operator(ten(), rules(OnWatermark));
    let mut harness = OperatorHarness::with_room(operator, 3);
    keys.clone().for_each(|key| harness.push(click(key, 5, 1)));
    keys.clone().for_each(|key| harness.push(click(key, 15, 1)));
    harness.watermark(at(20));
    let events = harness.events();
    assert_eq!(events.len(), 2 * 26 + 1);
    assert_eq!(events.last(), Some(&Event::Watermark(at(20))));
    let key = |event: &Event<Windowed<char, TimeWindow, u64>>| match event {
        Event::Record(record) => Some(record.value.key),
        _ => None,
    };
    let mut first: Vec<char> = events[..26].iter().filter_map(key).collect();
    first.sort_unstable();
    assert_eq!(first, keys.collect::<Vec<_>>());
}

#[tokio::test]
async fn h20_windows_of_windows_work_because_a_result_lies_in_its_window() {
    let flow = Dataflow::new("hours of minutes");
    let clicks = (0..40).map(|n| ('a', n * 5, 1));
    let minutes = flow
        .source("clicks", source::from_iter(clicks))
        .event_time(time_of, Watermarks::monotonic())
        .key_by(key_of)
        .window(ten())
        .aggregate(Total)
        .map(|minute| (minute.key, minute.window.start.as_millis(), minute.value));
    let hours = minutes
        .key_by(key_of)
        .window(Tumbling::of(ms(100)))
        .aggregate(Total)
        .map(|hour| (hour.window.start.as_millis(), hour.value))
        .collect();
    let hours = flow.run().await.unwrap().take(hours);
    assert_eq!(hours, Some(vec![(0, 20), (100, 20)]));
}

#[test]
fn h3_a_window_needs_event_time() {
    let flow = Dataflow::new("timeless");
    let clicks = flow.source("clicks", source::from_iter([('a', 0, 1)]));
    clicks.key_by(key_of).window(ten()).aggregate(Total).ignore();
    let mistake = flow.validate().unwrap_err().to_string();
    assert!(mistake.contains("`window` works by event time"), "{mistake}");
}

#[test]
fn a_clone_begins_with_blank_state() {
    let mut windows = Driven::new(operator(ten(), rules(OnWatermark)));
    windows.push('a', 0, 1);
    let mut other = Driven::new(windows.0.operator().clone());
    assert!(other.end().is_empty());
}

/// The time before the epoch and the time behind it.
#[derive(Clone)]
struct Eras;

impl AlignedWindows for Eras {
    fn window_of(&self, time: Timestamp) -> TimeWindow {
        let (before, behind) = ((Timestamp::MIN, at(0)), (at(0), Timestamp::MAX));
        let (start, end) = if time < at(0) { before } else { behind };
        TimeWindow::new(start, end)
    }
}

#[test]
fn h13_windows_of_your_own_are_windows_as_any_others() {
    let mut windows = Driven::new(operator(Eras, rules(OnWatermark)));
    for (time, number) in [(-5, 1), (5, 2), (i64::MIN, 4), (i64::MAX, 8)] {
        assert!(windows.push('a', time, number).is_empty());
    }
    assert_eq!(windows.watermark(0), [('a', i64::MIN, 5, OnTime)]);
    assert!(windows.watermark(1_000_000).is_empty());
    assert_eq!(windows.end(), [('a', 0, 10, OnTime)]);
}
