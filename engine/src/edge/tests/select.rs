//! The head that reads its inputs as a picker chooses: order, watermarks, idleness, barriers, ends
//! and counting.

use std::task::Poll;

use super::{Task, at, batch, end, values};
use crate::batch::{Barrier, Batch, Mark};
use crate::edge::{
    Capacity, Discipline, Inputs, Pick, Picker, Ports, Select, Sender, Sent, channel,
};
use crate::error::{ErrorKind, OperatorError};
use crate::record::Record;
use crate::runtime::{Head, OperatorContext, Seat};
use crate::time::{Timestamp, VirtualClock};

/// How the inputs of a test are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One of each in turn, waiting for it.
    InTurn,
    /// Whatever is there, in turn.
    Any,
    /// Only this one, and the others are cancelled.
    Only(usize),
    /// As `Any`, and ends as soon as one input has.
    UntilOneEnds,
    /// As `Any`, and fails at this value.
    Fails(u32),
    /// As `Any`, emitting even values twice and odd ones never, and a last word.
    Doubles,
}

struct Chooser {
    way: Way,
    last: usize,
    watermarks: Vec<Timestamp>,
}

impl Chooser {
    fn any(&self, ports: &Ports<'_, u32>) -> Pick {
        ports.next_ready(self.last).map_or(Pick::Wait, Pick::Take)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused;

impl Picker<u32> for Chooser {
    type Out = u32;

    fn pick(&mut self, ports: &Ports<'_, u32>) -> Pick {
        let count = ports.len();
        match self.way {
            Way::InTurn => {
                let mut turn = (1..=count).map(|offset| (self.last + offset) % count);
                turn.find(|port| !ports.is_ended(*port)).map_or(Pick::Wait, Pick::Take)
            }
            Way::Only(port) => match (0..count).find(|one| *one != port && !ports.is_ended(*one)) {
                Some(other) => Pick::Cancel(other),
                None => Pick::Take(port),
            },
            Way::UntilOneEnds if (0..count).any(|port| ports.is_ended(port)) => Pick::End,
            _ => self.any(ports),
        }
    }

    fn take(
        &mut self,
        port: usize,
        record: Record<u32>,
        out: &mut Vec<Record<u32>>,
    ) -> Result<(), OperatorError> {
        self.last = port;
        match self.way {
            Way::Fails(value) if value == record.value => return Err(Refused.into()),
            Way::Doubles if record.value.is_multiple_of(2) => out.extend([record, record]),
            Way::Doubles => {}
            _ => out.push(record),
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) {
        self.watermarks.push(watermark);
    }

    fn on_end(&mut self, out: &mut Vec<Record<u32>>) -> Result<(), OperatorError> {
        if self.way == Way::Doubles {
            out.push(Record::new(99));
        }
        Ok(())
    }
}

struct Joined {
    senders: Vec<Sender<u32>>,
    head: Select<u32, Chooser>,
    seat: Seat,
}

fn joined(count: usize, way: Way) -> Joined {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count)
        .map(|producer| {
            let (sender, receiver) = channel(Capacity::records(8, 2));
            (sender, (producer, std::sync::Arc::default(), receiver))
        })
        .unzip();
    let seat = Seat::alone("reader");
    let inputs = Inputs::new(receivers, Discipline::Select, seat.name().clone());
    let chooser = Chooser { way, last: count - 1, watermarks: Vec::new() };
    let context = OperatorContext::alone(VirtualClock::new().clock(), &seat);
    let head = Select::new(&context, inputs, chooser);
    Joined { senders, head, seat }
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
        let polled = Task::new().run(|cx| self.head.poll_next(cx));
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
            all.append(&mut batch);
            all.idle = batch.idle;
            all.barrier = batch.barrier.or(all.barrier);
            all.end = batch.end;
            if all.end {
                break;
            }
        }
        all
    }

    fn counted(&self) -> (u64, u64) {
        (self.seat.counters().filtered.get(), self.seat.counters().added.get())
    }

    fn is_cancelled(&mut self, input: usize) -> bool {
        let sender = &mut self.senders[input];
        let closed = Task::new().run(|cx| sender.poll_closed(cx));
        matches!(closed, Poll::Ready(Sent::Finished))
    }
}

fn idle() -> Batch<u32> {
    Batch { idle: true, ..Batch::new() }
}

fn barred(values: impl IntoIterator<Item = u32>, barrier: u64) -> Batch<u32> {
    Batch { barrier: Some(Barrier(barrier)), ..batch(values) }
}

fn mark(position: usize, millis: i64) -> Mark {
    Mark { position, watermark: at(millis) }
}

