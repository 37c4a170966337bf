//! The words of a random chain: each said on a stream, and on a list with iterators.

use millstream_engine::operator::{Collector, Operator};
use millstream_operators::prelude::*;
use proptest::prelude::*;

/// One word with its arguments, on small numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Map(u32),
    Filter(u32),
    FilterNot(u32),
    FilterMap(u32),
    FlatMapIter(u32),
    Take(u64),
    Skip(u64),
    TakeWhile(u32),
    TakeUntil(u32),
    SkipWhile(u32),
    Scan(u32),
    ScanWithInitial(u32),
    StatefulMap(u32),
    Inspect,
    Log,
    Dedup,
    DedupByKey(u32),
    Chunks(usize),
    ChunksSliding(usize, usize),
    Thrice,
    Distinct(usize),
    ZipWithIndex,
    ZipWithPrevious,
    ZipWithNext,
    Intersperse(u32),
    ChunksWeighted(usize),
    ChunkBy(usize, u32),
    DefaultIfEmpty(u32),
    FlattenOptional(u32),
    Materialize,
    SampleEvery(u64),
    Sort,
    TopN(usize),
    BottomN(usize),
    MapBatches(usize),
    MapWithResource,
    Rebatch(usize),
}

impl Word {
    /// Whether it may end the stream before its input does.
    pub(crate) const fn cuts(self) -> bool {
        matches!(self, Self::Take(_) | Self::TakeWhile(_) | Self::TakeUntil(_) | Self::Materialize)
    }
}

/// What stands between two words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seam {
    Boxed,
    Boundary,
}

pub(crate) const fn keep_small(n: u32) -> u32 {
    n % 97
}

pub(crate) fn add(sum: &mut u32, n: u32) {
    *sum = keep_small(*sum + n);
}

pub(crate) fn number(seen: &mut u32, n: u32) -> u32 {
    *seen += 1;
    keep_small(n + *seen)
}

pub(crate) fn sum(chunk: &[u32]) -> u32 {
    keep_small(chunk.iter().sum())
}

/// An operator that takes no heed of whether there is room.
#[derive(Clone)]
pub(crate) struct Thrice;

impl Operator<u32> for Thrice {
    type Out = u32;
    const NAME: &'static str = "thrice";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        for _ in 0..3 {
            out.push(record);
        }
        Ok(())
    }
}

pub(crate) fn join(seam: Seam, stream: DataStream<u32, impl Chain<Item = u32>>) -> DataStream<u32> {
    match seam {
        Seam::Boxed => stream.boxed(),
        Seam::Boundary => stream.boundary(),
    }
}

pub(crate) fn say(word: Word, stream: DataStream<u32>, seam: Seam) -> DataStream<u32> {
    match word {
        Word::Map(by) => join(seam, stream.map(move |n| keep_small(n + by))),
        Word::Filter(by) => join(seam, stream.filter(move |n| n.is_multiple_of(by))),
        Word::FilterNot(by) => join(seam, stream.filter_not(move |n| n.is_multiple_of(by))),
        Word::FilterMap(by) => {
            let f = move |n: u32| n.checked_sub(by);
            join(seam, stream.filter_map(f))
        }
        Word::FlatMapIter(by) => join(seam, stream.flat_map_iter(move |n| n..n + n % by)),
        Word::Take(count) => join(seam, stream.take(count)),
        Word::Skip(count) => join(seam, stream.skip(count)),
        Word::TakeWhile(by) => join(seam, stream.take_while(move |n| n % by != 1)),
        Word::TakeUntil(by) => join(seam, stream.take_until(move |n| n % by == 1)),
        Word::SkipWhile(by) => join(seam, stream.skip_while(move |n| n % by != 1)),
        Word::Scan(initial) => join(seam, stream.scan(initial, add)),
        Word::ScanWithInitial(initial) => join(seam, stream.scan_with_initial(initial, add)),
        Word::StatefulMap(by) => {
            let last = move |seen| (seen > by).then_some(seen);
            join(seam, stream.stateful_map(|| 0, number, last))
        }
        Word::Inspect => join(seam, stream.inspect(|_| ())),
        Word::Log => join(seam, stream.log()),
        Word::Dedup => join(seam, stream.dedup()),
        Word::DedupByKey(by) => join(seam, stream.dedup_by_key(move |n| n / by)),
        Word::Chunks(size) => join(seam, stream.chunks(size).map(|chunk| sum(&chunk))),
        Word::ChunksSliding(size, step) => {
            join(seam, stream.chunks_sliding(size, step).map(|chunk| sum(&chunk)))
        }
        Word::Thrice => join(seam, stream.via(Thrice)),
        other => say_more(other, stream, seam),
    }
}

