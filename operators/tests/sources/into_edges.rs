//! Iterators, which an edge right behind them takes in by the batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use millstream_engine::ErrorKind;
use millstream_engine::testing::probe_sink;
use millstream_operators::prelude::*;

use crate::settle;

/// How many records an edge holds, and how many a batch.
const SIZES: [(usize, usize); 6] = [(1, 1), (2, 1), (3, 2), (4, 4), (64, 7), (64, 64)];

fn sized((capacity, batch): (usize, usize)) -> JobOptions {
    JobOptions::default().with_edge_capacity(capacity).with_batch_records(batch)
}

#[tokio::test]
async fn a1_an_edge_takes_every_item_in_its_place_whatever_it_holds() {
    for size in SIZES {
        for total in [0, 1, 2, 7, 8, 63, 64, 65, 200_u32] {
            for seed in 0..4 {
                let flow = Dataflow::new("in order");
                let numbers = flow.source("in", source::from_iter(0..total));
                let all = numbers.boundary().collect();
                let report = flow.run_with(sized(size).with_schedule_seed(seed)).await.unwrap();
                assert_eq!(report.take(all), Some((0..total).collect()), "{size:?}, seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn a1_an_edge_pulls_no_more_than_it_and_one_batch_hold() {
    for (capacity, batch) in SIZES {
        let pulled = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&pulled);
        let items = (0..).inspect(move |_: &u64| {
            counts.fetch_add(1, Relaxed);
        });
        let flow = Dataflow::new("bounded");
        let (probe, sink) = probe_sink();
        flow.source("in", source::from_iter(items)).boundary().sink("probe", sink);
        let job = flow.start_with(&sized((capacity, batch))).unwrap();
        settle().await;
        let seen = pulled.load(Relaxed);
        // The edge, and a batch each at the producer, in the stage behind and in its sink.
        assert!((capacity..=capacity + 4 * batch).contains(&seen), "{seen} of {capacity}, {batch}");
        settle().await;
        assert_eq!(pulled.load(Relaxed), seen, "pulled without demand");
        job.abort();
        job.await.unwrap_err();
        drop(probe);
    }
}

#[tokio::test]
async fn a1_enough_behind_an_edge_ends_an_endless_iterator() {
    for size in SIZES {
        let flow = Dataflow::new("enough");
        let all = flow.source("in", source::from_iter(0_u64..)).boundary().take(5).collect();
        let report = flow.run_with(sized(size)).await.unwrap();
        assert_eq!(report.take(all), Some(vec![0, 1, 2, 3, 4]), "{size:?}");
    }
}

#[tokio::test]
async fn a1_an_iterator_that_panics_before_an_edge_is_named_and_what_it_gave_counted() {
    for size in SIZES {
        for at in [0, 1, 3, 8, 100_u64] {
            let items = (0..).inspect(move |n: &u64| assert!(*n < at, "there are no more"));
            let flow = Dataflow::new("broken");
            flow.source("numbers", source::from_iter(items)).boundary().ignore();
            let job = flow.start_with(&sized(size)).unwrap();
            let observer = job.observer();
            let error = job.await.unwrap_err();
            assert_eq!(error.operator_name(), Some("numbers"));
            assert!(matches!(error.kind(), ErrorKind::Panic(_)));
            assert_eq!(observer.metrics().stages[0].records_in, at, "{size:?}");
        }
    }
}
