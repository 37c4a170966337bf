//! What the next run finds: after a crash, an abort, damage, or a job that had enough.

use std::collections::BTreeSet;

use millstream_engine::random::Random;
use millstream_engine::testing::VirtualClock;
use millstream_operators::buffer::disk_buffer::Locked;

use super::*;

#[tokio::test]
async fn d8_what_was_written_comes_again_after_a_crash_and_before_anything_new() {
    let folder = folder();
    abandon(&folder, buffer(&folder), 1000..3000).await;
    let flow = Dataflow::new("next");
    let new = flow.source("new", source::from_iter(5000..5010_u64));
    let all = new.disk_buffer(buffer(&folder)).collect();
    let report = flow.run_with(counting()).await.unwrap();
    let expected: Vec<_> = (1000..3000).chain(5000..5010).collect();
    assert_eq!(report.take(all), Some(expected));
    let counts = operator(&report, "disk_buffer");
    assert_eq!((counts.records_in, counts.added, counts.filtered), (Some(10), 2000, 0));
    assert_eq!(left(buffer(&folder)).await.0, [0; 0], "once only");
}

#[tokio::test]
async fn d8_what_was_read_for_good_does_not_come_again_an_interval_later() {
    let (folder, clock) = (folder(), VirtualClock::new());
    let flow = Dataflow::new("half");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(1000..2000_u64));
    numbers.disk_buffer(buffer(&folder)).boundary().sink("out", end);
    let job = flow.start_with(&small().with_clock(clock.clock())).unwrap();
    until(|| written(&folder) >= 1000).await;
    sink.expect(1000..1500).await;
    let ledger = folder.path().join("0").join("ledger");
    until(|| clock.next_timer().is_some()).await;
    clock.advance(Duration::from_millis(499));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!ledger.exists(), "the interval is half a second");
    clock.advance(Duration::from_millis(1));
    until(|| ledger.exists()).await;
    job.abort();
    job.await.unwrap_err();
    let (left, _) = left(buffer(&folder)).await;
    // What the stage had taken and not asked beyond, and the last batch, come again.
    assert!((1480..=1503).contains(&left[0]), "{}", left[0]);
    assert_eq!(left, (left[0]..2000).collect::<Vec<_>>());
}

