//! Tests of the job with a log that grows meanwhile, on virtual time.

use std::sync::{Arc, Mutex};

use millstream::time::Instant;

use super::*;

/// Everything there is to know of a run.
struct Outcome {
    /// What was exported, and when.
    exported: Vec<(Instant, Row)>,
    written: log::Written,
    bad: u64,
    late: u64,
    shipped: u64,
}

/// Follows two minutes of a log, and ships with so much patience.
async fn run(ship: Duration) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let exported = Arc::new(Mutex::new(Vec::new()));
    let (clock, rows) = (Clock::system(), Arc::clone(&exported));
    let note = move |row: &Row| rows.lock().unwrap().push((clock.now(), row.clone()));
    let (flow, results) = graph(&path, ship, note);
    let job = flow.start().unwrap();
    let written = log::write(&path, 2).await.unwrap();
    let report = job.drain(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(report.records_read(), written.lines);
    let [bad, late] = [results.bad, results.late].map(|count| report.take(count).unwrap());
    let (shipped, _) = tapped(&report);
    let exported = exported.lock().unwrap().clone();
    Outcome { exported, written, bad, late, shipped }
}

#[tokio::test(start_paused = true)]
async fn no_line_is_lost_in_rotations_and_no_bad_one_is_in_the_way() {
    let outcome = run(Duration::ZERO).await;
    let counted: u64 = outcome.exported.iter().map(|(_, row)| row.requests).sum();
    assert!(outcome.written.bad > 0);
    assert_eq!(outcome.bad, outcome.written.bad);
    assert_eq!(counted + outcome.bad + outcome.late, outcome.written.lines);
    assert_eq!(outcome.late, 0);
    let minutes = outcome.exported.iter().map(|(_, row)| row.minute.as_millis() / 60_000);
    assert_eq!(minutes.max(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_tap_changes_nothing_on_the_main_path_not_even_when() {
    let quick = run(Duration::ZERO).await;
    let slow = run(Duration::from_secs(5)).await;
    assert!(slow.shipped * 2 < quick.shipped, "{} of {}", slow.shipped, quick.shipped);
    let since = |outcome: &Outcome| {
        let first = outcome.exported[0].0;
        let since = |(time, row): &(Instant, Row)| (time.saturating_since(first), row.clone());
        outcome.exported.iter().map(since).collect::<Vec<_>>()
    };
    assert_eq!(since(&slow), since(&quick));
}

#[tokio::test(start_paused = true)]
async fn a_line_is_parsed_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "7 / 200 12\n7 / 200\n7 / OK 12\n\n").unwrap();
    let flow = Dataflow::new("lines");
    let lines = flow.source("lines", source::Lines::open(&path));
    let parsed = lines.map(|line| Hit::parse(&line).map_err(|error| error.to_string()));
    let parsed = parsed.collect();
    let parsed = flow.run().await.unwrap().take(parsed).unwrap();
    let time = Timestamp::from_millis(7);
    let good = Hit { time, page: "/".to_owned(), status: 200, millis: 12 };
    let bad = ["no duration", "invalid digit found in string", "no time"];
    let bad = bad.into_iter().map(|why| Err(why.to_owned()));
    assert_eq!(parsed, [Ok(good)].into_iter().chain(bad).collect::<Vec<_>>());
}
