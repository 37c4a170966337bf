//! Sources that are iterators, and so are read from within the loop of their chain.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use millstream_engine::runtime::{JobObserver, Outcome};
use millstream_operators::prelude::*;

use crate::{MINUTE, settle, small_batches};

/// Numbers, and how many have been pulled.
fn counted(pulled: &Arc<AtomicU64>) -> impl Iterator<Item = u64> + Clone + Send + 'static {
    let pulled = Arc::clone(pulled);
    (0..).inspect(move |_| {
        pulled.fetch_add(1, SeqCst);
    })
}

fn ways() -> [JobOptions; 3] {
    let usual = JobOptions::default();
    [usual.clone(), usual.with_operator_counts(true), small_batches()]
}

/// A large item is handed over in another way than a small one.
type Large = [u64; 16];

#[tokio::test]
async fn a1_an_iterator_is_pulled_no_further_than_somebody_wants() {
    pulled_no_further_than_wanted(|n| n, |n| n).await;
    pulled_no_further_than_wanted(|n| [n; 16], |[n, ..]: Large| n).await;
}

async fn pulled_no_further_than_wanted<T: Send + 'static>(make: fn(u64) -> T, read: fn(T) -> u64) {
    for options in ways() {
        let pulled = Arc::default();
        let flow = Dataflow::new("wanted");
        let numbers = flow.source("numbers", source::from_iter(counted(&pulled).map(make)));
        let first = numbers.map(move |item| read(item) + 1).take(700).collect();
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.records_read(), 700);
        assert_eq!(report.take(first), Some((1..=700).collect()));
        assert_eq!(pulled.load(SeqCst), 700);
    }
}

#[tokio::test]
async fn a1_an_iterator_is_read_to_its_end_whatever_a_slice_takes_of_it() {
    for options in ways() {
        for total in [0, 1, 7, 8, 9, 16, 24, 25, 1000] {
            let flow = Dataflow::new("ends");
            let items = flow.source("items", source::from_iter((0..total).map(|n| [n; 16])));
            let all = items.map(|[n, ..]: Large| n).collect();
            let report = flow.run_with(options.clone()).await.unwrap();
            assert_eq!(report.records_read(), total);
            assert_eq!(report.take(all), Some((0..total).collect()));
        }
    }
}

#[tokio::test]
async fn a1_a_full_edge_holds_an_iterator_up() {
    let pulled = Arc::default();
    let flow = Dataflow::new("held up");
    let numbers = flow.source("numbers", source::from_iter(counted(&pulled)));
    // Two in the edge, two that are collected for it, and nothing else.
    let waits = numbers.map_async(1, |_| std::future::pending::<Result<u64, OperatorError>>());
    waits.ignore();
    let job = flow.start_with(&small_batches()).unwrap();
    settle().await;
    let held = pulled.load(SeqCst);
    assert!((1..=6).contains(&held), "{held}");
    settle().await;
    assert_eq!(pulled.load(SeqCst), held);
    job.abort();
    job.await.unwrap_err();
}

#[tokio::test]
async fn a1_a_panic_of_an_iterator_names_the_source_and_one_behind_it_the_operator() {
    a_panic_names_its_culprit(|n| n, |n| *n).await;
    a_panic_names_its_culprit(|n| [n; 16], |[n, ..]: &Large| *n).await;
}

async fn a_panic_names_its_culprit<T: Send + 'static>(make: fn(u64) -> T, read: fn(&T) -> u64) {
    for options in ways() {
        for (culprit, records_read) in [("numbers", 500), ("strict", 501)] {
            let flow = Dataflow::new("panics");
            let items = (0..1000).inspect(move |n| assert!(culprit == "strict" || *n < 500));
            let seen = Arc::new(AtomicU64::new(0));
            let delivered = Arc::clone(&seen);
            flow.source("numbers", source::from_iter(items.map(make)))
                .map(|item| item)
                .inspect(move |item| assert!(culprit == "numbers" || read(item) < 500))
                .named("strict")
                .for_each(move |_| {
                    delivered.fetch_add(1, SeqCst);
                });
            let error = flow.run_with(options.clone()).await.unwrap_err();
            assert_eq!(error.operator_name(), Some(culprit), "{error}");
            // The record in hand had been read, too.
            assert_eq!(error.report().unwrap().records_read(), records_read);
            assert_eq!(seen.load(SeqCst), 500);
        }
    }
}

