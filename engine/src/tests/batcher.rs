//! The seam of `.boxed()`: it collects, and everything stays in its place.

use std::sync::Arc;
use std::task::{Context, Waker};

use super::Seen::{Barrier as Barred, End, Idle, Record as Value, Watermark as Mark};
use super::{DUE, Hold, Repeat, Seen, Slot, at, flush};
use crate::batch::{Barrier, Batch};
use crate::batcher::Batcher;
use crate::link::Link;
use crate::link_state::LinkState;
use crate::metrics::Counter;
use crate::operator::Operator;
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};
use crate::time::Instant;

fn link<O: Operator<u32, Out = u32>, N: Tail<u32>>(operator: O, next: N) -> Link<u32, O, N> {
    Link::new(operator, next, LinkState::new(Seat::alone(O::NAME), true))
}

fn boxed(next: impl Tail<u32> + 'static, limit: usize) -> Batcher<u32> {
    Batcher::new(Box::new(next), limit, Arc::default())
}

#[test]
fn collects_a_batch_and_brings_out_the_rest_when_the_stage_is_idle() {
    let slot = Slot::with_room(9);
    let mut seam = boxed(slot.clone(), 2);
    assert_eq!(seam.push(1.into()), Flow::More);
    assert!(slot.seen().is_empty());
    assert_eq!(seam.push(2.into()), Flow::More);
    assert_eq!(slot.seen(), [Value(1), Value(2)]);
    assert_eq!(seam.push(3.into()), Flow::More);
    assert!(flush(&mut seam, Flush::Room));
    assert!(slot.seen().is_empty());
    assert!(flush(&mut seam, Flush::All));
    assert_eq!(slot.seen(), [Value(3)]);
}

#[test]
fn watermarks_idleness_barriers_and_the_end_stay_behind_the_records() {
    let slot = Slot::with_room(99);
    let mut seam = boxed(slot.clone(), 64);
    assert_eq!(seam.push(1.into()), Flow::More);
    assert_eq!(seam.watermark(at(5)), Flow::More);
    assert_eq!(seam.push(2.into()), Flow::More);
    assert_eq!(seam.idle(true), Flow::More);
    assert!(slot.seen().is_empty());
    assert!(flush(&mut seam, Flush::All));
    assert_eq!(slot.seen(), [Value(1), Mark(5), Value(2), Idle(true)]);
    assert_eq!(seam.idle(false), Flow::More);
    assert_eq!(slot.seen(), [Idle(false)]);
    assert_eq!(seam.push(3.into()), Flow::More);
    assert_eq!(seam.barrier(Barrier(1)), Flow::More);
    assert_eq!(slot.seen(), [Value(3), Barred(1)]);
    assert_eq!(seam.push(4.into()), Flow::More);
    assert_eq!(seam.end(), Flow::More);
    assert_eq!(slot.seen(), [Value(4), End]);
}

#[test]
fn a_stop_behind_the_seam_holds_everything_in_order() {
    let slot = Slot::with_room(1);
    let mut seam = boxed(slot.clone(), 2);
    assert_eq!(seam.push(1.into()), Flow::More);
    assert_eq!(seam.watermark(at(1)), Flow::More);
    assert_eq!(seam.push(2.into()), Flow::Stop);
    assert_eq!(slot.seen(), [Value(1)]);
    assert_eq!(seam.resume(), Flow::Stop);
    slot.give(2);
    assert_eq!(seam.resume(), Flow::More);
    assert_eq!(slot.seen(), [Mark(1), Value(2)]);
    // A flush that found no room leaves the seam stopped, and the stage goes on collecting.
    slot.lock().room = 1;
    assert_eq!(seam.push(3.into()), Flow::More);
    assert!(!flush(&mut seam, Flush::All));
    assert_eq!(seam.push(4.into()), Flow::More);
    assert_eq!(seam.push(5.into()), Flow::Stop);
    assert_eq!(seam.barrier(Barrier(2)), Flow::Stop);
    slot.give(3);
    assert_eq!(seam.resume(), Flow::More);
    assert_eq!(slot.seen(), [Value(3), Value(4), Value(5), Barred(2)]);
}

