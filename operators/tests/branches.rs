//! Streams that part: who waits for whom, who gets what, what ends what, and what is counted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::metrics::JobMetrics;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{SinkProbe, probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_operators::fan::SidePort;
use millstream_operators::prelude::*;

/// Long on a clock that is paused: it passes when nothing else can happen.
const LONG: Duration = Duration::from_secs(60);

/// Batches and edges of one record, where every wait shows.
fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

/// What a sink gets, when it asks for everything.
async fn rest<T: Send + 'static>(sink: &SinkProbe<T>) -> Vec<T> {
    sink.request(1_000_000);
    let mut values = Vec::new();
    while let Some(record) = sink.next().await {
        values.push(record.value);
    }
    values
}

/// Every record that was put into an edge came out of it, or was dropped and counted.
fn balances(metrics: &JobMetrics) {
    for edge in &metrics.edges {
        assert_eq!(edge.sent, edge.received + edge.dropped.total(), "{}", edge.name);
    }
}

#[tokio::test(start_paused = true)]
async fn e1_a_stuck_lossy_branch_costs_its_siblings_nothing() {
    let policies = [
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::DropAll,
        WhenFull::Sample,
        WhenFull::Conflate { max: usize::MAX },
    ];
    for policy in policies {
        for options in [narrow(), JobOptions::default()] {
            let flow = Dataflow::new("stuck");
            let (stuck, stuck_end) = probe_sink();
            let numbers = flow.source("numbers", source::from_iter(0..10_000_u64));
            let [all, branch] = numbers.broadcast();
            let all = all.collect();
            let branch = match policy {
                WhenFull::Conflate { .. } => branch.conflate_when_full(|_, _| {}),
                policy => branch.when_full(policy),
            };
            branch.with_capacity(8).sink("stuck", stuck_end);
            let clock = Clock::system();
            let job = flow.start_with(&options).unwrap();
            clock.sleep(Duration::from_millis(1)).await;
            let metrics = job.metrics();
            let finished = metrics.stages.iter().map(|stage| stage.finished).collect::<Vec<_>>();
            assert_eq!(finished, [1, 1, 0], "{policy}: in no time at all");
            assert_eq!(clock.now().since_start(), Duration::from_millis(1));
            let seen = rest(&stuck).await;
            let report = job.await.unwrap();
            assert_eq!(report.take(all).unwrap().len(), 10_000);
            assert!(seen.is_sorted() && seen.len() < 10_000, "{policy}");
            let edge = &report.metrics().edges[1];
            assert_eq!(edge.sent, 10_000);
            assert_eq!(edge.dropped.of(edge_reason(policy)), 10_000 - seen.len() as u64);
            balances(report.metrics());
        }
    }
}

fn edge_reason(policy: WhenFull) -> millstream_engine::metrics::DropReason {
    use millstream_engine::metrics::DropReason;
    match policy {
        WhenFull::Sample => DropReason::Sampled,
        WhenFull::Conflate { .. } => DropReason::Superseded,
        _ => DropReason::Overflow,
    }
}

#[tokio::test(start_paused = true)]
async fn e1_each_branch_has_a_policy_and_numbers_of_its_own() {
    let flow = Dataflow::new("each");
    let (oldest, oldest_end) = probe_sink();
    let (newest, newest_end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
    let [first, second, third] = numbers.broadcast();
    first.when_full(WhenFull::DropOldest).with_capacity(4).sink("oldest", oldest_end);
    second.when_full(WhenFull::DropNewest).with_capacity(6).sink("newest", newest_end);
    let count = third.count();
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let (oldest, newest) = (rest(&oldest).await, rest(&newest).await);
    assert_eq!(oldest[oldest.len() - 4..], [996, 997, 998, 999]);
    assert_eq!(newest, (0..u32::try_from(newest.len()).unwrap()).collect::<Vec<_>>());
    let report = job.await.unwrap();
    assert_eq!(report.take(count), Some(1000));
    let dropped: Vec<_> = report.metrics().edges.iter().map(|e| e.dropped.total()).collect();
    assert_eq!(dropped, [1000 - oldest.len() as u64, 1000 - newest.len() as u64, 0]);
    balances(report.metrics());
}

#[tokio::test]
async fn e1_eager_cancel_ends_it_for_all_behind_what_they_were_given() {
    for options in [narrow(), JobOptions::default()] {
        let flow = Dataflow::new("eager");
        let numbers = flow.source("numbers", source::from_iter(0_u64..));
        let [some, all] = numbers.broadcast_with(OnCancel::CancelAll);
        let (some, all) = (some.take(3).collect(), all.collect());
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.take(some), Some(vec![0, 1, 2]));
        let all = report.take(all).unwrap();
        assert!(all.len() >= 3 && all.iter().zip(0..).all(|(value, n)| *value == n));
    }
}

