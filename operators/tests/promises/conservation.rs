//! Nothing is lost or dropped silently: on random graphs, whatever happens, the books balance.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures::stream;
use millstream_engine::Error;
use millstream_engine::ErrorKind;
use millstream_engine::edge::{Broadcast, Order};
use millstream_engine::graph::{EdgeOptions, Role};
use millstream_engine::metrics::{JobMetrics, OperatorMetrics};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::runtime::Output;
use millstream_operators::fan::MergeEnd;
use millstream_operators::prelude::*;

use super::{Expand, First};

/// Small graphs, run each in a fraction of a millisecond.
const CASES: u64 = 3000;

/// Fails at the given of all the records that come by, as it is told.
#[derive(Clone)]
struct Fuse {
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

/// What is to happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Success,
    Error,
    Panic,
    Abort,
}

/// A graph in the making, and the model of what it has to give.
struct Draft {
    random: Random,
    flow: Dataflow,
    fuse: Fuse,
    /// Streams with no end yet: what they carry, and whether that is known.
    open: Vec<(DataStream<u64>, Model)>,
    outputs: Vec<(Output<Vec<u64>>, Model)>,
    operators: u64,
}

#[derive(Clone, Debug)]
struct Model {
    values: Vec<u64>,
    /// Only how many is known, because which of them came first was chance.
    taken: Option<usize>,
}

impl Draft {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn pick(&mut self) -> (DataStream<u64>, Model) {
        let index = self.below(self.open.len() as u64);
        self.open.swap_remove(usize::try_from(index).unwrap())
    }

    fn source(&mut self, name: u64) {
        let total = self.below(30);
        let stream = self.flow.source(&format!("in-{name}"), source::from_iter(0..total));
        let values = (0..total).collect();
        let taken = None;
        self.open.push((stream.boxed(), Model { values, taken }));
    }

    /// Adds one operator somewhere.
    fn grow(&mut self) {
        let (stream, mut model) = self.pick();
        let times = self.below(4);
        let grown = match self.below(11) {
            0 => {
                model.values.retain(|n| n % 3 != times);
                let filtered = stream.filter(move |n| n % 3 != times);
                if model.taken.is_some() {
                    return self.close(filtered.boxed(), None);
                }
                filtered.boxed()
            }
            1 | 2 => {
                let again = |n: &u64| std::iter::repeat_n(*n, usize::try_from(times).unwrap());
                model.values = model.values.iter().flat_map(again).collect();
                model.taken = model.taken.map(|taken| taken * usize::try_from(times).unwrap());
                stream.via(Expand::new(times, self.below(2) == 0)).boxed()
            }
            3 if stream.parallelism() == 1 => {
                let most = self.below(12);
                let taken = model.taken.unwrap_or(model.values.len());
                model.taken = Some(taken.min(usize::try_from(most).unwrap()));
                stream.via(First(most)).boxed()
            }
            4 => stream.boundary(),
            5 => stream.parallel(1 + usize::try_from(self.below(3)).unwrap()),
            6 => stream.gather(),
            7 => return self.fork(stream, &model),
            8 | 9 => {
                let times = usize::try_from(times).unwrap();
                let again = |n: &u64| std::iter::repeat_n(*n, times);
                model.values = model.values.iter().flat_map(again).collect();
                model.taken = model.taken.map(|taken| taken * times);
                let most = 1 + usize::try_from(self.below(3)).unwrap();
                stream.flat_map_merge(most, move |n| stream::iter(std::iter::repeat_n(n, times)))
            }
            _ if self.open.is_empty() => stream.map(|n| n).boxed(),
            _ => return self.meet(stream, model),
        };
        let grown = if self.below(4) == 0 { grown.via(self.fuse.clone()).boxed() } else { grown };
        self.open.push((grown, model));
    }

