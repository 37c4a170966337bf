//! One edge between a producer and a consumer, and what else may lie between them.

#![allow(clippy::disallowed_methods, reason = "the limit runs on threads, the peer in tasks")]

use std::hint::spin_loop;

use millstream::batch::default_batch;
use millstream::prelude::*;
use tokio::runtime::Runtime;

use crate::runtime::run;
use tokio::sync::mpsc;

pub(crate) const CHUNK: usize = 256;

/// What crosses the edge: numbers, or structs of 64 bytes, made of a number and looked at whole.
pub(crate) trait Item: Send + 'static {
    fn make(n: u64) -> Self;
    fn look(&self) -> u64;
}

impl Item for u64 {
    fn make(n: u64) -> Self {
        n
    }

    fn look(&self) -> u64 {
        *self
    }
}

impl Item for [u64; 8] {
    fn make(n: u64) -> Self {
        [n; 8]
    }

    fn look(&self) -> u64 {
        self.iter().copied().fold(0, u64::wrapping_add)
    }
}

/// The limit: `rtrb`, a wait-free ring, in chunks, each end spinning on a thread of its own.
pub(crate) fn rtrb_chunks<T: Item>(records: u64) -> u64 {
    let (mut sender, mut receiver) = rtrb::RingBuffer::new(CHUNK * 16);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = 0;
            while next < records {
                let wanted = (records - next).min(CHUNK as u64);
                match sender.write_chunk_uninit(wanted as usize) {
                    Ok(chunk) => {
                        let numbers = next..next + wanted;
                        next += chunk.fill_from_iter(numbers.map(T::make)) as u64;
                    }
                    Err(_) => spin_loop(),
                }
            }
        });
        let (mut sum, mut taken) = (0_u64, 0);
        while taken < records {
            let ready = receiver.slots().min(CHUNK);
            if ready == 0 {
                spin_loop();
                continue;
            }
            let chunk = receiver.read_chunk(ready).expect("they are there");
            taken += ready as u64;
            sum = chunk.into_iter().fold(sum, |sum, item| sum.wrapping_add(item.look()));
        }
        sum
    })
}

/// An edge as it comes: its two stages are cheap, and stay in one task.
pub(crate) fn one_edge<T: Item>(runtime: &Runtime, records: u64) -> u64 {
    sum_behind(runtime, records, |edge: DataStream<T>| edge)
}

/// As long an edge, whose two stages have a task each because its length was said.
pub(crate) fn between_tasks<T: Item>(runtime: &Runtime, records: u64) -> u64 {
    sum_behind(runtime, records, |edge: DataStream<T>| {
        edge.with_capacity(16 * default_batch::<T>())
    })
}

fn sum_behind<T: Item>(
    runtime: &Runtime,
    records: u64,
    sized: impl FnOnce(DataStream<T>) -> DataStream<T>,
) -> u64 {
    let flow = Dataflow::new("edge");
    let edge = flow.source("items", source::from_iter((0..records).map(T::make))).boundary();
    let sum = sized(edge).fold(0_u64, |sum, item| *sum = sum.wrapping_add(item.look()));
    run(runtime, &flow, sum)
}

/// What users write today: an item a send.
pub(crate) fn tokio_mpsc<T: Item>(runtime: &Runtime, records: u64) -> u64 {
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(1024);
        tokio::spawn(async move {
            for n in 0..records {
                if sender.send(T::make(n)).await.is_err() {
                    break;
                }
            }
        });
        let sum = tokio::spawn(async move {
            let mut sum = 0_u64;
            while let Some(item) = receiver.recv().await {
                sum = sum.wrapping_add(T::look(&item));
            }
            sum
        });
        sum.await.expect("nothing panics")
    })
}
