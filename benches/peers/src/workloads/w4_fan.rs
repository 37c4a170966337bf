//! W4: every number to four branches, each with a map of its own, and back into one stream.

use std::convert::identity;
use std::hint::black_box;

use dfir_rs::dfir_syntax;
use millstream::prelude::*;
use timely::dataflow::operators::vec::{Map as _, ToStream as _};
use timely::dataflow::operators::{Concatenate as _, Inspect as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::{Sum, finish};
use crate::contender::{By, Work, Workload};
use crate::results::Measure::Wall;
use crate::runtime::run;

const TIMELY: &str = "timely, 1 worker";
const CAPACITY: usize = 1024;

pub(super) fn workload() -> Workload {
    let work = Work { input: identity, expected: by_hand };
    Workload {
        name: "w4",
        question: "What does it cost to send every record to four branches and merge them?",
        records: 20_000_000,
        real_time: false,
        contenders: vec![
            work.alone("loop by hand", By::Hand, by_hand),
            work.on(2, "Millstream, two workers", By::Millstream, millstream)
                .reach(Wall, 0.5, 0.25, TIMELY),
            work.on(1, "Millstream, one thread", By::Millstream, millstream)
                .reach(Wall, 0.5, 0.25, TIMELY),
            work.alone(TIMELY, By::Peer("timely"), timely),
            work.alone("dfir_rs, tee and union", By::Peer("dfir_rs"), dfir_rs),
            work.alone("renoir, split and merge", By::Peer("renoir"), renoir).share(20),
            work.on(2, "tokio mpsc a branch", By::Peer("tokio"), tokio_mpsc).share(40),
        ],
    }
}

/// What a branch does with a number.
fn branch(which: u64, n: u64) -> u64 {
    (n ^ which).wrapping_mul(2 * which + 3)
}

#[inline(never)]
fn by_hand(records: u64) -> u64 {
    let mut sum = 0_u64;
    for n in 0..black_box(records) {
        for which in 0..4 {
            sum = sum.wrapping_add(branch(which, n));
        }
    }
    sum
}

fn millstream(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("fan");
    let [a, b, c, d] = flow.source("numbers", source::from_iter(0..records)).broadcast();
    let a = a.map(|n| branch(0, n));
    let b = b.map(|n| branch(1, n));
    let c = c.map(|n| branch(2, n));
    let d = d.map(|n| branch(3, n));
    let merged = a.merge(b).merge(c).merge(d);
    let sum = merged.fold(0, |sum: &mut u64, n| *sum = sum.wrapping_add(n));
    run(runtime, &flow, sum)
}

fn timely(records: u64) -> u64 {
    super::timely(1, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            let numbers = (0..records).to_stream(scope);
            let branches = [0, 1, 2, 3].map(|which| numbers.clone().map(move |n| branch(which, n)));
            scope.concatenate(branches).inspect(move |n| total.add(*n));
        });
        finish(worker);
        sum.get()
    })
}

fn dfir_rs(records: u64) -> u64 {
    let sum = Sum::default();
    let total = sum.clone();
    let mut flow = dfir_syntax! {
        numbers = source_iter(0..records) -> tee();
        numbers -> map(|n| branch(0, n)) -> merged;
        numbers -> map(|n| branch(1, n)) -> merged;
        numbers -> map(|n| branch(2, n)) -> merged;
        numbers -> map(|n| branch(3, n)) -> merged;
        merged = union() -> for_each(|n: u64| total.add(n));
    };
    flow.run_available_sync();
    sum.get()
}

fn renoir(records: u64) -> u64 {
    let environment = super::renoir(1);
    let mut branches = environment.stream_iter(0..records).split(4).into_iter();
    let mut next = || branches.next().expect("there are four");
    let a = next().map(|n| branch(0, n));
    let b = next().map(|n| branch(1, n));
    let c = next().map(|n| branch(2, n));
    let d = next().map(|n| branch(3, n));
    let sum =
        a.merge(b).merge(c.merge(d)).fold(0_u64, |sum, n| *sum = sum.wrapping_add(n)).collect_vec();
    environment.execute_blocking();
    sum.get().expect("it came to its end").into_iter().fold(0, u64::wrapping_add)
}

/// A channel into each branch, and one that all send into.
fn tokio_mpsc(runtime: &Runtime, records: u64) -> u64 {
    runtime.block_on(async {
        let (merged, mut numbers) = mpsc::channel(CAPACITY);
        let mut branches = Vec::new();
        for which in 0..4 {
            let (sender, mut numbers) = mpsc::channel(CAPACITY);
            let merged = merged.clone();
            branches.push(sender);
            tokio::spawn(async move {
                while let Some(n) = numbers.recv().await {
                    if merged.send(branch(which, n)).await.is_err() {
                        break;
                    }
                }
            });
        }
        drop(merged);
        tokio::spawn(async move {
            for n in 0..records {
                for sender in &branches {
                    if sender.send(n).await.is_err() {
                        return;
                    }
                }
            }
        });
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
