//! Tests of the handler in virtual time: whatever comes, in whatever order.

use super::*;

/// What became of so many messages: read, handled, given up, skipped, and how often it was silent.
async fn run(count: u32, text: fn(u32) -> &'static str, seed: u64) -> ([u64; 5], Duration) {
    let (flow, counts) = graph(count, text);
    let quiet = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let job = flow.run_with(quiet.with_seed(seed).with_schedule_seed(seed));
    let report = tokio::time::timeout(Duration::from_secs(3600), job).await;
    let report = report.unwrap_or_else(|_| panic!("seed {seed}: it hangs")).unwrap();
    let [handled, given_up, silences] = counts.map(|count| report.take(count).unwrap());
    let skipped = report.metrics().operators.iter().map(|one| one.skipped).sum();
    ([report.records_read(), handled, given_up, skipped, silences], report.elapsed())
}

fn expected(count: u32, text: fn(u32) -> &'static str) -> [u64; 5] {
    let of = |texts: &[&str]| (1..=count).filter(|n| texts.contains(&text(*n))).count() as u64;
    let missing = of(&["missing"]);
    [
        u64::from(count) - missing,
        of(&["fine", "slow"]),
        of(&["stuck", "garbled"]),
        of(&["poisoned"]),
        // Each is a pause that is three times as long as the silence that is told of.
        3 * missing,
    ]
}

/// At random, each from its number.
fn any(number: u32) -> &'static str {
    let all = ["fine", "slow", "stuck", "garbled", "poisoned", "missing"];
    all[millstream::random::Random::fork(5, number as usize, 0).below(6) as usize]
}

#[tokio::test(start_paused = true)]
async fn every_message_is_handled_or_given_up_or_skipped() {
    std::panic::set_hook(Box::new(|panic| {
        // Those that are meant to be are not told of.
        if !panic.to_string().contains("is poisoned") {
            eprintln!("{panic}");
        }
    }));
    for seed in 0..20 {
        for text in [text, any] {
            let (came, _) = run(120, text, seed).await;
            let expected = expected(120, text);
            assert_eq!(came[..4], expected[..4], "seed {seed}");
            // The end of a pause and the next message may meet.
            assert!(expected[4].abs_diff(came[4]) <= expected[4] / 2, "{came:?}, {expected:?}");
        }
    }
    for one in [|_| "slow", |_| "stuck", |_| "garbled", |_| "poisoned", |_| "fine"] {
        let (came, _) = run(30, one, 0).await;
        assert_eq!(came, expected(30, one), "all of them {}", one(0));
    }
    let (came, _) = run(3, |_| "missing", 0).await;
    assert!(came[..4] == [0; 4] && came[4] >= 6, "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_stuck_holds_nobody_up() {
    let mostly_fine: fn(u32) -> &'static str = |n| if n % 10 == 0 { "stuck" } else { "fine" };
    let (came, elapsed) = run(200, mostly_fine, 0).await;
    assert_eq!(came, [200, 180, 20, 0, 0]);
    // As long as it takes them to come, and the last to be given up after three attempts.
    let limit = 200 * (SILENCE / 10) + 3 * LIMIT + Duration::from_millis(400);
    assert!(elapsed < limit, "{elapsed:?}");
}
