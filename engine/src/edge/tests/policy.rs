//! Full edges with a policy: what is dropped, what is counted, and that control always goes on.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::{Task, at, drain, receive, values};
use crate::batch::{Barrier, Batch};
use crate::edge::policy::Merge;
use crate::edge::{
    Broadcast, Capacity, EdgeFull, EdgeStats, Forgiving, Origin, Outbox, Receiver, Routed, Sorting,
    Terms, Weight, WhenFull, channel_with, merging,
};
use crate::metrics::Counter;
use crate::operator::SideOutput;
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};
use crate::time::VirtualClock;

struct Setup {
    outbox: Outbox<u32>,
    receiver: Receiver<u32>,
    stats: Box<dyn crate::edge::EdgeProbe>,
    clock: VirtualClock,
    seat: Seat,
}

fn with(
    capacity: Capacity,
    weighed: bool,
    when_full: WhenFull,
    merge: Option<Merge<u32>>,
) -> Setup {
    sorted(capacity, weighed, when_full, merge, Sorting::Fifo)
}

fn sorted(
    capacity: Capacity,
    weighed: bool,
    when_full: WhenFull,
    merge: Option<Merge<u32>>,
    sorting: Sorting<u32>,
) -> Setup {
    let (sender, receiver) = channel_with(capacity, sorting, Forgiving::default(), None);
    let stats = sender.probe();
    let clock = VirtualClock::new();
    let weight: Option<Weight<u32>> =
        if weighed { Some(Arc::new(|value: &u32| *value as usize)) } else { None };
    let seat = Seat::alone("reader");
    let terms = Terms::new(when_full, seat.clone(), clock.clock());
    let origin = Origin::new(Arc::from("op"), Arc::<Counter>::default());
    let outbox = Outbox::from(sender, origin, weight).on_terms(Some(terms), merge);
    Setup { outbox, receiver, stats, clock, seat }
}

fn plain(records: usize, batch: usize, when_full: WhenFull) -> Setup {
    with(Capacity::records(records, batch), false, when_full, None)
}

fn sums(records: usize, batch: usize, max: usize) -> Setup {
    let merge = merging(|waiting: &mut u32, next| *waiting += next);
    with(Capacity::records(records, batch), false, WhenFull::Conflate { max }, Some(merge))
}

impl Setup {
    fn push(&mut self, values: impl IntoIterator<Item = u32>) {
        for value in values {
            assert_eq!(self.outbox.push(Record::new(value)), Flow::More, "{value}");
        }
    }

    fn flush(&mut self) -> Poll<Result<(), crate::Error>> {
        Task::new().run(|cx| Tail::poll_flush(&mut self.outbox, cx, Flush::All))
    }

    fn stats(&self) -> EdgeStats {
        let stats = self.stats.stats();
        assert_eq!(stats.sent, stats.received + stats.depth + stats.dropped, "{stats:?}");
        stats
    }

    /// Everything in the edge.
    fn rest(&mut self) -> Vec<u32> {
        drain(&mut self.receiver).concat()
    }
}

const LOSSY: [WhenFull; 4] =
    [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::DropAll, WhenFull::Sample];

#[test]
fn a_stuck_edge_keeps_what_its_policy_says_to_the_record() {
    for batch in [1, 2, 3, 4] {
        let kept = |when_full| {
            let mut all = plain(4, batch, when_full);
            all.push(0..12);
            assert!(all.flush().is_ready());
            let stats = all.stats();
            assert_eq!(stats.sent, 12);
            let rest = all.rest();
            assert_eq!(stats.dropped, 12 - rest.len() as u64);
            rest
        };
        assert_eq!(kept(WhenFull::DropNewest), [0, 1, 2, 3], "{batch}");
        assert_eq!(kept(WhenFull::DropOldest), [8, 9, 10, 11], "{batch}");
        assert_eq!(kept(WhenFull::DropAll).last(), Some(&11), "{batch}");
        let sampled = kept(WhenFull::Sample);
        assert!(sampled.is_sorted() && sampled.last() == Some(&11), "{batch}: {sampled:?}");
        assert!((2..=4).contains(&sampled.len()), "{batch}: {sampled:?}");
    }
}

