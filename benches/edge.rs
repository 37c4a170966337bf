//! What does an edge cost, next to a lock-free ring between two threads?
//!
//! `cargo bench -p millstream-benches --bench edge`

#![allow(missing_docs, reason = "a bench has no interface")]

#[path = "support/edge.rs"]
mod edge;
#[path = "support/runtime.rs"]
mod runtime;
mod support;

use edge::{between_tasks, one_edge, rtrb_chunks, tokio_mpsc};
use runtime::runtime;
use support::{compare, must, shown};

const RECORDS: u64 = 50_000_000;

type Bytes64 = [u64; 8];

fn main() {
    let (one, two) = (runtime(1), runtime(2));
    compare(
        "What does an edge of u64 cost, next to rtrb in chunks between two threads?",
        RECORDS,
        vec![
            shown("rtrb, chunks of 256, two threads", || rtrb_chunks::<u64>(RECORDS)),
            must(4.0, "an edge, two workers", || one_edge::<u64>(&two, RECORDS)),
            shown("an edge, one thread", || one_edge::<u64>(&one, RECORDS)),
            shown("two tasks, two workers", || between_tasks::<u64>(&two, RECORDS)),
        ],
    );
    compare(
        "And of 64 bytes?",
        RECORDS / 5,
        vec![
            shown("rtrb, chunks of 256, two threads", || rtrb_chunks::<Bytes64>(RECORDS / 5)),
            must(4.0, "an edge, two workers", || one_edge::<Bytes64>(&two, RECORDS / 5)),
            shown("an edge, one thread", || one_edge::<Bytes64>(&one, RECORDS / 5)),
            shown("two tasks, two workers", || between_tasks::<Bytes64>(&two, RECORDS / 5)),
        ],
    );
    compare(
        "And next to a tokio channel with an item a send?",
        RECORDS / 50,
        vec![
            shown("tokio mpsc of 1,024, two workers", || tokio_mpsc::<u64>(&two, RECORDS / 50)),
            shown("an edge, two workers", || one_edge::<u64>(&two, RECORDS / 50)),
        ],
    );
}
