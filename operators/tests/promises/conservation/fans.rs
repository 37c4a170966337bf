//! Words with several outputs or inputs.

use std::time::Duration;

use millstream_engine::edge::{Broadcast, Order};
use millstream_engine::graph::EdgeOptions;
use millstream_engine::operator::{Collector, Operator};
use millstream_operators::fan::{Either, MergeEnd};
use millstream_operators::prelude::*;

use super::super::Expand;
use super::draft::{Draft, Grown};
use super::model::{Model, Sure};

impl Draft {
    /// Puts the branches of a stream into the graph. What they are to it is said by their names.
    fn branch(&mut self, what: &str, branches: impl IntoIterator<Item = Grown>) {
        for (branch, model) in branches {
            let name = self.name(what);
            self.open.push((branch.named(&name), model));
        }
    }

    pub(crate) fn fork(&mut self, stream: DataStream<u64>, model: Model) {
        let count = 1 + self.size();
        let nothing = model.clone().at_most(Sure::Nothing);
        let bag = model.clone().at_most(Sure::Bag);
        let keys = count as u64;
        let of = |key: u64| move |n: u64| (n % keys == key).then_some(n);
        match self.below(12) {
            0 => self.lossy_fork(stream, &model),
            1 => {
                let all = stream.broadcast_to(count, OnCancel::Continue);
                self.branch("copy", all.into_iter().map(|one| (one, model.clone())));
            }
            2 => {
                let all = stream.broadcast_to(count, OnCancel::CancelAll);
                let model = model.unless_cut();
                self.branch("copy", all.into_iter().map(|one| (one, model.clone())));
            }
            3 => {
                let all = stream.balance_to(count);
                self.branch("part", all.into_iter().map(|one| (one, nothing.clone())));
            }
            4 => {
                let mut all = stream.balance_to(count).into_iter();
                let named = all.by_ref().map(|one| one.named(&self.name("part")));
                let mut named = named.collect::<Vec<_>>().into_iter();
                let first = named.next().unwrap();
                self.open.push((first.merge_all(named), bag.unless_cut()));
            }
            5 => {
                let all = stream.partition_to(count, move |n| usize::try_from(n % keys).unwrap());
                let models = (0..keys).map(|key| model.clone().each(of(key)));
                self.branch("part", all.into_iter().zip(models));
            }
            6 => {
                let (zeros, others) = stream.split(move |n| n % keys == 0);
                let rest = model.clone().each(|n| (n % keys != 0).then_some(n));
                self.branch("part", [(zeros, model.each(of(0))), (others, rest)]);
            }
            7 => {
                let (zero, one, rest) = (self.name("part"), self.name("part"), self.name("part"));
                let mut routes = stream.routes();
                let zeros = routes.when(&zero, move |n| n % keys == 0);
                let ones = routes.when(&one, move |n| n % keys == 1);
                let others = routes.otherwise(&rest);
                self.open.push((zeros, model.clone().each(of(0))));
                self.open.push((ones, model.clone().each(of(1))));
                self.open.push((others, model.each(|n| (n % keys > 1).then_some(n))));
            }
            _ => self.side(stream, model),
        }
    }

