//! Sections that are started again, and what they are given again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_operators::prelude::*;

use proptest::prelude::*;

use super::*;

/// A section that slips at certain numbers, each once.
fn slippery(
    at: &[u32],
    panics: bool,
) -> impl Fn(DataStream<u32>) -> DataStream<u32> + Send + Sync + use<> {
    let slipped: Vec<_> = at.iter().map(|at| (*at, AtomicBool::new(false))).collect();
    let slipped = Arc::new(slipped);
    move |numbers| {
        let slipped = Arc::clone(&slipped);
        let step = move |n: &u32| {
            let mut slips = slipped.iter().filter(|(at, _)| at == n);
            if slips.any(|(_, slipped)| !slipped.swap(true, SeqCst)) {
                assert!(!panics, "slipped");
                return Err(std::fmt::Error);
            }
            Ok(*n)
        };
        let odd = numbers.boundary().try_map(OnError::fail(), step).filter(|n| n % 5 != 4);
        odd.flat_map_iter(|n| vec![n; n as usize % 3]).boundary()
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_section_that_fails_is_given_again_what_was_not_through() {
    let expected: Vec<u32> =
        (0..200).filter(|n| n % 5 != 4).flat_map(|n| vec![n; n as usize % 3]).collect();
    for panics in [false, true] {
        for batch in [1, 3, 64] {
            let flow = Dataflow::new("slippery");
            let numbers = flow.source("in", source::from_iter(0..200_u32));
            let section = slippery(&[0, 17, 18, 150, 199], panics);
            let all = numbers.restart_section(quick(9), section).named("section").collect();
            let options = JobOptions::default().with_batch_records(batch);
            let report = flow.run_with(options).await.unwrap();
            let counts = operator(&report, "section");
            assert_eq!((counts.errors, counts.retries), (5, 5));
            assert_eq!(counts.records_in, Some(200));
            assert_eq!(counts.records_out, Some(expected.len() as u64));
            assert_eq!(report.take(all).unwrap(), expected, "batches of {batch}");
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn j4_wherever_a_section_fails_everything_comes_out_once_and_in_order(
        slips in prop::collection::vec(0..80_u32, 0..6),
        panics in any::<bool>(),
        batch in 1..6_usize,
        capacity in 1..5_usize,
        instances in 1..3_usize,
        in_flight in 0..4_usize,
    ) {
        let flow = Dataflow::new("anywhere");
        let numbers = flow.source("in", source::from_iter(0..80_u32)).parallel(instances);
        // Each instance has a section of its own, and they share what has slipped.
        let policy = quick(9).with_in_flight(in_flight);
        let numbers = numbers.restart_section(policy, slippery(&slips, panics));
        let numbers = numbers.gather().collect();
        let options = JobOptions::default().with_batch_records(batch).with_publish_every(None);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let report = runtime.block_on(flow.run_with(options.with_edge_capacity(capacity)));
        let report = report.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut all = report.take(numbers).unwrap();
        if instances > 1 {
            all.sort_unstable();
        }
        let expected = (0..80).filter(|n| n % 5 != 4).flat_map(|n| vec![n; n as usize % 3]);
        prop_assert_eq!(all, expected.collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_section_hoards_no_more_than_it_may_have_in_flight() {
    for in_flight in [1, 3] {
        let flow = Dataflow::new("workers");
        let [slow, quick_one] = flow.source("in", source::from_iter(0..100_u32)).balance();
        let policy = quick(3).with_in_flight(in_flight);
        let slow = slow.restart_section(policy, |tasks| {
            tasks.map_async(1, |_| async {
                Clock::system().sleep(Duration::from_secs(3600)).await;
                "slow"
            })
        });
        let slow = slow.with_capacity(1);
        let quick_one = quick_one.restart_section(policy, |tasks| tasks.map(|_| "quick"));
        let done = slow.merge(quick_one).collect();
        let report = flow.run_with(JobOptions::default().with_stall_warning(None)).await.unwrap();
        let done = report.take(done).unwrap();
        assert_eq!(done.len(), 100);
        // Those in flight, and one in the edge before the section.
        let hoarded = done.iter().filter(|by| **by == "slow").count();
        assert_eq!(hoarded, in_flight + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_section_is_restarted_only_so_often_and_its_numbers_start_over() {
    let run = |policy| async move {
        let flow = Dataflow::new("limited");
        let ticks = source::interval(Duration::from_secs(1), source::MissedTicks::Skip);
        let numbers = flow.source("ticks", ticks).map(|tick| tick as u32).take(10);
        let all = numbers.restart_section(policy, slippery(&[2, 5, 8], false)).count();
        flow.run().await.map(|report| report.take(all).unwrap())
    };
    let error = run(quick(3).with_reset_after(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("restart_section"));
    assert!(error.to_string().contains("operator `try_map` failed"), "{error}");
    // Three seconds of quiet lie between the failures.
    assert!(run(quick(2).with_reset_after(Duration::from_secs(2))).await.unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn j4_a_batch_that_makes_very_much_is_passed_on_before_it_is_through() {
    for slips in [false, true] {
        let left = AtomicBool::new(slips);
        let left = Arc::new(left);
        let flow = Dataflow::new("much");
        let numbers = flow.source("in", source::from_iter(0..4_u32));
        let much = numbers.restart_section(quick(3), move |numbers| {
            let left = Arc::clone(&left);
            let much = numbers.flat_map_iter(|n| vec![n; 1000]).boundary();
            let mut seen = 0;
            much.inspect(move |_| {
                seen += 1;
                assert!(seen < 2500 || !left.swap(false, SeqCst), "slipped");
            })
        });
        let much = much.named("section").collect();
        let report = flow.run_with(small()).await.unwrap();
        let all = report.take(much).unwrap();
        let counts = operator(&report, "section");
        assert_eq!(counts.records_out, Some(all.len() as u64), "each is counted");
        for n in 0..4 {
            let times = all.iter().filter(|one| **one == n).count();
            // The batch at which it slipped is given again, and some of it had come out.
            let expected = if slips && n >= 2 { 1000..2000 } else { 1000..1001 };
            assert!(expected.contains(&times), "{n} came {times} times");
        }
        assert_eq!(all.len() > 4000, slips);
    }
}

#[tokio::test]
async fn j4_a_section_passes_watermarks_barriers_idleness_and_the_end() {
    use millstream_engine::batch::Barrier;
    let (probe, numbers) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("control");
    let stream = flow.source("in", numbers);
    let stream = stream.restart_section(quick(3), |numbers| numbers.boundary().map(|n| n + 1));
    stream.via(Marks).sink("out", end);
    let job = flow.start_with(&small()).unwrap();
    sink.request(100);
    probe.send(Record::at(1, Timestamp::from_millis(5))).await;
    probe.watermark(Timestamp::from_millis(4)).await;
    assert_eq!(sink.next().await.unwrap(), Record::at(2, Timestamp::from_millis(5)));
    assert_eq!(sink.next().await.unwrap().value, 1004);
    probe.barrier(Barrier(7)).await;
    probe.idle().await;
    probe.send(3).await;
    assert_eq!(sink.next().await.unwrap().value, 4);
    probe.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

/// Shows each watermark as a record.
#[derive(Clone)]
struct Marks;

impl Operator<u32> for Marks {
    type Out = u32;
    const NAME: &'static str = "marks";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        out.push(Record::at(1000 + watermark.as_millis() as u32, watermark));
        Ok(())
    }
}

#[tokio::test]
async fn j4_a_section_that_has_enough_ends_the_stream_and_one_behind_it_cancels_it() {
    let flow = Dataflow::new("enough");
    let endless = |name| flow.source(name, source::from_iter(0_u32..));
    let inside = endless("a").restart_section(quick(3), |numbers| numbers.take(3)).collect();
    let behind = endless("b").restart_section(quick(3), |numbers| numbers).take(3).collect();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(inside), Some(vec![0, 1, 2]));
    assert_eq!(report.take(behind), Some(vec![0, 1, 2]));
}

#[tokio::test]
async fn j4_a_stuck_section_bounds_what_it_is_given_and_goes_with_its_job() {
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let gone = Arc::new(());
    let held = Arc::clone(&gone);
    let flow = Dataflow::new("stuck");
    let numbers = (0..100_000_u32).inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let numbers = flow.source("in", source::from_iter(numbers));
    let (_sink, stuck) = probe_sink();
    numbers
        .restart_section(quick(3), move |numbers| {
            let held = Arc::clone(&held);
            numbers.boundary().inspect(move |_| drop(Arc::clone(&held))).boundary()
        })
        .sink("stuck", stuck);
    let job = flow.start_with(&small()).unwrap();
    for _ in 0..3000 {
        tokio::task::yield_now().await;
    }
    assert!((1..80).contains(&pulled.load(SeqCst)), "{pulled:?}");
    assert!(Arc::strong_count(&gone) > 2, "the section holds it");
    job.abort();
    job.await.unwrap_err();
    drop(flow);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&gone), 1, "nothing of the section is left");
}

#[test]
fn j4_a_section_is_restarted_on_several_threads() {
    for round in 0..20 {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
        let flow = Dataflow::new("threads");
        let numbers = flow.source("in", source::from_iter(0..500_u32));
        let slips = [round, round * 7, 250, 251, 499];
        let at_once = Backoff::default().with_initial(Duration::from_micros(10)).with_attempts(9);
        let all = numbers.restart_section(at_once, slippery(&slips, round % 2 == 0)).collect();
        let report = runtime.block_on(flow.run_with(small())).unwrap();
        let expected = (0..500).filter(|n| n % 5 != 4).flat_map(|n| vec![n; n as usize % 3]);
        assert_eq!(report.take(all), Some(expected.collect()), "round {round}");
    }
}