#[test]
fn a_sample_keeps_every_second_record_and_the_newest() {
    let mut all = plain(4, 1, WhenFull::Sample);
    all.push(0..5);
    assert_eq!(all.rest(), [0, 2, 4]);
    let mut all = plain(4, 4, WhenFull::Sample);
    all.push(0..8);
    assert_eq!(all.rest(), [1, 3, 5, 7]);
}

#[test]
fn a_weighed_edge_drops_by_weight_and_lets_a_giant_through_alone() {
    let capacity = Capacity { bytes: 10, ..Capacity::records(100, 1) };
    for (when_full, expected) in [
        (WhenFull::DropNewest, vec![4, 5]),
        (WhenFull::DropOldest, vec![3, 2, 5]),
        (WhenFull::DropAll, vec![3, 2, 5]),
    ] {
        let mut all = with(capacity, true, when_full, None);
        all.push([4, 5, 3, 2, 5]);
        let stats = all.stats();
        let rest = all.rest();
        assert_eq!(rest, expected, "{when_full}");
        assert_eq!(stats.bytes, u64::from(rest.iter().sum::<u32>()), "{when_full}");
        assert_eq!(all.stats().bytes, 0);
    }
    for when_full in LOSSY {
        let mut all = with(capacity, true, when_full, None);
        all.push([4, 50]);
        let expected = if when_full == WhenFull::DropNewest { 4 } else { 50 };
        assert_eq!(all.rest(), [expected], "{when_full}");
    }
}

#[test]
fn control_goes_on_whatever_is_dropped_and_takes_bounded_room() {
    for when_full in LOSSY.into_iter().chain([WhenFull::Fail]) {
        let mut all = plain(2, 1, when_full);
        all.push([1, 2]);
        for round in 1..50 {
            if when_full != WhenFull::Fail {
                all.push([3]);
            }
            let mark = i64::try_from(round).unwrap();
            assert_eq!(Tail::watermark(&mut all.outbox, at(mark)), Flow::More);
            assert_eq!(Tail::idle(&mut all.outbox, round % 2 == 0), Flow::More);
            assert!(all.flush().is_ready());
            assert_eq!(Tail::barrier(&mut all.outbox, Barrier(round)), Flow::More, "{when_full}");
            assert!(!SideOutput::is_full(&all.outbox));
        }
        assert_eq!(Tail::end(&mut all.outbox), Flow::More);
        assert!(all.flush().is_ready(), "{when_full}: the end does not wait");
        let mut batches = 0;
        let (mut records, mut marks, mut barriers, mut ended) = (0, vec![], vec![], false);
        while !ended {
            let batch = receive(&mut all.receiver);
            batches += 1;
            records += batch.records.len();
            marks.extend(batch.marks.iter().map(|mark| mark.watermark));
            barriers.extend(batch.barrier);
            ended = batch.end;
        }
        assert!(records <= 2 && batches <= 6, "{when_full}: {batches} batches");
        assert_eq!(marks.last(), Some(&at(49)), "{when_full}");
        assert!(marks.is_sorted() && barriers.is_sorted());
        assert_eq!(barriers.last(), Some(&Barrier(49)), "{when_full}");
    }
}

#[test]
fn the_watermark_of_what_was_dropped_moves_to_what_comes_next() {
    let mut all = plain(2, 2, WhenFull::DropOldest);
    all.push([1]);
    assert_eq!(Tail::watermark(&mut all.outbox, at(10)), Flow::More);
    all.push([2, 3, 4]);
    let batch = receive(&mut all.receiver);
    assert_eq!(values(&batch), [3, 4]);
    assert_eq!(
        batch.marks.iter().map(|m| (m.position, m.watermark)).collect::<Vec<_>>(),
        [(0, at(10))]
    );
}

#[test]
fn nothing_is_moved_past_a_barrier() {
    let mut all = plain(4, 2, WhenFull::DropOldest);
    all.push([1]);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
    all.push([2, 3, 4, 5, 6, 7]);
    let first = receive(&mut all.receiver);
    assert_eq!((values(&first), first.barrier), (vec![], Some(Barrier(1))));
    assert_eq!(all.rest(), [5, 6, 7], "the barrier takes the room of one");
}

