//! What does each word cost a record?
//!
//! `cargo bench -p millstream-benches --features criterion --bench operators` asks Criterion;
//! `-- linear` takes only benches with that in their names. It tells how the time of one word moves
//! from commit to commit; next to a loop by hand and to each other, words stand in the other
//! benches.
//!
//! One iteration is a job of one thread over as many records as its group says, from
//! `source::from_iter` into a sink that counts them; `nothing` is such a job without the word.

#![allow(missing_docs, reason = "a bench has no interface")]

mod words;

use criterion::{Criterion, criterion_group, criterion_main};

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = words::linear, words::edges, words::keyed, words::windows, words::calls
}
criterion_main!(all);
