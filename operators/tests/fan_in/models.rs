//! Random inputs against small models, at every size of batch and edge.

use millstream_operators::fan::MergeEnd;
use millstream_operators::prelude::*;
use proptest::prelude::*;

use super::{Stream, sorted};

/// A run of two lists through a word.
fn run<T: Send + 'static>(
    options: JobOptions,
    left: Vec<u32>,
    right: Vec<u32>,
    word: impl FnOnce(Stream, Stream) -> DataStream<T>,
) -> Vec<T> {
    let flow = Dataflow::new("modelled");
    let left = flow.source("one", source::from_iter(left)).boxed();
    let right = flow.source("two", source::from_iter(right)).boxed();
    let out = word(left, right).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(flow.run_with(options)).unwrap().take(out).unwrap()
}

fn options() -> impl Strategy<Value = JobOptions> {
    let sizes = (1..=5_usize, 1..=4_usize, any::<u64>());
    sizes.prop_map(|(batch, capacity, schedule)| {
        let options = JobOptions::default().with_batch_records(batch);
        options.with_edge_capacity(capacity).with_schedule_seed(schedule)
    })
}

fn values() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..50_u32, 0..20)
}

proptest! {
    #[test]
    fn f3_zip_is_that_of_iterators(options in options(), a in values(), b in values()) {
        let expected: Vec<_> = a.iter().copied().zip(b.iter().copied()).collect();
        prop_assert_eq!(run(options, a, b, DataStream::zip), expected);
    }

    #[test]
    fn f12_zip_all_pads_the_shorter(options in options(), a in values(), b in values()) {
        let longer = a.len().max(b.len());
        let of = |list: &[u32], at: usize, pad| list.get(at).copied().unwrap_or(pad);
        let expected: Vec<_> = (0..longer).map(|n| (of(&a, n, 98), of(&b, n, 99))).collect();
        let pairs = run(options, a, b, |one, two| one.zip_all(two, 98, 99));
        prop_assert_eq!(pairs, expected);
    }

    #[test]
    fn f5_merge_sorted_sorts_what_is_sorted(options in options(), a in values(), b in values()) {
        let (a, b) = (sorted(a), sorted(b));
        let expected = sorted([a.clone(), b.clone()].concat());
        let merged = run(options, a, b, DataStream::merge_sorted);
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn f5_of_equal_records_the_left_come_first(options in options(), a in values(), b in values()) {
        let (a, b) = (sorted(a), sorted(b));
        let mark = |side: u32| move |n: u32| (n, side);
        let mut expected: Vec<_> = a.iter().map(|n| (*n, 0)).collect();
        expected.extend(b.iter().map(|n| (*n, 1)));
        expected.sort_unstable();
        let merged = run(options, a, b, |one, two| {
            let compare = |x: &(u32, u32), y: &(u32, u32)| x.0.cmp(&y.0);
            one.map(mark(0)).merge_sorted_by(two.map(mark(1)), compare)
        });
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn f11_interleave_takes_so_many_of_each(
        options in options(), a in values(), b in values(), count in 1..5_usize,
    ) {
        let (mut one, mut two) = (a.iter().copied(), b.iter().copied());
        let mut expected = Vec::new();
        while one.len() + two.len() > 0 {
            expected.extend(one.by_ref().take(count));
            expected.extend(two.by_ref().take(count));
        }
        let all = run(options, a, b, |one, two| one.interleave(two, count));
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn f10_one_stream_comes_before_the_other(options in options(), a in values(), b in values()) {
        let expected = [a.clone(), b.clone()].concat();
        let eager = run(options.clone(), a.clone(), b.clone(), DataStream::concat_eager);
        prop_assert_eq!(eager, expected.clone());
        let prepended = run(options.clone(), b.clone(), a.clone(), DataStream::prepend);
        prop_assert_eq!(prepended, expected.clone());
        let started = run(options, b, Vec::new(), |one, _two| {
            _two.ignore();
            one.start_with(a)
        });
        prop_assert_eq!(started, expected);
    }

    #[test]
    fn f1_every_merge_keeps_all_and_the_order_of_each(
        options in options(), a in values(), b in values(), way in 0..5,
    ) {
        let mark = |side: u32| move |n: u32| (side, n);
        let merged = run(options, a.clone(), b.clone(), |one, two| {
            let (one, two) = (one.map(mark(0)), two.map(mark(1)));
            match way {
                0 => one.merge(two),
                1 => one.merge_until(two, MergeEnd::Last),
                2 => one.merge_preferred(two),
                3 => one.boxed().merge_prioritized(3, [(two.boxed(), 1)]),
                _ => one.connect(two).map(|left| left, |right| right).boxed(),
            }
        });
        for (side, of_side) in [(0, a), (1, b)] {
            let kept = merged.iter().filter(|(from, _)| *from == side).map(|(_, n)| *n);
            prop_assert_eq!(kept.collect::<Vec<_>>(), of_side);
        }
    }

    #[test]
    fn f1_the_end_is_the_one_chosen(options in options(), a in values(), b in values()) {
        let mark = |side: u32| move |n: u32| (side, n);
        for end in [MergeEnd::First, MergeEnd::Left, MergeEnd::Right] {
            let merged = run(options.clone(), a.clone(), b.clone(), |one, two| {
                one.map(mark(0)).merge_until(two.map(mark(1)), end)
            });
            let of = |side| merged.iter().filter(|(from, _)| *from == side).count();
            let (left, right) = (of(0) == a.len(), of(1) == b.len());
            let whole = match end {
                MergeEnd::Left => left,
                MergeEnd::Right => right,
                MergeEnd::First | MergeEnd::Last => left || right,
            };
            prop_assert!(whole, "{:?} of {} and {}", end, of(0), of(1));
        }
    }

    #[test]
    fn f4_zip_latest_pairs_the_latest(options in options(), a in values(), b in values()) {
        let number = |list: Vec<u32>| (0..).take(list.len()).collect::<Vec<u32>>();
        let (a, b) = (number(a), number(b));
        let join = |left: &u32, right: &u32| (*left, *right);
        let pairs = run(options, a.clone(), b.clone(), |one, two| {
            one.zip_latest_with(two, MergeEnd::Last, join)
        });
        prop_assert_eq!(pairs.is_empty(), a.is_empty() || b.is_empty());
        for two in pairs.windows(2) {
            let steps = (two[1].0 - two[0].0, two[1].1 - two[0].1);
            prop_assert!(steps == (0, 1) || steps == (1, 0), "{:?}", two);
        }
        if let Some(last) = pairs.last() {
            prop_assert_eq!((last.0, last.1), (*a.last().unwrap(), *b.last().unwrap()));
        }
    }

    #[test]
    fn f15_race_gives_all_of_one_and_nothing_of_the_other(
        options in options(), a in values(), b in values(),
    ) {
        let winner = run(options, a.clone(), b.clone(), DataStream::race);
        prop_assert!(winner == a || winner == b);
        prop_assert_eq!(winner.is_empty(), a.is_empty() && b.is_empty());
    }
}
