//! What does an edge cost, next to a lock-free ring between two threads?
//!
//! `cargo bench -p millstream-benches --bench edge`

#![allow(missing_docs, reason = "a bench has no interface")]

mod support;

use millstream::prelude::*;
use support::{compare, must, runtime, shown};

const RECORDS: u64 = 50_000_000;
const CHUNK: usize = 256;

/// The limit: `rtrb`, a wait-free ring, in chunks, each end spinning on a thread of its own.
#[allow(clippy::disallowed_methods, reason = "the limit runs on threads")]
fn ring<T: Send>(
    records: u64,
    make: impl Fn(u64) -> T + Copy + Send,
    look: impl Fn(&T) -> u64,
) -> u64 {
    let (mut sender, mut receiver) = rtrb::RingBuffer::new(CHUNK * 16);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = 0;
            while next < records {
                let left = usize::try_from(records - next).unwrap_or(usize::MAX);
                let wanted = CHUNK.min(left);
                match sender.write_chunk_uninit(wanted) {
                    Ok(chunk) => {
                        let last = next + wanted as u64;
                        next += chunk.fill_from_iter((next..last).map(make)) as u64;
                    }
                    Err(_) => std::hint::spin_loop(),
                }
            }
        });
        let (mut sum, mut taken) = (0_u64, 0);
        while taken < records {
            let ready = receiver.slots().min(CHUNK);
            if let Ok(chunk) = receiver.read_chunk(ready) {
                if ready == 0 {
                    std::hint::spin_loop();
                }
                taken += ready as u64;
                sum = chunk.into_iter().fold(sum, |sum, item| sum.wrapping_add(look(&item)));
            }
        }
        sum
    })
}

fn ours<T: Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    records: u64,
    make: impl Fn(u64) -> T + Copy + Send + 'static,
    look: impl Fn(&T) -> u64 + Copy + Send + 'static,
) -> u64 {
    let flow = Dataflow::new("edge");
    let sum = flow
        .source("numbers", source::from_iter((0..records).map(make)))
        .boundary()
        .fold(0_u64, move |sum, item| *sum = sum.wrapping_add(look(&item)));
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

/// What users write today: an item a send.
#[allow(clippy::disallowed_methods, reason = "the peer spawns its own task")]
fn channel(runtime: &tokio::runtime::Runtime, records: u64) -> u64 {
    runtime.block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1024);
        let producer = tokio::spawn(async move {
            for n in 0..records {
                if sender.send(n).await.is_err() {
                    break;
                }
            }
        });
        let mut sum = 0_u64;
        while let Some(n) = receiver.recv().await {
            sum = sum.wrapping_add(n);
        }
        producer.await.expect("the producer ends");
        sum
    })
}

fn main() {
    let (one, two) = (runtime(1), runtime(2));
    let (make, look) = (|n: u64| n, |n: &u64| *n);
    compare(
        "What does an edge of u64 cost, next to rtrb in chunks between two threads?",
        RECORDS,
        vec![
            shown("rtrb, chunks of 256, two threads", || ring(RECORDS, make, look)),
            must(4.0, "an edge, two workers", || ours(&two, RECORDS, make, look)),
            shown("an edge, one thread", || ours(&one, RECORDS, make, look)),
        ],
    );
    let (make, look) =
        (|n: u64| [n; 8], |n: &[u64; 8]| n.iter().copied().fold(0, u64::wrapping_add));
    compare(
        "And of 64 bytes?",
        RECORDS / 5,
        vec![
            shown("rtrb, chunks of 256, two threads", || ring(RECORDS / 5, make, look)),
            must(4.0, "an edge, two workers", || ours(&two, RECORDS / 5, make, look)),
            shown("an edge, one thread", || ours(&one, RECORDS / 5, make, look)),
        ],
    );
    compare(
        "And next to a tokio channel with an item a send?",
        RECORDS / 50,
        vec![
            shown("tokio mpsc of 1,024, two workers", || channel(&two, RECORDS / 50)),
            shown("an edge, two workers", || ours(&two, RECORDS / 50, |n| n, |n| *n)),
        ],
    );
}
