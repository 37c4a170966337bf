//! Random chains of the words that wait against lists, with delays from a seed on paused time, at
//! every size of batch and edge and under many schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;
use proptest::prelude::*;

/// A word with its arguments: how many at once, and a seed of its delays.
#[derive(Clone, Copy, Debug)]
enum Word {
    MapAsync(usize, u64),
    MapAsyncUnordered(usize, u64),
    MapAsyncKeyed(usize, u64),
    MapAsyncKeyedUnordered(usize, u64),
    TryMapAsync(usize, u64),
    TryMapAsyncUnordered(usize, u64),
    TryMapAsyncKeyed(usize, u64),
    LookupAsync(usize, u64),
    ScanAsync(u64),
    FlatMapConcat(u64),
    FlatMapSequential(usize, u64),
    FlatMapMerge(usize, u64),
}

impl Word {
    /// Whether records change their places.
    const fn is_unordered(self) -> bool {
        matches!(
            self,
            Self::MapAsyncUnordered(..)
                | Self::MapAsyncKeyedUnordered(..)
                | Self::TryMapAsyncUnordered(..)
                | Self::FlatMapMerge(..)
        )
    }
}

/// Takes a time that looks random, and often none.
async fn nap(clock: Clock, seed: u64, n: u64) {
    let dice = (seed + 1).wrapping_mul(n + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
    if dice > 5 {
        clock.sleep(Duration::from_millis(dice)).await;
    }
}

fn next(n: u64) -> u64 {
    (n * 3 + 1) % 101
}

fn answer(n: u64) -> Result<u64, std::fmt::Error> {
    if n % 4 == 3 { Err(std::fmt::Error) } else { Ok(next(n)) }
}

fn say(word: Word, stream: DataStream<u64>) -> DataStream<u64> {
    let call = |seed| {
        move |n| async move {
            nap(Clock::system(), seed, n).await;
            next(n)
        }
    };
    let attempt = |seed| {
        move |n| async move {
            nap(Clock::system(), seed, n).await;
            answer(n)
        }
    };
    let open = |seed| {
        move |n: u64| {
            stream::iter(0..n % 3).then(move |at| async move {
                nap(Clock::system(), seed, n + at).await;
                next(n + at)
            })
        }
    };
    let key = |n: &u64| n % 3;
    match word {
        Word::MapAsync(most, seed) => stream.map_async(most, call(seed)),
        Word::MapAsyncUnordered(most, seed) => stream.map_async_unordered(most, call(seed)),
        Word::MapAsyncKeyed(most, seed) => stream.map_async_keyed(most, key, call(seed)),
        Word::MapAsyncKeyedUnordered(most, seed) => {
            stream.map_async_keyed_unordered(most, key, call(seed))
        }
        Word::TryMapAsync(most, seed) => {
            stream.try_map_async(most, OnError::skip(), attempt(seed)).boxed()
        }
        Word::TryMapAsyncUnordered(most, seed) => {
            stream.try_map_async_unordered(most, OnError::skip(), attempt(seed)).boxed()
        }
        Word::TryMapAsyncKeyed(most, seed) => {
            stream.try_map_async_keyed(most, OnError::skip(), key, attempt(seed)).boxed()
        }
        Word::LookupAsync(most, seed) => {
            let ask = move |keys: Vec<u64>| async move {
                nap(Clock::system(), seed, keys.len() as u64).await;
                Ok::<_, std::fmt::Error>(
                    keys.into_iter().map(|n| (n, next(n))).collect::<BTreeMap<_, _>>(),
                )
            };
            let lookup = Lookup::default().with_calls(most).with_keys_per_call(most);
            stream.lookup_async(lookup, |n| *n, ask).map(|(_, found)| found.unwrap()).boxed()
        }
        Word::ScanAsync(seed) => stream.scan_async(seed % 101, move |sum, n| async move {
            nap(Clock::system(), seed, n).await;
            let sum = (sum + n) % 101;
            (sum, sum)
        }),
        Word::FlatMapConcat(seed) => stream.flat_map_concat(open(seed)),
        Word::FlatMapSequential(most, seed) => stream.flat_map_sequential(most, open(seed)),
        Word::FlatMapMerge(most, seed) => stream.flat_map_merge(most, open(seed)),
    }
}

fn model(word: Word, list: Vec<u64>) -> Vec<u64> {
    let items = list.into_iter();
    match word {
        Word::MapAsync(..)
        | Word::MapAsyncUnordered(..)
        | Word::MapAsyncKeyed(..)
        | Word::MapAsyncKeyedUnordered(..)
        | Word::LookupAsync(..) => items.map(next).collect(),
        Word::TryMapAsync(..) | Word::TryMapAsyncUnordered(..) | Word::TryMapAsyncKeyed(..) => {
            items.filter_map(|n| answer(n).ok()).collect()
        }
        Word::ScanAsync(seed) => {
            let sums = items.scan(seed % 101, |sum, n| {
                *sum = (*sum + n) % 101;
                Some(*sum)
            });
            sums.collect()
        }
        Word::FlatMapConcat(_) | Word::FlatMapSequential(..) | Word::FlatMapMerge(..) => {
            items.flat_map(|n| (n..n + n % 3).map(next)).collect()
        }
    }
}

/// Groups of values, each group behind a watermark of its own.
#[derive(Clone)]
struct Groups(std::vec::IntoIter<(i64, u64)>, i64);

impl Source for Groups {
    type Item = u64;

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() {
            let Some((group, n)) = self.0.next() else {
                return Ok(SourceStatus::End);
            };
            if group > self.1 {
                self.1 = group;
                batch.watermark(Timestamp::from_millis(group));
            }
            batch.push(Record::at(n, Timestamp::from_millis(group)));
        }
        Ok(SourceStatus::More)
    }
}

