//! Functions over keyed records, as parts of whole graphs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::fan::{Either, SidePort};
use millstream_operators::keyed::process::{
    KeyContext, ListState, ProcessFunction, Timer, ValueState,
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
