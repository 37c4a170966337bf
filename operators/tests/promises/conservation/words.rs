//! Words with one input and one output, and no failures of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_operators::control::KillSwitch;
use millstream_operators::prelude::*;
use millstream_operators::timing::{Rate, RateLimiter, Switch};

use super::super::{Expand, First};
use super::draft::{Draft, Grown};
use super::model::{Model, Sure};

fn small(n: u64) -> u64 {
    n % 1000
}

fn sum(chunk: &[u64]) -> u64 {
    small(chunk.iter().sum())
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const HOUR: Duration = Duration::from_secs(3600);

impl Draft {
    /// Words that treat each record alike.
    pub(crate) fn say_alike(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let by = self.below(4);
        let copies = self.size() - 1;
        match self.below(15) {
            0 => (
                stream.filter(move |n| n % 3 != by).boxed(),
                model.each(|n| (n % 3 != by).then_some(n)),
            ),
            1 => (
                stream.filter_not(move |n| n % 3 == by).boxed(),
                model.each(|n| (n % 3 != by).then_some(n)),
            ),
            2 => (
                stream.filter_map(move |n| n.checked_sub(by)).boxed(),
                model.each(|n| n.checked_sub(by)),
            ),
            3 => (
                stream.flat_map_iter(move |n| std::iter::repeat_n(n, copies)).boxed(),
                model.each(|n| std::iter::repeat_n(n, copies)),
            ),
            4 | 5 => (
                stream.via(Expand::new(by, self.coin())).boxed(),
                model.each(|n| std::iter::repeat_n(n, usize::try_from(by).unwrap())),
            ),
            6 => (stream.map(move |n| small(n + by)).boxed(), model.map(|n| small(n + by))),
            7 => (
                stream.map(move |n| n.checked_sub(by)).flatten_optional().boxed(),
                model.each(|n| n.checked_sub(by)),
            ),
            8 => (stream.map_batches(self.size(), |all| all).boxed(), model),
            9 => (stream.log().boxed(), model),
            10 => (stream.inspect(|_| ()).boxed(), model),
            11 => (stream.elapsed().map(|(n, _)| n).boxed(), model),
            12 => (stream.timestamp().map(|(n, _)| n).boxed(), model),
            13 => (stream.limit(1_000_000).boxed(), model),
            _ => {
                // A record's hash and the order decide.
                let model = model.at_most(Sure::Nothing);
                match by {
                    0 => (stream.sample_by_key(0.5, |n| *n).boxed(), model),
                    _ => (stream.sample_ratio(0.5).boxed(), model),
                }
            }
        }
    }

    /// Words to which the order matters.
    #[allow(clippy::too_many_lines, reason = "one arm for each word")]
    pub(crate) fn say_in_order(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let single = stream.parallelism() == 1;
        let (by, size) = (self.below(9), self.size());
        let pairs = |list: Vec<u64>, next: Vec<u64>| -> Vec<u64> {
            list.into_iter().zip(next).map(|(n, m)| small(n + m)).collect()
        };
        match self.below(12) {
            0 => {
                let add = |sum: &mut u64, n| *sum = small(*sum + n);
                let sums = |list: Vec<u64>| {
                    let sums = list.into_iter().scan(by, |sum, n| {
                        add(sum, n);
                        Some(*sum)
                    });
                    sums.collect()
                };
                (stream.scan(by, add).boxed(), model.same_count(sums))
            }
            1 => {
                let add = |(n, index)| small(n + index);
                let model = model.same_count(|list| list.into_iter().zip(0..).map(add).collect());
                (stream.zip_with_index().map(add).boxed(), model)
            }
            2 => {
                let add = move |(previous, n): (Option<u64>, _)| small(previous.unwrap_or(by) + n);
                let previous = |list: Vec<u64>| pairs([vec![by], list.clone()].concat(), list);
                (stream.zip_with_previous().map(add).boxed(), model.same_count(previous))
            }
            3 => {
                let add = move |(n, next): (_, Option<u64>)| small(next.unwrap_or(by) + n);
                let next = |mut list: Vec<u64>| {
                    let all = list.clone();
                    list.push(by);
                    pairs(all, list.split_off(1))
                };
                (stream.zip_with_next().map(add).boxed(), model.same_count(next))
            }
            4 => {
                let model = model.counted(single, |list| list.windows(size).map(sum).collect());
                (stream.chunks_sliding(size, 1).map(|chunk| sum(&chunk)).boxed(), model)
            }
            5 => {
                let between = |list: Vec<u64>| {
                    let mut all: Vec<_> = list.into_iter().flat_map(|n| [by, n]).collect();
                    all.drain(..all.len().min(1));
                    all
                };
                (stream.intersperse(by).boxed(), model.counted(single, between))
            }
            6 => {
                let fill = |list: Vec<u64>| if list.is_empty() { vec![by] } else { list };
                (stream.default_if_empty(by).boxed(), model.gathered(single, Sure::Bag, fill))
            }
            7 => {
                let model = model.ordered(|mut list| {
                    list.dedup();
                    list
                });
                (stream.dedup().boxed(), model)
            }
            8 => {
                let model = model.ordered(|mut list| {
                    list.dedup_by_key(|n| *n / 3);
                    list
                });
                (stream.dedup_by_key(|n| n / 3).boxed(), model)
            }
            9 => {
                let each = |list: Vec<u64>| list.into_iter().collect::<BTreeSet<_>>();
                let each = |list| each(list).into_iter().collect();
                (stream.distinct(1_000_000).boxed(), model.gathered(single, Sure::Bag, each))
            }
            10 => {
                let with_count = |list: Vec<u64>| {
                    let count = list.len() as u64;
                    let numbered = list.into_iter().zip(1..).map(|(n, seen)| small(n + seen));
                    numbered.chain([count]).collect()
                };
                let number = |seen: &mut u64, n| {
                    *seen += 1;
                    small(n + *seen)
                };
                let grown = if self.coin() {
                    stream.stateful_map(|| 0, number, Some).boxed()
                } else {
                    let open = || Ok::<_, OperatorError>(0);
                    stream.map_with_resource(open, number, Some).boxed()
                };
                (grown, model.counted(single, with_count))
            }
            _ => self.say_sorted(stream, model),
        }
    }

    fn say_sorted(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let single = stream.parallelism() == 1;
        let count = self.size();
        let sorted = |mut list: Vec<u64>| {
            list.sort_unstable();
            list
        };
        match self.below(3) {
            0 => {
                let model = if single {
                    model.gathered(true, Sure::Order, sorted)
                } else {
                    model.at_most(Sure::Bag)
                };
                (stream.sort(1_000_000).boxed(), model)
            }
            1 => {
                let least = |list| sorted(list).into_iter().take(count).collect();
                (stream.bottom_n(count).boxed(), model.gathered(single, Sure::Bag, least))
            }
            _ => {
                let most = |list| sorted(list).into_iter().rev().take(count).collect();
                (stream.top_n(count).boxed(), model.gathered(single, Sure::Bag, most))
            }
        }
    }

    /// The beginning of a stream, the rest, or a share of it.
    pub(crate) fn say_cut(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let single = stream.parallelism() == 1;
        let (by, count) = (self.below(7), self.below(12));
        let many = usize::try_from(count).unwrap();
        let first = |list: Vec<u64>| list.into_iter().take(many).collect();
        let word = self.below(8);
        self.cut |= word < 5;
        match word {
            0 => (stream.take(count).boxed(), model.counted(single, first)),
            1 => (stream.via(First(count)).boxed(), model.counted(single, first)),
            2 => {
                let whole = |list: Vec<u64>| list.into_iter().take_while(|n| n % 7 != by).collect();
                (stream.take_while(move |n| n % 7 != by).boxed(), model.ordered(whole))
            }
            3 => {
                let until = |list: Vec<u64>| {
                    let found = list.iter().position(|n| n % 7 == by);
                    list.into_iter().take(found.map_or(usize::MAX, |at| at + 1)).collect()
                };
                (stream.take_until(move |n| n % 7 == by).boxed(), model.ordered(until))
            }
            4 => (stream.materialize().dematerialize().boxed(), model),
            5 => {
                let rest = |list: Vec<u64>| list.into_iter().skip(many).collect();
                (stream.skip(count).boxed(), model.counted(single, rest))
            }
            6 => {
                let rest = |list: Vec<u64>| list.into_iter().skip_while(|n| n % 7 != by).collect();
                (stream.skip_while(move |n| n % 7 != by).boxed(), model.ordered(rest))
            }
            _ => {
                let share = |list: Vec<u64>| list.into_iter().step_by(many + 1).collect();
                (stream.sample_every(count + 1).boxed(), model.counted(single, share))
            }
        }
    }

    /// Groups that are taken apart again.
    pub(crate) fn say_grouped(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (size, wait) = (self.size(), millis(1 + self.below(9)));
        let weight = |n: &u64| usize::try_from(n % 3).unwrap();
        let grown = match self.below(6) {
            0 => stream.chunks(size).flat_map_iter(|chunk| chunk).boxed(),
            1 => stream.chunks_weighted(size + 2, weight).flat_map_iter(|chunk| chunk).boxed(),
            2 => stream.chunk_by(size, |n| n / 3).flat_map_iter(|chunk| chunk).boxed(),
            3 => stream.chunks_timeout(size, wait).flat_map_iter(|chunk| chunk).boxed(),
            4 => {
                let chunks = stream.chunks_weighted_timeout(size + 2, wait, weight);
                chunks.flat_map_iter(|chunk| chunk).boxed()
            }
            _ => {
                let add = move |list: &mut Vec<u64>, n| {
                    list.push(n);
                    n % 3 == 0
                };
                let groups = stream.aggregate_with_boundary(Vec::new, add, wait);
                groups.flat_map_iter(|group| group).boxed()
            }
        };
        (grown, model)
    }

    /// Words that take their time.
    pub(crate) fn say_slowly(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (size, wait) = (self.size(), millis(1 + self.below(9)));
        let burst = 1 + u32::try_from(self.below(4)).unwrap();
        let rate = Rate::new(1, wait).with_burst(burst);
        let weight = |n: &u64| u32::try_from(n % 2).unwrap();
        let limiter = RateLimiter::with_clock("shared", rate, self.hand.clock());
        let word = self.below(20);
        self.cut |= word == 12;
        let grown = match word {
            0 => stream.batch_min(size, wait).boxed(),
            1 => stream.delay(wait, size).boxed(),
            2 => stream.initial_delay(wait).boxed(),
            3 => stream.throttle(rate).boxed(),
            4 => stream.throttle_weighted(rate, weight).boxed(),
            5 => stream.limited_by(&limiter).boxed(),
            6 => {
                stream.limited_by(&limiter).boundary().limited_by_weighted(&limiter, weight).boxed()
            }
            7 => stream.idle_timeout(HOUR).boxed(),
            8 => stream.initial_timeout(HOUR).boxed(),
            9 => stream.completion_timeout(HOUR).boxed(),
            10 => stream.pause_when(&Switch::new()).boxed(),
            11 => stream.take_until_signal(&Switch::new()).boxed(),
            _ => return (self.lose(stream, word), model.at_most(Sure::Nothing)),
        };
        (grown, model)
    }

    /// Words that drop what comes at the wrong time, or add something.
    fn lose(&mut self, stream: DataStream<u64>, word: u64) -> DataStream<u64> {
        let wait = millis(1 + self.below(9));
        let rate = Rate::new(1, wait);
        match word {
            12 => stream.take_within(wait).boxed(),
            13 => stream.skip_within(wait).boxed(),
            14 => stream.debounce(wait).boxed(),
            15 => stream.sample(wait).boxed(),
            16 => stream.audit(wait).boxed(),
            17 => stream.sample_first(wait).boxed(),
            18 => stream.keep_alive(wait, || 7).boxed(),
            _ => stream.throttle_by_key_or_drop(rate, 100, |n| n % 3).boxed(),
        }
    }

    /// Edges of every kind.
    pub(crate) fn say_at_an_edge(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let size = self.size();
        let instances = stream.parallelism();
        let sure = if instances == 1 { Sure::Order } else { Sure::Bag };
        match self.below(13) {
            0 => (stream.boundary(), model),
            1 => {
                let instances = self.size();
                let sure = if instances == 1 { sure } else { Sure::Bag };
                (stream.parallel(instances), model.at_most(sure))
            }
            2 => (stream.gather(), model.at_most(sure)),
            3 => (stream.rebalance(), model.at_most(sure)),
            4 => (stream.rebatch(size), model),
            5 => (stream.boundary().batch_limit(size), model),
            6 => (stream.boundary().with_capacity(size), model),
            7 => (stream.boundary().with_byte_capacity(8 * size, |_| 8), model),
            8 => (stream.detach(), model),
            9 => (stream.last_in_first_out(), model.at_most(Sure::Bag)),
            10 => {
                let priority = |n: &u64| i64::try_from(n % 5).unwrap();
                (stream.prioritized(priority), model.at_most(Sure::Bag))
            }
            11 => (stream.buffer(size, WhenFull::Block), model),
            _ => (self.overflow(stream, size), model.at_most(Sure::Nothing)),
        }
    }

    fn overflow(&mut self, stream: DataStream<u64>, size: usize) -> DataStream<u64> {
        let merge = |sum: &mut u64, n| *sum = small(*sum + n);
        match self.below(8) {
            0 => stream.buffer(size, WhenFull::DropNewest),
            1 => stream.buffer(size, WhenFull::DropOldest),
            2 => stream.buffer(size, WhenFull::DropAll),
            3 => stream.buffer(size, WhenFull::Sample),
            4 => stream.conflate(merge),
            5 => stream.conflate_up_to(size, merge),
            6 => stream.conflate_with_seed(|n| n, merge).boxed(),
            _ => stream.boundary().conflate_when_full(merge),
        }
    }

    /// Words that do nothing as long as nobody makes them.
    pub(crate) fn say_guarded(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        if self.coin() {
            let switch = KillSwitch::new("off");
            return (stream.kill_switch(&switch).boxed(), model);
        }
        let count = self.finally.count(stream.parallelism());
        let stream = stream.finally(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        (stream.boxed(), model)
    }
}
