//! The hot paths: a small job each, on one thread. Its result is looked at, so that nothing is
//! optimised away.

use std::sync::Arc;
use std::time::Duration;

use millstream::aggregate::Count;
use millstream::keyed::process::{KeyContext, ProcessFunction, Timer, ValueState};
use millstream::prelude::*;
use millstream::runtime::Output;
use millstream::time::VirtualClock;

use crate::ten_steps::{first_five, last_five};

/// One path, and how many records its smaller run has: enough for full batches.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    pub(crate) records: u64,
    pub(crate) run: fn(u64) -> u64,
}

pub(crate) const PATHS: &[Path] = &[
    Path { name: "chain-fused", records: 100_000, run: |n| chain(n, Seam::None, false) },
    Path { name: "chain-boxed", records: 100_000, run: |n| chain(n, Seam::Boxed, false) },
    Path { name: "chain-counted", records: 100_000, run: |n| chain(n, Seam::None, true) },
    Path { name: "chain-of-stages", records: 50_000, run: chain_of_stages },
    Path { name: "edge", records: 100_000, run: edge },
    Path { name: "edge-64-bytes", records: 100_000, run: edge_of_64_bytes },
    Path { name: "broadcast-and-merge", records: 50_000, run: broadcast_and_merge },
    Path { name: "flat-map-and-scan", records: 50_000, run: flat_map_and_scan },
    Path { name: "large-records", records: 50_000, run: large_records },
    Path { name: "count-by-key", records: 50_000, run: |n| count_by_key(n, 1) },
    Path { name: "count-by-key-shuffled", records: 50_000, run: |n| count_by_key(n, 2) },
    Path { name: "count-by-key-combined", records: 50_000, run: count_by_key_combined },
    Path { name: "count-by-window", records: 50_000, run: count_by_window },
    Path { name: "process-with-timers", records: 20_000, run: process_with_timers },
    Path { name: "map-async-ready", records: 20_000, run: |n| map_async(n, std::future::ready) },
    Path { name: "map-async-yielding", records: 10_000, run: |n| map_async(n, yielding) },
];

const KEYS: u64 = 1_000;

fn numbers(flow: &Dataflow, records: u64) -> DataStream<u64, impl Chain<Item = u64> + use<>> {
    flow.source("numbers", source::from_iter(0..records))
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.wrapping_add(n);
}

fn run(flow: &Dataflow, sum: Output<u64>) -> u64 {
    run_with(flow, sum, JobOptions::default())
}

/// On a clock that stands still: slices of a batch and yields go by time, and would depend on how
/// fast the machine is.
#[allow(clippy::needless_pass_by_value, reason = "a job has one output")]
fn run_with(flow: &Dataflow, sum: Output<u64>, options: JobOptions) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let options = options.with_clock(VirtualClock::new().clock());
    let report = runtime.expect("a runtime can be made").block_on(flow.run_with(options));
    report.expect("nothing fails").take(sum).expect("it came to its end")
}

#[derive(Clone, Copy)]
enum Seam {
    None,
    Boxed,
}

/// The ten steps of the bench `chain`.
fn chain(records: u64, seam: Seam, counted: bool) -> u64 {
    let flow = Dataflow::new("chain");
    let first = first_five(numbers(&flow, records));
    let sum = match seam {
        Seam::None => last_five(first).fold(0, add),
        Seam::Boxed => last_five(first.boxed()).fold(0, add),
    };
    run_with(&flow, sum, JobOptions::default().with_operator_counts(counted))
}

fn chain_of_stages(records: u64) -> u64 {
    let flow = Dataflow::new("stages");
    let mut stream = numbers(&flow, records).boundary().boxed();
    for step in 1..10 {
        stream = stream.map(move |n| n.wrapping_add(step)).boundary().boxed();
    }
    let sum = stream.fold(0, add);
    run(&flow, sum)
}

fn edge(records: u64) -> u64 {
    let flow = Dataflow::new("edge");
    let sum = numbers(&flow, records).boundary().fold(0, add);
    run(&flow, sum)
}

fn edge_of_64_bytes(records: u64) -> u64 {
    let flow = Dataflow::new("edge");
    let sum = numbers(&flow, records).map(|n| [n; 8]).boundary();
    let sum = sum.fold(0, |sum: &mut u64, of: [u64; 8]| of.into_iter().for_each(|n| add(sum, n)));
    run(&flow, sum)
}

fn broadcast_and_merge(records: u64) -> u64 {
    let flow = Dataflow::new("fan");
    let [a, b, c, d] = numbers(&flow, records).broadcast();
    let (a, b) = (a.map(|n| n + 1), b.map(|n| n + 2));
    let (c, d) = (c.map(|n| n ^ 3), d.map(|n| n ^ 4));
    let sum = a.merge(b).merge(c.merge(d)).fold(0, add);
    run(&flow, sum)
}

