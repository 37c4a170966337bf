//! Every word with a state begins anew in each run of a blueprint, and its results depend neither
//! on how the input is cut into batches nor on what is fused with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::stream;
use millstream_operators::prelude::*;
use millstream_operators::timing::{Rate, RateLimiter, Switch};

const HOUR: Duration = Duration::from_secs(3600);

type Word = fn(DataStream<u64>) -> DataStream<u64>;

macro_rules! words {
    ($(|$stream:ident| $said:expr),+ $(,)?) => {
        [$((stringify!($said), (|$stream| $said.boxed()) as Word)),+]
    };
}

/// The word as it is said, with others fused around it, and in a stage of its own.
fn dataflow(word: Word, dress: usize) -> (Dataflow, millstream_engine::runtime::Output<Vec<u64>>) {
    let flow = Dataflow::new("again");
    let numbers = [5, 5, 1, 9, 9, 9, 3, 7, 7, 1, 1, 4, 8, 0, 2, 5_u64];
    let input = flow.source("numbers", source::from_iter(numbers.repeat(3)));
    let output = match dress {
        0 => word(input.boxed()).collect(),
        1 => {
            let said = word(input.map(|n| n).filter(|_| true).boxed()).named("word");
            said.chunks(3).flat_map_iter(|chunk| chunk).stateful_map(|| (), |(), n| n, |()| None)
        }
        .collect(),
        _ => word(input.boundary().boxed()).boundary().map(|n| n).collect(),
    };
    (flow, output)
}

async fn same<const N: usize>(words: [(&str, Word); N]) {
    let narrow = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    for (name, word) in words {
        let mut expected = None;
        for dress in 0..3 {
            let (flow, output) = dataflow(word, dress);
            for options in [JobOptions::default(), narrow.clone(), JobOptions::default()] {
                let all = flow.run_with(options).await.unwrap().take(output).unwrap();
                let expected = expected.get_or_insert_with(|| all.clone());
                assert_eq!(&all, expected, "{name}, dressed as {dress}");
            }
        }
    }
}

#[tokio::test]
async fn b1_to_b34_simple_words_begin_anew_whatever_the_batches() {
    same(words![
        |all| all.filter(|n| n % 2 == 0),
        |all| all.flat_map_iter(|n| 0..n),
        |all| all.take(7),
        |all| all.take_while(|n| *n != 7),
        |all| all.take_until(|n| *n == 7),
        |all| all.skip(7),
        |all| all.skip_while(|n| *n != 7),
        |all| all.scan(0, |sum, n| *sum += n),
        |all| all.scan_with_initial(0, |sum, n| *sum += n),
        |all| all.stateful_map(
            || 0,
            |sum: &mut u64, n| {
                *sum += n;
                *sum
            },
            Some
        ),
        |all| all.chunks(5).map(|chunk| chunk.len() as u64 + 100 * chunk[0]),
        |all| all.chunks_sliding(3, 2).map(|chunk| chunk[0] + 10 * chunk[2]),
        |all| all.chunks_weighted(20, |n| *n as usize).map(|chunk| chunk.iter().sum()),
        |all| all.chunk_by(2, |n| *n).map(|chunk| chunk.len() as u64),
        |all| all.dedup(),
        |all| all.dedup_by_key(|n| n / 2),
        |all| all.distinct(3),
        |all| all.limit(1000),
        |all| all.zip_with_index().map(|(n, index)| 100 * index + n),
        |all| all.zip_with_previous().map(|(before, n)| 100 * before.unwrap_or(0) + n),
        |all| all.zip_with_next().map(|(n, after)| 100 * after.unwrap_or(0) + n),
        |all| all.intersperse(77),
        |all| all.intersperse_between(70, 77, 79),
        |all| all.default_if_empty(7),
        |all| all.filter(|_| false).default_if_empty(7),
        |all| all.sample_every(3),
        |all| all.sort(1000),
        |all| all.top_n(3),
        |all| all.bottom_n(3),
        |all| all.map_batches(4, |batch| batch.into_iter().map(|n| n + 1).collect()),
        |all| all.materialize().dematerialize(),
    ])
    .await;
}

#[tokio::test]
async fn c1_to_c15_calls_begin_anew_whatever_the_batches() {
    same(words![
        |all| all.map_async(3, |n| async move {
            tokio::task::yield_now().await;
            n
        }),
        |all| all.map_async_keyed(
            3,
            |n| *n,
            |n| async move {
                tokio::task::yield_now().await;
                n
            }
        ),
        |all| all.scan_async(0, |sum, n| async move { (sum + n, sum) }),
        |all| all.try_map_async(3, OnError::skip(), |n| async move {
            if n > 3 { Ok(n) } else { Err(std::fmt::Error) }
        }),
        |all| all.map_blocking(2, |n| n + 1),
        |all| all.flat_map_concat(|n| stream::iter(0..n)),
        |all| all.flat_map_sequential(3, |n| stream::iter(0..n)),
        |all| all
            .lookup_async(
                Lookup::default().with_cache(2, HOUR),
                |n| *n,
                |keys: Vec<u64>| async {
                    Ok::<_, std::fmt::Error>(keys.into_iter().map(|key| (key, key * 2)))
                }
            )
            .map(|(n, found)| n + found.unwrap()),
        |all| all.parallel(3).map(|n| n + 1).gather().sort(100),
    ])
    .await;
}

#[tokio::test]
async fn d1_to_d20_timed_words_begin_anew_whatever_the_batches() {
    same(words![
        |all| all.throttle(Rate::per_second(1).with_burst(48)),
        |all| all.throttle_or_fail(Rate::per_second(1).with_burst(48)),
        |all| all.throttle_by_key_or_drop(Rate::new(1, HOUR).with_burst(2), 6, |n| *n),
        |all| all.limited_by(&RateLimiter::new("much", Rate::per_second(1_000_000_000))),
        |all| all.chunks_timeout(5, HOUR).map(|chunk| chunk.len() as u64 + 100 * chunk[0]),
        |all| all.chunks_weighted_timeout(20, HOUR, |n| *n as usize).map(|one| one.iter().sum()),
        |all| all.aggregate_with_boundary(
            || 0,
            |sum, n| {
                *sum += n;
                *sum > 20
            },
            HOUR
        ),
        |all| all.batch_min(5, HOUR),
        |all| all.debounce(HOUR),
        |all| all.sample(HOUR),
        |all| all.sample_first(HOUR),
        |all| all.audit(HOUR),
        |all| all.idle_timeout(HOUR),
        |all| all.initial_timeout(HOUR),
        |all| all.completion_timeout(HOUR),
        |all| all.keep_alive(HOUR, || 0),
        |all| all.take_within(HOUR),
        |all| all.skip_within(HOUR),
        |all| all.delay(Duration::from_nanos(1), 4),
        |all| all.initial_delay(Duration::from_nanos(1)),
        |all| all.pause_when(&Switch::new()),
        |all| all.take_until_signal(&Switch::new()),
        |all| all.buffer(3, WhenFull::Block),
        |all| all.detach(),
        |all| all.conflate_up_to(1, |_, _| unreachable!()),
    ])
    .await;
}
