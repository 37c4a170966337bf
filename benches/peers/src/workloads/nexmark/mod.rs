//! Nexmark: queries about an auction house. Events, model and Millstream's queries are those of the
//! example `nexmark`. Events lie in memory, and every source clones them one after the other: were
//! they moved out, giving their memory back would cost more than the query.

mod highest_bids;
mod hot_items;
mod new_users;
mod one_bid;
mod stateful;
mod suggestions;

#[path = "../../../../../examples/nexmark/queries/euros.rs"]
#[allow(dead_code, reason = "the example has more queries")]
mod euros;
#[path = "../../../../../examples/nexmark/queries/q0.rs"]
mod q0;
#[path = "../../../../../examples/nexmark/queries/q1.rs"]
mod q1;
#[path = "../../../../../examples/nexmark/queries/q2.rs"]
mod q2;
#[path = "../../../../../examples/nexmark/queries/q3.rs"]
mod q3;
#[path = "../../../../../examples/nexmark/queries/q5.rs"]
mod q5;
#[path = "../../../../../examples/nexmark/queries/q7.rs"]
mod q7;
#[path = "../../../../../examples/nexmark/queries/q8.rs"]
mod q8;

/// What the queries of the example expect beside them.
mod time {
    pub(super) const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
}

use std::hash::{Hash, Hasher};

use crate::contender::Workload;
use crate::generator::Generator;
use crate::model::Event;

const EVENTS: u64 = 2_000_000;
/// Events in a second of event time.
const RATE: f64 = 10_000.0;

pub(super) fn workloads() -> impl Iterator<Item = Workload> {
    one_bid::workloads().into_iter().chain(stateful::workloads())
}

/// For the whole life of the process, so that all can borrow them.
fn events(records: u64) -> &'static [Event] {
    Generator::new(7, RATE).take(records as usize).collect::<Vec<_>>().leak()
}

/// A row's part of the checksum: cheap, and the same for a struct and a tuple of its fields.
fn mark(row: &impl Hash) -> u64 {
    let mut mix = Mix(0);
    row.hash(&mut mix);
    mix.finish()
}

/// Eight bytes a step.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks();
        for eight in eights {
            self.write_u64(u64::from_le_bytes(*eight));
        }
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
