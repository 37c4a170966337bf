//! Tests of the farm in virtual time: whoever crashes, and whenever.

use std::panic::resume_unwind;

use super::*;

type Begun = Arc<Mutex<Vec<(usize, usize)>>>;

fn options(seed: u64) -> Options {
    let mut random = Random::fork(seed, 9, 9);
    let mut within = |from: u64, to: u64| from + random.below(to - from);
    let (tasks, workers) = (within(1, 16) as usize, within(1, 6) as usize);
    Options { tasks, workers, crashes: within(0, 9), graph: false, metrics: None }
}

/// How a run with this seed is scheduled, with no timers but those of the farm.
fn schedule(seed: u64) -> JobOptions {
    let quiet = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    quiet.with_batch_records(1).with_seed(seed).with_schedule_seed(seed)
}

/// Work that takes any time or none, in several steps, tells who has begun what, and by itself
/// crashes now and then: at its beginning, in its midst, or when it is as good as done.
async fn eventful(seed: u64, begun: Begun, worker: usize, task: usize) -> Done {
    let attempt = {
        let mut begun = begun.lock().unwrap();
        begun.push((worker, task));
        begun.iter().filter(|(_, of)| *of == task).count()
    };
    let mut random = Random::fork(seed, task, attempt);
    for _ in 0..3 {
        if attempt < 3 && random.below(12) == 0 {
            // As a panic does, without a word on the terminal.
            resume_unwind(Box::new("it slipped"));
        }
        tokio::time::sleep(Duration::from_millis(random.below(3) * random.below(20))).await;
    }
    Done { task, worker }
}

/// The farm under one seed. Each task is done once, and begun by one worker alone: again only where
/// that one had crashed.
async fn farm(seed: u64) -> u64 {
    let options = options(seed);
    let begun = Begun::default();
    let log = Arc::clone(&begun);
    let (flow, done) =
        graph(&options, seed, move |worker, task| eventful(seed, Arc::clone(&log), worker, task));
    let hour = Duration::from_secs(3600);
    let report = tokio::time::timeout(hour, flow.run_with(schedule(seed))).await;
    let report = report.unwrap_or_else(|_| panic!("seed {seed}: it hangs")).unwrap();
    let done = report.take(done).unwrap();
    assert_eq!(lost_and_repeated(&report, &done), (0, 0), "seed {seed}");
    assert_eq!(done.len(), options.tasks, "seed {seed}");

    let begun = begun.lock().unwrap().clone();
    let mut again = BTreeMap::<usize, u64>::new();
    for Done { task, worker } in done {
        let by: Vec<_> = begun.iter().filter(|(_, of)| *of == task).collect();
        assert!(!by.is_empty(), "seed {seed}: task {task} was made up");
        assert!(by.iter().all(|(one, _)| *one == worker), "seed {seed}: task {task} by {by:?}");
        *again.entry(worker).or_default() += by.len() as u64 - 1;
    }
    let workers = report.metrics().operators.iter().filter(|one| one.kind == "restart_section");
    let mut crashes = 0;
    for (worker, operator) in (1..).zip(workers) {
        let again = again.get(&worker).copied().unwrap_or(0);
        // A crash repeats the task in hand, if there is one.
        assert!(again <= operator.retries, "seed {seed}: {again}, {} crashes", operator.retries);
        crashes += operator.retries;
    }
    crashes
}

#[tokio::test(start_paused = true)]
async fn in_1000_runs_no_crash_loses_a_task_or_has_another_worker_do_it() {
    let mut crashes = 0;
    for seed in 0..1000 {
        crashes += farm(seed).await;
    }
    assert!(crashes > 2000, "there were only {crashes} crashes");
}

#[tokio::test(start_paused = true)]
async fn others_go_on_while_a_worker_rests() {
    let all = Options { tasks: 400, workers: 4, ..options(1) };
    let crashed = Begun::default();
    let (flow, done) = graph(&Options { crashes: 0, ..all }, 1, move |worker, task| {
        let mut crashed = crashed.lock().unwrap();
        let often = crashed.iter().filter(|(_, of)| *of == task).count();
        let crashes = worker == 2 && often < 20;
        if crashes {
            crashed.push((worker, task));
        }
        async move {
            if crashes {
                resume_unwind(Box::new("it slipped"));
            }
            work(worker, task).await
        }
    });
    let report = flow.run_with(schedule(1)).await.unwrap();
    let done = report.take(done).unwrap();
    assert_eq!(lost_and_repeated(&report, &done), (0, 0));
    let by = |worker| done.iter().filter(|done| done.worker == worker).count();
    assert!((1..20).contains(&by(2)), "it did {} of them", by(2));
    assert!([1, 3, 4].into_iter().all(|worker| by(worker) > 100));
}

#[tokio::test(start_paused = true)]
async fn a_drain_at_any_moment_finishes_what_was_handed_out() {
    for millis in (0..400).step_by(19) {
        let (flow, done) =
            graph(&Options { tasks: 1000, workers: 3, ..options(millis) }, millis, work);
        let job = flow.start_with(&schedule(millis)).unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let report = job.drain(Duration::from_secs(60)).await.unwrap();
        let done = report.take(done).unwrap();
        assert_eq!(lost_and_repeated(&report, &done), (0, 0), "drained at {millis} ms");
        assert!(done.len() < 1000);
    }
}