#[tokio::test]
async fn e1_broadcast_to_has_as_many_branches_as_one_says() {
    let flow = Dataflow::new("many");
    let numbers = flow.source("numbers", source::from_iter(0..10_u32));
    let branches = numbers.broadcast_to(5, OnCancel::Continue);
    let all: Vec<_> = branches.into_iter().map(DataStream::collect).collect();
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!(all.len(), 5);
    assert!(all.into_iter().all(|one| report.take(one) == Some((0..10).collect())));

    let flow = Dataflow::new("none");
    let numbers = flow.source("numbers", source::from_iter(0..10_u32));
    assert!(numbers.broadcast_to(0, OnCancel::Continue).is_empty());
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("the stream behind `broadcast` goes nowhere"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn e2_balance_gives_the_next_record_to_whoever_is_idle() {
    let flow = Dataflow::new("workers");
    let (source, factory) = probe_source::<u32>();
    let workers: [_; 3] = flow.source("jobs", factory).balance();
    let mut names = ["first", "second", "third"].into_iter();
    let probes = workers.map(|worker| {
        let (probe, end) = probe_sink();
        worker.sink(names.next().unwrap(), end);
        probe
    });
    let job = flow.start_with(&narrow()).unwrap();
    // The first one never asks for anything; the others do what there is.
    probes[1].request(1000);
    probes[2].request(1000);
    for n in 0..100 {
        source.send(n).await;
        Clock::system().sleep(Duration::from_millis(1)).await;
    }
    let done = probes[1].waiting() + probes[2].waiting();
    assert!(done >= 94, "the stuck one holds what it was given while it was idle: {done}");
    assert!(probes[1].waiting().abs_diff(probes[2].waiting()) <= 8, "they take turns");
    source.end().await;
    let mut all = Vec::new();
    for probe in &probes {
        all.extend(rest(probe).await);
    }
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn e2_balance_waits_when_nobody_has_room_and_then_serves_who_has_it_first() {
    let flow = Dataflow::new("busy");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let [left, right] = numbers.balance();
    let ((left_probe, left_end), (right_probe, right_end)) = (probe_sink(), probe_sink());
    left.sink("left", left_end);
    right.sink("right", right_end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let held = job.metrics().edges.iter().map(|edge| edge.sent).sum::<u64>();
    assert!(held <= 10, "nobody has room: {held}");
    // Whatever the left one was given while it had room, everything else goes to the right.
    let right = {
        right_probe.request(1000);
        Clock::system().sleep(LONG).await;
        right_probe.waiting()
    };
    assert!(right >= 94, "{right}");
    let mut all = rest(&right_probe).await;
    assert!(all.is_sorted(), "order is kept within a branch");
    all.extend(rest(&left_probe).await);
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    let report = job.await.unwrap();
    balances(report.metrics());
}

#[tokio::test]
async fn e2_balance_goes_on_without_a_branch_that_has_enough_and_ends_without_any() {
    let flow = Dataflow::new("enough");
    let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
    let [some, others] = numbers.balance();
    let (some, others) = (some.take(3).count(), others.count());
    let report = flow.run_with(narrow()).await.unwrap();
    let (some, others) = (report.take(some).unwrap(), report.take(others).unwrap());
    let cancelled = report.metrics().stages[0].cancelled;
    assert!(some <= 3 && others + 3 + cancelled + 3 >= 1000, "{some} {others} {cancelled}");

    let flow = Dataflow::new("all have enough");
    let workers = flow.source("numbers", source::from_iter(0_u64..)).balance_to(3);
    let counts: Vec<_> = workers.into_iter().map(|worker| worker.take(2).count()).collect();
    let report = flow.run_with(narrow()).await.unwrap();
    assert!(counts.into_iter().all(|count| report.take(count) == Some(2)));
}

#[tokio::test]
async fn e3_routes_give_each_record_to_the_first_that_wants_it_and_the_rest_to_a_named_branch() {
    let flow = Dataflow::new("sizes");
    let mut routes = flow.source("numbers", source::from_iter(0..20_u32)).routes();
    let small = routes.when("small", |n| *n < 5).collect();
    let even = routes.when("even", |n| n % 2 == 0).collect();
    let others = routes.otherwise("others").collect();
    let graph = flow.graph().unwrap();
    let names: Vec<_> = graph.operators.iter().map(|node| node.name.as_str()).collect();
    assert!(["small", "even", "others", "routes"].iter().all(|name| names.contains(name)));
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!(report.take(small), Some((0..5).collect()));
    assert_eq!(report.take(even), Some((6..20).step_by(2).collect()));
    assert_eq!(report.take(others), Some((5..20).step_by(2).collect()));
}

#[test]
fn e3_routes_without_a_branch_for_the_rest_are_a_building_mistake() {
    let flow = Dataflow::new("no rest");
    let mut routes = flow.source("numbers", source::from_iter(0..20_u32)).routes();
    routes.when("small", |n| *n < 5).ignore();
    drop(routes);
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("the stream behind `numbers` goes nowhere"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn e3_a_blocked_branch_blocks_the_input_unless_it_is_lossy() {
    for (policy, finished) in [(WhenFull::Block, 0), (WhenFull::DropNewest, 1)] {
        let flow = Dataflow::new("head of line");
        let (stuck, stuck_end) = probe_sink();
        let numbers = flow.source("numbers", source::from_iter(0..100_usize));
        let mut branches = numbers.partition_to(2, |n| n % 2).into_iter();
        branches.next().unwrap().when_full(policy).sink("stuck", stuck_end);
        let odd = branches.next().unwrap().count();
        let job = flow.start_with(&narrow()).unwrap();
        Clock::system().sleep(LONG).await;
        assert_eq!(job.metrics().stages[0].finished, finished, "{policy}");
        rest(&stuck).await;
        let report = job.await.unwrap();
        assert_eq!(report.take(odd), Some(50));
        assert_eq!(report.metrics().edges[0].sent, 50);
        balances(report.metrics());
    }
}

/// Sends each number to a side by its size, several at a time, and passes the rest.
#[derive(Clone)]
struct Sorter {
    sides: (SidePort<u64>, SidePort<String>),
}

impl Operator<u64> for Sorter {
    type Out = u64;
    const NAME: &'static str = "sorter";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), millstream_engine::Error> {
        self.sides.0.open(context);
        self.sides.1.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        match record.value % 3 {
            0 => (0..3).for_each(|_| self.sides.0.emit(record)),
            1 => self.sides.1.emit(record.with(|n| n.to_string())),
            _ => out.push(record),
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        Some(&mut self.sides)
    }
}

#[tokio::test]
async fn e4_an_operator_may_have_several_side_outputs_of_other_types() {
    for (options, instances) in [(narrow(), 1), (JobOptions::default(), 3), (narrow(), 2)] {
        let flow = Dataflow::new("sides");
        let (thirds, third_stream) = flow.side_output::<u64>("thirds");
        let (texts, text_stream) = flow.side_output::<String>("texts");
        let numbers = flow.source("numbers", source::from_iter(0..300_u64)).parallel(instances);
        let main = numbers
            .via_with(|operator, blueprint| Sorter {
                sides: (thirds.port(operator, blueprint), texts.port(operator, blueprint)),
            })
            .collect();
        let (third_stream, text_stream) = (third_stream.collect(), text_stream.count());
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.take(main).unwrap().len(), 100);
        assert_eq!(report.take(text_stream), Some(100));
        let mut values = report.take(third_stream).unwrap();
        if instances == 1 {
            assert!(values.is_sorted(), "in order, and after what had to wait");
        }
        values.sort_unstable();
        let thrice = (0..300).step_by(3).flat_map(|n| [n; 3]);
        assert_eq!(values, thrice.collect::<Vec<_>>());
        balances(report.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn e4_a_side_output_that_is_full_holds_its_operator_up_and_only_briefly() {
    let flow = Dataflow::new("slow side");
    let (tag, side) = flow.side_output::<u32>("side");
    let (slow, slow_end) = probe_sink();
    side.sink("slow", slow_end);
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let count = numbers
        .process_with_side(&tag, |n, side| {
            side.emit(n);
            side.emit(n);
            Some(n)
        })
        .count();
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let metrics = job.metrics();
    assert!(metrics.stages.iter().any(|stage| stage.blocked_now == 1));
    assert!(metrics.edges[0].sent < 12, "{:?}", metrics.edges[0]);
    assert_eq!(rest(&slow).await, (0..100).flat_map(|n| [n, n]).collect::<Vec<_>>());
    assert_eq!(job.await.unwrap().take(count), Some(100));
}

#[tokio::test]
async fn e4_a_side_output_that_has_enough_is_left_alone() {
    let flow = Dataflow::new("enough");
    let (tag, side) = flow.side_output::<u32>("side");
    let some = side.take(2).collect();
    let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
    let count = numbers
        .process_with_side(&tag, |n, side| {
            side.emit(n);
            Some(n)
        })
        .count();
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!((report.take(some), report.take(count)), (Some(vec![0, 1]), Some(1000)));
}

#[test]
fn e4_a_tag_that_nobody_uses_is_a_building_mistake() {
    let flow = Dataflow::new("unused");
    flow.source("numbers", source::from_iter(0..9)).ignore();
    let (_, side) = flow.side_output::<u32>("late");
    side.ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("nothing feeds `late`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn e6_also_to_runs_at_the_speed_of_its_side() {
    let flow = Dataflow::new("archive");
    let (slow, slow_end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let (main, side) = numbers.also_to(OnCancel::Continue);
    side.sink("slow", slow_end);
    let all = main.collect();
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let metrics = job.metrics();
    assert_eq!(metrics.stages.iter().map(|stage| stage.finished).sum::<usize>(), 0);
    assert_eq!(rest(&slow).await, (0..100).collect::<Vec<_>>());
    assert_eq!(job.await.unwrap().take(all), Some((0..100).collect()));
}

#[tokio::test]
async fn e6_whether_the_cancellation_of_the_side_propagates_is_an_argument() {
    for options in [narrow(), JobOptions::default()] {
        let flow = Dataflow::new("goes on");
        let numbers = flow.source("numbers", source::from_iter(0..500_u64));
        let (main, side) = numbers.also_to(OnCancel::Continue);
        let (some, all) = (side.take(2).collect(), main.count());
        let report = flow.run_with(options.clone()).await.unwrap();
        assert_eq!((report.take(some), report.take(all)), (Some(vec![0, 1]), Some(500)));

        let flow = Dataflow::new("ends");
        let numbers = flow.source("numbers", source::from_iter(0_u64..));
        let (main, side) = numbers.also_to(OnCancel::CancelAll);
        let (some, all) = (side.take(2).collect(), main.count());
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.take(some), Some(vec![0, 1]));
        assert!(report.take(all).unwrap() >= 2);
    }
}

#[tokio::test]
async fn e6_a_failure_of_the_side_is_one_of_the_job() {
    let flow = Dataflow::new("fails");
    let numbers = flow.source("numbers", source::from_iter(0..500_u64));
    let (main, side) = numbers.also_to(OnCancel::Continue);
    main.ignore();
    side.map(|n| assert!(n < 3, "broken")).named("broken").ignore();
    let error = flow.run_with(narrow()).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("broken"));
}

#[tokio::test(start_paused = true)]
async fn e7_a_slow_tap_never_slows_the_main_line_and_counts_what_it_missed() {
    let flow = Dataflow::new("tapped");
    let (slow, slow_end) = probe_sink();
    let (main, tap) = flow.source("numbers", source::from_iter(0..10_000_u32)).wire_tap();
    tap.with_capacity(4).sink("slow", slow_end);
    let all = main.count();
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(Duration::from_millis(1)).await;
    let main = job.metrics().stages.iter().filter(|stage| stage.finished == 1).count();
    assert_eq!(main, 1, "the main line is through");
    let seen = rest(&slow).await;
    assert!(seen.is_sorted() && seen.starts_with(&[0, 1, 2, 3]) && seen.len() < 20, "{seen:?}");
    let report = job.await.unwrap();
    assert_eq!(report.take(all), Some(10_000));
    let edge = &report.metrics().edges[0];
    assert_eq!((edge.sent, edge.dropped.total()), (10_000, 10_000 - seen.len() as u64));
}

#[tokio::test]
async fn e7_a_tap_that_fails_or_panics_is_cut_off_and_the_job_goes_on() {
    for panics in [true, false] {
        for options in [narrow(), JobOptions::default()] {
            let flow = Dataflow::new("broken tap");
            let (main, tap) = flow.source("numbers", source::from_iter(0..1000_u32)).wire_tap();
            let broken = tap.try_map(OnError::fail(), move |_| {
                assert!(!panics, "broken");
                Err::<u32, _>(std::io::Error::other("broken"))
            });
            // What a tap feeds can be done without, too, and does not take this for the end.
            let tapped = broken.boundary().collect();
            let all = main.collect();
            let report = flow.run_with(options).await.unwrap();
            assert_eq!(report.take(all), Some((0..1000).collect()), "{panics}");
            assert_eq!(report.take(tapped), None, "what it had was not complete");
            let failed = report.metrics().stages.iter().map(|stage| stage.failed);
            assert_eq!(failed.sum::<usize>(), 2, "the tap, and what it fed");
        }
    }
}

#[tokio::test]
async fn e7_where_a_broken_tap_meets_the_main_line_its_input_just_ends() {
    let flow = Dataflow::new("met again");
    let (main, tap) = flow.source("numbers", source::from_iter(0..100_u32)).wire_tap();
    let broken = tap.inspect(|_| panic!("broken"));
    let all = main.boundary().merge(broken).count();
    let report = flow.run_with(narrow()).await.unwrap();
    assert!(report.take(all).unwrap() >= 100);
}

#[tokio::test(start_paused = true)]
async fn e7_a_sink_behind_a_broken_tap_commits_nothing() {
    let flow = Dataflow::new("no commit");
    let (probe, end) = probe_sink();
    let (main, tap) = flow.source("numbers", source::from_iter(0..100_u32)).wire_tap();
    tap.inspect(|_| panic!("broken")).sink("tap", end);
    let all = main.count();
    probe.request(1000);
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!(report.take(all), Some(100));
    assert!(!probe.is_prepared() && !probe.is_committed());
}

#[tokio::test]
async fn e7_the_main_line_may_still_fail() {
    let flow = Dataflow::new("main fails");
    let (main, tap) = flow.source("numbers", source::from_iter(0..100_u32)).wire_tap();
    tap.ignore();
    main.map(|n| assert!(n < 3, "broken")).named("broken").ignore();
    let error = flow.run_with(narrow()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("broken".to_owned()));
    assert_eq!(error.operator_name(), Some("broken"));
}

#[tokio::test]
async fn e12_unzip_is_in_lock_step_and_over_when_either_half_has_enough() {
    let flow = Dataflow::new("halves");
    let pairs = flow.source("pairs", source::from_iter((0..100_u32).map(|n| (n, -i64::from(n)))));
    let (left, right) = pairs.unzip();
    let (left, right) = (left.collect(), right.collect());
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!(report.take(left), Some((0..100).collect()));
    assert_eq!(report.take(right), Some((0..100).map(|n| -n).collect()));

    for first in [true, false] {
        let flow = Dataflow::new("enough");
        let numbers = flow.source("numbers", source::from_iter(0_u64..));
        let (left, right) = numbers.unzip_with(|n| (n, n));
        let (left, right) = (left.boxed(), right);
        let (short, long) = if first { (left, right) } else { (right, left) };
        let (short, long) = (short.take(3).count(), long.count());
        let report = flow.run_with(narrow()).await.unwrap();
        assert_eq!(report.take(short), Some(3));
        assert!(report.take(long).unwrap() >= 2);
    }
}

#[test]
fn f2_concat_of_branches_is_no_mistake_where_the_later_one_never_waits() {
    let draft = |first: WhenFull, second: WhenFull| {
        let flow = Dataflow::new("lossy");
        let numbers = flow.source("numbers", source::from_iter(0..9_u32));
        let [left, right] = numbers.broadcast();
        let (left, right) = (left.when_full(first), right.when_full(second));
        left.map(|n| n + 1).concat(right.map(|n| n + 2)).ignore();
        flow.validate()
    };
    assert!(draft(WhenFull::Block, WhenFull::DropOldest).is_ok());
    assert!(draft(WhenFull::DropOldest, WhenFull::Block).is_err());
    assert!(draft(WhenFull::Block, WhenFull::Block).is_err());
}
