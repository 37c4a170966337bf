//! Functions over keyed records, as parts of whole graphs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Range;
use std::time::Duration;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{Event, OperatorHarness, TestDriver, probe_sink, probe_source};
use millstream_operators::fan::{Either, SidePort};
use millstream_operators::keyed::process::{
    KeyContext, ListState, Process, ProcessFunction, Timer, ValueState,
};
use millstream_operators::prelude::*;

/// Tells the first of a key, and the second of it beside, and of the third when time has passed.
#[derive(Clone)]
struct Sorts {
    second: SidePort<u32>,
}

impl ProcessFunction<u32, u32> for Sorts {
    type Out = String;
    type States = ValueState<u32>;

    fn states(&self) -> ValueState<u32> {
        ValueState::new("seen")
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), millstream_engine::Error> {
        self.second.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u32>,
        context: &mut KeyContext<'_, u32, ValueState<u32>>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        match *context.states.update(|| 0, |seen| *seen += 1) {
            1 => out.push(context.record(format!("{} first", record.value))),
            2 => self.second.emit(record),
            _ => context.timers.set_event_time(context.time),
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut KeyContext<'_, u32, ValueState<u32>>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let seen = context.states.take().unwrap();
        out.push(context.record(format!("{seen} of {}", context.key)));
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        Some(&mut self.second)
    }
}

