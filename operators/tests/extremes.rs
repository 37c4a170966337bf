//! Arguments from the ends of their ranges: nothing overflows, nothing is allocated ahead, and what
//! would take for ever can be stopped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::ParseIntError;
use std::pin::pin;
use std::time::Duration;

use futures::future::select;
use millstream_engine::ErrorKind;
use millstream_engine::testing::probe_source;
use millstream_operators::prelude::*;
use millstream_operators::source::{MissedTicks, Offer};
use millstream_operators::timing::{Rate, RateLimiter};

const LONG: Duration = Duration::MAX;
const MANY: usize = usize::MAX;

type Word = fn(DataStream<u64>) -> DataStream<u64>;

macro_rules! words {
    ($(|$stream:ident| $said:expr),+ $(,)?) => {
        [$((stringify!($said), (|$stream| $said.boxed()) as Word)),+]
    };
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Runs each word on the machine's clock, with an input that is open for a while, so that timers
/// are set; then ends it, and stops what would wait for ever.
async fn survive<const N: usize>(words: [(&str, Word); N]) {
    for (name, word) in words {
        let (input, factory) = probe_source::<u64>();
        let flow = Dataflow::new("extreme");
        word(flow.source("numbers", factory).boxed()).ignore();
        let job = flow.start().unwrap_or_else(|error| panic!("{name}: {error}"));
        let feed = async {
            for number in 0..3 {
                input.send(number).await;
                settle().await;
            }
            input.end().await;
        };
        // Who holds its input back for ever lets go all the same.
        let patience = async {
            for _ in 0..20 {
                settle().await;
            }
        };
        select(pin!(feed), pin!(patience)).await;
        job.abort();
        if let Err(error) = job.await {
            assert_eq!(error.kind(), &ErrorKind::Aborted, "{name}");
        }
    }
}

type Parsed = Result<u64, ParseIntError>;

fn parse(number: u64) -> std::future::Ready<Parsed> {
    std::future::ready(if number == 1 { "one".parse() } else { Ok(number) })
}

async fn found(keys: Vec<u64>) -> Result<Vec<(u64, u64)>, std::io::Error> {
    Ok(keys.into_iter().map(|key| (key, key)).collect())
}

fn patient() -> CallPolicy<u64> {
    let backoff = Backoff::default().with_initial(LONG).with_max_delay(LONG);
    let backoff = backoff.with_attempts(u32::MAX).with_factor(f64::MAX);
    CallPolicy::new(OnError::retry(backoff)).with_timeout(LONG).with_attempt_timeout(LONG)
}

#[tokio::test]
async fn a3_a_period_without_an_end_and_a4_a_queue_without_a_bound() {
    for missed in [MissedTicks::Skip, MissedTicks::Burst, MissedTicks::Delay] {
        let flow = Dataflow::new("rare");
        flow.source("ticks", source::interval(LONG, missed)).ignore();
        let job = flow.start().unwrap();
        settle().await;
        job.abort();
        assert_eq!(job.await.unwrap_err().kind(), &ErrorKind::Aborted);
    }
    for capacity in [0, MANY] {
        let (handle, _queue) = source::queue(capacity);
        assert_eq!(handle.offer(1), Offer::Accepted);
    }
}

#[tokio::test]
async fn b4_to_b12_large_numbers_are_only_numbers() {
    survive(words![
        |all| all.take(0),
        |all| all.take(u64::MAX),
        |all| all.skip(0),
        |all| all.skip(u64::MAX),
        |all| all.limit(u64::MAX),
        |all| all.limit_weighted(u64::MAX, |n| if *n == 0 { u64::MAX } else { 0 }),
        |all| all.chunks(MANY).map(|chunk| chunk.len() as u64),
        |all| all.chunks_sliding(MANY, MANY).map(|chunk| chunk.len() as u64),
        |all| all.chunks_sliding(1, MANY).map(|chunk| chunk.len() as u64),
        |all| all.chunks_weighted(MANY, |_| MANY).map(|chunk| chunk.len() as u64),
        |all| all.chunk_by(MANY, |n| *n).map(|chunk| chunk.len() as u64),
        |all| all.distinct(MANY),
        |all| all.sample_every(u64::MAX),
        |all| all.sort(MANY),
        |all| all.top_n(MANY),
        |all| all.bottom_n(MANY),
        |all| all.top_n(0),
        |all| all.batch_min(MANY, LONG),
    ])
    .await;
}

#[tokio::test]
async fn c1_to_c11_more_calls_than_there_is_memory_for() {
    survive(words![
        |all| all.map_async(MANY, std::future::ready),
        |all| all.map_async_unordered(MANY, std::future::ready),
        |all| all.map_async_keyed(MANY, |n| *n, std::future::ready),
        |all| all.map_async(Concurrency::adaptive(1, MANY), std::future::ready),
        |all| all.map_async(Concurrency::adaptive(MANY - 1, MANY), std::future::ready),
        |all| all.try_map_async(MANY, OnError::skip(), parse),
        |all| all.try_map_async(2, patient(), parse),
        |all| all.try_map_async(1, patient(), |_| std::future::pending::<Parsed>()),
        |all| all.map_blocking(MANY, |n| n),
        |all| all.flat_map_merge(MANY, |n| futures::stream::iter([n])),
        |all| all.flat_map_sequential(MANY, |n| futures::stream::iter([n])),
        |all| all
            .lookup_async(
                Lookup::default().with_keys_per_call(MANY).with_calls(MANY).with_cache(MANY, LONG),
                |n| *n,
                found
            )
            .map(|(n, _)| n),
        |all| all
            .lookup_async(
                Lookup::default().with_keys_per_call(0).with_calls(0).with_cache(0, LONG),
                |n| *n,
                found
            )
            .map(|(n, _)| n),
    ])
    .await;
}

#[tokio::test]
async fn d1_to_d20_what_takes_for_ever_is_no_overflow() {
    survive(words![
        |all| all.throttle(Rate::new(1, LONG)),
        |all| all.throttle(Rate::new(u32::MAX, LONG).with_burst(u32::MAX)),
        |all| all.throttle_weighted(Rate::per_second(1), |_| u32::MAX),
        |all| all.throttle_by_key_or_drop(Rate::new(1, LONG), MANY, |n| *n),
        |all| all.limited_by(&RateLimiter::new("rare", Rate::new(1, LONG))),
        |all| all.chunks_timeout(MANY, LONG).map(|chunk| chunk.len() as u64),
        |all| all.chunks_weighted_timeout(MANY, LONG, |_| 1).map(|chunk| chunk.len() as u64),
        |all| all.idle_timeout(LONG),
        |all| all.initial_timeout(LONG),
        |all| all.completion_timeout(LONG),
        |all| all.keep_alive(LONG, || 0),
        |all| all.debounce(LONG),
        |all| all.sample(LONG),
        |all| all.sample_first(LONG),
        |all| all.audit(LONG),
        |all| all.delay(LONG, MANY),
        |all| all.initial_delay(LONG),
        |all| all.take_within(LONG),
        |all| all.skip_within(LONG),
        |all| all.aggregate_with_boundary(
            || 0,
            |sum, n| {
                *sum += n;
                false
            },
            LONG
        ),
        |all| all.buffer(MANY, WhenFull::Block),
        |all| all.buffer(MANY, WhenFull::Sample),
        |all| all.buffer(1, WhenFull::Disconnect(LONG)),
        |all| all.conflate_up_to(MANY, |sum, n| *sum += n),
        |all| all.prioritized(|_| i64::MIN).with_capacity(MANY),
        |all| all.last_in_first_out().with_capacity(MANY),
    ])
    .await;
}

#[test]
fn d3_no_room_is_an_error_before_anything_starts() {
    let words = words![
        |all| all.buffer(0, WhenFull::Block),
        |all| all.buffer(0, WhenFull::DropOldest),
        |all| all.last_in_first_out().with_capacity(0),
        |all| all.conflate_up_to(0, |sum, n| *sum += n),
    ];
    for (name, word) in words {
        let flow = Dataflow::new("no room");
        word(flow.source("numbers", source::from_iter(0..3_u64)).boxed()).ignore();
        let error = flow.validate().expect_err(name);
        assert!(error.to_string().contains("is zero"), "{name}: {error}");
    }
}
