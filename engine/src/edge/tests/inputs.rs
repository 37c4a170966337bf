//! The head that joins channels: watermarks, idleness, barriers, turns and fairness.

use std::sync::Arc;
use std::task::Poll;

use super::{Task, at, batch, end, values};
use crate::batch::{Barrier, Batch, Mark};
use crate::edge::{Capacity, Discipline, Inputs, Sender, Sent, channel};
use crate::error::ErrorKind;
use crate::runtime::Head;

struct Joined {
    senders: Vec<Sender<u32>>,
    inputs: Inputs<u32>,
}

fn joined(count: usize, discipline: Discipline) -> Joined {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count)
        .map(|producer| {
            let (sender, receiver) = channel(Capacity::records(8, 2));
            (sender, (producer, Arc::default(), receiver))
        })
        .unzip();
    let inputs = Inputs::new(receivers, discipline, Arc::from("reader"));
    Joined { senders, inputs }
}

impl Joined {
    fn send(&mut self, input: usize, mut batch: Batch<u32>) {
        assert_eq!(self.senders[input].try_send(&mut batch, 0), Sent::Sent);
    }

    fn watermark(&mut self, input: usize, millis: i64) {
        let mut marked = Batch::new();
        marked.mark(at(millis));
        self.send(input, marked);
    }

    fn poll(&mut self) -> Poll<Result<Batch<u32>, ErrorKind>> {
        let polled = Task::new().run(|cx| self.inputs.poll_next(cx));
        polled.map_err(|error| error.kind().clone())
    }

    fn next(&mut self) -> Batch<u32> {
        match self.poll() {
            Poll::Ready(Ok(batch)) => batch,
            other => panic!("a batch, not {other:?}"),
        }
    }

    /// Everything that is ready, put together.
    fn rest(&mut self) -> Batch<u32> {
        let mut all = Batch::new();
        while let Poll::Ready(Ok(mut batch)) = self.poll() {
            all.absorb(&mut batch);
        }
        all
    }

    fn watermarks(&mut self) -> Vec<i64> {
        let marks = self.rest().marks.into_iter();
        marks.map(|mark| mark.watermark.as_millis()).collect()
    }
}

fn idle() -> Batch<u32> {
    Batch { idle: true, ..Batch::new() }
}

fn barred(values: impl IntoIterator<Item = u32>, barrier: u64) -> Batch<u32> {
    Batch { barrier: Some(Barrier(barrier)), ..batch(values) }
}

#[test]
fn the_watermark_is_the_minimum_and_keeps_its_place() {
    let mut all = joined(2, Discipline::Merge);
    all.watermark(0, 10);
    assert!(all.poll().is_pending(), "the other input has said nothing");
    let mut second = batch([1]);
    second.mark(at(4));
    second.records.push(2.into());
    second.mark(at(30));
    all.send(1, second);
    let mark = |position, millis| Mark { position, watermark: at(millis) };
    let merged = all.next();
    assert_eq!(values(&merged), [1, 2]);
    assert_eq!(merged.marks, [mark(1, 4), mark(2, 10)]);
    all.watermark(0, 20);
    assert_eq!(all.watermarks(), [20]);
}

#[test]
fn an_idle_or_ended_input_holds_nobody_back() {
    let mut all = joined(3, Discipline::Merge);
    all.watermark(0, 10);
    all.watermark(1, 7);
    assert!(all.watermarks().is_empty());
    all.send(2, idle());
    assert_eq!(all.watermarks(), [7]);
    all.send(1, end());
    assert_eq!(all.watermarks(), [10]);
}

#[test]
fn an_input_that_wakes_up_late_does_not_turn_the_watermark_back() {
    let mut all = joined(2, Discipline::Merge);
    all.send(1, idle());
    all.watermark(0, 50);
    assert_eq!(all.watermarks(), [50]);
    let mut late = batch([1]);
    late.mark(at(20));
    all.send(1, late);
    let merged = all.rest();
    assert_eq!(values(&merged), [1]);
    assert!(merged.marks.is_empty());
    all.watermark(0, 60);
    assert!(all.watermarks().is_empty(), "it is at 20, and counts again");
    all.watermark(1, 55);
    assert_eq!(all.watermarks(), [55]);
}

#[test]
fn h2_when_all_are_idle_the_latest_holds_in_whichever_order_they_went_quiet() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut all = joined(3, Discipline::Merge);
        for (input, millis) in [(0, 10), (1, 30), (2, 20)] {
            all.watermark(input, millis);
        }
        for input in order {
            all.send(input, idle());
        }
        let merged = all.rest();
        assert_eq!(merged.marks.last().unwrap().watermark, at(30), "{order:?}");
        assert!(merged.idle);
        // The minimum holds again as soon as one counts, and nothing goes back.
        let mut late = batch([1]);
        late.mark(at(15));
        all.send(0, late);
        assert!(all.watermarks().is_empty());
        all.watermark(0, 40);
        assert_eq!(all.watermarks(), [40]);
    }
}

