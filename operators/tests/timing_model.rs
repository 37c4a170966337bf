//! What the timed words promise together: a random chain of them, fed at given times, emits what a
//! small model of each says, when it says, at every size of batch and edge.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};
use millstream_engine::time::{Clock, Instant, VirtualClock};
use millstream_operators::prelude::*;
use millstream_operators::timing::Rate;
use proptest::prelude::*;

/// A value, and the millisecond in which it comes.
type Timed = (u64, u32);

/// One word with its arguments, in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Word {
    ChunksTimeout(usize, u64),
    Debounce(u64),
    Sample(u64),
    SampleFirst(u64),
    Audit(u64),
    Delay(u64),
    TakeWithin(u64),
    SkipWithin(u64),
    Throttle(u64, u32),
    BatchMin(usize, u64),
    MapBatches(usize),
}

const fn keep_small(n: u32) -> u32 {
    n % 997
}

fn sum(chunk: &[u32]) -> u32 {
    keep_small(chunk.iter().sum())
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn say(word: Word, stream: DataStream<u32>, cut: bool) -> DataStream<u32> {
    let said = match word {
        Word::ChunksTimeout(size, longest) => {
            stream.chunks_timeout(size, millis(longest)).map(|chunk| sum(&chunk)).boxed()
        }
        Word::Debounce(quiet) => stream.debounce(millis(quiet)).boxed(),
        Word::Sample(period) => stream.sample(millis(period)).boxed(),
        Word::SampleFirst(period) => stream.sample_first(millis(period)).boxed(),
        Word::Audit(period) => stream.audit(millis(period)).boxed(),
        Word::Delay(by) => stream.delay(millis(by), 1000).boxed(),
        Word::TakeWithin(time) => stream.take_within(millis(time)).boxed(),
        Word::SkipWithin(time) => stream.skip_within(millis(time)).boxed(),
        Word::Throttle(every, burst) => {
            stream.throttle(Rate::new(1, millis(every)).with_burst(burst)).boxed()
        }
        Word::BatchMin(records, longest) => stream.batch_min(records, millis(longest)).boxed(),
        Word::MapBatches(max) => {
            let add = |values: Vec<u32>| values.into_iter().map(|n| keep_small(n + 1)).collect();
            stream.map_batches(max, add).boxed()
        }
    };
    if cut { said.boundary() } else { said }
}

/// Groups of `size` that wait for up to `longest`, each with the time at which it goes out.
fn groups(list: &[Timed], end: u64, size: usize, longest: u64) -> Vec<(u64, &[Timed])> {
    let mut out = Vec::new();
    let mut rest = list;
    while let Some(first) = rest.first() {
        let due = first.0 + longest;
        let count = rest.iter().take(size).take_while(|one| one.0 < due).count();
        let (group, later) = rest.split_at(count);
        out.push((if count == size { group[count - 1].0 } else { due.min(end) }, group));
        rest = later;
    }
    out
}

/// A bucket of tokens, in units of a millisecond.
fn throttled(list: &[Timed], every: u64, burst: u32) -> Vec<Timed> {
    let full = u64::from(burst) * every;
    let (mut tokens, mut filled) = (full, 0);
    let one = |&(time, n): &Timed| {
        let time = time.max(filled);
        tokens = (tokens + time - filled).min(full);
        filled = time + every.saturating_sub(tokens);
        tokens = tokens + (filled - time) - every;
        (filled, n)
    };
    list.iter().map(one).collect()
}

/// The same on a list that ends at `end`: what comes out, and when that ends.
fn model(word: Word, list: &[Timed], end: u64) -> (Vec<Timed>, u64) {
    let mut out = Vec::new();
    let mut last = end;
    match word {
        Word::ChunksTimeout(size, longest) => {
            for (when, group) in groups(list, end, size, longest) {
                let values: Vec<_> = group.iter().map(|one| one.1).collect();
                out.push((when, sum(&values)));
            }
        }
        Word::BatchMin(records, longest) => {
            for (when, group) in groups(list, end, records, longest) {
                out.extend(group.iter().map(|one| (when, one.1)));
            }
        }
        Word::Debounce(quiet) => {
            for (at, &(time, n)) in list.iter().enumerate() {
                let next = list.get(at + 1).map_or(u64::MAX, |one| one.0);
                if next >= time + quiet {
                    out.push(((time + quiet).min(end), n));
                }
            }
        }
        Word::Sample(period) => {
            for (at, &(time, n)) in list.iter().enumerate() {
                let until = (time / period + 1) * period;
                if list.get(at + 1).is_none_or(|one| one.0 >= until) {
                    out.push((until.min(end), n));
                }
            }
        }
        Word::Audit(period) => {
            let mut at = 0;
            while at < list.len() {
                let until = list[at].0 + period;
                let within = list[at..].iter().take_while(|one| one.0 < until).count();
                out.push((until.min(end), list[at + within - 1].1));
                at += within;
            }
        }
        Word::SampleFirst(period) => {
            let mut until = 0;
            for &(time, n) in list {
                if time >= until {
                    out.push((time, n));
                    until = time + period;
                }
            }
        }
        Word::Delay(by) => {
            out.extend(list.iter().map(|&(time, n)| (time + by, n)));
            last = out.last().map_or(end, |one| one.0.max(end));
        }
        Word::TakeWithin(limit) => {
            out.extend(list.iter().filter(|one| one.0 < limit));
            last = end.min(limit);
        }
        Word::SkipWithin(limit) => out.extend(list.iter().filter(|one| one.0 >= limit)),
        Word::Throttle(every, burst) => {
            out = throttled(list, every, burst);
            last = out.last().map_or(end, |one| one.0.max(end));
        }
        Word::MapBatches(_) => out.extend(list.iter().map(|&(t, n)| (t, keep_small(n + 1)))),
    }
    (out, last)
}

/// Gives each value in its millisecond, and ends in its own.
#[derive(Clone)]
struct Scripted {
    list: std::vec::IntoIter<Timed>,
    end: u64,
    next: Option<Timed>,
    clock: Option<Clock>,
}

impl Source for Scripted {
    type Item = u32;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<u32>) -> Result<SourceStatus, OperatorError> {
        let clock = self.clock.clone().unwrap();
        loop {
            self.next = self.next.or_else(|| self.list.next());
            let due = self.next.map_or(self.end, |one| one.0);
            let due = Instant::after_start(millis(due));
            if clock.now() < due {
                if !batch.is_empty() {
                    return Ok(SourceStatus::More);
                }
                clock.sleep_until(due).await;
            }
            match self.next.take() {
                Some((_, n)) => batch.push(n),
                None => return Ok(SourceStatus::End),
            }
            if batch.is_full() {
                return Ok(SourceStatus::More);
            }
        }
    }
}