pub(crate) fn say_more(word: Word, stream: DataStream<u32>, seam: Seam) -> DataStream<u32> {
    match word {
        Word::Distinct(max) => join(seam, stream.distinct(max)),
        Word::ZipWithIndex => {
            let add = |(n, index)| keep_small(n + u32::try_from(index).unwrap());
            join(seam, stream.zip_with_index().map(add))
        }
        Word::ZipWithPrevious => {
            let add = |(previous, n): (Option<u32>, _)| keep_small(previous.unwrap_or(5) + n);
            join(seam, stream.zip_with_previous().map(add))
        }
        Word::ZipWithNext => {
            let add = |(n, next): (_, Option<u32>)| keep_small(n + next.unwrap_or(5));
            join(seam, stream.zip_with_next().map(add))
        }
        Word::Intersperse(n) => join(seam, stream.intersperse_between(n, n + 1, n + 2)),
        Word::ChunksWeighted(max) => {
            let chunks = stream.chunks_weighted(max, |n| *n as usize % 3);
            join(seam, chunks.map(|chunk| sum(&chunk)))
        }
        Word::ChunkBy(max, by) => {
            let chunks = stream.chunk_by(max, move |n| n / by);
            join(seam, chunks.map(|chunk| sum(&chunk)))
        }
        Word::DefaultIfEmpty(n) => join(seam, stream.default_if_empty(n)),
        Word::FlattenOptional(by) => {
            join(seam, stream.map(move |n| n.checked_sub(by)).flatten_optional())
        }
        Word::Materialize => {
            let there = stream.materialize().boxed();
            join(seam, there.dematerialize())
        }
        Word::SampleEvery(nth) => join(seam, stream.sample_every(nth)),
        Word::Sort => join(seam, stream.sort(usize::MAX)),
        Word::TopN(count) => join(seam, stream.top_n(count)),
        Word::BottomN(count) => join(seam, stream.bottom_n(count)),
        Word::MapBatches(max) => {
            let add = |values: Vec<u32>| values.into_iter().map(|n| keep_small(n + 1)).collect();
            join(seam, stream.map_batches(max, add))
        }
        Word::MapWithResource => {
            let open = || Ok::<_, std::fmt::Error>(0);
            join(seam, stream.map_with_resource(open, number, Some))
        }
        Word::Rebatch(records) => join(seam, stream.rebatch(records)),
        other => panic!("{other:?} is said elsewhere"),
    }
}

