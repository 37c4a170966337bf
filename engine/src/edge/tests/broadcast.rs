//! A broadcast clones many records at once, and nobody can tell: each branch gets the same batches,
//! and stops the stage at the same record, as if every record had been pushed into every outbox.

use std::sync::Arc;
use std::task::Poll;

use super::Task;
use crate::batch::{Barrier, Batch, Mark};
use crate::edge::{
    Broadcast, Capacity, Eager, EdgeProbe, EdgeStats, Forgiving, Origin, Outbox, Received,
    Receiver, Routed, Router, Sorting, Terms, Weight, WhenFull, channel_with, merging,
};
use crate::error::OperatorError;
use crate::metrics::Counter;
use crate::random::Random;
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Timestamp, VirtualClock};

/// The model: a record at a time.
#[derive(Clone)]
struct OneByOne;

impl Router<u32> for OneByOne {
    type Out = u32;

    fn route(
        &mut self,
        record: Record<u32>,
        outboxes: &mut [Outbox<u32>],
    ) -> Result<Flow, OperatorError> {
        let mut flow = Flow::More;
        for outbox in outboxes {
            if outbox.done() {
                outbox.cancel(1);
            } else if outbox.push(record) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
}

/// What one branch is like.
#[derive(Clone, Copy, Debug)]
struct Kind {
    capacity: Capacity,
    weighed: bool,
    when_full: WhenFull,
}

impl Kind {
    fn at_random(random: &mut Random) -> Self {
        let records = 1 + random.below(12) as usize;
        let batch = 1 + random.below(records as u64) as usize;
        let when_full = match random.below(8) {
            0 => WhenFull::DropNewest,
            1 => WhenFull::DropOldest,
            2 => WhenFull::Conflate { max: usize::MAX },
            3 => WhenFull::Conflate { max: 3 },
            _ => WhenFull::Block,
        };
        let weighed = random.below(6) == 0;
        let bytes = if weighed { 40 } else { usize::MAX };
        Self {
            capacity: Capacity { bytes, ..Capacity::records(records, batch) },
            weighed,
            when_full,
        }
    }
}

struct Side<R> {
    routed: Routed<u32, R>,
    receivers: Vec<Receiver<u32>>,
    probes: Vec<Box<dyn EdgeProbe>>,
    cancelled: Arc<Counter>,
    /// What a stop has left over.
    rest: Batch<u32>,
    stopped: bool,
}

impl<R: Router<u32, Out = u32>> Side<R> {
    fn new(kinds: &[Kind], router: R) -> Self {
        let cancelled = Arc::<Counter>::default();
        let (mut outboxes, mut receivers, mut probes) = (Vec::new(), Vec::new(), Vec::new());
        for kind in kinds {
            let forgiving = Forgiving::default();
            let (sender, receiver) = channel_with(kind.capacity, Sorting::Fifo, forgiving, None);
            let weight: Option<Weight<u32>> = kind
                .weighed
                .then(|| -> Weight<u32> { Arc::new(|value: &u32| *value as usize % 32) });
            let merge = merging(|waiting: &mut u32, next| *waiting = waiting.wrapping_add(next));
            let seat = Seat::alone("reader");
            let clock = VirtualClock::new().clock();
            let terms = Terms::new(kind.when_full, seat, clock);
            let special = kind.when_full != WhenFull::Block;
            probes.push(sender.probe());
            let origin = Origin::new(Arc::from("op"), Arc::clone(&cancelled));
            let outbox = Outbox::from(sender, origin, weight);
            outboxes.push(outbox.on_terms(special.then_some(terms), Some(merge)));
            receivers.push(receiver);
        }
        let routed = Routed::new(outboxes, router, Seat::alone("broadcast"));
        let (rest, stopped) = (Batch::new(), false);
        Self { routed, receivers, probes, cancelled, rest, stopped }
    }

    /// Goes on as a stage does, as far as there is room.
    fn go_on(&mut self) {
        loop {
            if self.stopped {
                let flushed = Task::new().run(|cx| self.routed.poll_flush(cx, Flush::Room));
                if flushed.is_pending() {
                    return;
                }
                self.stopped = self.routed.resume() == Flow::Stop;
            } else if self.rest.is_spent() || self.routed.done() {
                return;
            } else {
                let flow = self.routed.run(&mut self.rest, usize::MAX, &mut Vec::new());
                self.stopped = flow == Flow::Stop;
            }
        }
    }

    /// What can be told from outside.
    fn shown(&self) -> (bool, bool, Batch<u32>, Vec<EdgeStats>) {
        let stats: Vec<_> = self.probes.iter().map(|probe| probe.stats()).collect();
        (self.stopped, self.routed.done(), self.rest.clone(), stats)
    }

    fn step(&mut self, step: &Step) -> Option<Batch<u32>> {
        self.go_on();
        let free = !self.stopped && !self.routed.done();
        match *step {
            Step::Push(ref records) if free => {
                for value in records {
                    self.rest.records.push(Record::new(*value));
                }
                self.rest.records.reverse();
                while !self.stopped
                    && let Some(record) = self.rest.records.pop()
                {
                    self.stopped = self.routed.push(record) == Flow::Stop;
                }
                self.rest.records.reverse();
            }
            Step::Run(ref batch) if free => self.rest = batch.clone(),
            Step::Watermark(at) if free => {
                self.stopped = self.routed.watermark(Timestamp::from_millis(at)) == Flow::Stop;
            }
            Step::Barrier(number) if free => {
                self.stopped = self.routed.barrier(Barrier(number)) == Flow::Stop;
            }
            Step::Idle(idle) if free => self.stopped = self.routed.idle(idle) == Flow::Stop,
            Step::Flush if free => {
                drop(Task::new().run(|cx| self.routed.poll_flush(cx, Flush::All)));
            }
            Step::Take(from) => return self.take(from),
            Step::Finish(which) => {
                if let Some(receiver) = self.receivers.get_mut(which) {
                    receiver.finish();
                }
            }
            _ => {}
        }
        self.go_on();
        None
    }

    fn take(&mut self, from: usize) -> Option<Batch<u32>> {
        let receiver = self.receivers.get_mut(from)?;
        match Task::new().run(|cx| receiver.poll_recv(cx)) {
            Poll::Ready(Received::Batch(batch)) => Some(batch),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Step {
    Push(Vec<u32>),
    Run(Batch<u32>),
    Watermark(i64),
    Barrier(u64),
    Idle(bool),
    Flush,
    Take(usize),
    Finish(usize),
}

impl Step {
    fn at_random(random: &mut Random, number: u32, branches: usize) -> Self {
        let from = |random: &mut Random| random.below(branches as u64) as usize;
        let mut count = || random.below(20) as u32;
        let (records, marks) = (count(), count() % 4);
        let time = i64::from(number) * 10;
        match random.below(16) {
            0 | 1 => Self::Push((0..records).map(|n| number * 100 + n).collect()),
            2..=4 => {
                let mut batch = super::batch((0..records).map(|n| number * 100 + n));
                let mut places: Vec<_> =
                    (0..marks).map(|_| random.below(u64::from(records) + 1) as usize).collect();
                places.sort_unstable();
                places.dedup();
                batch.marks = (0..)
                    .zip(places)
                    .map(|(n, position)| Mark {
                        position,
                        watermark: Timestamp::from_millis(time + n),
                    })
                    .collect();
                Self::Run(batch)
            }
            5 => Self::Watermark(time),
            6 => Self::Barrier(u64::from(number)),
            7 => Self::Idle(random.below(2) == 0),
            8 | 9 => Self::Flush,
            10 if random.below(8) == 0 => Self::Finish(from(random)),
            _ => Self::Take(from(random)),
        }
    }
}

fn compare<R: Router<u32, Out = u32>>(seed: u64, router: R, model: impl Router<u32, Out = u32>) {
    let mut random = Random::new(seed);
    let kinds: Vec<_> = (0..1 + random.below(4)).map(|_| Kind::at_random(&mut random)).collect();
    let (mut side, mut model) = (Side::new(&kinds, router), Side::new(&kinds, model));
    for number in 0..60 {
        let step = Step::at_random(&mut random, number, kinds.len());
        let (taken, expected) = (side.step(&step), model.step(&step));
        assert_eq!(taken, expected, "seed {seed}, {kinds:?}, {step:?}");
        assert_eq!(side.shown(), model.shown(), "seed {seed}, {kinds:?}, {step:?}");
        if matches!(step, Step::Flush) && !side.stopped {
            // Not before: what nobody wants is counted when it is handed out.
            assert_eq!(side.cancelled.get(), model.cancelled.get(), "seed {seed}, {kinds:?}");
        }
    }
}

#[test]
fn every_branch_gets_the_same_batches_as_if_records_were_pushed_one_by_one() {
    for seed in 0..1000 {
        compare(seed, Broadcast::new(), OneByOne);
        compare(seed, Eager(Broadcast::new()), Eager(OneByOne));
    }
}
