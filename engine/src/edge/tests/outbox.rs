//! The outbox: when a batch is sent, what seals it, and what happens when nobody wants it.

use std::sync::Arc;
use std::task::Poll;

use super::{Task, at, drain, receive, values};
use crate::batch::{Barrier, Mark};
use crate::edge::{Broadcast, Capacity, Origin, Outbox, Receiver, Routed, channel};
use crate::error::ErrorKind;
use crate::metrics::Counter;
use crate::operator::SideOutput;
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};

struct Setup {
    outbox: Outbox<u32>,
    receiver: Receiver<u32>,
    cancelled: Arc<Counter>,
    woken: Arc<Counter>,
}

fn setup(capacity: Capacity, weighed: bool) -> Setup {
    let (sender, receiver) = channel(capacity);
    let cancelled = Arc::<Counter>::default();
    let weight: Option<super::super::Weight<u32>> =
        if weighed { Some(Arc::new(|value: &u32| *value as usize)) } else { None };
    let woken = Arc::<Counter>::default();
    let origin = Origin::new(Arc::from("op"), Arc::clone(&cancelled));
    let outbox = Outbox::from(sender, Origin { woken: Some(Arc::clone(&woken)), ..origin }, weight);
    Setup { outbox, receiver, cancelled, woken }
}

fn plain(records: usize, batch: usize) -> Setup {
    setup(Capacity::records(records, batch), false)
}

fn weighed(bytes: usize, batch: usize) -> Setup {
    let capacity = Capacity { bytes, ..Capacity::records(100, batch) };
    setup(capacity, true)
}

fn push(outbox: &mut Outbox<u32>, value: u32) -> Flow {
    outbox.push(Record::new(value))
}

fn flush(outbox: &mut Outbox<u32>, flush: Flush) -> Poll<Result<(), ErrorKind>> {
    let polled = Task::new().run(|cx| Tail::poll_flush(outbox, cx, flush));
    polled.map_err(|error| error.kind().clone())
}

const DONE: Poll<Result<(), ErrorKind>> = Poll::Ready(Ok(()));

#[test]
fn a_full_batch_goes_at_once_and_a_partial_one_when_asked() {
    let mut all = plain(10, 2);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    assert!(drain(&mut all.receiver).is_empty());
    assert_eq!(push(&mut all.outbox, 2), Flow::More);
    assert_eq!(drain(&mut all.receiver), [[1, 2]]);
    assert_eq!(push(&mut all.outbox, 3), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::Room), DONE);
    assert!(drain(&mut all.receiver).is_empty());
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert_eq!(drain(&mut all.receiver), [[3]]);
}

#[test]
fn a_full_edge_stops_the_stage_until_there_is_room() {
    let mut all = plain(2, 2);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    assert_eq!(push(&mut all.outbox, 2), Flow::More);
    assert_eq!(push(&mut all.outbox, 3), Flow::More);
    assert_eq!(push(&mut all.outbox, 4), Flow::Stop);
    assert_eq!(all.outbox.resume(), Flow::Stop);
    assert!(flush(&mut all.outbox, Flush::Room).is_pending());
    assert_eq!(drain(&mut all.receiver), [[1, 2]]);
    assert_eq!(flush(&mut all.outbox, Flush::Room), DONE);
    assert_eq!(all.outbox.resume(), Flow::More);
    assert_eq!(drain(&mut all.receiver), [[3, 4]]);
}

#[test]
fn the_record_that_is_too_heavy_is_the_first_of_the_next_batch() {
    let mut all = weighed(10, 4);
    assert_eq!(push(&mut all.outbox, 4), Flow::More);
    assert_eq!(push(&mut all.outbox, 5), Flow::More);
    assert_eq!(push(&mut all.outbox, 3), Flow::More);
    assert_eq!(drain(&mut all.receiver), [[4, 5]]);
    assert_eq!(push(&mut all.outbox, 7), Flow::More);
    assert_eq!(drain(&mut all.receiver), [[3, 7]], "ten bytes are full");
}

