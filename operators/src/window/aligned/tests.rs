//! What windows hold in memory, and for how long.

use std::time::Duration;

use millstream_engine::Record;
use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::testing::OperatorHarness;
use millstream_engine::time::Timestamp;

use super::Aligned;
use crate::aggregate::Count;
use crate::window::trigger::{AfterProcessingTime, OnCount, OnWatermark, Trigger};
use crate::window::{Tumbling, WindowRules};

type ByValue = Made<fn(&u32) -> u32>;
type Counting<R> = OperatorHarness<Keyed<u32>, Aligned<u32, Tumbling, ByValue, Count, R>>;

fn counting<R: Trigger>(trigger: R) -> Counting<R> {
    let WindowRules { accumulation, lateness, late, .. } = WindowRules::new();
    let rules = WindowRules { trigger, accumulation, lateness, late };
    let second = Tumbling::of(Duration::from_secs(1));
    OperatorHarness::new(Aligned::new(second, Made(|n: &u32| *n), Count, rules))
}

fn push<R: Trigger>(windows: &mut Counting<R>, value: u32, millis: i64) {
    let record = Keyed { hash: stable_hash(&value), value };
    windows.push(Record::at(record, Timestamp::from_millis(millis)));
}

#[test]
fn h3_a_window_that_is_gone_leaves_nothing_but_how_many_keys_the_next_may_have() {
    let mut windows = counting(OnWatermark);
    for second in 0..5 {
        (0..10_000).for_each(|key| push(&mut windows, key, second * 1000));
    }
    push(&mut windows, 0, 5000);
    windows.watermark(Timestamp::from_millis(5000));
    assert_eq!(windows.values().len(), 50_000);
    let room = |windows: &Counting<OnWatermark>| windows.operator().panes.capacity();
    assert!(room(&windows) < 10, "that of one key: {}", room(&windows));
    push(&mut windows, 1, 6000);
    assert!((10_000..30_000).contains(&room(&windows)), "of as many as before: {}", room(&windows));
    windows.watermark(Timestamp::from_millis(6000));
    push(&mut windows, 1, 7000);
    push(&mut windows, 1, 8000);
    windows.watermark(Timestamp::from_millis(7000));
    assert!(room(&windows) < 20, "of two keys, as the last had one: {}", room(&windows));
    (0..10_000).for_each(|key| push(&mut windows, key, 8000));
    windows.watermark(Timestamp::from_millis(9000));
    assert_eq!(windows.operator().panes.len(), 0);
    push(&mut windows, 1, 9000);
    push(&mut windows, 1, 10_000);
    let both = room(&windows);
    assert!((10_000..30_000).contains(&both), "the first that begins, and no other: {both}");
}

#[test]
fn h8_timers_that_count_for_nothing_do_not_pile_up() {
    let soon = AfterProcessingTime::of(Duration::from_secs(60));
    let mut windows = counting(OnCount::of(1).or(soon));
    for round in 0..10_000 {
        push(&mut windows, round % 3, 0);
        windows.advance_clock(Duration::from_millis(1));
    }
    assert_eq!(windows.values().len(), 10_000);
    assert!(windows.operator().timers() < 200, "{}", windows.operator().timers());
}