#[tokio::test]
async fn a1_a_job_that_drains_ends_an_endless_iterator_and_delivers_what_was_pulled() {
    for options in ways() {
        let pulled = Arc::default();
        let flow = Dataflow::new("drained");
        let numbers = flow.source("numbers", source::from_iter(counted(&pulled)));
        let sum = numbers.boundary().fold(0_u64, |count, _| *count += 1);
        let job = flow.start_with(&options).unwrap();
        while pulled.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let report = job.drain(MINUTE).await.unwrap();
        assert_eq!(report.outcome(), Outcome::Drained);
        assert_eq!(report.take(sum), Some(pulled.load(SeqCst)));
        assert_eq!(report.records_read(), pulled.load(SeqCst));
    }
}

#[tokio::test]
async fn a1_a_paused_job_pulls_nothing_and_goes_on_where_it_stood() {
    let pulled = Arc::default();
    let flow = Dataflow::new("paused");
    let numbers = flow.source("numbers", source::from_iter(counted(&pulled)));
    let last = numbers.map(|n| n).last();
    let job = flow.start().unwrap();
    while pulled.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    job.pause();
    settle().await;
    let stood = pulled.load(SeqCst);
    settle().await;
    assert_eq!(pulled.load(SeqCst), stood);
    job.resume();
    while pulled.load(SeqCst) == stood {
        tokio::task::yield_now().await;
    }
    let report = job.drain(MINUTE).await.unwrap();
    assert_eq!(report.take(last), Some(Some(pulled.load(SeqCst) - 1)));
}

#[tokio::test]
async fn a1_an_endless_iterator_lets_others_run_also_when_time_stands_still() {
    tokio::time::pause();
    let flow = Dataflow::new("endless");
    flow.source("numbers", source::repeat(1_u8)).map(u32::from).ignore();
    let job = flow.start().unwrap();
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    job.drain(MINUTE).await.unwrap();
}

/// What was going on, and the operator that was told to be at work.
type Seen = (&'static str, Option<String>);

/// In the first records of a stage, which may be slow ones.
#[tokio::test]
async fn a1_an_iterator_is_seen_at_work() {
    for counts in [false, true] {
        let observer: Arc<Mutex<Option<JobObserver>>> = Arc::default();
        let who = |observer: &Arc<Mutex<Option<JobObserver>>>| {
            let observer = observer.lock().unwrap();
            let metrics = observer.as_ref().unwrap().metrics();
            metrics.stages[0].now[0].at.map(|at| metrics.operators[at].name.clone())
        };
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (reads, works) = (Arc::clone(&seen), Arc::clone(&seen));
        let (reading, working) = (Arc::clone(&observer), Arc::clone(&observer));
        let flow = Dataflow::new("slow");
        let items = (0..6).inspect(move |_| {
            reads.lock().unwrap().push(("reading", who(&reading)));
        });
        flow.source("numbers", source::from_iter(items))
            .map(move |n: u64| {
                works.lock().unwrap().push(("working", who(&working)));
                n
            })
            .named("work")
            .ignore();
        let options = JobOptions::default().with_operator_counts(counts);
        let job = flow.start_with(&options).unwrap();
        *observer.lock().unwrap() = Some(job.observer());
        job.await.unwrap();
        let work = counts.then(|| "work".to_owned());
        let both = [("reading", Some("numbers".to_owned())), ("working", work)];
        let expected: Vec<_> = both.iter().cycle().take(12).cloned().collect();
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
