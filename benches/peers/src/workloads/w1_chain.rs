//! W1: ten cheap steps over numbers, seven maps and three filters, and a sum.

use std::convert::identity;
use std::future::ready;

use dfir_rs::dfir_syntax;
use futures::StreamExt as _;
use millstream::prelude::*;
use timely::dataflow::operators::Inspect as _;
use timely::dataflow::operators::vec::{Filter as _, Map as _, ToStream as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::ten_steps::{by_hand, ten_stages, ten_steps};
use super::{Sum, finish};
use crate::contender::{By, Work, Workload};
use crate::results::Measure::Wall;
use crate::runtime::run;

const LOOP: &str = "loop by hand";
const CAPACITY: usize = 1024;

pub(super) fn workload() -> Workload {
    let work = Work { input: identity, expected: by_hand };
    Workload {
        name: "w1",
        question: "What does a chain of ten cheap operators cost?",
        records: 100_000_000,
        real_time: false,
        contenders: vec![
            work.alone(LOOP, By::Hand, by_hand),
            work.on(1, "Millstream, fused", By::Millstream, millstream_fused)
                .reach(Wall, 1.25, 1.05, LOOP),
            work.on(1, "Millstream, a stage a step", By::Millstream, millstream_stages)
                .share(4)
                .reach(Wall, 8.0, 5.0, LOOP),
            work.alone("dfir_rs", By::Peer("dfir_rs"), dfir_rs),
            work.alone("timely", By::Peer("timely"), timely).share(5),
            work.alone("timely, map_in_place", By::Peer("timely"), timely_in_place).share(5),
            work.on(1, "futures StreamExt", By::Peer("futures"), stream_ext).share(5),
            work.alone("renoir", By::Peer("renoir"), renoir).share(10),
            work.on(1, "tokio mpsc a stage, 1 thread", By::Peer("tokio"), tokio_mpsc).share(100),
            work.on(2, "tokio mpsc a stage, 2 workers", By::Peer("tokio"), tokio_mpsc).share(100),
        ],
    }
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.wrapping_add(n);
}

fn millstream_fused(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("chain");
    let numbers = flow.source("numbers", source::from_iter(0..records));
    let sum = ten_steps(numbers).fold(0, add);
    run(runtime, &flow, sum)
}

/// Ten edges: the last step and the sum are one stage.
fn millstream_stages(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("stages");
    let numbers = flow.source("numbers", source::from_iter(0..records)).boundary();
    let sum = ten_stages(numbers).fold(0, add);
    run(runtime, &flow, sum)
}

fn dfir_rs(records: u64) -> u64 {
    let sum = Sum::default();
    let total = sum.clone();
    let mut flow = dfir_syntax! {
        source_iter(0..records)
            -> map(|n: u64| n.wrapping_mul(3).wrapping_add(1))
            -> filter(|n: &u64| !n.is_multiple_of(7))
            -> map(|n: u64| n ^ (n >> 3))
            -> map(|n: u64| n.wrapping_add(11))
            -> filter(|n: &u64| n & 15 != 3)
            -> map(|n: u64| n.wrapping_mul(5))
            -> map(|n: u64| n.rotate_left(7))
            -> filter(|n: &u64| !n.is_multiple_of(5))
            -> map(|n: u64| n ^ 0x55)
            -> map(|n: u64| n.wrapping_sub(9))
            -> for_each(|n: u64| total.add(n));
    };
    flow.run_available_sync();
    sum.get()
}

fn timely(records: u64) -> u64 {
    super::timely(1, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            (0..records)
                .to_stream(scope)
                .map(|n: u64| n.wrapping_mul(3).wrapping_add(1))
                .filter(|n| !n.is_multiple_of(7))
                .map(|n| n ^ (n >> 3))
                .map(|n| n.wrapping_add(11))
                .filter(|n| n & 15 != 3)
                .map(|n| n.wrapping_mul(5))
                .map(|n| n.rotate_left(7))
                .filter(|n| !n.is_multiple_of(5))
                .map(|n| n ^ 0x55)
                .map(|n| n.wrapping_sub(9))
                .inspect(move |n| total.add(*n));
        });
        finish(worker);
        sum.get()
    })
}