    /// One stream goes on, another begins beside it.
    fn side(&mut self, stream: DataStream<u64>, model: Model) {
        let even = |n: u64| n.is_multiple_of(2);
        let single = stream.parallelism() == 1;
        match self.below(6) {
            0 => {
                let (main, side) = stream.also_to(OnCancel::Continue);
                self.open.push((main.boxed(), model.clone()));
                self.branch("side", [(side, model.unless_cut())]);
            }
            1 => {
                let (main, side) = stream.also_to(OnCancel::CancelAll);
                self.open.push((main.boxed(), model.clone().unless_cut()));
                self.branch("side", [(side, model.unless_cut())]);
            }
            2 => {
                let (main, tap) = stream.wire_tap();
                self.open.push((main.boxed(), model));
                let name = self.name("side");
                self.close(tap.named(&name), None);
            }
            3 => {
                let (left, right) = stream.unzip_with(|n| (n, n + 1));
                self.open.push((left.boxed(), model.clone().unless_cut()));
                self.branch("side", [(right, model.map(|n| n + 1).unless_cut())]);
            }
            4 => {
                let name = self.name("side");
                let (tag, side) = self.flow.side_output::<u64>(&name);
                let main = stream.process_with_side(&tag, move |n, side| {
                    if even(n) {
                        side.emit(n);
                    }
                    Some(n)
                });
                self.open.push((main.boxed(), model.clone()));
                let sure = if single { Sure::Order } else { Sure::Bag };
                let model = model.each(|n| even(n).then_some(n)).at_most(sure);
                self.open.push((side, model.unless_cut()));
            }
            _ => {
                let results = stream.map(move |n| if even(n) { Ok(n) } else { Err(n) });
                let (values, errors) = results.flatten_result();
                let odd = model.clone().each(|n| (!even(n)).then_some(n));
                self.open.push((values.boxed(), model.each(|n| even(n).then_some(n))));
                self.open.push((errors.boxed(), odd));
            }
        }
    }

    /// As the engine itself has it: some have one more branch, of which is asked only that its
    /// books balance.
    fn lossy_fork(&mut self, stream: DataStream<u64>, model: &Model) {
        let parallelism = stream.parallelism();
        let policy = self.below(10);
        let order = if self.coin() { Order::Fifo } else { Order::Lifo };
        let blueprint = self.flow.blueprint().clone();
        let edges = [(); 2].map(|()| blueprint.add_edge::<u64>("fork", EdgeOptions::default()));
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
        stream.route(&all, Broadcast::new());
        if let Some(edge) = lossy {
            let branch = DataStream::behind(self.flow.clone(), edge, parallelism, "copy");
            let times = self.below(3);
            self.close(branch.via(Expand::new(times, true)).boxed(), None);
        }
        for edge in edges {
            let branch = DataStream::behind(self.flow.clone(), edge, parallelism, "copy");
            self.open.push((branch, model.clone()));
        }
    }

    pub(crate) fn meet(&mut self, stream: DataStream<u64>, model: Model) -> Grown {
        let (other, others) = self.pick();
        let count = self.size();
        let single = stream.parallelism() == 1 && other.parallelism() == 1;
        let in_order = if single { Sure::Order } else { Sure::Bag };
        match self.below(17) {
            0 => (stream.merge(other), model.and(others, Sure::Bag)),
            1 => (stream.merge_until(other, MergeEnd::Last), model.and(others, Sure::Bag)),
            2 => {
                let edge = self.flow.blueprint().add_edge::<u64>("meet", EdgeOptions::default());
                stream.forward(edge);
                other.forward(edge);
                let met = DataStream::behind(self.flow.clone(), edge, 1, "meet");
                (met, model.and(others, Sure::Bag))
            }
            3 => (stream.concat(other), model.and(others, in_order)),
            4 => (stream.concat_eager(other), model.and(others, in_order)),
            5 => (stream.prepend(other), others.and(model, in_order)),
            6 => {
                let values = vec![self.below(9); count];
                self.open.push((other, others));
                let started = stream.start_with(values.clone());
                (started, Model::of(values).and(model, in_order))
            }
            7 => (stream.merge_preferred(other), model.and(others, Sure::Bag)),
            8 => {
                let met = stream.merge_prioritized(3, [(other, 1)]);
                (met, model.and(others, Sure::Bag))
            }
            9 => (stream.merge_sorted(other), model.and(others, Sure::Bag)),
            10 => (stream.interleave(other, count), model.and(others, Sure::Bag)),
            11 => {
                let met = stream.connect(other).process(Sides);
                (met.boxed(), model.and(others, Sure::Bag))
            }
            12 => {
                let longer = model.values.len().max(others.values.len());
                let met = stream.zip_all(other, 0, 0).map(|(one, two)| (one + two) % 1000);
                let (mut one, mut two) = (model.values.clone(), others.values.clone());
                one.resize(longer, 0);
                two.resize(longer, 0);
                let values = one.iter().zip(two).map(|(one, two)| (one + two) % 1000).collect();
                let mut met_model = model.and(others, in_order);
                met_model.values = values;
                let sure = match met_model.sure {
                    Sure::Order => Sure::Order,
                    less => less.min(Sure::Count),
                };
                (met.boxed(), met_model.at_most(sure))
            }
            13 => {
                let keys = 1 + self.below(5);
                let other = other.key_by(move |n| n % keys);
                let met = stream.key_by(move |n| n % keys).join(other);
                let met = met.running(either);
                (met.boxed(), model.and(others, Sure::Count))
            }
            14 => (self.meet_in_time(stream, other), model.equal(&others)),
            15 => {
                let table = other.key_by(|n| *n);
                let met = stream.key_by(|n| *n).table_join(table).left(|n, _| *n);
                (met.boxed(), model.at_most(Sure::Bag))
            }
            _ => self.meet_and_cut(stream, model, other, others),
        }
    }

