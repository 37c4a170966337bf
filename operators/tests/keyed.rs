//! What the keyed words promise: one key in one place, in order, and a result for each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use millstream_engine::edge::Keyed;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_operators::prelude::*;

/// Says of each value by which instance it came.
#[derive(Clone)]
struct ByInstance(usize);

impl<T: Send + 'static> Operator<Keyed<T>> for ByInstance {
    type Out = (usize, T);
    const NAME: &'static str = "by_instance";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), millstream_engine::Error> {
        self.0 = context.instance();
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<(usize, T)>,
    ) -> Result<(), OperatorError> {
        let instance = self.0;
        out.push(record.with(|keyed| (instance, keyed.value)));
        Ok(())
    }
}

/// Batches and edges of one record, where every wait shows.
fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

#[tokio::test]
async fn g1_one_key_goes_to_one_instance_and_keeps_its_order() {
    let flow = Dataflow::new("by key");
    let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
    let keyed = numbers.key_by(|n| n % 17).parallel(4);
    let all = keyed.via_keyed(|_| ByInstance(0)).collect();
    let all = flow.run().await.unwrap().take(all).unwrap();
    assert_eq!(all.len(), 1000);

    let mut by_key = BTreeMap::<u32, (BTreeSet<usize>, Vec<u32>)>::new();
    for (instance, n) in all {
        let (instances, numbers) = by_key.entry(n % 17).or_default();
        instances.insert(instance);
        numbers.push(n);
    }
    for (key, (instances, numbers)) in &by_key {
        assert_eq!(instances.len(), 1, "instances of {key}");
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
    let used: BTreeSet<_> = by_key.values().flat_map(|(used, _)| used).collect();
    assert!(used.len() > 1, "the keys are spread");
}

#[tokio::test]
async fn g1_a_borrowed_key_goes_where_a_made_one_does() {
    let places = |borrowed: bool| async move {
        let flow = Dataflow::new("by word");
        let words = (0..100).map(|n| format!("word {n}"));
        let words = flow.source("words", source::from_iter(words));
        let all = if borrowed {
            let keyed = words.key_by_ref(String::as_str).parallel(3);
            keyed.via_keyed(|_| ByInstance(0)).boxed()
        } else {
            let keyed = words.key_by(String::clone).parallel(3);
            keyed.via_keyed(|_| ByInstance(0)).boxed()
        };
        let all = all.collect();
        let all = flow.run().await.unwrap().take(all).unwrap();
        all.into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(places(true).await, places(false).await);
}

#[tokio::test]
async fn g2_count_has_one_result_for_each_key() {
    for (instances, options) in [(1, narrow()), (3, JobOptions::default())] {
        let flow = Dataflow::new("counts");
        let numbers = flow.source("numbers", source::from_iter(0..100_u32));
        let counts = numbers.key_by(|n| n % 7).parallel(instances).count();
        let counts = counts.collect();
        let mut counts = flow.run_with(options).await.unwrap().take(counts).unwrap();
        counts.sort_unstable();
        let expected: Vec<_> = (0..7).map(|key| (key, (106 - u64::from(key)) / 7)).collect();
        assert_eq!(counts, expected);
    }
}

#[tokio::test]
async fn g2_fold_begins_each_key_with_the_initial_value() {
    let flow = Dataflow::new("folds");
    let words = flow.source("words", source::from_iter(["a1", "b2", "a3"]));
    let keyed = words.key_by_ref(|word: &&str| &word[..1]);
    let folded = keyed.fold(String::from("0"), |text, word| text.push_str(&word[1..]));
    let folded = folded.collect();
    let mut folded = flow.run().await.unwrap().take(folded).unwrap();
    folded.sort_unstable();
    let expected = [("a", "013"), ("b", "02")].map(|(key, text)| (key.into(), text.into()));
    assert_eq!(folded, expected);
}

#[tokio::test]
async fn g2_reduce_begins_each_key_with_its_first_value() {
    let flow = Dataflow::new("reductions");
    let numbers = flow.source("numbers", source::from_iter([5_u32, 12, 3, 14]));
    let least = numbers.key_by(|n| n % 2).reduce(|least, n| *least = n.min(*least)).collect();
    let mut least = flow.run().await.unwrap().take(least).unwrap();
    least.sort_unstable();
    assert_eq!(least, [(0, 12), (1, 3)]);
}

#[tokio::test]
async fn g2_running_words_emit_for_every_record() {
    let flow = Dataflow::new("running");
    let [one, two, three] = flow.source("numbers", source::from_iter([1_u32, 2, 3, 5])).broadcast();
    let counts = one.key_by(|n| n % 2).running_count().collect();
    let sums = two.key_by(|n| n % 2).running_fold(0, |sum, n| *sum += n);
    let sums = sums.collect();
    let most = three.key_by(|n| n % 2).running_reduce(|most, n| *most = n.max(*most)).collect();
    let report = flow.run().await.unwrap();
    let expected = vec![(1, 1), (0, 1), (1, 2), (1, 3)];
    assert_eq!(report.take(counts), Some(expected));
    let expected = vec![(1, 1), (0, 2), (1, 4), (1, 9)];
    assert_eq!(report.take(sums), Some(expected));
    let expected = vec![(1, 1), (0, 2), (1, 3), (1, 5)];
    assert_eq!(report.take(most), Some(expected));
}
