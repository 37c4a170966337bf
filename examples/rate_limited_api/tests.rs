//! Tests of the job against the API itself, on virtual time, and once over HTTP.

use millstream::random::Random;
use tokio::runtime::Builder;

use super::*;

/// Asks without a network, which takes a while all the same.
#[derive(Clone)]
struct Direct(Api);

impl Ask for Direct {
    async fn ask(&self, station: &'static str, from: u64) -> Result<api::Answer, OperatorError> {
        Clock::system().sleep(Duration::from_millis(7)).await;
        let answer = self.0.answer(station, from);
        Clock::system().sleep(Duration::from_millis(7)).await;
        Ok(answer)
    }
}

/// Runs the job against a fresh API, and gives how often that was asked, how often it refused, and
/// how long it took.
async fn run(rows: u64, deaf: bool) -> (u64, u64, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let api = Api::start(rows);
    let before = file::Rows::open(&path).unwrap();
    let flow = ingest(&Direct(api.clone()), deaf, &before);
    let report = flow.run().await.unwrap();
    assert_eq!(report.records_read(), 4 * rows);
    assert_eq!(file::Rows::open(&path).unwrap().total(), 4 * rows);
    let (asked, refused) = api.asked();
    (asked, refused, report.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_followed_up_and_down_and_used() {
    // 160 pages: 40 in the first second, 20 in the next two and a half, 50 in the next half, and
    // the rest at 20 a second.
    let (asked, refused, elapsed) = run(400, false).await;
    assert_eq!(asked, 160 + refused);
    assert!(refused <= 2 * 4, "{refused} refused: no more than were under way at each change");
    assert!(elapsed >= Duration::from_millis(6_300), "{elapsed:?} is faster than allowed");
    assert!(elapsed <= Duration::from_millis(7_700), "{elapsed:?} leaves quota unused");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_is_refused_again_and_again() {
    let (_, refused, _) = run(400, true).await;
    assert!(refused > 2 * 4, "{refused} refused");
}

#[test]
fn a_run_goes_on_behind_the_last_row_wherever_the_one_before_was_killed() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let mut last = 0;
        for killed in 0..4 {
            // The end of its runtime is that of a process: no more is read, and what is being
            // written to the file is.
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
            let total = runtime.unwrap().block_on(async {
                let before = file::Rows::open(&path).unwrap();
                let flow = ingest(&Direct(Api::start(100)), false, &before);
                let mut job = flow.start().unwrap();
                let patience = Duration::from_millis(random.below(400));
                tokio::select! {
                    report = &mut job, if killed == 3 => drop(report.unwrap()),
                    () = Clock::system().sleep(patience), if killed < 3 => {}
                }
                before.total()
            });
            assert!(total >= last, "seed {seed}");
            last = total;
            if random.below(2) == 0 {
                let mut text = std::fs::read(&path).unwrap_or_default();
                text.extend(br#"{"station":"nor"#);
                std::fs::write(&path, text).unwrap();
            }
        }
        // Opening it finds rows that are missing or there twice.
        assert_eq!(file::Rows::open(&path).unwrap().total(), 400, "seed {seed}");
    }
}

#[tokio::test]
async fn it_works_over_http_and_a_finished_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let api = Api::start(30);
    for (before, written) in [(0, 120), (120, 0)] {
        let rows = file::Rows::open(&path).unwrap();
        assert_eq!(rows.total(), before);
        let flow = ingest(&api::Client::of(&api).await.unwrap(), false, &rows);
        assert_eq!(flow.run().await.unwrap().records_read(), written);
    }
}