/// Emits each value with the watermark in front of it.
#[derive(Clone)]
struct Behind(i64);

impl Operator<u64> for Behind {
    type Out = (i64, u64);
    const NAME: &'static str = "behind";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<(i64, u64)>,
    ) -> Result<(), OperatorError> {
        out.push(record.with(|n| (self.0, n)));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<(i64, u64)>,
    ) -> Result<(), OperatorError> {
        self.0 = watermark.as_millis();
        Ok(())
    }
}

fn words() -> impl Strategy<Value = Word> {
    let (most, seed) = (|| 1..5_usize, || 0..1000_u64);
    prop_oneof![
        (most(), seed()).prop_map(|(most, seed)| Word::MapAsync(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::MapAsyncUnordered(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::MapAsyncKeyed(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::MapAsyncKeyedUnordered(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::TryMapAsync(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::TryMapAsyncUnordered(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::TryMapAsyncKeyed(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::LookupAsync(most, seed)),
        seed().prop_map(Word::ScanAsync),
        seed().prop_map(Word::FlatMapConcat),
        (most(), seed()).prop_map(|(most, seed)| Word::FlatMapSequential(most, seed)),
        (most(), seed()).prop_map(|(most, seed)| Word::FlatMapMerge(most, seed)),
    ]
}

/// Every size of batch and edge, and a schedule of the stages.
fn options() -> impl Strategy<Value = JobOptions> {
    (1..=5_usize, 1..=4_usize, any::<u64>()).prop_map(|(batch, capacity, seed)| {
        let options = JobOptions::default().with_batch_records(batch);
        options.with_edge_capacity(capacity).with_publish_every(None).with_schedule_seed(seed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chains_of_words_that_wait_give_what_lists_give(
        list in prop::collection::vec((0..2_i64, 0..50_u64), 0..40),
        said in prop::collection::vec(words(), 1..5),
        options in options(),
    ) {
        let (mut ordered, mut merged, mut group) = (true, false, 0);
        let grouped: Vec<(i64, u64)> = list.into_iter().map(|(step, n)| {
            group += step;
            (group, n)
        }).collect();
        let flow = Dataflow::new("chain");
        let groups = Groups(grouped.clone().into_iter(), -1);
        let mut stream = flow.source("groups", groups).boxed();
        // The groups go through the model one by one: no result crosses a watermark.
        let mut expected: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        for (group, n) in grouped {
            expected.entry(group).or_default().push(n);
        }
        for word in said {
            if matches!(word, Word::ScanAsync(_)) && !ordered {
                // What it makes of them depends on the order.
                continue;
            }
            ordered &= !word.is_unordered();
            // It gives what later streams have before the watermark that is held for earlier ones.
            merged |= matches!(word, Word::FlatMapMerge(..));
            stream = say(word, stream);
            let lengths = expected.iter().map(|(group, list)| (*group, list.len()));
            let lengths: Vec<_> = lengths.collect();
            if matches!(word, Word::ScanAsync(_)) {
                let all = model(word, expected.into_values().flatten().collect());
                let mut all = all.into_iter();
                let part = |(group, length)| (group, all.by_ref().take(length).collect());
                expected = lengths.into_iter().map(part).collect();
            } else {
                let part = |(group, list)| (group, model(word, list));
                expected = expected.into_iter().map(part).collect();
            }
        }
        let output = stream.via(Behind(-1)).collect();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let report = runtime.block_on(flow.run_with(options)).unwrap();
        let mut seen = report.take(output).unwrap();
        let expected = expected.into_iter();
        let mut expected: Vec<_> =
            expected.flat_map(|(group, list)| list.into_iter().map(move |n| (group, n))).collect();
        prop_assert!(seen.is_sorted_by_key(|one| one.0), "{:?}", seen);
        if merged {
            seen.iter_mut().chain(&mut expected).for_each(|one| one.0 = 0);
        }
        if !ordered {
            seen.sort_unstable();
            expected.sort_unstable();
        }
        prop_assert_eq!(seen, expected);
    }
}