#[test]
fn an_expander_on_either_side_loses_nothing() {
    let expected = |values: &[u32]| -> Vec<Seen> {
        let repeated =
            values.iter().flat_map(|value| (0..*value).map(move |n| Value(value * 10 + n)));
        repeated.chain([Value(99), End]).collect()
    };
    for floods in [false, true] {
        for limit in 1..5 {
            let slot = Slot::with_room(1);
            let expander = Repeat::new(floods);
            let behind = boxed(link(expander.clone(), slot.clone()), limit);
            check(behind, &slot, &expected(&[3, 0, 1, 4]));
            let slot = Slot::with_room(1);
            let before = link(expander, boxed(slot.clone(), limit));
            check(before, &slot, &expected(&[3, 0, 1, 4]));
        }
    }
}

/// Runs four records through a tail, as a stage would, with room for one record at a time.
fn check(mut tail: impl Tail<u32>, slot: &Slot, expected: &[Seen]) {
    let mut batch = Batch::new();
    batch.records.extend([3, 0, 1, 4].map(Record::new));
    let mut spare = Vec::new();
    let relieve = |tail: &mut dyn Tail<u32>| {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            while tail.poll_flush(&mut cx, Flush::Room).is_pending() {
                slot.give(1);
            }
            if tail.resume() == Flow::More {
                break;
            }
        }
    };
    while !batch.is_spent() {
        if tail.run(&mut batch, 2, &mut spare) == Flow::Stop {
            relieve(&mut tail);
        }
    }
    if tail.end() == Flow::Stop {
        relieve(&mut tail);
    }
    assert_eq!(slot.seen(), expected);
}

#[test]
fn a_timer_reaches_an_operator_that_waits_for_it() {
    let slot = Slot::with_room(9);
    let mut seam = boxed(link(Hold::default(), slot.clone()), 2);
    assert_eq!(seam.push(7.into()), Flow::More);
    assert_eq!(seam.push(8.into()), Flow::Stop);
    assert!(seam.waiting());
    assert_eq!(seam.next_timer(), Some(DUE));
    let (Flow::More | Flow::Stop) = seam.timer(DUE);
    assert_eq!(slot.seen(), [Value(7)]);
    assert_eq!(seam.resume(), Flow::Stop, "the second one is held now");
    let (Flow::More | Flow::Stop) = seam.timer(DUE);
    assert_eq!(seam.resume(), Flow::More);
    assert_eq!(slot.seen(), [Value(8)]);
}

#[test]
fn what_nobody_wants_is_counted_and_pushed_on_nobody() {
    let slot = Slot::with_room(1);
    let cancelled = Arc::<Counter>::default();
    let next = Box::new(link(Repeat::new(false), slot.clone()));
    let mut seam = Batcher::new(next, 4, Arc::clone(&cancelled));
    for value in [2, 3] {
        assert_eq!(seam.push(value.into()), Flow::More);
    }
    assert!(!flush(&mut seam, Flush::All));
    slot.finish();
    assert_eq!(seam.resume(), Flow::More);
    assert_eq!(seam.end(), Flow::More);
    assert_eq!((slot.seen(), cancelled.get()), (vec![Value(20), End], 1));
}

#[test]
fn what_comes_behind_the_end_is_counted_when_nobody_wants_it() {
    let slot = Slot::with_room(9);
    let cancelled = Arc::<Counter>::default();
    let mut seam = Batcher::new(Box::new(slot.clone()), 4, Arc::clone(&cancelled));
    slot.finish();
    assert_eq!(seam.end(), Flow::More);
    // From a timer of an operator before the seam.
    assert_eq!(seam.push(1.into()), Flow::More);
    assert!(flush(&mut seam, Flush::All));
    assert_eq!((slot.seen(), cancelled.get()), (vec![End], 1));
}

#[test]
fn what_was_collected_goes_before_a_timer() {
    #[derive(Clone)]
    struct Tick;

    impl Operator<u32> for Tick {
        type Out = u32;
        const NAME: &'static str = "tick";

        fn process(
            &mut self,
            record: Record<u32>,
            out: &mut impl crate::operator::Collector<u32>,
        ) -> Result<(), crate::OperatorError> {
            out.push(record);
            Ok(())
        }

        fn on_timer(
            &mut self,
            _now: Instant,
            out: &mut impl crate::operator::Collector<u32>,
        ) -> Result<(), crate::OperatorError> {
            out.push(0.into());
            Ok(())
        }

        fn next_timer(&self) -> Option<Instant> {
            Some(DUE)
        }
    }

    let slot = Slot::with_room(9);
    let mut seam = boxed(link(Tick, slot.clone()), 8);
    assert_eq!(seam.push(1.into()), Flow::More);
    assert_eq!(seam.timer(DUE), Flow::More);
    assert_eq!(slot.seen(), [Value(1), Value(0)]);
}