#[test]
fn a_giant_goes_alone_and_in_its_place() {
    let mut all = weighed(10, 4);
    let mut seen = Vec::new();
    for value in [1, 50, 2, 60, 70, 3] {
        if push(&mut all.outbox, value) == Flow::Stop {
            while flush(&mut all.outbox, Flush::Room).is_pending() {
                seen.push(values(&receive(&mut all.receiver)));
            }
        }
    }
    while flush(&mut all.outbox, Flush::All).is_pending() {
        seen.push(values(&receive(&mut all.receiver)));
    }
    seen.extend(drain(&mut all.receiver));
    assert_eq!(seen, [[1], [50], [2], [60], [70], [3]]);
}

#[test]
fn a_carried_record_waits_behind_a_full_edge_and_is_not_lost() {
    let mut all = weighed(10, 4);
    assert_eq!(push(&mut all.outbox, 10), Flow::More);
    assert_eq!(push(&mut all.outbox, 6), Flow::More);
    assert_eq!(push(&mut all.outbox, 7), Flow::Stop);
    assert!(flush(&mut all.outbox, Flush::Room).is_pending());
    assert_eq!(drain(&mut all.receiver), [[10]]);
    assert_eq!(flush(&mut all.outbox, Flush::Room), DONE);
    assert_eq!(all.outbox.resume(), Flow::More);
    assert_eq!(drain(&mut all.receiver), [[6]]);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert_eq!(drain(&mut all.receiver), [[7]]);
}

#[test]
fn a_barrier_and_the_end_seal_the_batch() {
    let mut all = plain(10, 4);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    assert_eq!(Tail::watermark(&mut all.outbox, at(5)), Flow::More);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
    let sealed = receive(&mut all.receiver);
    assert_eq!((values(&sealed), sealed.barrier), (vec![1], Some(Barrier(1))));
    let mark = Mark { position: 1, watermark: at(5) };
    assert_eq!(sealed.marks, [mark]);
    assert_eq!(push(&mut all.outbox, 2), Flow::More);
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    let last = receive(&mut all.receiver);
    assert_eq!((values(&last), last.end), (vec![2], true));
}

#[test]
fn a_barrier_without_room_lets_nothing_past() {
    let mut all = plain(1, 1);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::Stop);
    assert!(all.outbox.is_full());
    assert_eq!(all.outbox.resume(), Flow::Stop);
    assert_eq!(drain(&mut all.receiver), [[1]]);
    assert_eq!(flush(&mut all.outbox, Flush::Room), DONE);
    assert_eq!(receive(&mut all.receiver).barrier, Some(Barrier(1)));
    assert_eq!(all.outbox.resume(), Flow::More);
}