#[test]
fn h2_idle_is_a_flag_and_no_watermark() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, idle());
    all.send(1, idle());
    let merged = all.rest();
    assert!(merged.idle && merged.marks.is_empty(), "nobody has said what time it is");
    all.send(0, end());
    assert!(all.rest().marks.is_empty());
    all.send(1, end());
    let last = all.rest();
    assert!(last.end && last.marks.is_empty());
}

#[test]
fn h2_who_counts_again_does_so_before_its_watermark_and_the_minimum_is_worked_out_anew() {
    let mut all = joined(3, Discipline::Merge);
    all.send(2, idle());
    all.watermark(0, 50);
    all.watermark(1, 60);
    assert_eq!(all.watermarks(), [50]);
    // Ahead of what was said: it counts, and holds nobody back.
    all.watermark(2, 55);
    assert!(all.watermarks().is_empty());
    all.watermark(0, 70);
    assert_eq!(all.watermarks(), [55], "the one that came back is the slowest now");
    all.send(2, idle());
    assert_eq!(all.watermarks(), [60], "and without it, another is");
}

#[test]
fn all_inputs_idle_is_idle_and_one_record_ends_that() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, idle());
    assert!(all.poll().is_pending());
    all.send(1, idle());
    assert!(all.next().idle);
    all.send(0, batch([1]));
    assert!(!all.next().idle);
    all.send(0, end());
    let last = all.next();
    assert!(last.idle && !last.end, "the one that is left is idle");
    all.send(1, end());
    let last = all.next();
    assert!(last.end && !last.idle);
}

#[test]
fn a_barrier_comes_out_once_every_input_has_delivered_it() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, barred([1], 1));
    all.send(0, batch([2]));
    assert_eq!(values(&all.next()), [1]);
    assert!(all.poll().is_pending(), "a parked input is not polled");
    assert_eq!(all.senders[0].probe().stats().depth, 1);
    all.send(1, barred([3], 1));
    let aligned = all.next();
    assert_eq!((values(&aligned), aligned.barrier), (vec![3], Some(Barrier(1))));
    assert_eq!(values(&all.next()), [2]);
}

#[test]
fn an_end_counts_as_aligned() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, barred([], 1));
    assert!(all.poll().is_pending());
    all.send(1, end());
    let aligned = all.next();
    assert_eq!((aligned.barrier, aligned.end), (Some(Barrier(1)), false));

    // An input that ends right behind its barrier has delivered it all the same.
    let mut all = joined(2, Discipline::Merge);
    all.send(0, Batch { end: true, ..barred([], 1) });
    assert!(all.poll().is_pending());
    all.send(1, barred([], 1));
    assert_eq!(all.next().barrier, Some(Barrier(1)));

    let mut all = joined(2, Discipline::Merge);
    all.send(0, end());
    all.send(1, barred([5], 1));
    let aligned = all.next();
    assert_eq!((values(&aligned), aligned.barrier), (vec![5], Some(Barrier(1))));
}

#[test]
fn ends_when_every_input_has() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, end());
    assert!(all.poll().is_pending());
    all.send(1, Batch { end: true, ..batch([1]) });
    let last = all.next();
    assert_eq!((values(&last), last.end), (vec![1], true));
}

#[test]
fn an_input_that_vanishes_is_a_failure_whatever_the_others_do() {
    let mut all = joined(2, Discipline::Merge);
    all.send(0, end());
    all.senders.pop();
    assert_eq!(all.poll(), Poll::Ready(Err(ErrorKind::Disconnected)));
}

#[test]
fn concat_reads_one_producer_to_its_end_and_then_the_next() {
    let mut all = joined(3, Discipline::Concat);
    all.send(2, batch([5, 6]));
    all.send(1, Batch { end: true, ..batch([3, 4]) });
    assert!(all.poll().is_pending());
    let asked = Task::new().run(|cx| all.senders[1].poll_wanted(cx));
    assert!(asked.is_pending(), "whose turn has not come was not asked");
    all.send(0, Batch { end: true, ..batch([1, 2]) });
    assert_eq!(values(&all.rest()), [1, 2, 3, 4, 5, 6]);
    all.send(2, end());
    assert!(all.rest().end);
}

#[test]
fn a_barrier_of_a_concat_does_not_wait_for_those_that_have_not_started() {
    let mut all = joined(2, Discipline::Concat);
    all.send(0, barred([1], 1));
    assert_eq!(all.next().barrier, Some(Barrier(1)));
}

#[test]
fn a_busy_input_does_not_shut_the_others_out() {
    let mut all = joined(3, Discipline::Merge);
    for round in 0..4 {
        for input in 0..3 {
            // Two records fill a batch, so that each input has four of them.
            all.send(input, batch([round, round]));
        }
    }
    let mut order = Vec::new();
    while let Poll::Ready(Ok(batch)) = all.poll() {
        order.extend(values(&batch));
    }
    assert!(order.is_sorted(), "in turn: {order:?}");
}

#[test]
fn finishing_tells_every_producer() {
    let mut all = joined(2, Discipline::Merge);
    all.inputs.finish();
    for sender in &mut all.senders {
        assert_eq!(sender.try_send(&mut batch([1]), 0), Sent::Finished);
    }
}