fn flat_map_and_scan(records: u64) -> u64 {
    let flow = Dataflow::new("flat map");
    let sum = numbers(&flow, records)
        .filter(|n| !n.is_multiple_of(3))
        .flat_map_iter(|n| [n, n ^ 1, n ^ 2])
        .scan(0, add)
        .fold(0, add);
    run(&flow, sum)
}

/// Of the size of what the queries of Nexmark read.
#[derive(Clone, Copy)]
struct Bid {
    auction: u64,
    price: u64,
    extra: [u64; 22],
}

fn large_records(records: u64) -> u64 {
    let flow = Dataflow::new("bids");
    let bid = |n: u64| Bid { auction: n % 123, price: n, extra: [n; 22] };
    let sum = flow
        .source("bids", source::from_iter((0..records).map(bid)))
        .filter(|bid| bid.auction.is_multiple_of(3))
        .boundary()
        .map(|bid| (bid.auction, bid.price, bid.extra))
        .fold(0, |sum, (auction, price, extra)| {
            add(sum, auction ^ price ^ extra.into_iter().fold(0, u64::wrapping_add));
        });
    run(&flow, sum)
}

/// A thousand different words, cloned one after the other: to write them would cost more than to
/// count them.
fn words(flow: &Dataflow, records: u64) -> DataStream<String, impl Chain<Item = String> + use<>> {
    let words: Arc<[String]> = (0..KEYS).map(|n| format!("word-{n:x}")).collect();
    let word = move |n: u64| words.get((mixed(n) % KEYS) as usize).cloned().unwrap_or_default();
    numbers(flow, records).map(word)
}

const fn mixed(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn count_by_key(records: u64, instances: usize) -> u64 {
    let flow = Dataflow::new("words");
    let words = words(&flow, records).key_by_ref(|word: &String| word.as_str());
    let sum = words.parallel(instances).count().fold(0, |sum, (_, count)| add(sum, count));
    run(&flow, sum)
}

fn count_by_key_combined(records: u64) -> u64 {
    let flow = Dataflow::new("words");
    let sum = words(&flow, records)
        .key_by_ref(|word: &String| word.as_str())
        .parallel(2)
        .combined(4_096)
        .count()
        .fold(0, |sum, (_, count)| add(sum, count));
    run(&flow, sum)
}

/// A hundred events a millisecond, up to ten milliseconds out of order.
fn events(
    flow: &Dataflow,
    records: u64,
) -> DataStream<(u64, i64), impl Chain<Item = (u64, i64)> + use<>> {
    let event = |n: u64| (mixed(n) % KEYS, (n / 100).cast_signed() - (n % 10).cast_signed());
    flow.source("events", source::from_iter((0..records).map(event))).event_time(
        |(_, millis)| Timestamp::from_millis(*millis),
        Watermarks::bounded_disorder(Duration::from_millis(10)),
    )
}

fn count_by_window(records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let sum = events(&flow, records)
        .key_by(|(key, _)| *key)
        .window(Tumbling::of(Duration::from_millis(100)))
        .aggregate(Count)
        .fold(0, |sum, told| add(sum, told.value ^ told.key));
    run(&flow, sum)
}

/// Tells of a key when nothing has come of it for a while: a timer set and one deleted a record.
#[derive(Clone)]
struct Silence;

impl ProcessFunction<u64, (u64, i64)> for Silence {
    type Out = u64;
    type States = ValueState<Timestamp>;

    fn states(&self) -> ValueState<Timestamp> {
        ValueState::new("deadline")
    }

    fn process(
        &mut self,
        record: Record<(u64, i64)>,
        context: &mut KeyContext<'_, u64, ValueState<Timestamp>>,
        _out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        if let Some(deadline) = context.states.take() {
            context.timers.delete_event_time(deadline);
        }
        let deadline = record.time.saturating_add(Duration::from_millis(10));
        context.states.set(deadline);
        context.timers.set_event_time(deadline);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut KeyContext<'_, u64, ValueState<Timestamp>>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        context.states.clear();
        out.push(context.record(*context.key));
        Ok(())
    }
}

fn process_with_timers(records: u64) -> u64 {
    let flow = Dataflow::new("silence");
    let sum = events(&flow, records).key_by(|(key, _)| *key).process(Silence).fold(0, add);
    run(&flow, sum)
}

fn map_async<R: Future<Output = u64> + Send + 'static>(records: u64, call: fn(u64) -> R) -> u64 {
    let flow = Dataflow::new("calls");
    let sum = numbers(&flow, records).map_async(256, call).fold(0, add);
    run(&flow, sum)
}

async fn yielding(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}
