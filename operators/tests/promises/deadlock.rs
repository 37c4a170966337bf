//! Nothing waits for ever: on random graphs of everything that parts and brings together, at the
//! narrowest edges, a graph is refused or it comes to its end.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use futures::future::{Either, select};
use millstream_engine::ErrorKind;
use millstream_engine::random::Random;
use millstream_engine::time::Clock;
use millstream_operators::fan::MergeEnd;
use millstream_operators::prelude::*;

/// Small graphs, run each in a fraction of a millisecond.
const CASES: u64 = 5000;

/// A graph in the making.
struct Draft {
    random: Random,
    flow: Dataflow,
    open: Vec<DataStream<u64>>,
    /// How many words it has that may wait for a certain input.
    choosy: usize,
    /// Whether there are to be few other words than those, and what parts streams.
    tangled: bool,
}

impl Draft {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn pick(&mut self) -> DataStream<u64> {
        let index = self.below(self.open.len() as u64);
        self.open.swap_remove(usize::try_from(index).unwrap())
    }

    fn source(&mut self, name: u64) {
        let total = self.below(30);
        let source = source::from_iter(0..total);
        self.open.push(self.flow.source(&format!("in-{name}"), source).boxed());
    }

    fn grow(&mut self) {
        let stream = self.pick();
        let by = 1 + self.below(4);
        let word = if self.tangled { 6 + self.below(3) / 2 * 2 } else { self.below(10) };
        let grown = match word {
            0 => stream.filter(move |n| n % 5 < by).boxed(),
            // Drops everything: who waits for it waits for its end.
            1 => stream.filter(|_| false).boxed(),
            2 => stream.flat_map_iter(move |n| std::iter::repeat_n(n, 3)).boxed(),
            3 => stream.boundary(),
            4 => stream.parallel(usize::try_from(by).unwrap()).gather(),
            5 => stream.take(by * 3).boxed(),
            6 => {
                self.open.extend(stream.broadcast::<2>());
                return;
            }
            7 => {
                let (one, other) = stream.split(move |n| n % 5 < by);
                self.open.extend([one, other]);
                return;
            }
            _ if self.open.is_empty() => stream,
            _ => return self.meet(stream),
        };
        self.open.push(grown);
    }

    fn meet(&mut self, one: DataStream<u64>) {
        let two = self.pick();
        let two = if self.tangled { two.filter(|n| n % 7 == 6).boxed() } else { two };
        let word = self.below(if self.tangled { 5 } else { 16 });
        self.choosy += usize::from(word < 7);
        let by = 1 + self.below(4);
        let instances = usize::try_from(1 + self.below(3)).unwrap();
        let met = match word {
            0 => one.zip_with(two, |a, b| a + b),
            1 => one.zip_all(two, 1, 2).map(|(a, b)| a + b).boxed(),
            2 => one.merge_sorted(two),
            3 => one.interleave(two, 2),
            4 => {
                let table = two.key_by(move |n| n % by).parallel(instances);
                one.key_by(move |n| n % by).table_join(table).left(|n, _| *n).gather()
            }
            5 => one.concat(two),
            6 => one.prepend(two),
            7 => one.merge(two),
            8 => one.merge_until(two, MergeEnd::First),
            9 => one.merge_until(two, MergeEnd::Left),
            10 => one.zip_latest_with(two, MergeEnd::Last, |a, b| a + b),
            11 => one.with_latest_from(two, |a, b| a + b),
            12 => one.merge_preferred(two),
            13 => one.merge_prioritized(1, [(two, 2)]),
            14 => {
                let two = two.key_by(move |n| n % by).parallel(instances);
                let both = one.key_by(move |n| n % by).join(two).keep_first();
                both.complete(|a, b| a + b).gather()
            }
            _ => one.race(two),
        };
        self.open.push(met);
    }
}

/// What became of a graph: how many choosy words ran in it, or whether it was refused.
enum Became {
    Ran(usize),
    Refused,
}

async fn run(seed: u64) -> Became {
    let mut random = Random::new(seed);
    let words = 2 + random.below(12);
    let (flow, open, choosy) = (Dataflow::new("random"), Vec::new(), 0);
    let tangled = seed % 2 == 1;
    let mut draft = Draft { random, flow, open, choosy, tangled };
    for source in 0..=draft.below(3) + u64::from(tangled) {
        draft.source(source);
    }
    for _ in 0..words {
        draft.grow();
    }
    while !draft.open.is_empty() {
        draft.pick().ignore();
    }
    let options = JobOptions::default()
        .with_publish_every(None)
        .with_edge_capacity(1 + usize::try_from(draft.below(2)).unwrap())
        .with_batch_records(1 + usize::try_from(draft.below(2)).unwrap());
    let job = Box::pin(draft.flow.run_with(options));
    // Time stands still while anything can move, so this is over only when nothing can.
    let stalled = Clock::system().sleep(Duration::from_secs(3600));
    match select(job, stalled).await {
        Either::Left((Ok(_), _)) => Became::Ran(draft.choosy),
        Either::Left((Err(error), _)) => {
            assert!(matches!(error.kind(), ErrorKind::Build(_)), "{error}");
            assert!(error.to_string().contains("may wait for one branch of"), "{error}");
            Became::Refused
        }
        Either::Right(_) => panic!("it stands still: {}", draft.flow.graph().unwrap().to_dot()),
    }
}

#[test]
fn f3_random_graphs_are_refused_or_come_to_their_end() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    let (mut ran, mut choosy, mut refused) = (0, 0, 0);
    for seed in 0..CASES {
        let run = AssertUnwindSafe(|| runtime.block_on(run(seed)));
        match panic::catch_unwind(run) {
            Ok(Became::Ran(words)) => {
                ran += 1;
                choosy += u64::from(words > 0);
            }
            Ok(Became::Refused) => refused += 1,
            Err(payload) => {
                println!("SEED={seed}");
                panic::resume_unwind(payload);
            }
        }
    }
    println!("{ran} ran, {choosy} of them with words that wait, and {refused} were refused");
    assert!(choosy > CASES / 10 && refused > CASES / 50, "{ran}, {choosy}, {refused}");
}
