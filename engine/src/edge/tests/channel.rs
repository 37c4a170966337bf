//! The channel: room, order, waking, and the ways to close.

use std::task::Poll;

use super::{Task, at, batch, drain, end, receive, values};
use crate::batch::{Barrier, Batch, Mark};
use crate::edge::{Capacity, Received, Receiver, Sender, Sent, channel};
use crate::record::Record;

fn small(records: usize, batch: usize) -> (Sender<u32>, Receiver<u32>) {
    channel(Capacity::records(records, batch))
}

/// Sends without waiting, whatever it weighs.
fn send(sender: &mut Sender<u32>, mut batch: Batch<u32>) -> Sent {
    sender.try_send(&mut batch, 0)
}

#[test]
fn holds_its_capacity_in_records_and_no_more() {
    let (mut sender, mut receiver) = small(3, 2);
    assert_eq!(send(&mut sender, batch([1, 2])), Sent::Sent);
    assert_eq!(send(&mut sender, batch([3, 4])), Sent::Full);
    assert_eq!(send(&mut sender, batch([3])), Sent::Sent);
    assert_eq!(send(&mut sender, batch([4])), Sent::Full);
    let stats = sender.probe().stats();
    assert_eq!((stats.depth, stats.capacity), (3, 3));
    assert_eq!(drain(&mut receiver), [vec![1, 2], vec![3]]);
    assert_eq!(sender.probe().stats().depth, 0);
}

#[test]
fn control_without_records_counts_as_one_record() {
    let (mut sender, mut receiver) = small(1, 1);
    let mut marked = Batch::new();
    marked.mark(at(1));
    assert_eq!(sender.try_send(&mut marked, 0), Sent::Sent);
    marked.mark(at(2));
    assert_eq!(sender.try_send(&mut marked, 0), Sent::Full);
    assert_eq!(receive(&mut receiver).marks.len(), 1);
    assert_eq!(sender.try_send(&mut marked, 0), Sent::Sent);
}

#[test]
fn holds_its_capacity_in_bytes_but_lets_one_giant_through_alone() {
    let capacity = Capacity { bytes: 10, ..Capacity::records(100, 1) };
    let (mut sender, mut receiver) = channel(capacity);
    assert_eq!(sender.try_send(&mut batch([1]), 6), Sent::Sent);
    assert_eq!(sender.try_send(&mut batch([2]), 5), Sent::Full);
    assert_eq!(sender.try_send(&mut batch([2]), 4), Sent::Sent);
    assert_eq!(sender.probe().stats().bytes, 10);
    assert_eq!(sender.try_send(&mut batch([3]), 99), Sent::Full);
    assert_eq!(drain(&mut receiver).len(), 2);
    assert_eq!(sender.try_send(&mut batch([3]), 99), Sent::Sent);
    assert_eq!(sender.try_send(&mut batch([4]), 0), Sent::Full);
    assert_eq!(values(&receive(&mut receiver)), [3]);
    assert_eq!(sender.probe().stats().bytes, 0);
}

#[test]
fn a_capacity_of_nothing_is_one_record() {
    let nothing = Capacity { records: 0, bytes: usize::MAX, batch: 0 };
    let (mut sender, mut receiver) = channel(nothing);
    assert_eq!(send(&mut sender, batch([1])), Sent::Sent);
    assert_eq!(drain(&mut receiver), [vec![1]]);
}

#[test]
fn batches_that_meet_become_one_with_every_mark_in_its_place() {
    let (mut sender, mut receiver) = small(8, 4);
    let mut first = batch([1]);
    first.mark(at(10));
    let mut second = batch([2, 3]);
    second.mark(at(5));
    second.mark(at(20));
    assert_eq!(sender.try_send(&mut first, 3), Sent::Sent);
    assert_eq!(sender.try_send(&mut second, 4), Sent::Sent);
    assert_eq!(sender.probe().stats().bytes, 7);
    let merged = receive(&mut receiver);
    assert_eq!(values(&merged), [1, 2, 3]);
    let mark = |position, millis| Mark { position, watermark: at(millis) };
    assert_eq!(merged.marks, [mark(1, 10), mark(3, 20)]);
    assert_eq!(sender.probe().stats().bytes, 0);
}

