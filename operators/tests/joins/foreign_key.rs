//! `foreign_key_join`: rows that name others.

use millstream_engine::testing::{TestDriver, probe_sink};
use millstream_operators::prelude::*;

use super::play::{Play, Stage, quiet};

/// A number, and the name of its customer.
type Order = (u32, Option<char>);
/// A name and a city.
type Customer = (char, Option<u32>);
type Told = Change<u32, (char, Option<u32>)>;

fn order(number: u32, customer: Option<char>) -> Play<Record<Order>, Record<Customer>> {
    Play::Left(Record::from((number, customer)))
}

fn customer(name: char, city: Option<u32>) -> Play<Record<Order>, Record<Customer>> {
    Play::Right(Record::from((name, city)))
}

fn join(left: bool) -> Stage<Order, Customer, Told> {
    Stage::plain(&quiet(), |orders, customers| {
        let orders = orders.key_by(|order: &Order| order.0).parallel(3).table(|order| order.1);
        let customers = customers.key_by(|row: &Customer| row.0).parallel(2).table(|row| row.1);
        let join = orders.foreign_key_join(customers, |name: &char| *name);
        if left {
            join.left(|name, city| (*name, city.copied()))
        } else {
            join.inner(|name, city| (*name, Some(*city)))
        }
    })
}

fn play(
    stage: &mut Stage<Order, Customer, Told>,
    step: Play<Record<Order>, Record<Customer>>,
) -> Vec<Told> {
    stage.play(step);
    let mut told = stage.read();
    told.sort_by_key(|change| *change.key());
    told
}

#[test]
fn i6_a_row_follows_the_one_it_names_and_may_come_to_name_another() {
    use Change::{Delete, Insert, Update};
    let mut stage = join(false);
    let (bern, rome) = (Some(1), Some(2));
    assert_eq!(play(&mut stage, order(1, Some('a'))), []);
    assert_eq!(play(&mut stage, order(2, Some('a'))), []);
    let both = [Insert(1, ('a', bern)), Insert(2, ('a', bern))];
    assert_eq!(play(&mut stage, customer('a', bern)), both);
    let both = [1, 2].map(|key| Update { key, old: ('a', bern), new: ('a', rome) });
    assert_eq!(play(&mut stage, customer('a', rome)), both);
    assert_eq!(play(&mut stage, customer('a', rome)), [], "nothing has changed");
    assert_eq!(play(&mut stage, customer('b', bern)), []);
    // It moves: what was is gone, and what is is there, in one step or in two.
    let moved = play(&mut stage, order(1, Some('b')));
    let steps = [Delete(1, ('a', rome)), Insert(1, ('b', bern))];
    let step = [Update { key: 1, old: ('a', rome), new: ('b', bern) }];
    assert!(moved == steps || moved == step, "{moved:?}");
    let of_two = [Update { key: 2, old: ('a', rome), new: ('a', bern) }];
    assert_eq!(play(&mut stage, customer('a', bern)), of_two, "the first is there no longer");
    assert_eq!(play(&mut stage, customer('b', None)), [Delete(1, ('b', bern))]);
    assert_eq!(play(&mut stage, order(2, None)), [Delete(2, ('a', bern))]);
    assert_eq!(play(&mut stage, customer('a', rome)), []);
    assert_eq!(stage.end().0, []);
}

#[test]
fn i6_left_has_rows_that_name_nobody_who_is_there() {
    use Change::{Delete, Insert, Update};
    let mut stage = join(true);
    let (none, bern) = (('a', None), ('a', Some(1)));
    assert_eq!(play(&mut stage, order(1, Some('a'))), [Insert(1, none)]);
    let update = [Update { key: 1, old: none, new: bern }];
    assert_eq!(play(&mut stage, customer('a', Some(1))), update);
    let update = [Update { key: 1, old: bern, new: none }];
    assert_eq!(play(&mut stage, customer('a', None)), update);
    assert_eq!(play(&mut stage, order(1, None)), [Delete(1, none)]);
    assert_eq!(stage.end().0, []);
}

#[test]
fn i6_however_many_rows_name_one_they_wait_for_room() {
    let flow = Dataflow::new("many");
    let orders = flow.source("orders", source::from_iter(0..5_000_u32));
    let orders = orders.key_by(|n| *n).table(Some);
    let cities = flow.source("cities", source::from_iter([('a', 1), ('a', 2)]));
    let cities = cities.key_by(|row| row.0).table(|row| Some(row.1));
    let joined = orders.foreign_key_join(cities, |_| 'a').inner(|_, city| *city);
    let (out, sink) = probe_sink();
    joined.sink("out", sink);
    let options = quiet().with_edge_capacity(16).with_batch_records(16);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let mut table = std::collections::BTreeMap::new();
    for change in driver.read(&out) {
        table.insert(*change.key(), change.value().copied().unwrap());
    }
    assert_eq!(table.len(), 5_000);
    assert!(table.values().all(|city| *city == 2));
    driver.finish().unwrap();
}
