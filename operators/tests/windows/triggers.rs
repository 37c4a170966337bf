//! Triggers: by themselves, put together, by the clock, and what Flink does differently.

use super::*;
use Firing::{Early, Late, OnTime};

fn with<R: Trigger>(trigger: R) -> Driven<impl Operator<Keyed<Click>, Out = Out>> {
    Driven::new(operator(ten(), rules(trigger)))
}

fn lenient<R: Trigger>(trigger: R) -> Driven<impl Operator<Keyed<Click>, Out = Out>> {
    Driven::new(operator(ten(), WindowRules { lateness: ms(10), ..rules(trigger) }))
}

#[test]
fn h8_a_trigger_takes_the_place_of_the_default_and_loses_nothing_all_the_same() {
    // In Flink, the rest of what a count trigger has not told is cleared away with the window.
    let mut windows = with(OnCount::of(2));
    assert!(windows.push('a', 0, 1).is_empty());
    assert_eq!(windows.push('a', 1, 2), [('a', 0, 3, Early)]);
    assert!(windows.push('a', 2, 4).is_empty());
    assert!(windows.push('b', 2, 1).is_empty());
    assert_eq!(windows.push('b', 2, 1), [('b', 0, 2, Early)]);
    assert_eq!(windows.watermark(10), [('a', 0, 7, OnTime)], "and of b there is nothing new");
    assert!(windows.end().is_empty());
}

#[test]
fn h8_an_early_trigger_stands_beside_the_result_on_time() {
    let mut windows = lenient(OnWatermark.with_early(OnCount::of(2)));
    windows.push('a', 0, 1);
    assert_eq!(windows.push('a', 1, 2), [('a', 0, 3, Early)]);
    assert_eq!(windows.watermark(10), [('a', 0, 3, OnTime)], "the same, but now it is known");
    assert_eq!(windows.push('a', 2, 4), [('a', 0, 7, Late)]);
    assert_eq!(windows.push('b', 2, 8), [('b', 0, 8, OnTime)]);
    assert_eq!(windows.push('b', 2, 8), [('b', 0, 16, Late)]);
    assert!(windows.end().is_empty());
}

#[test]
fn h8_late_corrections_may_be_told_once() {
    let mut windows = lenient(OnWatermark.with_late(OnFinal));
    windows.push('a', 0, 1);
    assert_eq!(windows.watermark(10), [('a', 0, 1, OnTime)]);
    assert!(windows.push('a', 2, 2).is_empty());
    assert!(windows.push('a', 3, 4).is_empty());
    assert!(windows.watermark(19).is_empty());
    assert_eq!(windows.watermark(20), [('a', 0, 7, Late)]);
    let mut windows = lenient(OnWatermark.with_early(OnEveryRecord).with_late(OnCount::of(2)));
    assert_eq!(windows.push('a', 0, 1), [('a', 0, 1, Early)]);
    assert_eq!(windows.watermark(10), [('a', 0, 1, OnTime)]);
    assert!(windows.push('a', 0, 2).is_empty());
    assert_eq!(windows.push('a', 0, 4), [('a', 0, 7, Late)]);
}

#[test]
fn h9_on_update_or_only_when_final() {
    let mut windows = lenient(OnEveryRecord);
    assert_eq!(windows.push('a', 0, 1), [('a', 0, 1, Early)]);
    assert_eq!(windows.push('a', 0, 2), [('a', 0, 3, Early)]);
    assert!(windows.watermark(10).is_empty(), "there is nothing new");
    assert_eq!(windows.push('a', 0, 4), [('a', 0, 7, OnTime)]);
    assert!(windows.end().is_empty());
    let mut windows = lenient(OnFinal);
    windows.push('a', 0, 1);
    assert!(windows.watermark(10).is_empty());
    assert!(windows.push('a', 0, 2).is_empty());
    assert_eq!(windows.watermark(20), [('a', 0, 3, OnTime)], "once, and behind the lateness");
    windows.push('a', 20, 4);
    assert_eq!(windows.end(), [('a', 20, 4, OnTime)]);
}

#[test]
fn h8_either_of_two_triggers_or_both() {
    let mut either = with(OnCount::of(3).or(AfterEventTime::of(ms(4))));
    either.push('a', 1, 1);
    either.push('a', 2, 2);
    assert!(either.watermark(4).is_empty());
    assert_eq!(either.watermark(5), [('a', 0, 3, Early)], "4 ms behind the record at 1");
    either.push('a', 6, 4);
    either.push('a', 6, 8);
    assert_eq!(either.push('a', 6, 16), [('a', 0, 31, Early)]);
    assert!(either.watermark(10).is_empty(), "told, and no longer waited for");
    let mut both = with(OnCount::of(2).and(AfterEventTime::of(ms(4))));
    both.push('a', 1, 1);
    assert!(both.watermark(5).is_empty());
    assert_eq!(both.push('a', 6, 2), [('a', 0, 3, Early)], "the first has said so, and waits");
    both.push('a', 6, 4);
    assert!(both.push('a', 6, 8).is_empty(), "both begin anew");
    assert_eq!(both.end(), [('a', 0, 15, OnTime)]);
}

#[test]
fn h8_a_trigger_does_its_work_over_and_over_unless_it_is_told_once() {
    let mut windows = with(OnWatermark.with_early(OnEveryRecord.once()));
    assert_eq!(windows.push('a', 0, 1), [('a', 0, 1, Early)]);
    assert!(windows.push('a', 0, 2).is_empty());
    assert_eq!(windows.push('b', 0, 2), [('b', 0, 2, Early)]);
    assert_eq!(windows.push('a', 10, 4), [('a', 10, 4, Early)]);
    let told: Vec<_> = windows.watermark(10);
    assert_eq!(told.len(), 2);
    assert!(told.contains(&('a', 0, 3, OnTime)) && told.contains(&('b', 0, 2, OnTime)));
}

