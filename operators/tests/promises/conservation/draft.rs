//! A random graph in the making.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures::stream;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::runtime::Output;
use millstream_engine::testing::VirtualClock;
use millstream_operators::prelude::*;

use super::Fate;
use super::model::{Model, Sure};

/// A stream, and what it carries.
pub(crate) type Grown = (DataStream<u64>, Model);

/// Fails at the given of all the records that come by, as it is told.
#[derive(Clone)]
pub(crate) struct Fuse {
    left: Arc<AtomicU64>,
    panics: bool,
}

impl Operator<u64> for Fuse {
    type Out = u64;
    const NAME: &'static str = "fuse";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        if self.left.fetch_sub(1, SeqCst) == 0 {
            assert!(!self.panics, "blown");
            return Err(std::io::Error::other("blown").into());
        }
        out.push(record);
        Ok(())
    }
}

/// What was told of the end, by each `finally`, and by how many of its instances at most.
#[derive(Default)]
pub(crate) struct Finally(Vec<(Arc<AtomicU64>, usize)>);

impl Finally {
    pub(crate) fn count(&mut self, instances: usize) -> Arc<AtomicU64> {
        let count = Arc::default();
        self.0.push((Arc::clone(&count), instances));
        count
    }

    pub(crate) fn check(&self, complete: bool) {
        for (count, instances) in &self.0 {
            let (count, instances) = (count.load(SeqCst), *instances as u64);
            assert!(count <= instances, "{count} endings of {instances}");
            assert!(!complete || count == instances, "{count} endings of {instances}");
        }
    }
}

/// A graph in the making, and the model of what it has to give.
pub(crate) struct Draft {
    random: Random,
    fate: Fate,
    pub(crate) hand: VirtualClock,
    pub(crate) flow: Dataflow,
    fuse: Fuse,
    /// Streams with no end yet.
    pub(crate) open: Vec<Grown>,
    pub(crate) outputs: Vec<(Output<Vec<u64>>, Model)>,
    pub(crate) finally: Finally,
    /// Somebody may have enough before the end.
    pub(crate) cut: bool,
    /// Some of the work is done by other threads, in real time.
    pub(crate) blocking: bool,
    operators: u64,
    names: u64,
}

impl Draft {
    pub(crate) fn new(seed: u64, fate: Fate) -> Self {
        let mut random = Random::new(seed);
        let left = match fate {
            Fate::Error | Fate::Panic => random.below(60),
            _ => u64::MAX / 2,
        };
        let mut draft = Self {
            operators: 1 + random.below(9),
            random,
            fate,
            hand: VirtualClock::new(),
            flow: Dataflow::new("random"),
            fuse: Fuse { left: Arc::new(AtomicU64::new(left)), panics: fate == Fate::Panic },
            open: Vec::new(),
            outputs: Vec::new(),
            finally: Finally::default(),
            cut: false,
            blocking: false,
            names: 0,
        };
        for _ in 0..=draft.below(3) {
            draft.source();
        }
        while draft.operators > 0 && !draft.open.is_empty() {
            draft.operators -= 1;
            draft.grow();
        }
        while !draft.open.is_empty() {
            let (stream, model) = draft.pick();
            draft.close(stream, Some(model));
        }
        draft
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A small number, but not zero.
    pub(crate) fn size(&mut self) -> usize {
        1 + usize::try_from(self.below(3)).unwrap()
    }

    pub(crate) fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}", self.names)
    }

    pub(crate) fn pick(&mut self) -> Grown {
        let index = self.below(self.open.len() as u64);
        self.open.swap_remove(usize::try_from(index).unwrap())
    }

    fn source(&mut self) {
        let total = self.below(30);
        let name = self.name("in");
        let stream = match self.below(6) {
            0 => self
                .flow
                .source(&name, source::from_stream_with(move || stream::iter(0..total)))
                .boxed(),
            1 => {
                let step = move |n| (n < total).then_some((n, n + 1));
                self.flow.source(&name, source::unfold(0, step)).boxed()
            }
            2 => {
                let ticks = source::interval(
                    Duration::from_millis(1 + self.below(9)),
                    source::MissedTicks::Skip,
                );
                self.cut = true;
                let ticks = self.flow.source(&name, ticks).zip_with_index().map(|(_, n)| n);
                ticks.take(total).boxed()
            }
            _ => self.flow.source(&name, source::from_iter(0..total)).boxed(),
        };
        self.open.push((stream, Model::of((0..total).collect())));
    }

    /// Adds one operator somewhere.
    fn grow(&mut self) {
        let (stream, model) = self.pick();
        let many = model.values.len() > 200;
        let (grown, model) = match self.below(24) {
            _ if many => {
                let share = |list: Vec<u64>| list.into_iter().step_by(5).collect();
                let single = stream.parallelism() == 1;
                (stream.sample_every(5).boxed(), model.counted(single, share))
            }
            0..=2 => self.say_alike(stream, model),
            3 | 4 => self.say_in_order(stream, model),
            5 => self.say_cut(stream, model),
            6 => self.say_grouped(stream, model),
            7 | 8 => self.say_slowly(stream, model),
            9 | 10 => self.say_at_an_edge(stream, model),
            11 => self.say_guarded(stream, model),
            12 | 13 => self.say_with_calls(stream, model),
            14 => self.say_with_streams(stream, model),
            15 => self.say_with_attempts(stream, model),
            16 => self.say_supervised(stream, model),
            17 => self.say_by_key(stream, model),
            18..=20 => return self.fork(stream, model),
            _ if self.open.is_empty() => (stream, model),
            _ => self.meet(stream, model),
        };
        let grown = match self.below(4) {
            0 => grown.via(self.fuse.clone()).boxed(),
            1 if self.fate == Fate::Timeout && self.coin() => self.stall(grown),
            _ => grown,
        };
        self.open.push((grown, model));
    }

    /// Ends a stream in a sink; without a model, all that is asked of it is that it balances.
    pub(crate) fn close(&mut self, stream: DataStream<u64>, model: Option<Model>) {
        let output = stream.collect();
        self.outputs.extend(model.map(|model| (output, model)));
    }
}

impl Draft {
    /// Only what is left over of a model when the run was not left alone.
    pub(crate) fn forget(&mut self) {
        for (_, model) in &mut self.outputs {
            *model = model.clone().at_most(Sure::Nothing);
        }
    }
}