#[test]
fn inputs_are_read_in_the_order_chosen_however_they_are_cut() {
    let mut all = joined(2, Way::InTurn);
    all.send(0, batch([1, 3]));
    all.send(0, batch([5]));
    assert_eq!(values(&all.next()), [1]);
    assert!(all.poll().is_pending(), "it is the other's turn");
    all.send(1, batch([2]));
    all.send(1, batch([4, 6]));
    assert_eq!(values(&all.rest()), [2, 3, 4, 5, 6]);
    all.send(1, end());
    all.send(0, batch([7]));
    all.send(0, Batch { end: true, ..batch([8]) });
    let rest = all.rest();
    assert_eq!((values(&rest), rest.end), (vec![7, 8], true));
    assert!(all.next().end, "and stays over");
}

#[test]
fn the_picker_is_woken_by_the_input_that_it_waits_for() {
    let mut all = joined(2, Way::InTurn);
    let task = Task::new();
    all.send(1, batch([2]));
    assert!(task.run(|cx| all.head.poll_next(cx)).is_pending());
    all.send(0, batch([1]));
    assert_eq!(task.woken(), 1);
    assert_eq!(values(&all.rest()), [1, 2]);
}

#[test]
fn whoever_takes_turns_takes_from_every_input_that_has_something() {
    let mut all = joined(3, Way::Any);
    all.send(0, batch([1, 2]));
    all.send(0, batch([3, 4]));
    all.send(2, batch([10, 20]));
    all.send(2, batch([30]));
    assert_eq!(values(&all.rest()), [1, 10, 2, 20, 3, 30, 4]);
}

#[test]
fn the_watermark_follows_what_has_been_taken_and_not_what_has_come() {
    let mut all = joined(2, Way::InTurn);
    let mut first = batch([1]);
    first.mark(at(10));
    first.records.push(3.into());
    first.mark(at(30));
    all.send(0, first);
    assert_eq!(all.next().marks, [], "the other has said nothing");
    let mut second = batch([2]);
    second.mark(at(20));
    all.send(1, second);
    let both = all.rest();
    assert_eq!(values(&both), [2, 3]);
    assert_eq!(both.marks, [mark(1, 10), mark(2, 20)]);
    assert_eq!(all.head.picker.watermarks, [at(10), at(20)]);
}

#[test]
fn an_idle_or_ended_input_holds_no_watermark_back() {
    let mut all = joined(3, Way::Any);
    all.watermark(0, 10);
    all.watermark(1, 7);
    assert_eq!(all.rest().marks, []);
    all.send(2, idle());
    assert_eq!(all.rest().marks, [mark(0, 7)]);
    all.send(1, end());
    assert_eq!(all.rest().marks, [mark(0, 10)]);
    all.send(0, idle());
    assert!(all.next().idle, "now all are");
    // It wakes up: its record ends that, and does not turn the watermark back.
    let mut late = batch([1]);
    late.mark(at(5));
    all.send(2, late);
    let woken = all.rest();
    assert_eq!((values(&woken), woken.marks, woken.idle), (vec![1], vec![], false));
}

#[test]
fn an_idle_input_with_a_record_that_waits_still_counts() {
    let mut all = joined(2, Way::InTurn);
    let mut first = batch([2]);
    first.mark(at(3));
    first.idle = true;
    all.send(1, first);
    all.watermark(0, 50);
    assert_eq!(all.rest().marks, [], "the record is earlier than 3 and has not been taken");
    all.send(0, batch([1]));
    let both = all.rest();
    assert_eq!(values(&both), [1, 2]);
    assert_eq!(both.marks, [mark(2, 50)], "behind it, the input is idle");
}

#[test]
fn a_barrier_waits_until_what_is_before_it_has_been_taken() {
    let mut all = joined(2, Way::Any);
    all.send(0, barred([1], 5));
    all.send(0, batch([3]));
    let first = all.next();
    assert_eq!((values(&first), first.barrier), (vec![1], None));
    assert!(all.poll().is_pending(), "3 is behind the barrier");
    for round in 0..20 {
        all.send(1, batch([100 + round]));
        assert_eq!(values(&all.rest()), [100 + round], "whoever can take them holds none");
    }
    all.send(1, barred([2], 5));
    let second = all.next();
    assert_eq!((values(&second), second.barrier), (vec![2], Some(Barrier(5))));
    let third = all.rest();
    assert_eq!((values(&third), third.barrier), (vec![3], None));
}