#[test]
fn fail_names_the_operator_behind_the_edge() {
    let mut all = plain(3, 1, WhenFull::Fail);
    all.push([1, 2, 3]);
    assert_eq!(all.outbox.push(Record::new(4)), Flow::Stop);
    assert!(SideOutput::is_full(&all.outbox), "as a side output it stops its operator");
    assert_eq!(all.outbox.resume(), Flow::Stop);
    let error = all.outbox.take_error().expect("it is full");
    assert_eq!(error.operator_name(), Some("reader"));
    let cause = error.cause().unwrap().downcast_ref();
    assert_eq!(cause, Some(&EdgeFull { capacity: 3 }));
}

#[test]
fn conflate_merges_what_waits_before_the_edge_into_one() {
    for batch in [1, 2, 4] {
        let mut all = sums(4, batch, usize::MAX);
        all.push(1..=20);
        assert!(all.flush().is_pending(), "one record waits for room");
        assert_eq!(all.outbox.resume(), Flow::More, "and holds nobody up");
        let stats = all.stats.stats();
        assert_eq!((stats.depth, stats.sent), (4, 4 + stats.dropped));
        assert_eq!(all.rest(), [1, 2, 3, 4]);
        assert!(all.flush().is_ready());
        let rest = all.rest();
        assert_eq!(rest.iter().sum::<u32>(), (5..=20).sum(), "{batch}: {rest:?}");
        assert_eq!(all.stats().sent, 20);
    }
}

#[test]
fn conflated_records_take_the_latest_time_and_stay_before_their_watermarks() {
    let mut all = sums(1, 1, usize::MAX);
    all.push([1]);
    for (value, millis) in [(2, 5), (3, 30), (4, 20)] {
        assert_eq!(all.outbox.push(Record::at(value, at(millis))), Flow::More);
        assert_eq!(Tail::watermark(&mut all.outbox, at(millis)), Flow::More);
    }
    assert_eq!(all.rest(), [1]);
    assert!(all.flush().is_ready());
    let merged = receive(&mut all.receiver);
    assert_eq!(merged.records, [Record::at(9, at(30))]);
    let marks: Vec<_> = merged.marks.iter().map(|mark| (mark.position, mark.watermark)).collect();
    assert_eq!(marks, [(1, at(30))]);
}

#[test]
fn conflate_up_to_a_number_waits_when_that_many_are_one() {
    let mut all = sums(1, 1, 3);
    all.push([1]);
    all.push([10, 20]);
    assert_eq!(all.outbox.push(Record::new(30)), Flow::Stop);
    assert!(Task::new().run(|cx| Tail::poll_flush(&mut all.outbox, cx, Flush::Room)).is_pending());
    assert_eq!(all.rest(), [1]);
    assert!(Task::new().run(|cx| Tail::poll_flush(&mut all.outbox, cx, Flush::Room)).is_ready());
    assert_eq!(all.outbox.resume(), Flow::More);
    all.push([4]);
    assert_eq!(all.rest(), [60]);
}

#[test]
fn a_conflated_record_goes_before_the_barrier_and_the_end_without_waiting() {
    let mut all = sums(1, 1, usize::MAX);
    all.push([1, 2, 3]);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
    all.push([4, 5]);
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    assert!(all.flush().is_ready());
    let mut seen = Vec::new();
    loop {
        let batch = receive(&mut all.receiver);
        seen.push((values(&batch), batch.barrier));
        if batch.end {
            break;
        }
    }
    let all_values: Vec<_> = seen.iter().flat_map(|(values, _)| values.clone()).collect();
    assert_eq!(all_values, [1, 5, 9]);
    assert!(seen.iter().any(|(values, barrier)| barrier.is_some() && !values.contains(&9)));
}

#[test]
fn a_panic_in_a_merge_names_the_operator_behind_the_edge() {
    let merge = merging(|_: &mut u32, _| panic!("merged"));
    let capacity = Capacity::records(1, 1);
    let mut all = with(capacity, false, WhenFull::Conflate { max: usize::MAX }, Some(merge));
    all.push([1, 2]);
    let pushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| all.push([3])));
    assert!(pushed.is_err());
    assert_eq!(all.seat.culprit.get().map(|name| &**name), Some("reader"));
}

