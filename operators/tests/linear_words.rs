//! What single linear words promise on whole jobs: how they end, fail, cancel and close.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millstream_engine::testing::{probe_sink, probe_source};
use millstream_operators::linear::limit::LimitExceeded;
use millstream_operators::prelude::*;

fn totals(numbers: DataStream<u32, impl Chain<Item = u32>>) -> DataStream<u32> {
    numbers.scan(0, |sum, n| *sum += n).boxed()
}

#[tokio::test]
async fn b9_fragments_fit_other_types() {
    let flow = Dataflow::new("fragments");
    let words = || source::from_iter(["1", "2", "3"]);
    let parse = |word: &'static str| word.parse::<u32>().unwrap();
    let before = flow.source("before", words()).contramap(parse, totals).collect();
    let both = flow.source("both", words()).dimap(parse, totals, |n| n.to_string()).collect();
    assert_eq!(flow.graph().unwrap().stages.len(), 2, "fused");
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(before), Some(vec![1, 3, 6]));
    assert_eq!(report.take(both), Some(["1", "3", "6"].map(String::from).to_vec()));
}

#[tokio::test]
async fn b12_the_size_of_batches_changes_no_result() {
    for records in [1, 2, 3, 1000] {
        let flow = Dataflow::new("batches");
        let numbers = flow.source("numbers", source::from_iter(0..100_u32));
        let double = |values: Vec<u32>| values.into_iter().map(|n| n * 2).collect();
        let chunks = numbers.rebatch(records).map_batches(7, double).rebatch(2).chunks(9);
        let count = chunks.map(|chunk| chunk.iter().sum::<u32>()).collect();
        let report = flow.run().await.unwrap();
        let doubled: Vec<u32> = (0..100).map(|n| n * 2).collect();
        let sums = doubled.chunks(9).map(|chunk| chunk.iter().sum()).collect();
        assert_eq!(report.take(count), Some(sums), "batches of {records}");
    }
}

#[tokio::test]
async fn b18_limit_fails_with_the_name_of_the_operator() {
    let flow = Dataflow::new("limited");
    let numbers = flow.source("numbers", source::from_iter(0..));
    numbers.limit(3).named("limit here").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("limit here"));
    assert_eq!(error.cause().unwrap().downcast_ref(), Some(&LimitExceeded { max: 3 }));
}

#[tokio::test]
async fn b19_the_input_is_cancelled_at_the_answer() {
    let flow = Dataflow::new("answers");
    let numbers = || source::from_iter(0_u32..);
    let found = flow.source("find", numbers()).find(|n| n % 5 == 4);
    let any = flow.source("any", numbers()).any(|n| *n == 7);
    let all = flow.source("all", numbers()).all(|n| *n < 7);
    let first = flow.source("first", numbers()).collect_first(|n| n.checked_sub(3));
    let parallel = flow.source("parallel", numbers()).parallel(2).any(|n| *n == 100);
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(found), Some(Some(4)));
    assert_eq!((report.take(any), report.take(all)), (Some(true), Some(false)));
    assert_eq!(report.take(first), Some(Some(0)));
    assert_eq!(report.take(parallel), Some(true));
}

#[tokio::test]
async fn b19_an_answer_without_a_record() {
    let flow = Dataflow::new("nothing");
    let found = flow.source("find", source::empty::<u32>()).find(|_| true);
    let any = flow.source("any", source::empty::<u32>()).any(|_| true);
    let all = flow.source("all", source::empty::<u32>()).all(|_| false);
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(found), Some(None));
    assert_eq!((report.take(any), report.take(all)), (Some(false), Some(true)));
}

/// What is open, and how often it was closed.
#[derive(Clone, Default)]
struct Doors {
    open: Arc<AtomicU32>,
    closed: Arc<AtomicU32>,
}

impl Doors {
    fn behind<C: Chain<Item = u32>>(
        &self,
        stream: DataStream<u32, C>,
    ) -> DataStream<u32, impl Chain<Item = u32> + use<C>> {
        let (opening, closing) = (self.clone(), self.clone());
        let open = move || {
            opening.open.fetch_add(1, SeqCst);
            Ok::<_, std::fmt::Error>(())
        };
        let close = move |()| {
            closing.closed.fetch_add(1, SeqCst);
            Some(100)
        };
        let check = |(): &mut (), n| {
            assert!(n != 13, "thirteen");
            n
        };
        stream.map_with_resource(open, check, close)
    }

    fn counts(&self) -> (u32, u32) {
        (self.open.load(SeqCst), self.closed.load(SeqCst))
    }
}

#[tokio::test]
async fn b21_a_resource_is_closed_exactly_once_however_the_stream_ends() {
    let doors = Doors::default();
    let flow = Dataflow::new("complete");
    let all = doors.behind(flow.source("numbers", source::from_iter(1..3))).collect();
    assert_eq!(doors.counts(), (0, 0), "not at building");
    for run in 1..=2 {
        assert_eq!(flow.run().await.unwrap().take(all), Some(vec![1, 2, 100]));
        assert_eq!(doors.counts(), (run, run), "once in each run");
    }

    let doors = Doors::default();
    let flow = Dataflow::new("cancelled");
    let all = doors.behind(flow.source("numbers", source::from_iter(0..))).take(2).collect();
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![0, 1]), "nobody wants the last");
    assert_eq!(doors.counts(), (1, 1));

    let doors = Doors::default();
    let flow = Dataflow::new("panics");
    doors.behind(flow.source("numbers", source::from_iter(10..20))).ignore();
    flow.run().await.unwrap_err();
    assert_eq!(doors.counts(), (1, 1));

    let doors = Doors::default();
    let flow = Dataflow::new("fails");
    doors.behind(flow.source("numbers", source::from_iter(0..9))).limit(3).ignore();
    flow.run().await.unwrap_err();
    assert_eq!(doors.counts(), (1, 1));

    let doors = Doors::default();
    let flow = Dataflow::new("aborted");
    let (input, source) = probe_source();
    let (_output, sink) = probe_sink();
    doors.behind(flow.source("input", source)).sink("output", sink);
    let job = flow.start().unwrap();
    input.send(1).await;
    job.abort();
    job.await.unwrap_err();
    assert_eq!(doors.counts(), (1, 1));
}

#[tokio::test]
async fn b21_a_resource_that_does_not_open_keeps_the_job_from_starting() {
    let flow = Dataflow::new("closed");
    let numbers = flow.source("numbers", source::from_iter(0..3_u32));
    let open = || Err::<(), _>(std::fmt::Error);
    numbers.map_with_resource(open, |(), n| n, |()| None).named("door").ignore();
    let error = flow.start().unwrap_err();
    assert_eq!(error.operator_name(), Some("door"));
}

#[tokio::test]
async fn b24_an_error_is_data_and_has_a_stream_of_its_own() {
    let flow = Dataflow::new("results");
    let words = flow.source("words", source::from_iter(["1", "one", "2", "two"]));
    let (numbers, errors) = words.map(str::parse::<u32>).flatten_result();
    let (numbers, errors) = (numbers.collect(), errors.map(|error| error.to_string()).count());
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1, 2]));
    assert_eq!(report.take(errors), Some(2));
}
