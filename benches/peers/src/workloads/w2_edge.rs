//! W2: one edge between a producer and a consumer, for numbers and for 64 bytes.

use std::convert::identity;
use std::hint::spin_loop;
use std::thread;

use timely::ExchangeData;
use timely::dataflow::operators::vec::ToStream as _;
use timely::dataflow::operators::{Exchange as _, Inspect as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::edge::{CHUNK, Item, between_tasks, one_edge, rtrb_chunks, tokio_mpsc};
use super::{Sum, finish};
use crate::contender::{By, Contender, Work, Workload};
use crate::results::Measure::{Cpu, Wall};

const RING: &str = "rtrb, chunks of 256, two threads";

pub(super) fn workloads() -> [Workload; 2] {
    [
        Workload {
            name: "w2-u64",
            question: "What does an edge of u64 cost?",
            records: 100_000_000,
            real_time: false,
            contenders: contenders::<u64>(),
        },
        Workload {
            name: "w2-64b",
            question: "What does an edge of 64-byte structs cost?",
            records: 20_000_000,
            real_time: false,
            contenders: contenders::<[u64; 8]>(),
        },
    ]
}

fn contenders<T: Item + ExchangeData>() -> Vec<Contender> {
    let work = Work { input: identity, expected: expected::<T> };
    vec![
        work.alone(RING, By::Hand, rtrb_chunks::<T>),
        work.alone("rtrb, an item a push, two threads", By::Peer("rtrb"), rtrb::<T>),
        work.on(2, "Millstream, two workers", By::Millstream, one_edge::<T>)
            .reach(Wall, 3.0, 1.5, RING)
            .reach(Cpu, 3.0, 1.5, RING),
        work.on(1, "Millstream, one thread", By::Millstream, one_edge::<T>),
        work.on(2, "Millstream, two tasks, two workers", By::Millstream, between_tasks::<T>),
        work.alone("timely exchange, two workers", By::Peer("timely"), timely::<T>).share(5),
        work.on(2, "tokio mpsc, two workers", By::Peer("tokio"), tokio_mpsc::<T>).share(50),
        work.on(
            2,
            "tokio mpsc of Vec of 256, two workers",
            By::Peer("tokio"),
            tokio_mpsc_of_vec::<T>,
        ),
    ]
}

fn expected<T: Item>(records: u64) -> u64 {
    (0..records).map(|n| T::make(n).look()).fold(0, u64::wrapping_add)
}

fn rtrb<T: Item>(records: u64) -> u64 {
    let (mut sender, mut receiver) = rtrb::RingBuffer::new(CHUNK * 16);
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..records {
                let mut item = T::make(n);
                while let Err(rtrb::PushError::Full(back)) = sender.push(item) {
                    item = back;
                    spin_loop();
                }
            }
        });
        let (mut sum, mut taken) = (0_u64, 0);
        while taken < records {
            match receiver.pop() {
                Ok(item) => {
                    taken += 1;
                    sum = sum.wrapping_add(item.look());
                }
                Err(_) => spin_loop(),
            }
        }
        sum
    })
}

/// The first worker makes what the second sums up.
fn timely<T: Item + ExchangeData>(records: u64) -> u64 {
    super::timely(2, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        let mine = if worker.index() == 0 { records } else { 0 };
        worker.dataflow::<u64, _, _>(|scope| {
            (0..mine)
                .map(T::make)
                .to_stream(scope)
                .exchange(|_| 1)
                .inspect(move |item| total.add(item.look()));
        });
        finish(worker);
        sum.get()
    })
}

/// What those write who have measured it.
fn tokio_mpsc_of_vec<T: Item>(runtime: &Runtime, records: u64) -> u64 {
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut next = 0;
            while next < records {
                let last = records.min(next + CHUNK as u64);
                let batch: Vec<T> = (next..last).map(T::make).collect();
                next = last;
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let sum = tokio::spawn(async move {
            let mut sum = 0_u64;
            while let Some(batch) = receiver.recv().await {
                sum = batch.iter().fold(sum, |sum, item| sum.wrapping_add(item.look()));
            }
            sum
        });
        sum.await.expect("nothing panics")
    })
}