    /// Each value with the same ones of another stream, or alone if there are none.
    fn meet_in_time(&mut self, stream: DataStream<u64>, other: DataStream<u64>) -> DataStream<u64> {
        let time = |n: &u64| Timestamp::from_millis(i64::try_from(n % 1000).unwrap_or_default());
        let watermarks = Watermarks::bounded_disorder(Duration::from_secs(1));
        let [stream, other] = [stream, other].map(|side| side.event_time(time, watermarks.clone()));
        let [stream, other] = [stream, other].map(|side| side.key_by(|n: &u64| *n));
        let near = Duration::from_millis(self.below(3));
        if self.coin() {
            let windows = Tumbling::of(near + Duration::from_millis(1));
            let met = stream.window_join(other, windows);
            return met.outer(either).map(|told| told.value).boxed();
        }
        stream.interval_join(other, Interval::around(near)).outer(either).boxed()
    }

    /// Words that may have enough of one input before the other is over.
    fn meet_and_cut(
        &mut self,
        stream: DataStream<u64>,
        model: Model,
        other: DataStream<u64>,
        others: Model,
    ) -> Grown {
        self.cut = true;
        let nothing = model.clone().and(others.clone(), Sure::Nothing);
        let join = |one: u64, two: u64| (one + two) % 1000;
        let join_refs = move |one: &u64, two: &u64| join(*one, *two);
        let word = self.below(9);
        let met = match word {
            0 => stream.merge_until(other, MergeEnd::First),
            1 => stream.merge_until(other, MergeEnd::Left),
            2 => stream.merge_until(other, MergeEnd::Right),
            3 => stream.race(other),
            4 => stream.with_latest_from(other, move |one, two| join(one, *two)),
            5 => stream.zip_latest(other).map(move |(one, two)| join(one, two)).boxed(),
            6 => stream.zip_latest_with(other, MergeEnd::Last, join_refs),
            7 => stream.merge_latest([other]).map(|all| all.iter().sum::<u64>() % 1000).boxed(),
            _ => {
                let zipped = model.values.iter().zip(&others.values);
                let values = zipped.map(|(one, two)| join(*one, *two)).collect();
                let mut met = model.and(others, Sure::Order);
                met.values = values;
                let sure = match met.sure {
                    Sure::Order => Sure::Order,
                    less => less.min(Sure::Count),
                };
                return (stream.zip_with(other, join), met.at_most(sure));
            }
        };
        (met, nothing)
    }
}

/// The one that is there, of two that are the same if both are.
fn either(sides: EitherOrBoth<&u64, &u64>) -> u64 {
    sides.left().or(sides.right()).copied().unwrap_or(0)
}

/// Takes records as they come, from wherever.
#[derive(Clone)]
struct Sides;

impl Operator<Either<u64, u64>> for Sides {
    type Out = u64;
    const NAME: &'static str = "sides";

    fn process(
        &mut self,
        record: Record<Either<u64, u64>>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        let value = |either| match either {
            Either::Left(n) | Either::Right(n) => n,
        };
        out.push(record.with(value));
        Ok(())
    }
}