#[test]
fn a_barrier_passes_what_cannot_be_taken_before_it() {
    let mut all = joined(2, Way::InTurn);
    all.send(0, barred([1], 5));
    all.send(1, batch([2, 4]));
    all.send(1, batch([6]));
    all.send(0, batch([3]));
    let first = all.rest();
    assert_eq!((values(&first), first.barrier), (vec![1, 2], None));
    all.send(1, barred([8], 6));
    let second = all.next();
    assert_eq!((values(&second), second.barrier), (vec![], Some(Barrier(6))), "4, 6, 8 are held");
    all.send(0, batch([5, 7]));
    let rest = all.rest();
    assert_eq!((values(&rest), rest.barrier), (vec![3, 4, 5, 6, 7, 8], None), "none twice");
}

#[test]
fn a_barrier_does_not_wait_for_an_input_that_has_ended() {
    for before in [true, false] {
        let mut all = joined(2, Way::InTurn);
        if before {
            all.send(1, end());
        }
        all.send(0, barred([1], 5));
        if !before {
            all.send(1, batch([2, 4]));
            all.send(1, end());
        }
        let rest = all.rest();
        assert_eq!(rest.barrier, Some(Barrier(5)));
        assert_eq!(values(&rest), if before { vec![1] } else { vec![1, 2] });
        all.send(0, end());
        assert!(all.rest().end);
    }
}

#[test]
fn an_input_that_never_comes_to_the_barrier_fails_rather_than_fill_the_memory() {
    let mut all = joined(2, Way::InTurn);
    all.send(0, barred([], 5));
    let failed = (0..20).find_map(|round| {
        all.send(1, batch([round]));
        match all.poll() {
            Poll::Pending => None,
            Poll::Ready(result) => Some((round, result)),
        }
    });
    assert_eq!(failed, Some((15, Err(ErrorKind::Operator))));
}

#[test]
fn it_ends_when_the_picker_says_so_and_what_is_left_is_cancelled() {
    let mut all = joined(2, Way::UntilOneEnds);
    all.send(0, batch([1, 3]));
    all.send(0, batch([5]));
    all.send(1, Batch { end: true, ..batch([2]) });
    let rest = all.rest();
    assert!(rest.end);
    assert_eq!(values(&rest), [1, 2]);
    assert!(all.is_cancelled(0));
    assert_eq!(all.counted(), (0, 0), "3 and 5 were never taken");
}

#[test]
fn a_cancelled_input_counts_as_ended_and_the_others_go_on() {
    let mut all = joined(3, Way::Only(1));
    all.send(0, batch([1]));
    all.send(1, batch([2]));
    assert_eq!(values(&all.next()), [2]);
    assert!(all.is_cancelled(0) && all.is_cancelled(2) && !all.is_cancelled(1));
    all.watermark(1, 7);
    assert_eq!(all.rest().marks, [mark(0, 7)], "they hold nothing back");
    all.send(1, barred([4], 3));
    assert_eq!(all.rest().barrier, Some(Barrier(3)));
    all.send(1, end());
    assert!(all.rest().end);
}

#[test]
fn an_input_that_fails_is_an_error_and_no_end_whoever_else_is_stuck() {
    for way in [Way::InTurn, Way::Any, Way::UntilOneEnds] {
        let mut all = joined(2, way);
        all.send(0, batch([1]));
        assert_eq!(values(&all.next()), [1]);
        all.senders.pop();
        assert_eq!(all.poll(), Poll::Ready(Err(ErrorKind::Disconnected)), "{way:?}");
    }
}

#[test]
fn an_input_that_is_never_short_does_not_hide_the_failure_of_another() {
    let mut all = joined(2, Way::Any);
    all.send(0, batch([1, 2]));
    all.next();
    all.senders.pop();
    all.send(0, batch([3, 4]));
    assert_eq!(all.poll(), Poll::Ready(Err(ErrorKind::Disconnected)));
}

#[test]
fn an_error_of_the_picker_fails_with_the_name_of_the_operator() {
    let mut all = joined(1, Way::Fails(2));
    all.send(0, batch([1, 2]));
    let error = match Task::new().run(|cx| all.head.poll_next(cx)) {
        Poll::Ready(Err(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!((error.operator_name(), error.kind()), (Some("reader"), &ErrorKind::Operator));
}

#[test]
fn what_is_filtered_and_added_is_counted() {
    let mut all = joined(2, Way::Doubles);
    all.send(0, batch([1, 2]));
    all.send(1, batch([3]));
    assert_eq!(values(&all.rest()), [2, 2]);
    assert_eq!(all.counted(), (2, 1));
    all.send(0, end());
    all.send(1, end());
    let rest = all.rest();
    assert_eq!((values(&rest), rest.end), (vec![99], true));
    assert_eq!(all.counted(), (2, 2));
}
