//! A link: what it holds back while its operator has output left, and in which order it lets go.

use std::sync::{Arc, Mutex};

use super::Seen::{Barrier as Barred, End, Idle, Record as Value, Watermark as Mark};
use super::{DUE, Hold, Repeat, Slot, at};
use crate::OperatorError;
use crate::batch::{Barrier, Batch, Mark as BatchMark};
use crate::edge::{Capacity, Outbox, Received, channel};
use crate::error::ErrorKind;
use crate::link::Link;
use crate::link_state::LinkState;
use crate::operator::{Collector, Operator, SideOutput};
use crate::record::Record;
use crate::runtime::Seat;
use crate::state::{StateError, StateWriter};
use crate::sync::lock;
use crate::tail::{Flow, Flush, Tail};
use crate::time::Instant;

fn link<O: Operator<u32, Out = u32>, N: Tail<u32>>(operator: O, next: N) -> Link<u32, O, N> {
    Link::new(operator, next, LinkState::new(Seat::alone(O::NAME), true))
}

#[test]
fn a_pending_operator_is_resumed_before_anything_else() {
    let slot = Slot::with_room(1);
    let mut chain = link(Repeat::new(false), slot.clone());
    assert_eq!(chain.push(3.into()), Flow::Stop);
    assert_eq!(chain.resume(), Flow::Stop, "there is no room yet");
    assert_eq!(slot.seen(), [Value(30)]);
    slot.give(1);
    assert_eq!(chain.resume(), Flow::Stop);
    slot.give(2);
    assert_eq!(chain.resume(), Flow::More);
    assert_eq!(slot.seen(), [Value(31), Value(32)]);
}

#[test]
fn what_an_operator_floods_is_kept_in_order() {
    let slot = Slot::with_room(1);
    let mut chain = link(Repeat::new(true), slot.clone());
    assert_eq!(chain.push(4.into()), Flow::Stop);
    slot.give(2);
    assert_eq!(chain.resume(), Flow::Stop);
    slot.give(2);
    assert_eq!(chain.resume(), Flow::More);
    assert_eq!(slot.seen(), [40, 41, 42, 43].map(Value));
}

#[test]
fn a_watermark_and_the_end_wait_for_what_is_pending() {
    for floods in [false, true] {
        let slot = Slot::with_room(1);
        let mut chain = link(Repeat::new(floods), slot.clone());
        assert_eq!(chain.watermark(at(5)), Flow::Stop);
        assert_eq!(slot.seen(), [Value(99)], "the mark is held, floods: {floods}");
        slot.give(1);
        assert_eq!(chain.resume(), Flow::More);
        assert_eq!(slot.seen(), [Mark(5)]);
        assert_eq!(chain.end(), Flow::Stop);
        assert_eq!(slot.seen(), [Value(99)]);
        slot.give(1);
        assert_eq!(chain.resume(), Flow::More);
        assert_eq!(slot.seen(), [End]);
    }
}

#[test]
fn the_end_of_the_chain_goes_first() {
    let slot = Slot::with_room(1);
    let mut chain = link(Repeat::new(true), link(Repeat::new(false), slot.clone()));
    assert_eq!(chain.push(2.into()), Flow::Stop);
    // 20 and 21 come from the first link, and the second repeats each of them.
    for _ in 1..41 {
        slot.give(1);
        assert_eq!(chain.resume(), Flow::Stop);
    }
    slot.give(2);
    assert_eq!(chain.resume(), Flow::More);
    let expected = (0..20).map(|n| 200 + n).chain((0..21).map(|n| 210 + n));
    assert_eq!(slot.seen(), expected.map(Value).collect::<Vec<_>>());
}

#[test]
fn control_that_needs_no_operator_goes_straight_through() {
    let slot = Slot::with_room(5);
    let mut chain = link(Repeat::new(false), slot.clone());
    assert_eq!(chain.idle(true), Flow::More);
    assert_eq!(chain.barrier(Barrier(3)), Flow::More);
    assert_eq!(slot.seen(), [Idle(true), Barred(3)]);
}

#[test]
fn nobody_waits_for_output_that_nobody_wants() {
    let slot = Slot::with_room(1);
    let mut chain = link(Repeat::new(true), slot.clone());
    assert_eq!(chain.push(3.into()), Flow::Stop);
    slot.finish();
    assert!(chain.done());
    assert_eq!(chain.resume(), Flow::More);
    assert_eq!(chain.end(), Flow::More, "and `on_end` is not called");
    assert_eq!(slot.seen(), [Value(30), End]);
}

