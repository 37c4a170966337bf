//! Tests of the job with all its subscribers, on virtual time: a pace is kept to the millisecond,
//! or it is not.

use super::*;

fn options(readers: usize, frozen: usize) -> Options {
    let (updates, pace) = (80, 100);
    Options {
        readers,
        frozen,
        updates,
        pace,
        wait: false,
        listen: None,
        graph: false,
        metrics: None,
    }
}

const PACE: Duration = Duration::from_millis(100);

fn saw(outcome: &Outcome, measurements: u64, longest_pause: Duration) -> bool {
    let saw = |seen: &Seen| (seen.measurements, seen.longest_pause);
    outcome.seen.iter().all(|seen| saw(seen) == (measurements, longest_pause))
}

#[tokio::test(start_paused = true)]
async fn ten_of_a_thousand_that_are_frozen_change_nothing_for_the_publisher_and_the_others() {
    let outcome = run(&Options { updates: 40, ..options(990, 10) }).await.unwrap();
    assert_eq!((outcome.published, outcome.elapsed), (40, 40 * PACE));
    assert_eq!(outcome.seen.len(), 990);
    assert!(saw(&outcome, 40, PACE), "everything, and at the publisher's pace");
    assert!(outcome.lost > 0, "the frozen have no room for forty of them");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_lost_by_the_frozen_alone() {
    let outcome = run(&options(20, 10)).await.unwrap();
    assert!(saw(&outcome, 80, PACE));
    assert!((1..10 * 80).contains(&outcome.lost), "{} lost", outcome.lost);
    assert_eq!(run(&options(20, 0)).await.unwrap().lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_waits_for_everybody_keeps_everybody_waiting() {
    let outcome = run(&Options { wait: true, ..options(20, 10) }).await.unwrap();
    // A second is how long it puts up with the frozen, before it lets them go.
    let paused = |seen: &Seen| seen.longest_pause >= Duration::from_secs(1);
    assert!(outcome.seen.iter().all(|seen| seen.measurements == 80 && paused(seen)));
    assert_eq!(outcome.lost, 0);
}