#[test]
fn behind_the_end_nothing_is_sent_and_nobody_is_listened_to() {
    let mut all = plain(4, 1);
    assert_eq!(Tail::idle(&mut all.outbox, true), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    assert_eq!(Tail::idle(&mut all.outbox, false), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    let last = receive(&mut all.receiver);
    assert!(last.end && last.idle);
    drop(all.receiver);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
}

#[test]
fn the_end_waits_for_room() {
    let mut all = plain(1, 1);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    assert!(flush(&mut all.outbox, Flush::All).is_pending());
    assert_eq!(drain(&mut all.receiver), [[1]]);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(receive(&mut all.receiver).end);
}

#[test]
fn a_change_of_idleness_is_sent_without_records() {
    let mut all = plain(4, 4);
    assert_eq!(Tail::idle(&mut all.outbox, true), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(receive(&mut all.receiver).idle);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(drain(&mut all.receiver).is_empty(), "once is enough");
    assert_eq!(Tail::idle(&mut all.outbox, false), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(!receive(&mut all.receiver).idle);
}

#[test]
fn what_nobody_wants_is_counted_and_dropped() {
    let mut all = plain(4, 2);
    assert_eq!(push(&mut all.outbox, 1), Flow::More);
    all.receiver.finish();
    assert_eq!(push(&mut all.outbox, 2), Flow::Stop);
    assert!(all.outbox.done());
    assert_eq!(all.cancelled.get(), 2);
    assert_eq!(push(&mut all.outbox, 3), Flow::More);
    assert_eq!(all.cancelled.get(), 3);
    assert_eq!(Tail::watermark(&mut all.outbox, at(1)), Flow::More);
    assert_eq!(Tail::barrier(&mut all.outbox, Barrier(1)), Flow::More);
    assert_eq!(Tail::end(&mut all.outbox), Flow::More);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(all.outbox.take_error().is_none());
}

#[test]
fn a_consumer_that_vanished_is_an_error_that_names_the_producer() {
    let mut all = plain(4, 1);
    drop(all.receiver);
    assert_eq!(push(&mut all.outbox, 1), Flow::Stop);
    let error = all.outbox.take_error().expect("it failed");
    assert_eq!(error.kind(), &ErrorKind::Disconnected);
    assert_eq!(error.operator_name(), Some("op"));

    let mut all = plain(4, 1);
    drop(all.receiver);
    let heard = flush(&mut all.outbox, Flush::All);
    assert_eq!(heard, Poll::Ready(Err(ErrorKind::Disconnected)));
}

#[test]
fn an_idle_outbox_hears_that_the_consumer_has_enough() {
    let mut all = plain(4, 1);
    let task = Task::new();
    let flushed = task.run(|cx| Tail::poll_flush(&mut all.outbox, cx, Flush::All));
    assert!(matches!(flushed, Poll::Ready(Ok(()))));
    all.receiver.finish();
    assert_eq!(task.woken(), 1);
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(all.outbox.done());
}

#[test]
fn a_branch_that_has_enough_is_counted_and_does_not_end_its_siblings() {
    let (left, right) = (plain(8, 1), plain(8, 1));
    let outboxes = vec![left.outbox, right.outbox];
    let mut routed = Routed::new(outboxes, Broadcast::new(), Seat::alone("broadcast"));
    let (mut left, mut right, cancelled) = (left.receiver, right.receiver, left.cancelled);
    assert_eq!(routed.push(Record::new(1)), Flow::More);
    left.finish();
    assert_eq!(routed.push(Record::new(2)), Flow::Stop);
    assert!(!routed.done() && routed.take_error().is_none());
    assert_eq!(routed.resume(), Flow::More);
    assert_eq!(routed.push(Record::new(3)), Flow::More);
    assert_eq!(cancelled.get(), 2);
    assert_eq!(drain(&mut right), [[1], [2], [3]]);
    right.finish();
    assert_eq!(routed.push(Record::new(4)), Flow::Stop);
    assert!(routed.done());
}

#[test]
fn what_is_collected_goes_as_if_it_had_been_pushed() {
    let mut all = plain(4, 2);
    for values in [[1, 2], [3, 4]] {
        assert_eq!(push(&mut all.outbox, values[0]), Flow::More);
        let (records, room) = all.outbox.collecting().unwrap();
        assert_eq!(room, 1);
        records.push(Record::new(values[1]));
        assert_eq!(all.outbox.collected(), Flow::More);
    }
    let (records, room) = all.outbox.collecting().unwrap();
    assert_eq!(room, 2);
    records.extend([Record::new(5), Record::new(6)]);
    assert_eq!(all.outbox.collected(), Flow::Stop, "the edge is full");
    assert!(all.outbox.collecting().is_none());
    assert_eq!(drain(&mut all.receiver), [[1, 2], [3, 4]]);
    assert_eq!(flush(&mut all.outbox, Flush::Room), DONE);
    assert_eq!(drain(&mut all.receiver), [[5, 6]]);
    all.receiver.finish();
    assert_eq!(flush(&mut all.outbox, Flush::All), DONE);
    assert!(all.outbox.collecting().is_none(), "each has to be counted");
    assert!(weighed(9, 4).outbox.collecting().is_none(), "each has to be weighed");
}

#[test]
fn a_batch_that_finds_the_consumer_waiting_is_counted() {
    let Setup { mut outbox, mut receiver, woken, .. } = plain(8, 1);
    for (value, waits, expected) in [(1, false, 0), (2, true, 1), (3, false, 1), (4, true, 2)] {
        if waits {
            drain(&mut receiver);
        }
        assert_eq!(push(&mut outbox, value), Flow::More);
        assert_eq!(woken.get(), expected, "at {value}");
    }
}