#[test]
fn counts_what_is_filtered_added_and_thrown_away() {
    let slot = Slot::with_room(100);
    let seat = Seat::alone("repeat");
    let mut chain =
        Link::<u32, _, _>::new(Repeat::new(true), slot.clone(), LinkState::new(seat.clone(), true));
    let counted = |chain: &mut Link<u32, Repeat, Slot>| {
        chain.publish();
        (seat.counters().filtered.get(), seat.counters().added.get())
    };
    assert_eq!(chain.push_counted(0.into()), Flow::More);
    assert_eq!(chain.push_counted(1.into()), Flow::More);
    assert_eq!(counted(&mut chain), (1, 0));
    assert_eq!(chain.push_counted(5.into()), Flow::More);
    assert_eq!(counted(&mut chain), (1, 4));
    slot.lock().room = 1;
    assert_eq!(chain.push_counted(3.into()), Flow::Stop);
    slot.finish();
    assert_eq!(chain.resume(), Flow::More);
    assert_eq!(counted(&mut chain), (3, 6), "two of them never came out");
}

#[test]
fn an_operator_that_says_it_is_stateless_and_is_not_fails_where_its_output_would_be_lost() {
    #[derive(Clone)]
    struct Liar;

    impl Operator<u32> for Liar {
        type Out = u32;
        const NAME: &'static str = "liar";
        const STATELESS: bool = true;

        fn process(
            &mut self,
            record: Record<u32>,
            out: &mut impl Collector<u32>,
        ) -> Result<(), OperatorError> {
            out.push(record);
            out.push(record);
            Ok(())
        }
    }

    let slot = Slot::with_room(3);
    let mut chain = link(Liar, slot.clone());
    assert_eq!(chain.push(1.into()), Flow::More);
    assert_eq!(chain.push(2.into()), Flow::Stop);
    assert_eq!(slot.seen(), [1, 1, 2].map(Value));
    let error = chain.take_error().expect("there was no room for the last one");
    assert_eq!(error.operator_name(), Some("liar"));
    assert!(error.to_string().contains("STATELESS"), "{error}");
}

#[test]
fn an_error_names_the_operator_and_stops_the_chain() {
    #[derive(Clone)]
    struct Fail;

    impl Operator<u32> for Fail {
        type Out = u32;
        const NAME: &'static str = "fail";

        fn process(
            &mut self,
            _record: Record<u32>,
            _out: &mut impl Collector<u32>,
        ) -> Result<(), OperatorError> {
            Err(std::io::Error::other("no").into())
        }
    }

    let slot = Slot::with_room(5);
    let mut chain = link(Repeat::new(false), link(Fail, slot));
    assert_eq!(chain.push(2.into()), Flow::Stop);
    let error = chain.take_error().expect("it failed");
    assert_eq!(error.kind(), &ErrorKind::Operator);
    assert_eq!(error.operator_name(), Some("fail"));
    assert!(chain.take_error().is_none());
}

#[test]
fn a_panic_leaves_the_name_of_the_operator_and_its_counts() {
    #[derive(Clone)]
    struct Panic;

    impl Operator<u32> for Panic {
        type Out = u32;
        const NAME: &'static str = "panic";

        fn process(
            &mut self,
            record: Record<u32>,
            out: &mut impl Collector<u32>,
        ) -> Result<(), OperatorError> {
            assert!(record.value < 32, "too much");
            out.push(record);
            Ok(())
        }
    }

    let slot = Slot::with_room(9);
    let outer = Seat::alone("outer");
    let mut inner = Seat::alone("inner");
    inner.culprit = Arc::clone(&outer.culprit);
    let chain = Link::<u32, _, _>::new(Panic, slot.clone(), LinkState::new(inner, true));
    let mut chain =
        Link::<u32, _, _>::new(Repeat::new(false), chain, LinkState::new(outer.clone(), true));
    let push = std::panic::AssertUnwindSafe(|| chain.push_counted(3.into()));
    std::panic::catch_unwind(push).expect_err("it panics");
    assert_eq!(outer.culprit.get().map(|name| &**name), Some("inner"));
    chain.publish();
    assert_eq!(slot.seen(), [Value(30), Value(31)]);
    assert_eq!(outer.counters().added.get(), 2, "three for one, the last in vain");
}