/// The maps change the numbers where they lie.
fn timely_in_place(records: u64) -> u64 {
    super::timely(1, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            (0..records)
                .to_stream(scope)
                .map_in_place(|n: &mut u64| *n = n.wrapping_mul(3).wrapping_add(1))
                .filter(|n| !n.is_multiple_of(7))
                .map_in_place(|n| *n ^= *n >> 3)
                .map_in_place(|n| *n = n.wrapping_add(11))
                .filter(|n| n & 15 != 3)
                .map_in_place(|n| *n = n.wrapping_mul(5))
                .map_in_place(|n| *n = n.rotate_left(7))
                .filter(|n| !n.is_multiple_of(5))
                .map_in_place(|n| *n ^= 0x55)
                .map_in_place(|n| *n = n.wrapping_sub(9))
                .inspect(move |n| total.add(*n));
        });
        finish(worker);
        sum.get()
    })
}

fn stream_ext(runtime: &Runtime, records: u64) -> u64 {
    let chain = futures::stream::iter(0..records)
        .map(|n: u64| n.wrapping_mul(3).wrapping_add(1))
        .filter(|n| ready(!n.is_multiple_of(7)))
        .map(|n| n ^ (n >> 3))
        .map(|n| n.wrapping_add(11))
        .filter(|n| ready(n & 15 != 3))
        .map(|n| n.wrapping_mul(5))
        .map(|n| n.rotate_left(7))
        .filter(|n| ready(!n.is_multiple_of(5)))
        .map(|n| n ^ 0x55)
        .map(|n| n.wrapping_sub(9));
    runtime.block_on(chain.fold(0_u64, |sum, n| ready(sum.wrapping_add(n))))
}

fn renoir(records: u64) -> u64 {
    let environment = super::renoir(1);
    let sum = environment
        .stream_iter(0..records)
        .map(|n: u64| n.wrapping_mul(3).wrapping_add(1))
        .filter(|n| !n.is_multiple_of(7))
        .map(|n| n ^ (n >> 3))
        .map(|n| n.wrapping_add(11))
        .filter(|n| n & 15 != 3)
        .map(|n| n.wrapping_mul(5))
        .map(|n| n.rotate_left(7))
        .filter(|n| !n.is_multiple_of(5))
        .map(|n| n ^ 0x55)
        .map(|n| n.wrapping_sub(9))
        .fold_assoc(
            0_u64,
            |sum, n| *sum = sum.wrapping_add(n),
            |sum, part| *sum = sum.wrapping_add(part),
        )
        .collect_vec();
    environment.execute_blocking();
    sum.get().expect("it came to its end").into_iter().fold(0, u64::wrapping_add)
}

/// A task and a channel a step, with an item a send.
fn tokio_mpsc(runtime: &Runtime, records: u64) -> u64 {
    fn stage(
        mut input: mpsc::Receiver<u64>,
        step: impl Fn(u64) -> Option<u64> + Send + 'static,
    ) -> mpsc::Receiver<u64> {
        let (sender, output) = mpsc::channel(CAPACITY);
        tokio::spawn(async move {
            while let Some(n) = input.recv().await {
                if let Some(n) = step(n)
                    && sender.send(n).await.is_err()
                {
                    break;
                }
            }
        });
        output
    }
    runtime.block_on(async {
        let (sender, numbers) = mpsc::channel(CAPACITY);
        tokio::spawn(async move {
            for n in 0..records {
                if sender.send(n).await.is_err() {
                    break;
                }
            }
        });
        let numbers = stage(numbers, |n| Some(n.wrapping_mul(3).wrapping_add(1)));
        let numbers = stage(numbers, |n| (!n.is_multiple_of(7)).then_some(n));
        let numbers = stage(numbers, |n| Some(n ^ (n >> 3)));
        let numbers = stage(numbers, |n| Some(n.wrapping_add(11)));
        let numbers = stage(numbers, |n| (n & 15 != 3).then_some(n));
        let numbers = stage(numbers, |n| Some(n.wrapping_mul(5)));
        let numbers = stage(numbers, |n| Some(n.rotate_left(7)));
        let numbers = stage(numbers, |n| (!n.is_multiple_of(5)).then_some(n));
        let numbers = stage(numbers, |n| Some(n ^ 0x55));
        let mut numbers = stage(numbers, |n| Some(n.wrapping_sub(9)));
        let sum = tokio::spawn(async move {
            let mut sum = 0_u64;
            while let Some(n) = numbers.recv().await {
                sum = sum.wrapping_add(n);
            }
            sum
        });
        sum.await.expect("nothing panics")
    })
}
