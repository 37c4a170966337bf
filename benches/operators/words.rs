//! The words, by group.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use millstream::prelude::*;

const RECORDS: u64 = 100_000;
const KEYS: u64 = 1_000;

/// One bench: builds its job anew for each iteration, and runs it.
fn word(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, build: impl Fn(&Dataflow)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let flow = Dataflow::new("word");
            build(&flow);
            runtime.block_on(flow.run()).expect("nothing fails")
        });
    });
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(RECORDS));
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group
}

fn numbers(flow: &Dataflow) -> DataStream<u64, impl Chain<Item = u64> + use<>> {
    flow.source("numbers", source::from_iter(0..RECORDS))
}

/// Counts what arrives, and has it made.
fn end<T: Send + 'static>(stream: DataStream<T, impl Chain<Item = T>>) {
    let _ = stream.fold(0_u64, |count, record| {
        black_box(record);
        *count += 1;
    });
}

pub(crate) fn linear(criterion: &mut Criterion) {
    let group = &mut group(criterion, "linear");
    word(group, "nothing", |flow| end(numbers(flow)));
    word(group, "map", |flow| end(numbers(flow).map(|n| n.wrapping_mul(3))));
    word(group, "filter", |flow| end(numbers(flow).filter(|n| n % 3 != 0)));
    word(group, "filter_map", |flow| end(numbers(flow).filter_map(|n| n.checked_sub(9))));
    word(group, "flat_map_iter", |flow| end(numbers(flow).flat_map_iter(|n| [n, n ^ 1])));
    word(group, "inspect", |flow| end(numbers(flow).inspect(|n| _ = black_box(*n))));
    word(group, "scan", |flow| end(numbers(flow).scan(0, |sum: &mut u64, n| *sum += n)));
    word(group, "take", |flow| end(numbers(flow).take(RECORDS)));
    word(group, "take_while", |flow| end(numbers(flow).take_while(|n| *n < RECORDS)));
    word(group, "skip", |flow| end(numbers(flow).skip(10)));
    word(group, "dedup", |flow| end(numbers(flow).map(|n| n / 2).dedup()));
    word(group, "distinct", |flow| end(numbers(flow).map(|n| n % KEYS).distinct(2_000)));
    word(group, "chunks", |flow| end(numbers(flow).chunks(10)));
    word(group, "chunks_sliding", |flow| end(numbers(flow).chunks_sliding(10, 5)));
    word(group, "zip_with_index", |flow| end(numbers(flow).zip_with_index()));
    word(group, "zip_with_previous", |flow| end(numbers(flow).zip_with_previous()));
    word(group, "intersperse", |flow| end(numbers(flow).intersperse(0)));
    word(group, "map_batches", |flow| end(numbers(flow).map_batches(256, |batch| batch)));
    word(group, "sort", |flow| end(numbers(flow).map(mixed).sort(200_000)));
    word(group, "top_n", |flow| end(numbers(flow).map(mixed).top_n(10)));
}

pub(crate) fn edges(criterion: &mut Criterion) {
    let group = &mut group(criterion, "edges");
    word(group, "boxed", |flow| end(numbers(flow).boxed()));
    word(group, "boundary", |flow| end(numbers(flow).boundary()));
    word(group, "parallel, two instances", |flow| end(numbers(flow).parallel(2).gather()));
    word(group, "broadcast to two", |flow| {
        numbers(flow).broadcast::<2>().map(end).into_iter().collect()
    });
    word(group, "merge of two", |flow| end(numbers(flow).merge(numbers(flow))));
    word(group, "concat of two", |flow| end(numbers(flow).concat(numbers(flow))));
    word(group, "zip", |flow| end(numbers(flow).zip(numbers(flow))));
}

const fn mixed(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn keyed_numbers(flow: &Dataflow) -> DataStream<(u64, u64), impl Chain<Item = (u64, u64)> + use<>> {
    numbers(flow).map(|n| (mixed(n) % KEYS, n))
}

pub(crate) fn keyed(criterion: &mut Criterion) {
    let group = &mut group(criterion, "keyed");
    word(group, "count", |flow| end(keyed_numbers(flow).key_by(|(key, _)| *key).count()));
    word(group, "count, two instances", |flow| {
        end(keyed_numbers(flow).key_by(|(key, _)| *key).parallel(2).count().gather());
    });
    word(group, "combined and count, two instances", |flow| {
        let keyed = keyed_numbers(flow).key_by(|(key, _)| *key).parallel(2);
        end(keyed.combined(4_096).count().gather());
    });
    word(group, "running_count", |flow| {
        end(keyed_numbers(flow).key_by(|(key, _)| *key).running_count());
    });
    word(group, "running_reduce", |flow| {
        let keyed = keyed_numbers(flow).key_by(|(key, _)| *key);
        end(keyed.running_reduce(|one, other| one.1 += other.1));
    });
    word(group, "aggregate of a mean", |flow| {
        let keyed = keyed_numbers(flow).key_by(|(key, _)| *key);
        end(keyed.aggregate(Mean::of(|(_, n): &(u64, u64)| *n as f64)));
    });
    word(group, "distinct_among", |flow| {
        end(keyed_numbers(flow).key_by(|(key, _)| *key).distinct_among(2_000));
    });
}

/// A hundred events a millisecond, up to ten milliseconds out of order.
fn events(flow: &Dataflow) -> DataStream<(u64, u64), impl Chain<Item = (u64, u64)> + use<>> {
    keyed_numbers(flow).event_time(
        |(_, n)| Timestamp::from_millis((n / 100).cast_signed() - (n % 10).cast_signed()),
        Watermarks::bounded_disorder(Duration::from_millis(10)),
    )
}

pub(crate) fn windows(criterion: &mut Criterion) {
    let group = &mut group(criterion, "windows");
    let millis = Duration::from_millis;
    word(group, "event_time alone", |flow| end(events(flow)));
    word(group, "tumbling", |flow| {
        end(events(flow).key_by(|(key, _)| *key).window(Tumbling::of(millis(100))).count());
    });
    word(group, "sliding, ten panes", |flow| {
        let windows = Sliding::of(millis(100), millis(10));
        end(events(flow).key_by(|(key, _)| *key).window(windows).count());
    });
    word(group, "session", |flow| {
        end(events(flow).key_by(|(key, _)| *key).window(Session::with_gap(millis(5))).count());
    });
}

pub(crate) fn calls(criterion: &mut Criterion) {
    let group = &mut group(criterion, "calls");
    word(group, "map_async, ready", |flow| end(numbers(flow).map_async(256, std::future::ready)));
    word(group, "map_async, yields once", |flow| end(numbers(flow).map_async(256, yielding)));
    word(group, "map_async_unordered, yields once", |flow| {
        end(numbers(flow).map_async_unordered(256, yielding));
    });
    word(group, "flat_map_concat", |flow| {
        end(numbers(flow).flat_map_concat(|n| futures::stream::iter([n])));
    });
}

async fn yielding(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}
