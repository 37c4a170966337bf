//! Sections whose failed records are caught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millstream_engine::ErrorKind;
use millstream_engine::testing::probe_sink;
use millstream_operators::prelude::*;

use super::*;

/// What came through the section, and what was caught with its path.
type Outcomes = (Vec<u32>, Vec<(&'static str, String)>);

/// A section with three operators, one of which emits several records for one.
fn caught_words(
    words: &'static [&'static str],
    boxed: bool,
) -> (Dataflow, impl Fn(&JobReport) -> Outcomes) {
    let flow = Dataflow::new("caught");
    let words = flow.source("words", source::from_iter(words.iter().copied()));
    let (numbers, caught) = words.try_catch("decode", |section| {
        let numbers = section.try_map(OnError::fail(), parse).named("parse");
        let both = numbers.flat_map_iter(|n| [n, n + 1, n + 2]);
        let small = |n: &u32| if *n != 12 { Ok(*n) } else { Err(std::fmt::Error) };
        both.try_map(OnError::fail(), small).named("small")
    });
    let numbers = if boxed { numbers.boxed() } else { numbers.boundary() };
    let numbers = numbers.collect();
    let caught = caught.map(|caught| (caught.value, caught.path)).collect();
    (flow, move |report: &JobReport| (report.take(numbers).unwrap(), report.take(caught).unwrap()))
}

#[tokio::test]
async fn j6_what_fails_in_a_section_is_caught_with_its_path_and_goes_no_further() {
    for boxed in [false, true] {
        for batch in [1, 2, 64] {
            // 11 fails with its second output: the first is out, and the third is left out.
            let (flow, taken) = caught_words(&["1", "x", "11", "12", "5"], boxed);
            let options = JobOptions::default().with_batch_records(batch).with_edge_capacity(1);
            let report = flow.run_with(options.with_operator_counts(true)).await.unwrap();
            let (numbers, caught) = taken(&report);
            assert_eq!(numbers, [1, 2, 3, 11, 5, 6, 7], "batches of {batch}");
            let caught: Vec<_> = caught.iter().map(|(word, path)| (*word, &**path)).collect();
            let expected = [("x", "decode/parse"), ("11", "decode/small"), ("12", "decode/small")];
            assert_eq!(caught, expected);
            assert_eq!(operator(&report, "decode").dead_letters, 3);
            assert_eq!(operator(&report, "parse").errors, 1);
        }
    }
}

#[tokio::test]
async fn j6_an_error_behind_the_section_fails_the_job() {
    let flow = Dataflow::new("behind");
    let words = flow.source("words", source::from_iter(["1", "x", "2"]));
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::fail(), parse));
    let small = |n: &u32| if *n < 2 { Ok(*n) } else { Err(std::fmt::Error) };
    numbers.try_map(OnError::fail(), small).named("outside").ignore();
    caught.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("outside"));
}

#[tokio::test]
async fn j6_a_panic_in_a_section_fails_the_job() {
    let flow = Dataflow::new("panic");
    let numbers = flow.source("in", source::from_iter([1_u32, 0, 2]));
    let (shares, caught) = numbers.try_catch("share", |section| section.map(|n| 10 / n));
    shares.ignore();
    caught.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("map"));
    assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{error}");
}

#[tokio::test]
async fn j6_an_inner_section_catches_before_an_outer_one() {
    let flow = Dataflow::new("nested");
    let words = flow.source("words", source::from_iter(["1", "x", "9"]));
    let mut inner_caught = None;
    let (numbers, outer_caught) = words.try_catch("outer", |section| {
        let (numbers, caught) =
            section.try_catch("inner", |section| section.try_map(OnError::fail(), parse));
        inner_caught = Some(caught.map(|caught| caught.value).collect());
        let small = |n: &u32| if *n < 2 { Ok(*n) } else { Err(std::fmt::Error) };
        numbers.try_map(OnError::fail(), small).named("small")
    });
    let numbers = numbers.collect();
    let outer_caught = outer_caught.map(|caught| (caught.value, caught.path)).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1]));
    assert_eq!(report.take(inner_caught.unwrap()), Some(vec!["x"]));
    assert_eq!(report.take(outer_caught), Some(vec![("9", "outer/small".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn j6_a_retry_in_a_section_is_caught_when_it_gives_up() {
    let flow = Dataflow::new("retry");
    let words = flow.source("words", source::from_iter(["1", "x", "2", "y"])).parallel(2);
    let retry = Backoff::default().with_attempts(3);
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::retry(retry), parse));
    let numbers = numbers.gather().count();
    let caught = caught.map(|caught| caught.value).collect();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(numbers), Some(2));
    let mut caught = report.take(caught).unwrap();
    caught.sort_unstable();
    assert_eq!(caught, ["x", "y"]);
    assert_eq!(operator(&report, "try_map").retries, 4);
}

#[tokio::test]
async fn j6_a_slow_reader_of_what_is_caught_holds_the_stream_back() {
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let flow = Dataflow::new("slow");
    let words = std::iter::repeat_with(move || {
        counter.fetch_add(1, SeqCst);
        "x"
    });
    let words = flow.source("words", source::from_iter(words.take(1000)));
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::fail(), parse));
    numbers.ignore();
    let (sink, slow) = probe_sink();
    caught.sink("slow", slow);
    let job = flow.start_with(&small()).unwrap();
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
    assert!((1..30).contains(&pulled.load(SeqCst)), "{pulled:?}");
    sink.request(2000);
    assert_eq!(job.await.unwrap().records_written(), 1000);
}