/// The same word on a list, with iterators.
pub(crate) fn model(word: Word, list: Vec<u32>) -> Vec<u32> {
    let items = list.clone().into_iter();
    match word {
        Word::Map(by) => items.map(|n| keep_small(n + by)).collect(),
        Word::Filter(by) => items.filter(|n| n.is_multiple_of(by)).collect(),
        Word::FilterNot(by) => items.filter(|n| !n.is_multiple_of(by)).collect(),
        Word::FilterMap(by) => items.filter_map(|n| n.checked_sub(by)).collect(),
        Word::FlatMapIter(by) => items.flat_map(|n| n..n + n % by).collect(),
        Word::Take(count) => items.take(usize::try_from(count).unwrap()).collect(),
        Word::Skip(count) => items.skip(usize::try_from(count).unwrap()).collect(),
        Word::TakeWhile(by) => items.take_while(|n| n % by != 1).collect(),
        Word::TakeUntil(by) => {
            let found = list.iter().position(|n| n % by == 1);
            items.take(found.map_or(list.len(), |at| at + 1)).collect()
        }
        Word::SkipWhile(by) => items.skip_while(|n| n % by != 1).collect(),
        Word::Scan(initial) => sums(initial, items).collect(),
        Word::ScanWithInitial(initial) => {
            [initial].into_iter().chain(sums(initial, items)).collect()
        }
        Word::StatefulMap(by) => {
            let count = u32::try_from(list.len()).unwrap();
            let numbered = items.zip(1..).map(|(n, seen)| keep_small(n + seen));
            numbered.chain((count > by).then_some(count)).collect()
        }
        Word::Inspect | Word::Log => list,
        Word::Dedup => without_repetitions(list, |n| n),
        Word::DedupByKey(by) => without_repetitions(list, |n| n / by),
        Word::Chunks(size) => list.chunks(size).map(sum).collect(),
        Word::ChunksSliding(size, step) => {
            let chunks = list.windows(size).step_by(step);
            chunks.map(sum).collect()
        }
        Word::Thrice => items.flat_map(|n| [n; 3]).collect(),
        other => model_more(other, list),
    }
}

pub(crate) fn model_more(word: Word, mut list: Vec<u32>) -> Vec<u32> {
    match word {
        Word::Distinct(max) => {
            let mut known = std::collections::VecDeque::new();
            list.retain(|n| {
                let new = !known.contains(n);
                if new {
                    known.push_back(*n);
                    known.drain(..known.len().saturating_sub(max));
                }
                new
            });
            list
        }
        Word::ZipWithIndex => list.into_iter().zip(0..).map(|(n, i)| keep_small(n + i)).collect(),
        Word::ZipWithPrevious => {
            let previous = [5].into_iter().chain(list.clone());
            previous.zip(list).map(|(previous, n)| keep_small(previous + n)).collect()
        }
        Word::ZipWithNext => {
            let next = list.clone().into_iter().skip(1).chain([5]);
            list.into_iter().zip(next).map(|(n, next)| keep_small(n + next)).collect()
        }
        Word::Intersperse(n) => {
            let mut all = vec![n];
            for (index, value) in list.into_iter().enumerate() {
                all.extend((index > 0).then_some(n + 1));
                all.push(value);
            }
            all.push(n + 2);
            all
        }
        Word::ChunksWeighted(max) => {
            let mut chunks: Vec<Vec<u32>> = Vec::new();
            let mut closed = true;
            for n in list {
                let weight = |chunk: &Vec<u32>| chunk.iter().map(|n| *n as usize % 3).sum();
                let held: usize = chunks.last().map_or(0, weight);
                if closed || held + n as usize % 3 > max {
                    chunks.push(Vec::new());
                }
                let last = chunks.last_mut().unwrap();
                last.push(n);
                let held: usize = weight(last);
                closed = held == max;
            }
            chunks.iter().map(|chunk| sum(chunk)).collect()
        }
        Word::ChunkBy(max, by) => {
            let rows = list.chunk_by(|a, b| a / by == b / by);
            rows.flat_map(|row| row.chunks(max)).map(sum).collect()
        }
        other => model_last(other, list),
    }
}