/// Aborts jobs at all moments: of what went in, nothing that came out later is without what was
/// before it.
#[tokio::test]
async fn d8_no_crash_makes_a_hole() {
    for seed in 0..6 {
        let (folder, mut random) = (folder(), Random::new(seed));
        let mut seen = Vec::<Vec<u64>>::new();
        for run in 0..8_u64 {
            let flow = Dataflow::new("crash");
            let (sink, end) = probe_sink();
            let numbers =
                flow.source("numbers", source::from_iter(run * 10_000..run * 10_000 + 3000));
            let every = Duration::from_millis(random.below(2));
            let buffer = buffer(&folder).with_max_bytes(20_000).with_sync_every(every);
            let memory = [0, 50][usize::try_from(seed % 2).unwrap()];
            numbers.overflow_to_disk(memory, buffer).sink("out", end);
            let batch = usize::try_from(1 + random.below(40)).unwrap();
            let job = flow.start_with(&JobOptions::default().with_batch_records(batch)).unwrap();
            sink.request(usize::try_from(random.below(2000)).unwrap());
            let mut out = Vec::new();
            for _ in 0..random.below(1200) {
                out.push(sink.next().await.unwrap().value);
            }
            if run == 7 {
                while let Some(record) = sink.next().await {
                    out.push(record.value);
                }
                job.await.unwrap();
            } else {
                drop(job);
                while sink.waiting() > 0 {
                    out.push(sink.next().await.unwrap().value);
                }
            }
            seen.push(out);
        }
        for out in &seen {
            // Within a run and what went into one run: in order and without a hole.
            for pair in out.windows(2) {
                let next = pair[1] == pair[0] + 1;
                let other = pair[1] / 10_000 > pair[0] / 10_000;
                assert!(
                    next || other && (memory_lost(seed) || pair[1].is_multiple_of(10_000)),
                    "seed {seed}: {pair:?}"
                );
            }
        }
        let mut known = BTreeSet::new();
        for value in seen.iter().flatten() {
            // Nor between runs, but for what was on its way through the sink.
            let before = value.saturating_sub(IN_FLIGHT)..*value;
            let follows = value % 10_000 <= IN_FLIGHT || known.range(before).next().is_some();
            assert!(follows || memory_lost(seed), "seed {seed}: {value}");
            known.insert(*value);
        }
        let last = &seen[7];
        assert_eq!(&last[last.len() - 3000..], (70_000..73_000).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(files(&folder, 0, ".corrupt").len(), 0, "seed {seed}");
    }
}

/// Three batches of the largest size: in the stage, and in the sink.
const IN_FLIGHT: u64 = 3 * 40;

/// Whether what a run had in memory, the beginning of what it read, may be gone.
const fn memory_lost(seed: u64) -> bool {
    seed % 2 == 1
}

#[tokio::test]
async fn d8_damage_costs_one_segment_and_a_warning_and_never_the_start() {
    let folder = folder();
    let segmented = || buffer(&folder).with_max_bytes(80_000);
    abandon(&folder, segmented(), 1000..3000).await;
    let segments = files(&folder, 0, ".log");
    assert!(segments.len() > 4);
    let damaged = &segments[2];
    let mut content = fs::read(damaged).unwrap();
    content[200] ^= 1;
    fs::write(damaged, content).unwrap();
    let (left, report) = left(segmented()).await;
    let missing = 2000 - left.len() as u64;
    assert!((1..10_000 / 29).contains(&missing), "{missing}");
    let gap = left.windows(2).find(|pair| pair[1] != pair[0] + 1).unwrap();
    assert_eq!(gap[1] - gap[0] - 1, missing, "one hole, and nothing else");
    let counts = operator(&report, "disk_buffer");
    assert_eq!((counts.dropped.of(DropReason::Damaged), counts.errors), (missing, 1));
    assert_eq!((counts.added, counts.filtered), (2000, missing));
    assert_eq!(files(&folder, 0, ".corrupt").len(), 1, "kept for a human");
    assert_eq!(files(&folder, 0, ".log").len(), 0);
}

#[tokio::test]
async fn d8_a_torn_end_is_cut_off_and_nothing_else() {
    let folder = folder();
    abandon(&folder, buffer(&folder), 1000..1100).await;
    let segment = files(&folder, 0, ".log").remove(0);
    let content = fs::read(&segment).unwrap();
    fs::write(&segment, &content[..content.len() - 10]).unwrap();
    let (left, report) = left(buffer(&folder)).await;
    assert_eq!(left, (1000..1099).collect::<Vec<_>>());
    assert_eq!(operator(&report, "disk_buffer").errors, 0);
    assert_eq!(files(&folder, 0, ".corrupt").len(), 0);
}

#[tokio::test]
async fn d8_a_record_that_is_no_value_is_skipped_alone_and_kept() {
    let folder = folder();
    abandon(&folder, buffer(&folder), 1000..1010).await;
    let flow = Dataflow::new("other type");
    let nothing = flow.source("nothing", source::empty::<String>());
    let none = nothing.disk_buffer(buffer(&folder)).count();
    let report = flow.run_with(counting()).await.unwrap();
    assert_eq!(report.take(none), Some(0));
    assert_eq!(operator(&report, "disk_buffer").dropped.of(DropReason::Damaged), 10);
    assert_eq!(files(&folder, 0, ".corrupt").len(), 1);
}

#[tokio::test]
async fn d8_a_second_job_is_refused_and_the_next_one_is_not() {
    let folder = folder();
    let (_sink, end) = probe_sink();
    let first = Dataflow::new("first");
    let (source, factory) = probe_source::<u64>();
    first.source("in", factory).disk_buffer(buffer(&folder)).sink("out", end);
    let job = first.start().unwrap();
    source.send(1000).await;
    until(|| written(&folder) >= 1).await;
    let second = Dataflow::new("second");
    second.source("in", source::once(1_u64)).disk_buffer(buffer(&folder)).named("waits").ignore();
    let clock = VirtualClock::new();
    let second = second.start_with(&JobOptions::default().with_clock(clock.clock())).unwrap();
    let observer = second.observer();
    until(|| {
        clock.advance(Duration::from_millis(50));
        observer.outcome().is_some()
    })
    .await;
    let error = second.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("waits"));
    let told = error.to_string();
    assert!(told.contains("another job has this buffer open"), "{told}");
    assert!(told.contains(folder.path().to_str().unwrap()), "{told}");
    assert_eq!(Locked { remains: None }.to_string(), "another job has this buffer open");
    job.abort();
    job.await.unwrap_err();
    assert_eq!(left(buffer(&folder)).await.0, [1000]);
}