/// Behind the section a timer that fires earlier than that of the retry in it.
#[tokio::test(start_paused = true)]
async fn j6_a_timer_behind_a_section_does_not_let_it_forget_the_record_that_it_tries_again() {
    let flow = Dataflow::new("timers");
    let words = flow.source("words", source::from_iter(["1", "x", "2"]));
    let retry = Backoff::default().with_initial(Duration::from_millis(50)).with_attempts(2);
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::retry(retry), parse));
    let chunks = numbers.chunks_timeout(10, Duration::from_millis(5)).collect();
    let caught = caught.map(|caught| caught.value).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(chunks), Some(vec![vec![1], vec![2]]));
    assert_eq!(report.take(caught), Some(vec!["x"]));
}

/// What the first operator has left belongs to the record at hand, whose next output fails.
#[tokio::test(start_paused = true)]
async fn j6_a_timer_within_a_section_does_not_let_it_forget_the_record_at_hand() {
    let flow = Dataflow::new("halves");
    let words = flow.source("words", source::from_iter(["x 2", "3 4"]));
    let retry = Backoff::default().with_initial(Duration::from_millis(50)).with_attempts(2);
    let (numbers, caught) = words.try_catch("decode", |section| {
        let parts = section.flat_map_iter(|words: &'static str| words.split(' '));
        let mut asked = 0;
        let second_time = move |word: &&'static str| {
            asked += 1;
            if asked == 1 { Err(OperatorError::new("not yet")) } else { Ok(*word) }
        };
        let parts = parts.try_map(OnError::retry(retry), second_time);
        parts.try_map(OnError::fail(), |word| if *word == "2" { Err(NoTwo) } else { Ok(*word) })
    });
    let numbers = numbers.collect();
    let caught = caught.map(|caught| caught.value).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(numbers), Some(vec!["x", "3", "4"]));
    assert_eq!(report.take(caught), Some(vec!["x 2"]));
}

#[derive(Debug, thiserror::Error)]
#[error("no two")]
struct NoTwo;

#[tokio::test(start_paused = true)]
async fn j6_an_operator_that_waits_in_a_section_is_named() {
    let flow = Dataflow::new("named");
    let words = flow.source("words", source::from_iter(["1", "x"]));
    let retry = Backoff::default().with_initial(Duration::from_secs(900)).with_attempts(2);
    let (numbers, caught) = words.map(|word| word).try_catch("decode", |section| {
        section.map(|word| word).try_map(OnError::retry(retry.with_jitter(0.0)), parse)
    });
    numbers.ignore();
    caught.ignore();
    let job = flow.start().unwrap();
    Clock::system().sleep(Duration::from_secs(1)).await;
    let culprit = job.explain().culprit.unwrap();
    assert_eq!(culprit.operator.as_deref(), Some("try_map"), "{culprit}");
    job.abort();
}

/// What fails between the two ends of the sections is the outer one's, and only that.
#[tokio::test]
async fn j6_an_inner_section_still_catches_after_an_outer_one_has() {
    let flow = Dataflow::new("again");
    let words = flow.source("words", source::from_iter(["9", "x", "8", "y", "1"]));
    let mut inner_caught = None;
    let (numbers, outer_caught) = words.try_catch("outer", |section| {
        let (numbers, caught) =
            section.try_catch("inner", |section| section.try_map(OnError::fail(), parse));
        inner_caught = Some(caught.map(|caught| caught.value).collect());
        let small = |n: &u32| if *n < 2 { Ok(*n) } else { Err(std::fmt::Error) };
        numbers.try_map(OnError::fail(), small).named("small")
    });
    let numbers = numbers.collect();
    let outer_caught = outer_caught.map(|caught| caught.value).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1]));
    assert_eq!(report.take(inner_caught.unwrap()), Some(vec!["x", "y"]));
    assert_eq!(report.take(outer_caught), Some(vec!["9", "8"]));
}

/// Nobody reads what is caught: it is dropped, and counted, and the stream goes on.
#[tokio::test]
async fn j6_what_nobody_wants_to_catch_is_dropped_and_counted() {
    let flow = Dataflow::new("unwanted");
    let words = flow.source("words", source::from_iter(["x", "1", "y", "2", "z", "3"]));
    let (numbers, caught) =
        words.try_catch("decode", |section| section.try_map(OnError::fail(), parse));
    let numbers = numbers.collect();
    caught.take(1).ignore();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1, 2, 3]));
    assert_eq!(operator(&report, "decode").dropped.total(), 3);
}