#[derive(Clone)]
struct Arrivals {
    clock: Clock,
    seen: Arc<Mutex<Vec<Timed>>>,
}

impl Sink for Arrivals {
    type Item = u32;

    async fn write(&mut self, records: &mut Vec<Record<u32>>) -> Result<SinkStatus, OperatorError> {
        let now = u64::try_from(self.clock.now().since_start().as_millis()).unwrap();
        self.seen.lock().unwrap().extend(records.drain(..).map(|record| (now, record.value)));
        Ok(SinkStatus::More)
    }
}

async fn settle() {
    for _ in 0..60 {
        tokio::task::yield_now().await;
    }
}

/// Runs the job, a timer at a time.
fn run(list: &[Timed], end: u64, said: &[(Word, bool)], batch: usize, room: usize) -> Vec<Timed> {
    let hand = VirtualClock::new();
    let flow = Dataflow::new("timed");
    let list = Vec::from(list).into_iter();
    let source = Scripted { list, end, next: None, clock: None };
    let mut stream = flow.source("scripted", source).boxed();
    for &(word, cut) in said {
        stream = say(word, stream, cut);
    }
    let arrivals = Arrivals { clock: hand.clock(), seen: Arc::default() };
    stream.sink("arrivals", arrivals.clone());
    let options = JobOptions::default().with_clock(hand.clock()).with_batch_records(batch);
    let options = options.with_edge_capacity(room).with_publish_every(None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let job = flow.start_with(&options).unwrap();
        let observer = job.observer();
        for _ in 0..10_000 {
            settle().await;
            if observer.outcome().is_some() {
                break;
            }
            // Nobody waits for a time that has come, so the next one is what there is to wait for.
            hand.advance(hand.next_timer().expect("a job that waits for nothing"));
        }
        job.await.unwrap();
    });
    arrivals.seen.lock().unwrap().clone()
}

fn words() -> impl Strategy<Value = Word> {
    let time = || 1..40_u64;
    prop_oneof![
        (1..5_usize, time()).prop_map(|(size, longest)| Word::ChunksTimeout(size, longest)),
        time().prop_map(Word::Debounce),
        time().prop_map(Word::Sample),
        time().prop_map(Word::SampleFirst),
        time().prop_map(Word::Audit),
        time().prop_map(Word::Delay),
        (1..400_u64).prop_map(Word::TakeWithin),
        (1..200_u64).prop_map(Word::SkipWithin),
        (1..20_u64, 1..5_u32).prop_map(|(every, burst)| Word::Throttle(every, burst)),
        (1..5_usize, time()).prop_map(|(records, longest)| Word::BatchMin(records, longest)),
        (1..5_usize).prop_map(Word::MapBatches),
    ]
}

/// Values at ascending times, often several in one millisecond.
fn script() -> impl Strategy<Value = (Vec<Timed>, u64)> {
    let gaps = prop_oneof![3 => Just(0_u64), 3 => 1..10_u64, 1 => 10..60_u64];
    (prop::collection::vec((gaps, 0..50_u32), 0..40), 0..50_u64).prop_map(|(gaps, rest)| {
        let mut now = 0;
        let list: Vec<_> = gaps
            .into_iter()
            .map(|(gap, n)| {
                now += gap;
                (now, n)
            })
            .collect();
        (list, now + rest)
    })
}

/// What the models say of a chain.
fn expected(list: &[Timed], end: u64, said: &[(Word, bool)]) -> Vec<Timed> {
    let start = (list.to_vec(), end);
    said.iter().fold(start, |(list, end), (word, _)| model(*word, &list, end)).0
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_timed_word_does_what_its_model_does(
        (list, end) in script(),
        word in words(),
        cut in any::<bool>(),
        batch in 1..=5_usize,
        room in 1..=4_usize,
    ) {
        let said = [(word, cut)];
        let seen = run(&list, end, &said, batch, room);
        prop_assert_eq!(seen, expected(&list, end, &said));
    }

    #[test]
    fn a_chain_of_timed_words_does_what_the_models_do(
        (list, end) in script(),
        mut said in prop::collection::vec((words(), any::<bool>()), 0..5),
        batch in 1..=5_usize,
        room in 1..=4_usize,
    ) {
        // A throttle slows down what comes before it, and a word there then sees other times. Only
        // the source, which has nothing to do with time but its list, may come before one.
        let mut first = true;
        said.retain(|(word, _)| {
            std::mem::take(&mut first) || !matches!(word, Word::Throttle(..))
        });
        let seen = run(&list, end, &said, batch, room);
        prop_assert_eq!(seen, expected(&list, end, &said));
    }
}