#[test]
fn a_timer_fires_when_it_is_due_and_lets_go_of_what_waits() {
    let slot = Slot::with_room(5);
    let mut chain = link(Hold::default(), slot.clone());
    assert_eq!(chain.push(7.into()), Flow::Stop);
    assert!(chain.waiting());
    assert_eq!(chain.next_timer(), Some(DUE));
    assert_eq!(chain.resume(), Flow::Stop, "it waits for time, not for room");
    assert_eq!(chain.timer(Instant::START), Flow::More);
    assert!(slot.seen().is_empty());
    assert_eq!(chain.timer(DUE), Flow::More);
    assert_eq!(slot.seen(), [Value(7)]);
    assert_eq!((chain.waiting(), chain.next_timer()), (false, None));
}

#[test]
fn only_timers_that_can_fire_are_asked_for() {
    /// Wants to be called all the time.
    #[derive(Clone)]
    struct Restless;

    impl Operator<u32> for Restless {
        type Out = u32;
        const NAME: &'static str = "restless";

        fn process(
            &mut self,
            record: Record<u32>,
            out: &mut impl Collector<u32>,
        ) -> Result<(), OperatorError> {
            out.push(record);
            Ok(())
        }

        fn on_timer(
            &mut self,
            _now: Instant,
            out: &mut impl Collector<u32>,
        ) -> Result<(), OperatorError> {
            out.push(1.into());
            Ok(())
        }

        fn next_timer(&self) -> Option<Instant> {
            Some(Instant::START)
        }
    }

    let slot = Slot::with_room(5);
    let mut chain = link(Restless, link(Hold::default(), slot.clone()));
    assert_eq!(chain.next_timer(), Some(Instant::START));
    assert_eq!(chain.push(7.into()), Flow::Stop);
    assert_eq!(chain.next_timer(), Some(DUE), "the first would only spin");
    assert_eq!(chain.timer(Instant::START), Flow::Stop);
    slot.finish();
    assert!(!chain.waiting(), "what nobody wants is not waited for");
}

/// Sends odd numbers to its side output.
struct Odds(Option<Outbox<u32>>);

impl Clone for Odds {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Operator<u32> for Odds {
    type Out = u32;
    const NAME: &'static str = "odds";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        match &mut self.0 {
            Some(side) if record.value % 2 == 1 => {
                let (Flow::More | Flow::Stop) = side.push(record);
            }
            _ => out.push(record),
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.0.as_mut().map(|side| side as &mut dyn SideOutput)
    }
}

#[test]
fn a_side_output_without_room_stops_the_chain_and_is_not_overtaken() {
    let (sender, mut receiver) = channel(Capacity::records(1, 1));
    let side = Outbox::to(sender, Arc::from("odds"));
    let slot = Slot::with_room(9);
    let mut chain = link(Odds(Some(side)), slot.clone());
    assert_eq!(chain.push(1.into()), Flow::More);
    assert_eq!(chain.barrier(Barrier(4)), Flow::Stop, "the side has no room");
    assert_eq!(slot.seen(), [Barred(4)]);
    assert!(!super::flush(&mut chain, Flush::Room));
    assert_eq!(chain.resume(), Flow::Stop);
    let mut seen = Vec::new();
    let mut poll = |chain: &mut Link<u32, Odds, Slot>| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Received::Batch(batch)) = receiver.poll_recv(&mut cx) {
            seen.extend(batch.records.iter().map(|record| Value(record.value)));
            seen.extend(batch.barrier.map(|barrier| Barred(barrier.0)));
        }
        super::flush(chain, Flush::All)
    };
    assert!(poll(&mut chain));
    assert_eq!(chain.resume(), Flow::More);
    assert!(poll(&mut chain));
    assert_eq!(chain.push(3.into()), Flow::More);
    assert!(poll(&mut chain));
    assert_eq!(seen, [Value(1), Barred(4), Value(3)]);
}

/// Holds every record until a barrier, idleness or the end is about to go by, and emits them then
/// as there is room.
#[derive(Clone, Default)]
struct Gather {
    held: Vec<u32>,
    leaving: std::collections::VecDeque<u32>,
}

impl Gather {
    fn let_go(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.leaving.extend(self.held.drain(..));
        self.resume(out)
    }
}

impl Operator<u32> for Gather {
    type Out = u32;
    const NAME: &'static str = "gather";

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        assert!(self.leaving.is_empty(), "called while something is pending");
        self.held.push(record.value);
        Ok(())
    }

    fn before_barrier(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.let_go(out)
    }

    fn before_idle(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.let_go(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.let_go(out)
    }

    fn pending(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        while !out.is_full()
            && let Some(value) = self.leaving.pop_front()
        {
            out.push(value.into());
        }
        Ok(())
    }

    fn snapshot(&self, _state: &mut StateWriter) -> Result<(), StateError> {
        assert!(self.held.is_empty() && self.leaving.is_empty(), "it was to let go of them");
        Ok(())
    }
}