    fn fork(&mut self, stream: DataStream<u64>, model: &Model) {
        let parallelism = stream.parallelism();
        let policy = self.below(10);
        let order = if self.below(2) == 0 { Order::Fifo } else { Order::Lifo };
        let blueprint = self.flow.blueprint().clone();
        let edges = [(); 2].map(|()| blueprint.add_edge::<u64>("fork", EdgeOptions::default()));
        // Some have one more branch, of which is asked only that its books balance.
        let lossy = (policy < 6).then(|| {
            let edge = blueprint.add_edge::<u64>("lossy", EdgeOptions::default());
            let when_full = match policy {
                0 => WhenFull::DropNewest,
                1 => WhenFull::DropOldest,
                2 => WhenFull::DropAll,
                3 => WhenFull::Sample,
                4 => WhenFull::Disconnect(Duration::ZERO),
                _ => WhenFull::Block,
            };
            blueprint.configure_edge(edge, |options| {
                options.when_full = when_full;
                options.order = order;
            });
            if policy == 5 {
                blueprint.conflate_edge(edge, usize::MAX, |_: &mut u64, _| {});
            }
            edge
        });
        let all: Vec<_> = edges.into_iter().chain(lossy).collect();
        stream.route(&all, Broadcast);
        if let Some(edge) = lossy {
            let branch = DataStream::behind(self.flow.clone(), edge, parallelism, "lossy");
            let times = self.below(3);
            self.close(branch.via(Expand::new(times, true)).boxed(), None);
        }
        for edge in edges {
            let branch = DataStream::behind(self.flow.clone(), edge, parallelism, "branch");
            self.open.push((branch, model.clone()));
        }
    }

    fn meet(&mut self, stream: DataStream<u64>, model: Model) {
        let (other, others) = self.pick();
        let met = if self.below(2) == 0 {
            stream.merge_until(other, MergeEnd::Last)
        } else {
            let edge = self.flow.blueprint().add_edge::<u64>("meet", EdgeOptions::default());
            stream.forward(edge);
            other.forward(edge);
            DataStream::behind(self.flow.clone(), edge, 1, "meet")
        };
        let known = model.taken.is_none() && others.taken.is_none();
        let count = |model: &Model| model.taken.unwrap_or(model.values.len());
        let taken = (!known).then(|| count(&model) + count(&others));
        let values = [model.values, others.values].concat();
        self.open.push((met, Model { values, taken }));
    }

    /// Ends a stream in a sink; without a model, all that is asked of it is that it balances.
    fn close(&mut self, stream: DataStream<u64>, model: Option<Model>) {
        let output = stream.collect();
        self.outputs.extend(model.map(|model| (output, model)));
        if self.open.is_empty() {
            self.operators = 0;
        }
    }
}

fn draft(seed: u64, fate: Fate) -> Draft {
    let mut random = Random::new(seed);
    let left = match fate {
        Fate::Error | Fate::Panic => random.below(60),
        Fate::Success | Fate::Abort => u64::MAX / 2,
    };
    let fuse = Fuse { left: Arc::new(AtomicU64::new(left)), panics: fate == Fate::Panic };
    let mut draft = Draft {
        operators: 1 + random.below(9),
        random,
        flow: Dataflow::new("random"),
        fuse,
        open: Vec::new(),
        outputs: Vec::new(),
    };
    for source in 0..=draft.below(3) {
        draft.source(source);
    }
    while draft.operators > 0 {
        draft.operators -= 1;
        draft.grow();
    }
    while !draft.open.is_empty() {
        let (stream, model) = draft.pick();
        draft.close(stream, Some(model));
    }
    draft
}

async fn run(seed: u64) {
    let fates = [Fate::Success, Fate::Error, Fate::Panic, Fate::Abort];
    let fate = fates[usize::try_from(seed % 4).unwrap()];
    let mut draft = draft(seed, fate);
    let options = JobOptions::default()
        .with_operator_counts(true)
        .with_publish_every(None)
        .with_edge_capacity(1 + usize::try_from(draft.below(4)).unwrap())
        .with_batch_records(1 + usize::try_from(draft.below(5)).unwrap());
    let mut job = draft.flow.start_with(&options).unwrap();
    if fate == Fate::Abort {
        for _ in 0..draft.below(30) {
            tokio::task::yield_now().await;
        }
        job.abort();
    }
    match (&mut job).await {
        Ok(report) => {
            check(report.metrics(), true, true);
            for (output, model) in draft.outputs {
                let mut values = report.take(output).expect("a complete run leaves its results");
                values.sort_unstable();
                compare(&values, model);
            }
        }
        Err(error) => {
            assert_ne!(fate, Fate::Success, "{error}");
            check_error(&error, fate);
        }
    }
}