#[tokio::test]
async fn d8_each_instance_has_a_folder_and_fewer_of_them_are_refused_while_something_waits() {
    let (folder, flow) = (folder(), Dataflow::new("parallel"));
    let (_sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(1000..1100_u64)).parallel(2);
    numbers.disk_buffer(buffer(&folder)).gather().sink("stuck", end);
    let job = flow.start_with(&small()).unwrap();
    let begun = |instance| files(&folder, instance, ".log").len() == 1;
    until(|| begun(0) && begun(1)).await;
    drop(job);
    let run = |instances| {
        let flow = Dataflow::new("again");
        let nothing = flow.source("nothing", source::empty::<u64>()).parallel(instances);
        nothing.disk_buffer(buffer(&folder)).gather().ignore();
        flow.run()
    };
    let error = run(1).await.unwrap_err().to_string();
    assert!(error.contains("records of instance 1 wait there"), "{error}");
    run(2).await.unwrap();
    run(1).await.unwrap();
}

#[tokio::test]
async fn d8_what_nobody_wants_any_more_stays_for_the_next_run() {
    let (folder, flow) = (folder(), Dataflow::new("enough"));
    let numbers = flow.source("numbers", source::from_iter(1000..3000_u64));
    let first = numbers.disk_buffer(buffer(&folder)).take(10).collect();
    let options = JobOptions::default().with_batch_records(5);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.take(first), Some((1000..1010).collect()));
    let (left, _) = left(buffer(&folder)).await;
    let start = left.first().copied().unwrap_or(1010);
    assert!(start <= 1010, "nothing between is lost: {start}");
    assert_eq!(left, (start..start + left.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn d8_what_had_overflowed_survives_a_crash_and_comes_first() {
    let (folder, flow) = (folder(), Dataflow::new("overflowed"));
    let (_sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(1000..2000_u64));
    numbers.overflow_to_disk(100, buffer(&folder)).sink("stuck", end);
    let job = flow.start().unwrap();
    // The sink holds a batch, and memory the next hundred.
    until(|| written(&folder) >= 800).await;
    job.abort();
    job.await.unwrap_err();
    let flow = Dataflow::new("next");
    let new = flow.source("new", source::from_iter([5000_u64]));
    let all = new.overflow_to_disk(100, buffer(&folder)).collect();
    let all = flow.run().await.unwrap().take(all).unwrap();
    assert!(all.len() > 800, "{}", all.len());
    let expected: Vec<_> = (all[0]..2000).chain([5000]).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn d8_a_full_buffer_is_no_dead_end_for_the_next_run() {
    let folder = folder();
    let flow = Dataflow::new("fills");
    let (_sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(1000..9000_u64));
    let large = buffer(&folder).with_max_bytes(8192).with_sync_every(Duration::from_secs(3600));
    numbers.disk_buffer(large).sink("stuck", end);
    let job = flow.start_with(&small()).unwrap();
    until(|| bytes(&folder) > 8192 - 200).await;
    drop(job);
    // Not even if it may have less than there is already.
    let flow = Dataflow::new("next");
    let new = flow.source("new", source::from_iter(9000..9500_u64));
    let all = new.disk_buffer(buffer(&folder).with_max_bytes(4096)).collect();
    let all = flow.run_with(small()).await.unwrap().take(all).unwrap();
    let old = all.len() as u64 - 500;
    assert!(old > 200, "{old}");
    assert_eq!(all, (1000..1000 + old).chain(9000..9500).collect::<Vec<_>>());
}

#[tokio::test]
async fn d8_a_batch_that_is_not_taken_whole_comes_again_whole() {
    let folder = folder();
    let flow = Dataflow::new("midway");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(1000..1100_u64));
    let often = buffer(&folder).with_sync_every(Duration::ZERO);
    let stuck = numbers.disk_buffer(often).flat_map_iter(|n| std::iter::repeat_n(n, 1000));
    stuck.boundary().sink("stuck", end);
    let options = JobOptions::default().with_batch_records(10).with_edge_capacity(10);
    let job = flow.start_with(&options).unwrap();
    sink.expect([1000]).await;
    until(|| written(&folder) == 100 && !files(&folder, 0, "ledger").is_empty()).await;
    drop(job);
    assert_eq!(left(buffer(&folder)).await.0, (1000..1100).collect::<Vec<_>>());
}
