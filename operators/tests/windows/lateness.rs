//! Late records: which they are, where they go, and what they change.

use millstream_engine::metrics::DropReason;
use millstream_engine::testing::SideProbe;
use millstream_operators::fan::SidePort;

use super::*;
use Firing::{Late, OnTime};

fn lenient(lateness: u64) -> WindowRules<Click, OnWatermark> {
    WindowRules { lateness: ms(lateness), ..rules(OnWatermark) }
}

#[test]
fn h6_a_record_is_late_when_its_window_is_complete_and_not_before() {
    let mut windows = Driven::new(operator(ten(), rules(OnWatermark)));
    windows.watermark(9);
    assert!(windows.push('a', 3, 1).is_empty(), "behind the watermark, and in time for its window");
    assert_eq!(windows.watermark(10), [('a', 0, 1, OnTime)]);
    assert!(windows.push('a', 9, 2).is_empty());
    let late = |windows: &Driven<_>| windows.0.counters().drops().of(DropReason::Late);
    assert_eq!(late(&windows), 1);
    assert!(windows.push('a', 10, 4).is_empty());
    assert_eq!(windows.end(), [('a', 10, 4, OnTime)]);
    assert_eq!(late(&windows), 1, "dropped, counted, and nothing else is");
}

#[test]
fn h6_within_the_lateness_each_record_changes_what_was_told() {
    let mut windows = Driven::new(operator(ten(), lenient(5)));
    windows.push('a', 3, 1);
    assert_eq!(windows.watermark(12), [('a', 0, 1, OnTime)]);
    assert_eq!(windows.push('a', 4, 2), [('a', 0, 3, Late)]);
    assert_eq!(windows.push('b', 4, 8), [('b', 0, 8, OnTime)], "nothing was told of it before");
    assert_eq!(windows.push('b', 5, 16), [('b', 0, 24, Late)]);
    assert!(windows.watermark(14).is_empty());
    assert_eq!(windows.push('a', 9, 4), [('a', 0, 7, Late)]);
    assert!(windows.watermark(15).is_empty(), "nothing is told a second time");
    assert!(windows.push('a', 9, 100).is_empty(), "the end and the lateness are reached");
    assert_eq!(windows.0.counters().drops().of(DropReason::Late), 1);
    assert!(windows.end().is_empty());
}

#[test]
fn h6_what_is_later_still_goes_to_the_side_output_with_its_time() {
    let (harness, mut probe): (_, SideProbe<Click>) = OperatorHarness::with_side(16, |port| {
        operator(ten(), WindowRules { late: LateRecords::to(SidePort::new(port)), ..lenient(5) })
    });
    let mut windows = Driven(harness);
    windows.push('a', 3, 1);
    windows.watermark(15);
    windows.told();
    windows.push('a', 4, 2);
    windows.push('a', -100, 3);
    assert!(windows.told().is_empty());
    let late = [Record::at(('a', 4, 2), at(4)), Record::at(('a', -100, 3), at(-100))];
    assert_eq!(probe.records(), late);
    assert_eq!(windows.0.counters().drops().of(DropReason::Late), 0);
}

#[test]
fn h6_a_new_window_may_be_late_or_in_time_however_old_its_neighbours_are() {
    let mut windows = Driven::new(operator(ten(), lenient(20)));
    windows.push('a', 100, 1);
    assert!(windows.watermark(95).is_empty());
    assert!(windows.push('a', 60, 2).is_empty(), "late by 15 ms more than is allowed");
    assert_eq!(windows.push('a', 79, 4), [('a', 70, 4, OnTime)]);
    assert_eq!(windows.push('a', 80, 8), [('a', 80, 8, OnTime)]);
    assert!(windows.push('a', 90, 16).is_empty());
    let rest = [('a', 90, 16, OnTime), ('a', 100, 1, OnTime)];
    assert_eq!(windows.end(), rest);
}

#[test]
fn h15_results_of_discarding_windows_add_up() {
    let discarding = WindowRules { accumulation: Accumulation::Discarding, ..lenient(5) };
    let mut windows = Driven::new(operator(ten(), discarding));
    windows.push('a', 3, 1);
    assert_eq!(windows.watermark(10), [('a', 0, 1, OnTime)]);
    assert_eq!(windows.push('a', 4, 2), [('a', 0, 2, Late)]);
    assert_eq!(windows.push('a', 5, 4), [('a', 0, 4, Late)]);
    assert!(windows.end().is_empty());
}

#[test]
fn f16_lateness_at_the_ends_of_time_neither_panics_nor_hangs() {
    let forever = WindowRules { lateness: Duration::MAX, ..rules(OnWatermark) };
    let mut windows = Driven::new(operator(ten(), forever));
    windows.push('a', i64::MAX, 1);
    windows.push('a', i64::MIN, 2);
    windows.push('a', 0, 4);
    let told = [('a', i64::MIN, 2, OnTime), ('a', 0, 4, OnTime)];
    assert_eq!(windows.watermark(i64::MAX - 1), told);
    assert_eq!(windows.push('a', 1, 8), [('a', 0, 12, Late)], "for ever is for ever");
    let last = windows.watermark(i64::MAX);
    assert_eq!(last, [('a', i64::MAX - 7, 1, OnTime)]);
    assert!(windows.end().is_empty());
}
