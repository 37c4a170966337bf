//! An operator that maps, in front of a buffer: whole batches go through at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use super::at;
use crate::OperatorError;
use crate::batch::{Barrier, Batch, Mark};
use crate::error::Error;
use crate::link::Link;
use crate::link_state::LinkState;
use crate::operator::{Collector, Operator};
use crate::random::Random;
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Instant, Timestamp};

/// Adds a thousand, and does not like 13.
#[derive(Clone)]
struct AddThousand;

fn add_thousand(record: Record<u32>) -> Record<u32> {
    assert_ne!(record.value, 13, "thirteen");
    record.with(|n| n + 1000)
}

impl Operator<u32> for AddThousand {
    type Out = u32;
    const NAME: &'static str = "add_thousand";
    const STATELESS: bool = true;
    const MAPS: bool = true;

    fn map_all(&mut self, records: impl Iterator<Item = Record<u32>>, out: &mut Vec<Record<u32>>) {
        out.extend(records.map(add_thousand));
    }

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(add_thousand(record));
        Ok(())
    }
}

/// Keeps `size` records in a buffer before it needs room for them, which it has `room` times.
#[derive(Default)]
struct Buffer {
    records: Vec<Record<u32>>,
    size: usize,
    room: usize,
    out: Vec<u32>,
    marks: Vec<usize>,
}

impl Buffer {
    fn look(&mut self) -> Flow {
        if self.records.len() < self.size {
            return Flow::More;
        }
        if self.room == 0 {
            return Flow::Stop;
        }
        self.room -= 1;
        self.out.extend(self.records.drain(..).map(|record| record.value));
        Flow::More
    }

    fn all(&self) -> Vec<u32> {
        let kept = self.records.iter().map(|record| record.value);
        self.out.iter().copied().chain(kept).collect()
    }
}

impl Tail<u32> for &mut Buffer {
    fn push(&mut self, record: Record<u32>) -> Flow {
        self.records.push(record);
        self.look()
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<u32>>, usize)> {
        let room = self.size.checked_sub(self.records.len()).filter(|room| *room > 0)?;
        Some((&mut self.records, room))
    }

    fn collected(&mut self) -> Flow {
        self.look()
    }

    fn resume(&mut self) -> Flow {
        self.look()
    }

    fn watermark(&mut self, _: Timestamp) -> Flow {
        self.marks.push(self.all().len());
        Flow::More
    }

    fn idle(&mut self, _: bool) -> Flow {
        Flow::More
    }

    fn timer(&mut self, _: Instant) -> Flow {
        Flow::More
    }

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn waiting(&self) -> bool {
        false
    }

    fn poll_wanted(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn barrier(&mut self, _: Barrier) -> Flow {
        Flow::More
    }

    fn end(&mut self) -> Flow {
        Flow::More
    }

    fn done(&self) -> bool {
        false
    }

    fn take_error(&mut self) -> Option<Error> {
        None
    }

    fn poll_flush(&mut self, _: &mut Context<'_>, _: Flush) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn publish(&mut self) {}
}

/// A link in front of the buffer, which the test looks at.
fn chain(buffer: &mut Buffer) -> impl Tail<u32> + use<'_> {
    let seat = Seat::alone(AddThousand::NAME);
    Link::<_, _, _>::new(AddThousand, buffer, LinkState::new(seat, false))
}

fn batch(values: impl IntoIterator<Item = u32>) -> Batch<u32> {
    Batch { records: values.into_iter().map(Record::new).collect(), ..Batch::new() }
}

#[test]
fn every_record_goes_through_once_and_in_order_whatever_fits() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut below = |n: u64| random.below(n) as usize;
        let mut buffer = Buffer { size: 1 + below(9), room: below(4), ..Buffer::default() };
        let (mut expected, mut marks) = (Vec::new(), Vec::new());
        for turn in 0..6 {
            let first = 100 * (1 + turn);
            let count = below(20) as u32;
            let mut batch = batch(first..first + count);
            if below(3) == 0 {
                let position = below(u64::from(count) + 1);
                batch.marks.push(Mark { position, watermark: at(i64::from(turn)) });
                marks.push(expected.len() + position);
            }
            expected.extend((first..first + count).map(|n| n + 1000));
            let mut spare = Vec::new();
            while !batch.is_spent() {
                let flow = chain(&mut buffer).run(&mut batch, 1 + below(25), &mut spare);
                assert!(spare.is_empty(), "seed {seed}: what is left is in the batch");
                while flow == Flow::Stop && chain(&mut buffer).resume() == Flow::Stop {
                    buffer.room += 1;
                }
            }
        }
        assert_eq!(buffer.all(), expected, "seed {seed}");
        assert_eq!(buffer.marks, marks, "seed {seed}");
    }
}

#[test]
fn after_a_panic_the_rest_is_still_there_to_be_counted() {
    let mut buffer = Buffer { size: 8, room: 9, ..Buffer::default() };
    let (mut batch, mut spare) = (batch(0..20), Vec::new());
    let run = catch_unwind(AssertUnwindSafe(|| chain(&mut buffer).run(&mut batch, 20, &mut spare)));
    assert!(run.is_err());
    assert_eq!(buffer.all(), (1000..1013).collect::<Vec<_>>());
    assert_eq!(batch.records.len() + spare.len(), 6, "of twenty, and the fourteenth is lost");
}