#[test]
fn disconnect_waits_for_so_long_and_no_longer() {
    let after = Duration::from_secs(5);
    let mut all = plain(1, 1, WhenFull::Disconnect(after));
    all.push([1]);
    assert_eq!(all.outbox.push(Record::new(2)), Flow::Stop);
    assert!(all.flush().is_pending());
    all.clock.advance(Duration::from_secs(4));
    assert!(all.flush().is_pending());
    // Room starts the time anew.
    assert_eq!(all.rest(), [1]);
    assert!(all.flush().is_ready());
    assert_eq!(all.outbox.push(Record::new(3)), Flow::Stop);
    let task = Task::new();
    assert!(task.run(|cx| Tail::poll_flush(&mut all.outbox, cx, Flush::Room)).is_pending());
    all.clock.advance(Duration::from_secs(4));
    assert_eq!(task.woken(), 0);
    all.clock.advance(Duration::from_secs(1));
    assert_eq!(task.woken(), 1);
    assert!(all.flush().is_ready());
    assert!(all.outbox.done() && all.outbox.take_error().is_none());
    // Whoever was cut off gets what was in its edge, and its end; the rest is counted.
    all.push([4]);
    let last = receive(&mut all.receiver);
    assert_eq!((values(&last), last.end), (vec![2], true));
    let stats = all.stats();
    assert_eq!((stats.sent, stats.dropped), (4, 2));
}

#[test]
fn a_stuck_lossy_branch_costs_its_siblings_nothing() {
    for when_full in LOSSY {
        let (stuck, free) = (plain(2, 1, when_full), plain(200, 1, WhenFull::Block));
        let outboxes = vec![stuck.outbox, free.outbox];
        let mut routed = Routed::new(outboxes, Broadcast::new(), Seat::alone("broadcast"));
        for value in 0..100 {
            assert_eq!(routed.push(Record::new(value)), Flow::More);
        }
        assert_eq!(Tail::<u32>::barrier(&mut routed, Barrier(1)), Flow::More);
        assert_eq!(Tail::<u32>::end(&mut routed), Flow::More);
        let flushed = Task::new().run(|cx| Tail::<u32>::poll_flush(&mut routed, cx, Flush::All));
        assert!(flushed.is_ready());
        let mut free = free.receiver;
        assert_eq!(drain(&mut free).concat(), (0..100).collect::<Vec<_>>());
        assert_eq!(stuck.stats.stats().sent, 100);
    }
}

#[test]
fn newest_first_gives_out_the_last_that_came_one_at_a_time() {
    let capacity = Capacity::records(5, 3);
    let mut all = sorted(capacity, false, WhenFull::Block, None, Sorting::Lifo);
    all.push([1, 2, 3]);
    assert_eq!(values(&receive(&mut all.receiver)), [3]);
    all.push([4, 5, 6]);
    assert_eq!(drain(&mut all.receiver), [[6], [5], [4], [2], [1]]);
}

fn by_tens() -> Sorting<u32> {
    Sorting::Priority(Arc::new(|value: &u32| i64::from(value / 10)))
}

#[test]
fn by_priority_gives_out_the_highest_first_and_equals_as_they_came() {
    let capacity = Capacity::records(8, 4);
    let mut all = sorted(capacity, false, WhenFull::Block, None, by_tens());
    all.push([11, 31, 12, 32, 21, 22, 13, 33]);
    let rest = all.rest();
    assert_eq!(rest, [31, 32, 33, 21, 22, 11, 12, 13]);
}

#[test]
fn an_ordered_edge_holds_its_capacity_in_records_and_bytes() {
    for (records, bytes, expected) in [(3, usize::MAX, 3), (100, 10, 2), (1, 1, 1)] {
        let capacity = Capacity { bytes, ..Capacity::records(records, 1) };
        let mut all = sorted(capacity, true, WhenFull::Block, None, Sorting::Lifo);
        let taken = (0..10).take_while(|_| all.outbox.push(Record::new(5)) == Flow::More).count();
        assert_eq!(taken, expected);
        assert_eq!(all.stats().depth, expected as u64);
        all.rest();
        assert_eq!(all.stats().bytes, 0);
    }
}