#[test]
fn nothing_is_merged_beyond_a_barrier_or_the_limit() {
    let (mut sender, mut receiver) = small(8, 3);
    let mut barred = batch([1]);
    barred.barrier = Some(Barrier(7));
    assert_eq!(sender.try_send(&mut barred, 0), Sent::Sent);
    assert_eq!(barred, Batch::new());
    assert_eq!(send(&mut sender, batch([2, 3])), Sent::Sent);
    assert_eq!(send(&mut sender, batch([4, 5])), Sent::Sent);
    assert_eq!(receive(&mut receiver).barrier, Some(Barrier(7)));
    assert_eq!(drain(&mut receiver), [vec![2, 3], vec![4, 5]]);
}

#[test]
fn a_send_that_waits_takes_nothing() {
    let (mut sender, mut receiver) = small(1, 1);
    let task = Task::new();
    assert_eq!(send(&mut sender, batch([1])), Sent::Sent);
    let mut waiting = batch([2]);
    assert!(task.run(|cx| sender.poll_send(cx, &mut waiting, 0)).is_pending());
    assert_eq!(values(&waiting), [2]);
    // The wait is given up, and the record still goes out once.
    assert_eq!(drain(&mut receiver), [vec![1]]);
    assert_eq!(sender.try_send(&mut waiting, 0), Sent::Sent);
    assert_eq!(drain(&mut receiver), [vec![2]]);
}

#[test]
fn a_sender_is_woken_by_room_for_half() {
    let (mut sender, mut receiver) = small(4, 1);
    let task = Task::new();
    for value in 0..4 {
        assert_eq!(send(&mut sender, batch([value])), Sent::Sent);
    }
    assert!(task.run(|cx| sender.poll_send(cx, &mut batch([4]), 0)).is_pending());
    assert!(sender.probe().stats().blocked);
    receive(&mut receiver);
    assert_eq!(task.woken(), 0);
    receive(&mut receiver);
    assert_eq!(task.woken(), 1);
    assert_eq!(send(&mut sender, batch([4])), Sent::Sent);
    assert!(!sender.probe().stats().blocked);
}

#[test]
fn a_receiver_is_woken_by_a_batch_and_by_both_ends() {
    for act in [0, 1, 2] {
        let (mut sender, mut receiver) = small(1, 1);
        let task = Task::new();
        assert!(task.run(|cx| receiver.poll_recv(cx)).is_pending());
        match act {
            0 => assert_eq!(send(&mut sender, batch([1])), Sent::Sent),
            1 => assert_eq!(send(&mut sender, end()), Sent::Sent),
            _ => drop(sender),
        }
        assert_eq!(task.woken(), 1, "{act}");
    }
}

#[test]
fn a_parked_sender_is_woken_by_both_ways_of_closing() {
    for finished in [true, false] {
        let (mut sender, mut receiver) = small(1, 1);
        let task = Task::new();
        assert_eq!(send(&mut sender, batch([1])), Sent::Sent);
        let mut waiting = batch([2]);
        assert!(task.run(|cx| sender.poll_send(cx, &mut waiting, 0)).is_pending());
        let expected = if finished {
            receiver.finish();
            Sent::Finished
        } else {
            drop(receiver);
            Sent::Failed
        };
        assert_eq!(task.woken(), 1);
        let stats = sender.probe().stats();
        assert!(!stats.blocked, "nobody waits for room any more");
        let sent = task.run(|cx| sender.poll_send(cx, &mut waiting, 0));
        assert_eq!(sent, Poll::Ready(expected));
        assert_eq!(values(&waiting), [2], "and what was refused is still there");
    }
}

#[test]
fn who_only_listens_for_the_close_hears_of_it() {
    let (mut sender, mut receiver) = small(1, 1);
    let task = Task::new();
    assert!(task.run(|cx| sender.poll_closed(cx)).is_pending());
    receiver.finish();
    assert_eq!(task.woken(), 1);
    let closed = task.run(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(Sent::Finished));
}