pub(crate) fn model_last(word: Word, mut list: Vec<u32>) -> Vec<u32> {
    match word {
        Word::DefaultIfEmpty(n) => {
            if list.is_empty() {
                vec![n]
            } else {
                list
            }
        }
        Word::FlattenOptional(by) => list.into_iter().filter_map(|n| n.checked_sub(by)).collect(),
        Word::Materialize | Word::Rebatch(_) => list,
        Word::SampleEvery(nth) => list.into_iter().step_by(usize::try_from(nth).unwrap()).collect(),
        Word::Sort => {
            list.sort_unstable();
            list
        }
        Word::TopN(count) => {
            list.sort_unstable_by(|a, b| b.cmp(a));
            list.truncate(count);
            list
        }
        Word::BottomN(count) => {
            list.sort_unstable();
            list.truncate(count);
            list
        }
        Word::MapBatches(_) => list.into_iter().map(|n| keep_small(n + 1)).collect(),
        Word::MapWithResource => {
            let count = u32::try_from(list.len()).unwrap();
            let numbered = list.into_iter().zip(1..).map(|(n, seen)| keep_small(n + seen));
            numbered.chain([count]).collect()
        }
        other => panic!("{other:?} has its model elsewhere"),
    }
}

pub(crate) fn sums(initial: u32, items: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    items.scan(initial, |sum, n| {
        add(sum, n);
        Some(*sum)
    })
}

pub(crate) fn without_repetitions(mut list: Vec<u32>, key: impl Fn(u32) -> u32) -> Vec<u32> {
    list.dedup_by_key(|n| key(*n));
    list
}

pub(crate) fn words() -> impl Strategy<Value = Word> {
    prop_oneof![20 => first_words(), 17 => more_words()]
}

pub(crate) fn more_words() -> impl Strategy<Value = Word> {
    prop_oneof![
        (1..9_usize).prop_map(Word::Distinct),
        Just(Word::ZipWithIndex),
        Just(Word::ZipWithPrevious),
        Just(Word::ZipWithNext),
        (0..9_u32).prop_map(Word::Intersperse),
        (2..9_usize).prop_map(Word::ChunksWeighted),
        (1..5_usize, 1..30_u32).prop_map(|(max, by)| Word::ChunkBy(max, by)),
        (0..9_u32).prop_map(Word::DefaultIfEmpty),
        (0..9_u32).prop_map(Word::FlattenOptional),
        Just(Word::Materialize),
        (1..5_u64).prop_map(Word::SampleEvery),
        Just(Word::Sort),
        (0..9_usize).prop_map(Word::TopN),
        (0..9_usize).prop_map(Word::BottomN),
        (1..5_usize).prop_map(Word::MapBatches),
        Just(Word::MapWithResource),
        (1..5_usize).prop_map(Word::Rebatch),
    ]
}

pub(crate) fn first_words() -> impl Strategy<Value = Word> {
    prop_oneof![
        (0..9_u32).prop_map(Word::Map),
        (1..4_u32).prop_map(Word::Filter),
        (2..4_u32).prop_map(Word::FilterNot),
        (0..9_u32).prop_map(Word::FilterMap),
        (1..5_u32).prop_map(Word::FlatMapIter),
        (0..20_u64).prop_map(Word::Take),
        (0..9_u64).prop_map(Word::Skip),
        (5..30_u32).prop_map(Word::TakeWhile),
        (5..30_u32).prop_map(Word::TakeUntil),
        (2..5_u32).prop_map(Word::SkipWhile),
        (0..9_u32).prop_map(Word::Scan),
        (0..9_u32).prop_map(Word::ScanWithInitial),
        (0..9_u32).prop_map(Word::StatefulMap),
        Just(Word::Inspect),
        Just(Word::Log),
        Just(Word::Dedup),
        (1..9_u32).prop_map(Word::DedupByKey),
        (1..5_usize).prop_map(Word::Chunks),
        (1..5_usize, 1..5_usize).prop_map(|(size, step)| Word::ChunksSliding(size, step)),
        Just(Word::Thrice),
    ]
}

pub(crate) fn seams() -> impl Strategy<Value = Seam> {
    prop_oneof![Just(Seam::Boxed), Just(Seam::Boundary)]
}