/// Two that gather, one behind the other, with three records in the first.
fn gathering(slot: &Slot) -> impl Tail<u32> + use<> {
    let mut chain = link(Gather::default(), link(Gather::default(), slot.clone()));
    (1..=3).for_each(|value| assert_eq!(chain.push(value.into()), Flow::More));
    assert_eq!(slot.seen(), []);
    chain
}

#[test]
fn what_is_held_goes_before_a_barrier_however_little_room_there_is() {
    for room in 1..6 {
        let slot = Slot::with_room(room);
        let mut chain = gathering(&slot);
        let mut flow = chain.barrier(Barrier(7));
        let mut seen = slot.seen();
        while flow == Flow::Stop {
            assert!(!seen.contains(&Barred(7)), "room {room}: {seen:?}");
            slot.give(1);
            flow = chain.resume();
            seen.extend(slot.seen());
        }
        assert_eq!(seen, [Value(1), Value(2), Value(3), Barred(7)], "room {room}");
        assert_eq!(chain.push(4.into()), Flow::More);
        slot.give(9);
        assert_eq!(chain.barrier(Barrier(8)), Flow::More);
        assert_eq!(slot.seen(), [Value(4), Barred(8)]);
    }
}

#[test]
fn what_is_held_goes_before_the_news_that_the_input_is_idle() {
    for room in 1..6 {
        let slot = Slot::with_room(room);
        let mut chain = gathering(&slot);
        let mut flow = chain.idle(true);
        let mut seen = slot.seen();
        while flow == Flow::Stop {
            assert!(!seen.contains(&Idle(true)), "room {room}: {seen:?}");
            slot.give(1);
            flow = chain.resume();
            seen.extend(slot.seen());
        }
        assert_eq!(seen, [Value(1), Value(2), Value(3), Idle(true)], "room {room}");
        assert_eq!(chain.push(4.into()), Flow::More);
        assert_eq!(chain.idle(false), Flow::More);
        assert_eq!(slot.seen(), [Idle(false)], "nobody is asked about that");
    }
}

#[test]
fn a_barrier_does_not_wait_for_output_that_nobody_wants() {
    let slot = Slot::with_room(1);
    let mut chain = link(Gather::default(), slot.clone());
    assert_eq!(chain.push(1.into()), Flow::More);
    slot.finish();
    assert_eq!(chain.idle(true), Flow::More);
    let mut flooded = link(Repeat::new(true), slot.clone());
    assert_eq!(flooded.barrier(Barrier(1)), Flow::More);
    assert_eq!(slot.seen(), [Idle(true), Barred(1)]);
}

/// Looks this many records ahead, whatever there is, and notes how many it was shown.
struct Looks(usize, Arc<Mutex<Vec<usize>>>);

impl Clone for Looks {
    fn clone(&self) -> Self {
        Self(self.0, Arc::default())
    }
}

impl Operator<u32> for Looks {
    type Out = u32;
    const NAME: &'static str = "looks";

    fn prefetch(&self, upcoming: &[Record<u32>]) -> usize {
        lock(&self.1).push(upcoming.len());
        self.0
    }

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}

#[test]
fn what_comes_next_is_shown_up_to_a_watermark_and_no_answer_loses_a_record() {
    let once = vec![3, 2, 1, 1, 1];
    for (ahead, expected) in [(0, &once), (1, &once), (2, &vec![3, 1, 1, 1]), (99, &vec![3, 1, 1])]
    {
        let (slot, shown) = (Slot::with_room(9), Arc::default());
        let mut chain = link(Looks(ahead, Arc::clone(&shown)), slot.clone());
        let mut batch = Batch::new();
        batch.records.extend((1..=5).map(Record::from));
        batch.marks.push(BatchMark { position: 3, watermark: at(7) });
        let mut spare = Vec::new();
        assert_eq!(chain.run(&mut batch, 4, &mut spare), Flow::More);
        assert_eq!(chain.run(&mut batch, 4, &mut spare), Flow::More);
        let values = [Value(1), Value(2), Value(3), Mark(7), Value(4), Value(5)];
        assert_eq!(slot.seen(), values, "looking {ahead} ahead");
        assert_eq!(*lock(&shown), *expected.as_slice(), "looking {ahead} ahead");
    }
}