fn compare(values: &[u64], mut model: Model) {
    model.values.sort_unstable();
    if let Some(taken) = model.taken {
        assert_eq!(values.len(), taken, "{values:?}");
        let known: BTreeMap<u64, ()> = model.values.iter().map(|value| (*value, ())).collect();
        assert!(values.iter().all(|value| known.contains_key(value)));
    } else {
        assert_eq!(values, model.values);
    }
}

fn check_error(error: &Error, fate: Fate) {
    let report = error.report().unwrap();
    match fate {
        Fate::Error => assert_eq!(error.kind(), &ErrorKind::Operator),
        Fate::Panic => assert_eq!(error.kind(), &ErrorKind::Panic("blown".to_owned())),
        Fate::Abort | Fate::Success => assert_eq!(error.kind(), &ErrorKind::Aborted),
    }
    if fate != Fate::Abort {
        assert!(error.operator_name().unwrap().starts_with("fuse"), "{error}");
    }
    for (name, edge) in report.edges() {
        assert_eq!(edge.sent, edge.handled + edge.dropped + edge.abandoned, "{name}");
    }
    check(report.metrics(), false, fate != Fate::Panic);
}

/// The books of a run that is over. What has come to its end has nothing left over; of what was
/// stopped, only what it held in hand is missing.
fn check(metrics: &JobMetrics, complete: bool, counted: bool) {
    for edge in &metrics.edges {
        assert_eq!(edge.depth, 0, "{}", edge.name);
        let accounted = edge.received + edge.dropped.total();
        assert!(accounted <= edge.sent, "{}", edge.name);
        let handled = metrics.stages[edge.consumer].records_in;
        assert!(handled <= edge.received, "{}", edge.name);
    }
    for (index, stage) in metrics.stages.iter().enumerate() {
        let operators = metrics.operators.iter().filter(|one| one.stage == index);
        let operators: Vec<&OperatorMetrics> = operators.collect();
        let mut flowing = stage.records_in;
        for one in &operators {
            assert_eq!(one.records_in, Some(flowing), "{}", one.name);
            if one.role != Role::Sink {
                // Never more filtered than there was, or the sum below would wrap.
                assert!(flowing + one.added >= one.filtered, "{}", one.name);
                flowing = flowing + one.added - one.filtered;
                assert_eq!(one.records_out, Some(flowing), "{}", one.name);
            }
        }
        let last = operators.last().unwrap();
        let outputs = metrics.edges.iter().filter(|edge| edge.producers.contains(&index));
        let outputs: Vec<_> = outputs.collect();
        let gone = if last.role == Role::Sink {
            last.records_out.unwrap() + stage.cancelled
        } else if let [meet] = outputs.as_slice()
            && meet.producers.len() > 1
        {
            // Others send to it as well: the sum over all of them is checked at the edge.
            continue;
        } else {
            outputs.iter().map(|edge| edge.sent).sum::<u64>() + stage.cancelled
        };
        let out = flowing * outputs.len().max(1) as u64;
        if complete && outputs.len() > 1 {
            // What nobody wanted before the branches part counts once, and behind it for each.
            let within = gone..=gone + stage.cancelled * (outputs.len() as u64 - 1);
            assert!(within.contains(&out), "{}: {out} of {within:?}", stage.name);
        } else if complete {
            assert_eq!(out, gone, "{}", stage.name);
        } else if counted {
            assert!(out >= gone, "{}: {out} went out, {gone} arrived", stage.name);
        }
    }
}

#[test]
fn the_books_balance_on_random_graphs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What blows on purpose need not fill the log.
    panic::set_hook(Box::new(|_| {}));
    let failed = (0..CASES).find_map(|seed| {
        let run = AssertUnwindSafe(|| runtime.block_on(run(seed)));
        let payload = panic::catch_unwind(run).err()?;
        let message = payload.downcast_ref::<String>().cloned();
        Some((seed, message.unwrap_or_default()))
    });
    drop(panic::take_hook());
    if let Some((seed, message)) = failed {
        panic!("SEED={seed}: {message}");
    }
}