#[test]
fn an_end_a_finish_and_a_failure_are_three_things() {
    let (mut sender, mut receiver) = small(2, 1);
    assert_eq!(send(&mut sender, batch([1])), Sent::Sent);
    assert_eq!(send(&mut sender, end()), Sent::Sent);
    drop(sender);
    let last = receive(&mut receiver);
    assert_eq!((values(&last), last.end), (vec![1], true));
    let after = Task::new().run(|cx| receiver.poll_recv(cx));
    assert!(after.is_pending(), "an end is not a failure");

    let (mut sender, mut receiver) = small(2, 1);
    assert_eq!(send(&mut sender, batch([1])), Sent::Sent);
    drop(sender);
    assert_eq!(values(&receive(&mut receiver)), [1]);
    let failed = Task::new().run(|cx| receiver.poll_recv(cx));
    assert!(matches!(failed, Poll::Ready(Received::Failed)));

    let (mut sender, mut receiver) = small(2, 1);
    receiver.finish();
    drop(receiver);
    assert_eq!(send(&mut sender, batch([1])), Sent::Finished);
}

#[test]
fn a_receiver_that_leaves_behind_the_end_has_not_failed() {
    let (mut sender, mut receiver) = small(2, 1);
    assert_eq!(send(&mut sender, end()), Sent::Sent);
    assert!(receive(&mut receiver).end);
    drop(receiver);
    let closed = Task::new().run(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(Sent::Finished));

    let (mut sender, receiver) = small(2, 1);
    assert_eq!(send(&mut sender, end()), Sent::Sent);
    drop(receiver);
    let closed = Task::new().run(|cx| sender.poll_closed(cx));
    assert_eq!(closed, Poll::Ready(Sent::Failed), "the end was never taken out");
}

#[test]
fn is_wanted_once_the_receiver_has_asked_or_gone() {
    let (mut sender, mut receiver) = small(1, 1);
    let task = Task::new();
    assert!(task.run(|cx| sender.poll_wanted(cx)).is_pending());
    assert!(Task::new().run(|cx| receiver.poll_recv(cx)).is_pending());
    assert_eq!(task.woken(), 1);
    assert!(task.run(|cx| sender.poll_wanted(cx)).is_ready());

    let (mut sender, receiver) = small(1, 1);
    assert!(task.run(|cx| sender.poll_wanted(cx)).is_pending());
    drop(receiver);
    assert_eq!(task.woken(), 1);
    assert!(task.run(|cx| sender.poll_wanted(cx)).is_ready());
}

#[test]
fn emptied_buffers_go_back_to_the_sender() {
    let (mut sender, mut receiver) = small(4, 2);
    assert_eq!(send(&mut sender, batch([1, 2])), Sent::Sent);
    let mut records = receive(&mut receiver).records;
    let place = records.as_ptr();
    records.clear();
    receiver.recycle(records);
    assert!(Task::new().run(|cx| receiver.poll_recv(cx)).is_pending());
    let mut next = batch([3]);
    assert_eq!(sender.try_send(&mut next, 0), Sent::Sent);
    assert_eq!(next.records.as_ptr(), place);
}

#[test]
fn a_queue_that_was_full_has_all_its_buffers_again() {
    let (mut sender, mut receiver) = small(32, 2);
    let mut next = batch([]);
    let mut reused = |sender: &mut Sender<u32>| {
        let fill = (0..16).filter(|_| {
            next.records.extend([Record::new(1), Record::new(2)]);
            assert_eq!(sender.try_send(&mut next, 0), Sent::Sent);
            next.records.capacity() > 0
        });
        fill.count()
    };
    assert_eq!(reused(&mut sender), 0);
    while let Poll::Ready(Received::Batch(batch)) = Task::new().run(|cx| receiver.poll_recv(cx)) {
        let mut records = batch.records;
        records.clear();
        receiver.recycle(records);
    }
    assert_eq!(reused(&mut sender), 16);
}
