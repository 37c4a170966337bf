//! Words that wait for futures, and words with something to fall back on when user code fails.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use millstream_engine::time::Sleep;
use millstream_operators::group::{AtLimit, Groups};
use millstream_operators::prelude::*;

use super::draft::{Draft, Grown};
use super::model::{Model, Sure};

/// What user code says to every third record.
fn refuse(n: u64) -> Result<u64, std::io::Error> {
    if n % 3 == 1 { Err(std::io::Error::other("refused")) } else { Ok(n + 1) }
}

fn accepted(n: u64) -> Option<u64> {
    refuse(n).ok()
}

fn refused(n: u64) -> Option<u64> {
    refuse(n).is_err().then_some(n)
}

impl Draft {
    /// A short time for each record.
    fn nap(&mut self) -> impl Fn(u64) -> Sleep + Clone + Send + Sync + 'static {
        let (clock, factor) = (self.hand.clock(), self.below(5));
        move |n| clock.sleep(Duration::from_millis(n * factor % 7))
    }

    /// One call for each record.
    pub(crate) fn say_with_calls(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (nap, most) = (self.nap(), self.size());
        let call = move |n: u64| {
            let nap = nap(n);
            async move {
                nap.await;
                n % 1000 + 1
            }
        };
        let key = |n: &u64| n % 3;
        let later = model.map(|n| n % 1000 + 1);
        match self.below(9) {
            0 | 1 => (stream.map_async(most, call), later),
            2 => (stream.map_async(Concurrency::adaptive(1, 4), call), later),
            3 => (stream.map_async_unordered(most, call), later.at_most(Sure::Bag)),
            4 => (stream.map_async_keyed(most, key, call), later),
            5 => {
                let grown = stream.map_async_keyed_unordered(most, key, call);
                (grown, later.at_most(Sure::Bag))
            }
            6 if self.below(8) == 0 => {
                self.blocking = true;
                (stream.map_blocking(most, |n| n % 1000 + 1), later)
            }
            6 | 7 => {
                let ask = move |keys: Vec<u64>| {
                    let answers =
                        keys.iter().map(|n| (*n, n % 1000 + 1)).collect::<BTreeMap<_, _>>();
                    let nap = call(keys.len() as u64);
                    async move {
                        nap.await;
                        Ok::<_, OperatorError>(answers)
                    }
                };
                let lookup = Lookup::default().with_calls(most).with_keys_per_call(self.size());
                let lookup = if self.coin() {
                    lookup.with_cache(5, Duration::from_millis(20))
                } else {
                    lookup
                };
                let found = stream.lookup_async(lookup, |n| *n, ask);
                (found.map(|(_, answer)| answer.unwrap()).boxed(), later)
            }
            _ => {
                let step = move |sum: u64, n: u64| {
                    let sum = (sum + n) % 1000;
                    let nap = call(n);
                    async move {
                        nap.await;
                        (sum, sum)
                    }
                };
                let model = later.map(|n| n - 1).same_count(|list| {
                    let sums = list.into_iter().scan(5, |sum, n| {
                        *sum = (*sum + n) % 1000;
                        Some(*sum)
                    });
                    sums.collect()
                });
                (stream.scan_async(5, step), model)
            }
        }
    }

    /// A stream for each record.
    pub(crate) fn say_with_streams(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (nap, most, copies) = (self.nap(), self.size(), self.size() - 1);
        let open = move |n: u64| {
            let nap = nap.clone();
            stream::iter(0..copies).then(move |at| {
                let nap = nap(n + at as u64);
                async move {
                    nap.await;
                    n
                }
            })
        };
        let fallible = {
            let open = open.clone();
            move |n| open(n).map(Ok::<_, OperatorError>)
        };
        let model = model.each(|n| std::iter::repeat_n(n, copies));
        match self.below(6) {
            0 => (stream.flat_map_concat(open), model),
            1 => (stream.flat_map_sequential(most, open), model),
            2 => (stream.flat_map_merge(most, open), model.at_most(Sure::Bag)),
            3 => (stream.try_flat_map_concat(fallible), model),
            4 => (stream.try_flat_map_merge(most, fallible), model.at_most(Sure::Bag)),
            _ => (stream.switch_map(open), model.at_most(Sure::Nothing)),
        }
    }

    fn letters(&mut self, lost: &Model) -> OnError<u64> {
        let name = self.name("side");
        let (letters, stream) = self.flow.dead_letters(&name);
        let stream = stream.map(|letter| letter.original).boxed();
        self.open.push((stream, lost.clone().at_most(Sure::Bag).unless_cut()));
        OnError::dead_letter(&letters)
    }

    /// A policy, and what is left of a stream under it. A retry helps every time.
    fn policy(&mut self, model: Model) -> (OnError<u64>, Model, bool) {
        let lost = model.clone().each(refused);
        match self.below(3) {
            0 => (OnError::skip(), model.each(accepted), false),
            1 => (self.letters(&lost), model.each(accepted), false),
            _ => {
                let backoff = Backoff::default().with_initial(Duration::from_millis(1));
                (OnError::retry(backoff.with_attempts(40)), model.map(|n| n + 1), true)
            }
        }
    }

    /// Attempts that may fail.
    pub(crate) fn say_with_attempts(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (policy, mut model, retried) = self.policy(model);
        let tries = Arc::new(AtomicU64::new(self.below(9)));
        let attempt = move |n: &u64| match refuse(*n) {
            Err(_) if retried && tries.fetch_add(1, SeqCst).is_multiple_of(3) => Ok(n + 1),
            answer => answer,
        };
        let word = self.below(7);
        if word > 3 {
            let (nap, most) = (self.nap(), self.size());
            let call = move |n: u64| {
                let (nap, answer) = (nap(n), attempt(&n));
                async move {
                    nap.await;
                    answer
                }
            };
            let policy = CallPolicy::new(policy).with_timeout(Duration::from_secs(3600));
            let policy = policy.with_attempt_timeout(Duration::from_secs(60));
            return match word {
                4 => (stream.try_map_async(most, policy, call).boxed(), model),
                5 => {
                    let called = stream.try_map_async_unordered(most, policy, call);
                    (called.boxed(), model.at_most(Sure::Bag))
                }
                _ => {
                    let called = stream.try_map_async_keyed(most, policy, |n| n % 3, call);
                    (called.boxed(), model)
                }
            };
        }
        let grown = match word {
            0 => stream.try_map(policy, attempt).boxed(),
            1 => {
                model = model.map(|n| n - 1);
                stream.try_filter(policy, move |n| attempt(n).map(|_| true)).boxed()
            }
            2 => stream.try_filter_map(policy, move |n| attempt(n).map(Some)).boxed(),
            _ => {
                model = model.each(|n| [n, n]);
                stream.try_flat_map_iter(policy, move |n| attempt(n).map(|n| [n, n])).boxed()
            }
        };
        (grown, model)
    }

    /// Operators and sections that are looked after.
    pub(crate) fn say_supervised(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let panics = self.coin();
        let try_out = move |n: u64| match refuse(n) {
            Err(_) if panics => panic!("refused"),
            answer => answer,
        };
        let attempt = move |n: &u64| try_out(*n);
        match self.below(5) {
            0 => {
                let attempts = stream.try_map(OnError::fail(), attempt);
                (attempts.supervise(Supervision::resume()).boxed(), model.each(accepted))
            }
            1 => {
                let attempts = stream.try_map(OnError::fail(), attempt);
                let restarted = attempts.supervise(Supervision::restart());
                (restarted.boxed(), model.each(accepted))
            }
            2 => {
                let attempts = stream.try_map(OnError::fail(), |n| refuse(*n));
                let guarded = attempts.supervise(Supervision::resume()).boxed();
                (guarded, model.each(accepted))
            }
            3 => {
                let lost = model.clone().each(refused).at_most(Sure::Bag).unless_cut();
                let (name, copies) = (self.name("section"), self.size());
                let tried = name.replace("section", "tried");
                let (stream, caught) = stream.try_catch(&name, move |section| {
                    let section = section.map(|n| n).try_map(OnError::fail(), |n| refuse(*n));
                    let section = section.named(&tried);
                    section.flat_map_iter(move |n| std::iter::repeat_n(n, copies))
                });
                let caught = caught.named(&self.name("side")).map(|caught| caught.value).boxed();
                self.open.push((caught, lost));
                let model = model.each(accepted);
                (stream.boxed(), model.each(|n| std::iter::repeat_n(n, copies)))
            }
            _ => {
                let left = Arc::new(AtomicU64::new(self.below(30)));
                let backoff = Backoff::default().with_initial(Duration::from_millis(1));
                let cut = self.coin();
                let section = stream.restart_section(backoff, move |section| {
                    let left = Arc::clone(&left);
                    let once = move |_: &u64| assert!(left.fetch_sub(1, SeqCst) != 0, "once");
                    let section = section.inspect(once);
                    if cut { section.boundary() } else { section.boxed() }
                });
                (section, model)
            }
        }
    }

    /// By key.
    pub(crate) fn say_by_key(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (keys, size) = (1 + self.below(4), self.size());
        let key = move |n: &u64| n % keys;
        let single = stream.parallelism() == 1;
        match self.below(5) {
            4 => {
                let keyed = stream.key_by(key).parallel(size).combined(size);
                let sums = keyed.reduce(|sum, n| *sum += n).map(|(_, sum)| sum % 1000);
                (sums.boxed(), model.sums(keys))
            }
            0 => {
                let keyed = stream.key_by(key).parallel(size);
                let sums = keyed.fold(0, |sum, n| *sum += n).map(|(_, sum)| sum % 1000);
                (sums.boxed(), model.sums(keys))
            }
            1 => {
                let keyed = stream.key_by(key).parallel(size);
                let counts = keyed.running_count().map(|(_, count)| count);
                let model = model.same_count(|list| list).at_most(Sure::Count);
                (counts.boxed(), model)
            }
            2 => {
                let idle = Duration::from_millis(1 + self.below(9));
                let groups = Groups::new(size, idle, AtLimit::Evict);
                let grouped = stream
                    .group_by(key, groups)
                    .each(move |group| group.chunks(size).flat_map_iter(|chunk| chunk));
                (grouped.map(|(_, n)| n).boxed(), model.at_most(Sure::Bag))
            }
            _ => {
                let sure = if single && size as u64 >= keys { Sure::Bag } else { Sure::Nothing };
                let name = self.name("side");
                let (diverted, rest) = self.flow.diverted::<u64>(&name);
                let groups =
                    Groups::new(size, Duration::from_secs(3600), AtLimit::Divert(diverted));
                let grouped =
                    stream.group_by(key, groups).each(|group| group.filter(|n| n % 2 == 0));
                let nothing = Model { values: model.values.clone(), ..model.clone() };
                self.open.push((rest, nothing.at_most(Sure::Nothing)));
                let model = model.each(|n| (n % 2 == 0).then_some(n));
                (grouped.map(|(_, n)| n).boxed(), model.at_most(sure))
            }
        }
    }

    /// Something that doesn't answer, and somebody who has no patience.
    pub(crate) fn stall(&mut self, stream: DataStream<u64>) -> DataStream<u64> {
        let short = Duration::from_millis(1 + self.below(5));
        let hang = |_| pending::<u64>();
        match self.below(5) {
            0 => {
                let policy = CallPolicy::new(OnError::fail()).with_timeout(short);
                let hang = |_| pending::<Result<u64, OperatorError>>();
                stream.try_map_async(2, policy, hang).boxed()
            }
            1 => stream.map_async(2, hang).idle_timeout(short).boxed(),
            2 => stream.map_async(2, hang).initial_timeout(short).boxed(),
            3 => stream.map_async(2, hang).boundary().completion_timeout(short).boxed(),
            _ => stream.flat_map_merge(2, |_| stream::pending()).idle_timeout(short).boxed(),
        }
    }
}