#[test]
fn g3_a_function_has_state_timers_and_side_outputs_of_its_key() {
    let (input, source) = probe_source::<u32>();
    let (output, sink) = probe_sink();
    let (beside, beside_sink) = probe_sink();
    let flow = Dataflow::new("sorts");
    let (tag, seconds) = flow.side_output::<u32>("seconds");
    let told = flow
        .source("in", source)
        .key_by(|n| n % 2)
        .process_with(|operator, blueprint| Sorts { second: tag.port(operator, blueprint) });
    told.sink("out", sink);
    seconds.sink("beside", beside_sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    (1..=6).for_each(|n| driver.push(&input, Record::at(n, Timestamp::from_millis(i64::from(n)))));
    assert_eq!(driver.read(&output), ["1 first", "2 first"]);
    assert_eq!(driver.read(&beside), [3, 4]);
    driver.watermark(&input, Timestamp::from_millis(6));
    assert_eq!(driver.read(&output), ["3 of 1"]);
    driver.end(&input);
    assert_eq!(driver.read(&output), ["3 of 0"]);
    driver.finish().unwrap();
}

/// Gives two pieces of state one name.
#[derive(Clone)]
struct Ambiguous;

impl ProcessFunction<u32, u32> for Ambiguous {
    type Out = u32;
    type States = (ValueState<u8>, ListState<u8>);

    fn states(&self) -> Self::States {
        (ValueState::new("seen"), ListState::new("seen"))
    }

    fn process(
        &mut self,
        _record: Record<u32>,
        _context: &mut KeyContext<'_, u32, Self::States>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        Ok(())
    }
}

#[test]
fn two_pieces_of_state_with_one_name_keep_the_job_from_starting() {
    let flow = Dataflow::new("ambiguous");
    flow.source("in", source::from_iter(0..3_u32)).key_by(|n| *n).process(Ambiguous).ignore();
    let error = TestDriver::start(flow.blueprint()).unwrap_err().to_string();
    assert!(
        error.contains("`process` failed: two pieces of its state are called `seen`"),
        "{error}"
    );
}

/// Puts each order together with its payment, whichever comes first.
#[derive(Clone)]
struct Settles;

/// What was ordered, and what was paid, as long as the other is missing.
type Open = (ValueState<&'static str>, ValueState<u32>);
type Side = Either<(u32, &'static str), (u32, u32)>;

impl ProcessFunction<u32, Side> for Settles {
    type Out = (u32, &'static str, u32);
    type States = Open;

    fn states(&self) -> Open {
        (ValueState::new("ordered"), ValueState::new("paid"))
    }

    fn process(
        &mut self,
        record: Record<Side>,
        context: &mut KeyContext<'_, u32, Open>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (ordered, paid) = &mut context.states;
        let (what, cents) = match record.value {
            Either::Left((_, what)) => (Some(what), paid.take()),
            Either::Right((_, cents)) => (ordered.take(), Some(cents)),
        };
        match (what, cents) {
            (Some(what), Some(cents)) => out.push(context.record((*context.key, what, cents))),
            (Some(what), None) => ordered.set(what),
            (None, Some(cents)) => paid.set(cents),
            (None, None) => {}
        }
        Ok(())
    }
}

#[test]
fn g12_a_function_keeps_state_of_both_of_two_connected_streams() {
    for parallel in [1, 3] {
        let (orders, order_source) = probe_source::<(u32, &'static str)>();
        let (payments, payment_source) = probe_source::<(u32, u32)>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("settled");
        let payments_in = flow.source("payments", payment_source);
        let both = flow.source("orders", order_source).connect(payments_in);
        let settled = both.key_by(|order| order.0, |payment| payment.0).parallel(parallel);
        settled.process(Settles).boundary().sink("out", sink);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        driver.push(&orders, (1, "tea"));
        driver.push(&payments, (2, 350));
        assert_eq!(driver.read(&output), []);
        driver.push(&payments, (1, 200));
        driver.push(&orders, (2, "cake"));
        assert_eq!(driver.read(&output), [(1, "tea", 200), (2, "cake", 350)]);
        driver.push(&orders, (2, "pie"));
        assert_eq!(driver.read(&output), [], "what is settled is forgotten");
        driver.end(&orders);
        driver.end(&payments);
        driver.finish().unwrap();
    }
}

/// Counts up to a record's last digit when it comes, and to all of it when its time is over; pauses
/// where there is no room.
#[derive(Clone)]
struct CountsUp {
    paused: Option<Range<u32>>,
}

impl CountsUp {
    fn count(&mut self, numbers: Range<u32>, time: Timestamp, out: &mut impl Collector<u32>) {
        for n in numbers.clone() {
            if out.is_full() {
                self.paused = Some(n..numbers.end);
                return;
            }
            out.push(Record::at(n, time));
        }
    }
}

impl ProcessFunction<u32, u32> for CountsUp {
    type Out = u32;
    type States = ValueState<u32>;
    const NEEDS_TIME: bool = true;
    const HOLDS_WATERMARK: bool = true;

    fn states(&self) -> ValueState<u32> {
        ValueState::new("to")
    }

    fn watermark_delay(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn process(
        &mut self,
        record: Record<u32>,
        context: &mut KeyContext<'_, u32, ValueState<u32>>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        context.states.set(record.value);
        context.timers.set_event_time(record.time.saturating_add(self.watermark_delay()));
        self.count(0..record.value % 10, record.time, out);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, u32, ValueState<u32>>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        let to = context.states.take().unwrap_or_default();
        self.count(0..to, timer.time().saturating_sub(self.watermark_delay()), out);
        Ok(())
    }

    fn pending(&self) -> bool {
        self.paused.is_some()
    }

    fn resume(
        &mut self,
        context: &mut KeyContext<'_, u32, ValueState<u32>>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        let numbers = self.paused.take().unwrap_or_default();
        assert_eq!(*context.key, if numbers.end % 10 == 2 { 12 } else { 23 }, "the same key");
        self.count(numbers, context.time, out);
        Ok(())
    }
}

#[test]
fn g3_a_function_pauses_where_there_is_no_room_and_goes_on_about_the_same_key() {
    let at = |millis| Timestamp::from_millis(millis);
    for room in [1, 2, 3, 1_000] {
        let process = Process::new(Made(|n: &u32| *n), CountsUp { paused: None });
        let mut harness = OperatorHarness::with_room(process, room);
        for n in [23, 12] {
            harness.push(Record::at(Keyed { hash: stable_hash(&n), value: n }, at(n.into())));
        }
        assert_eq!(harness.values(), [0, 1, 2, 0, 1]);
        harness.watermark(at(100));
        let counted: Vec<_> = (0..12).chain(0..23).collect();
        let events = harness.events();
        let values = events.iter().filter_map(|event| match event {
            Event::Record(record) => Some(record.value),
            Event::Watermark(_) | Event::End => None,
        });
        assert_eq!(values.collect::<Vec<_>>(), counted, "room for {room}");
        let held = Event::Watermark(at(95));
        assert_eq!(events.last(), Some(&held), "behind everything, and held back");
        assert_eq!(events.iter().filter(|event| **event == held).count(), 1);
        assert_eq!(harness.operator().keys(), 0);
        harness.watermark(Timestamp::MAX);
        assert_eq!(harness.events(), [Event::Watermark(Timestamp::MAX)], "the end is the end");
    }
}