#[test]
fn h8_results_by_the_clock_come_in_time_and_not_without_records() {
    let mut windows = with(OnWatermark.with_early(AfterProcessingTime::of(ms(100))));
    assert!(windows.advance(1000).is_empty());
    windows.push('a', 0, 1);
    assert!(windows.advance(50).is_empty());
    windows.push('b', 0, 2);
    windows.push('a', 1, 4);
    assert!(windows.advance(49).is_empty());
    assert_eq!(windows.advance(1), [('a', 0, 5, Early)], "100 ms behind the first");
    assert_eq!(windows.advance(1000), [('b', 0, 2, Early)]);
    assert!(windows.advance(1000).is_empty(), "nothing new, nothing told");
    windows.push('a', 3, 8);
    windows.push('a', 13, 1);
    assert_eq!(windows.watermark(10).len(), 2);
    assert_eq!(windows.advance(1000), [('a', 10, 1, Early)], "the window that is gone is silent");
    assert_eq!(windows.0.next_timer(), None);
}

#[test]
fn h8_overdue_timers_fire_at_once_behind_a_restore_and_in_order() {
    use millstream_operators::state::Checkpointed as _;
    let trigger = || rules(OnWatermark.with_early(AfterProcessingTime::of(ms(100))));
    let mut before = OperatorHarness::new(operator(ten(), trigger()).checkpointed());
    before.push(click('a', 10, 1));
    before.advance(ms(20));
    before.push(click('b', 0, 2));
    let mut after = Driven::new(operator(ten(), trigger()).checkpointed());
    after.0.advance_clock(ms(500));
    after.0.restore(before.snapshot().unwrap()).unwrap();
    assert_eq!(after.0.next_timer(), Some(Duration::ZERO));
    assert_eq!(after.advance(0), [('a', 10, 1, Early), ('b', 0, 2, Early)]);
    // A clock that has been set back while nobody looked does not go back here.
    let mut behind = Driven::new(operator(ten(), trigger()).checkpointed());
    behind.0.restore(before.snapshot().unwrap()).unwrap();
    behind.push('c', 0, 4);
    let told: Vec<_> = behind.advance(120).iter().map(|told| told.0).collect();
    assert_eq!(told, ['a', 'b', 'c']);
}

/// Fires with every second record, and has the window begin anew.
#[derive(Clone)]
struct PurgeInPairs;

impl Trigger for PurgeInPairs {
    type State = u64;
    const BY_CLOCK: bool = false;

    fn on_record(&self, count: &mut u64, _: Timestamp, _: Moment) -> TriggerResult {
        *count += 1;
        if (*count).is_multiple_of(2) { TriggerResult::FireAndPurge } else { Default::default() }
    }

    fn on_time(&self, _: &mut u64, at: Moment) -> TriggerResult {
        if at.window.is_complete(at.watermark) { TriggerResult::Fire } else { Default::default() }
    }

    fn next(&self, _: &u64, _: TimeWindow) -> NextTime {
        NextTime::default()
    }

    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }
}

#[test]
fn h16_what_is_purged_is_gone_and_the_window_lives_on() {
    let mut windows = lenient(PurgeInPairs);
    windows.push('a', 0, 1);
    assert_eq!(windows.push('a', 0, 2), [('a', 0, 3, Early)]);
    assert!(windows.watermark(10).is_empty(), "an empty window is not told of");
    assert!(windows.push('a', 0, 4).is_empty(), "within the lateness still, and counted on");
    assert_eq!(windows.push('a', 0, 8), [('a', 0, 12, OnTime)]);
    windows.push('a', 0, 16);
    assert_eq!(windows.watermark(20), [('a', 0, 16, Late)]);
    assert!(windows.push('a', 0, 32).is_empty());
}

#[test]
fn h15_discarded_early_results_add_up_to_the_whole() {
    let discarding = WindowRules {
        accumulation: Accumulation::Discarding,
        ..rules(OnWatermark.with_early(OnCount::of(2)))
    };
    let mut windows = Driven::new(operator(ten(), discarding));
    windows.push('a', 0, 1);
    assert_eq!(windows.push('a', 0, 2), [('a', 0, 3, Early)]);
    windows.push('a', 0, 4);
    assert_eq!(windows.watermark(10), [('a', 0, 4, OnTime)]);
    assert!(windows.end().is_empty());
}

#[test]
fn h22_windows_by_the_clock_need_no_event_time_and_know_no_late_records() {
    let mut windows = Driven::new(operator(ten().by_processing_time(), rules(OnWatermark)));
    windows.push('a', -500, 1);
    assert!(windows.watermark(1_000_000).is_empty(), "event time is not theirs");
    assert!(windows.advance(9).is_empty());
    windows.push('a', 500, 2);
    assert_eq!(windows.advance(1), [('a', 0, 3, OnTime)]);
    windows.push('a', -500, 4);
    assert!(windows.advance(9).is_empty());
    windows.push('b', 0, 8);
    assert_eq!(windows.0.next_timer(), Some(ms(1)));
    let mut both = windows.advance(100);
    both.sort();
    assert_eq!(both, [('a', 10, 4, OnTime), ('b', 10, 8, OnTime)]);
    assert_eq!(windows.0.next_timer(), None, "without windows there are no timers");
    windows.push('a', 0, 16);
    assert_eq!(windows.end(), [('a', 110, 16, OnTime)]);
    let flow = Dataflow::new("timeless");
    let clicks = flow.source("clicks", source::from_iter([('a', 0, 1)]));
    clicks.key_by(key_of).window(ten().by_processing_time()).aggregate(Total).ignore();
    flow.validate().unwrap();
}