#[test]
fn an_ordered_edge_drops_by_age_whatever_its_order() {
    for (sorting, expected) in
        [(Sorting::Lifo, vec![34, 13, 23, 32]), (by_tens(), vec![32, 34, 23, 13])]
    {
        let capacity = Capacity::records(4, 2);
        let mut all = sorted(capacity, false, WhenFull::DropOldest, None, sorting);
        all.push([31, 11, 21, 12, 32, 23, 13, 34]);
        assert_eq!(all.stats().dropped, 4);
        assert_eq!(all.rest(), expected);
    }
    let mut all = sorted(Capacity::records(4, 1), false, WhenFull::Sample, None, Sorting::Lifo);
    all.push(0..5);
    assert_eq!(all.rest(), [4, 2, 0]);
}

#[test]
fn a_watermark_of_an_ordered_edge_comes_out_when_it_has_run_empty() {
    let mut all = sorted(Capacity::records(8, 2), false, WhenFull::Block, None, Sorting::Lifo);
    all.push([1, 2]);
    assert_eq!(Tail::watermark(&mut all.outbox, at(10)), Flow::More);
    assert_eq!(Tail::idle(&mut all.outbox, true), Flow::More);
    assert!(all.flush().is_ready());
    let first = receive(&mut all.receiver);
    assert_eq!((values(&first), first.marks.len(), first.idle), (vec![2], 0, false));
    let last = receive(&mut all.receiver);
    assert_eq!((values(&last), last.marks[0].watermark, last.idle), (vec![1], at(10), true));
    assert!(drain(&mut all.receiver).is_empty());
    assert_eq!(Tail::idle(&mut all.outbox, false), Flow::More);
    assert!(all.flush().is_ready());
    assert!(!receive(&mut all.receiver).idle, "a change is told without records");
}

#[test]
fn a_barrier_and_the_end_of_an_ordered_edge_are_overtaken_by_nobody() {
    let mut all = sorted(Capacity::records(8, 1), false, WhenFull::Block, None, Sorting::Lifo);
    all.push([1, 2]);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
    assert_eq!(all.outbox.push(Record::new(3)), Flow::Stop, "there is room, but not yet");
    let task = Task::new();
    assert!(task.run(|cx| Tail::poll_flush(&mut all.outbox, cx, Flush::Room)).is_pending());
    assert_eq!(values(&receive(&mut all.receiver)), [2]);
    let last = receive(&mut all.receiver);
    assert_eq!((values(&last), last.barrier), (vec![1], Some(Barrier(1))));
    assert!(task.woken() > 0);
    assert!(all.flush().is_ready());
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    let last = receive(&mut all.receiver);
    assert_eq!((values(&last), last.end), (vec![3], true));
}

#[test]
fn a_stuck_ordered_edge_with_a_policy_takes_control_behind_its_barrier() {
    for sorting in [Sorting::Lifo, by_tens()] {
        let mut all = sorted(Capacity::records(2, 1), false, WhenFull::DropOldest, None, sorting);
        all.push([1, 2, 3]);
        assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
        all.push([4]);
        assert_eq!(Tail::watermark(&mut all.outbox, at(7)), Flow::More);
        assert_eq!(Tail::barrier(&mut all.outbox, Barrier(2)), Flow::More);
        assert_eq!(Tail::end(&mut all.outbox), Flow::More);
        assert!(all.flush().is_ready());
        receive(&mut all.receiver);
        let batch: Batch<u32> = receive(&mut all.receiver);
        assert_eq!((batch.barrier, batch.end), (Some(Barrier(1)), false));
        let last = receive(&mut all.receiver);
        assert_eq!((last.barrier, last.end), (Some(Barrier(2)), true));
        assert_eq!(last.marks[0].watermark, at(7));
        assert_eq!(all.stats().dropped, 2);
    }
}

#[test]
fn who_can_be_done_without_neither_fails_its_producer_nor_its_consumer() {
    let forgiving = Forgiving { consumer: true, producer: true };
    let (mut sender, receiver) =
        channel_with::<u32>(Capacity::records(1, 1), Sorting::Fifo, forgiving, None);
    drop(receiver);
    let sent = sender.try_send(&mut super::batch([1]), 0);
    assert_eq!(sent, crate::edge::Sent::Finished);

    let (mut sender, mut receiver) =
        channel_with::<u32>(Capacity::records(1, 1), Sorting::Fifo, forgiving, None);
    assert_eq!(sender.try_send(&mut super::batch([1]), 0), crate::edge::Sent::Sent);
    drop(sender);
    let last = receive(&mut receiver);
    assert_eq!((values(&last), last.end), (vec![1], true));
}
