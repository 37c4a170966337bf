//! Edges that do something else than wait when they are full, or give out in another order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::edge::EdgeFull;
use millstream_engine::metrics::{DropReason, EdgeMetrics};
use millstream_engine::testing::{SinkProbe, probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

/// Long on a clock that is paused: it passes when nothing else can happen.
const LONG: Duration = Duration::from_secs(60);

/// Batches of one record, where every wait shows.
fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

/// What a sink gets, when it asks for everything.
async fn rest<T: Send + 'static>(sink: &SinkProbe<T>) -> Vec<T> {
    sink.request(100_000);
    let mut values = Vec::new();
    while let Some(record) = sink.next().await {
        values.push(record.value);
    }
    values
}

/// Puts 100 numbers through a buffer of five whose consumer is stuck until all have been offered.
/// Gives what came out, and the numbers of the edge.
async fn overflow(policy: WhenFull) -> (Vec<u32>, EdgeMetrics) {
    let flow = Dataflow::new("overflow");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.buffer(5, policy).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let stuck = job.metrics();
    assert_eq!(stuck.stages[0].finished, 1, "{policy}: the source has got rid of all");
    let values = rest(&sink).await;
    let report = job.await.unwrap();
    let edge = report.metrics().edges[0].clone();
    assert_eq!(edge.sent, 100);
    assert_eq!(edge.sent, edge.received + edge.dropped.total());
    assert_eq!(values.len() as u64, edge.received);
    let (_, accounted) = report.edges().next().unwrap();
    assert_eq!((accounted.dropped, accounted.abandoned), (edge.dropped.total(), 0));
    (values, edge)
}

/// How many were taken before the consumer was stuck: it is a matter of what it has in hand.
fn before_stuck(values: &[u32]) -> usize {
    let in_a_row = values.iter().zip(0..).take_while(|(value, n)| **value == *n);
    in_a_row.count()
}

#[tokio::test(start_paused = true)]
async fn d3_drop_newest_keeps_what_came_first() {
    let (values, edge) = overflow(WhenFull::DropNewest).await;
    assert_eq!(values, (0..u32::try_from(values.len()).unwrap()).collect::<Vec<_>>());
    assert!((5..=10).contains(&values.len()), "{values:?}");
    assert_eq!(edge.dropped.of(DropReason::Overflow), 100 - values.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn d3_drop_oldest_keeps_the_newest() {
    let (values, edge) = overflow(WhenFull::DropOldest).await;
    let taken = before_stuck(&values);
    assert!((0..=5).contains(&taken), "{values:?}");
    assert_eq!(values[taken..], [95, 96, 97, 98, 99]);
    assert_eq!(edge.dropped.of(DropReason::Overflow), 100 - values.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn d3_drop_all_starts_anew_when_it_is_full() {
    let (values, _) = overflow(WhenFull::DropAll).await;
    let kept = &values[before_stuck(&values)..];
    assert!((1..=5).contains(&kept.len()), "{values:?}");
    let newest = 100 - u32::try_from(kept.len()).unwrap()..100;
    assert_eq!(kept, newest.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn d3_sample_keeps_some_of_everything_and_the_newest() {
    let (values, edge) = overflow(WhenFull::Sample).await;
    assert!(values.is_sorted() && values.last() == Some(&99), "{values:?}");
    let taken = before_stuck(&values);
    assert!((3..=5).contains(&(values.len() - taken)), "{values:?}");
    let gaps: Vec<_> = values[taken..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().rev().is_sorted(), "the older, the thinner: {values:?}");
    assert_eq!(edge.dropped.of(DropReason::Sampled), 100 - values.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn d3_block_waits_and_loses_nothing() {
    let flow = Dataflow::new("wait");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.buffer(5, WhenFull::Block).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let metrics = job.metrics();
    assert_eq!((metrics.stages[0].finished, metrics.stages[0].blocked_now), (0, 1));
    assert_eq!(rest(&sink).await, (0..100).collect::<Vec<_>>());
    assert_eq!(job.await.unwrap().metrics().edges[0].dropped.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn d3_fail_fails_with_the_name_of_the_buffer() {
    let flow = Dataflow::new("fail");
    let (_stuck, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.buffer(5, WhenFull::Fail).named("five").sink("stuck", end);
    let error = flow.run_with(narrow()).await.unwrap_err();
    assert_eq!((error.kind(), error.operator_name()), (&ErrorKind::Operator, Some("five")));
    let cause = error.cause().unwrap().downcast_ref::<EdgeFull>();
    assert_eq!(cause, Some(&EdgeFull { capacity: 5 }));
}

#[tokio::test]
async fn d3_a_buffer_with_room_drops_nothing_whatever_its_policy() {
    let policies = [
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::DropAll,
        WhenFull::Sample,
        WhenFull::Fail,
        WhenFull::Disconnect(Duration::ZERO),
    ];
    for policy in policies {
        for batch in [1, 7, 1000] {
            let flow = Dataflow::new("room");
            let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
            let all = numbers.buffer(1000, policy).collect();
            let options = JobOptions::default().with_batch_records(batch);
            let report = flow.run_with(options).await.unwrap();
            assert_eq!(report.take(all), Some((0..1000).collect()), "{policy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d3_disconnect_cuts_off_who_had_no_room_for_too_long() {
    let flow = Dataflow::new("cut off");
    let (slow, slow_end) = probe_sink();
    let [all, branch] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    let all = all.collect();
    branch.when_full(WhenFull::Disconnect(Duration::from_secs(10))).sink("slow", slow_end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(Duration::from_secs(9)).await;
    assert_eq!(job.metrics().stages[0].finished, 0, "until then it waits");
    Clock::system().sleep(Duration::from_secs(2)).await;
    assert_eq!(job.metrics().stages[0].finished, 1);
    let values = rest(&slow).await;
    assert_eq!(values, (0..u32::try_from(values.len()).unwrap()).collect::<Vec<_>>());
    slow.expect_end().await;
    let report = job.await.unwrap();
    assert_eq!(report.take(all), Some((0..100).collect()));
    let edge = &report.metrics().edges[1];
    assert_eq!(edge.dropped.of(DropReason::Overflow), 100 - values.len() as u64);
    assert_eq!(edge.sent, 100);
}

#[tokio::test(start_paused = true)]
async fn d3_a_weighed_buffer_drops_by_weight() {
    let flow = Dataflow::new("bytes");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let buffer = numbers.buffer(1000, WhenFull::DropOldest);
    buffer.with_byte_capacity(50, |_| 10).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    assert!((1..=50).contains(&job.metrics().edges[0].bytes));
    let values = rest(&sink).await;
    assert_eq!(values[values.len() - 5..], [95, 96, 97, 98, 99]);
    assert_eq!(job.await.unwrap().metrics().edges[0].sent, 100);
}

#[tokio::test]
async fn d3_an_abort_does_not_wait_for_a_stuck_buffer() {
    let flow = Dataflow::new("aborted");
    let (_stuck, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0_u64..));
    numbers.buffer(5, WhenFull::DropOldest).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    // A source that never has to wait leaves no pause in which a clock could move on.
    while job.metrics().edges[0].dropped.total() < 1000 {
        tokio::task::yield_now().await;
    }
    job.abort();
    let error = job.await.unwrap_err();
    let edge = &error.report().unwrap().metrics().edges[0];
    assert!(edge.sent >= edge.received + edge.dropped.total(), "{edge:?}");
}

#[tokio::test(start_paused = true)]
async fn d6_conflate_never_backpressures_and_loses_nothing_of_the_sum() {
    let flow = Dataflow::new("sums");
    let (source, factory) = probe_source::<u64>();
    let (sink, end) = probe_sink();
    flow.source("numbers", factory).conflate(|sum, n| *sum += n).sink("slow", end);
    let job = flow.start_with(&narrow()).unwrap();
    for n in 1..=100 {
        source.send(n).await;
        Clock::system().sleep(Duration::from_millis(1)).await;
    }
    source.end().await;
    let values = rest(&sink).await;
    assert_eq!(values.iter().sum::<u64>(), 5050);
    // In the sink's hands, in the edge, and one that was merged before it.
    assert!((2..=6).contains(&values.len()), "{values:?}");
    assert!(*values.last().unwrap() > 4500, "most were merged into the last: {values:?}");
    let report = job.await.unwrap();
    let edge = &report.metrics().edges[0];
    assert_eq!(edge.dropped.of(DropReason::Superseded), 100 - values.len() as u64);
    assert_eq!(edge.sent, 100);
}

#[tokio::test(start_paused = true)]
async fn d6_conflate_passes_on_one_by_one_what_does_not_wait() {
    let flow = Dataflow::new("quick");
    let (source, factory) = probe_source::<u64>();
    let (sink, end) = probe_sink();
    flow.source("numbers", factory).conflate(|sum, n| *sum += n).sink("quick", end);
    let job = flow.start().unwrap();
    for n in 0..10 {
        source.send(n).await;
        sink.expect([n]).await;
    }
    source.end().await;
    sink.expect_end().await;
    assert_eq!(job.await.unwrap().metrics().edges[0].dropped.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn d6_conflate_up_to_a_number_backpressures_there() {
    let flow = Dataflow::new("groups");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32)).map(|n| vec![n]);
    let groups = numbers.conflate_up_to(4, |group, mut more| group.append(&mut more));
    groups.sink("slow", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let stuck = job.metrics();
    assert_eq!((stuck.stages[0].finished, stuck.stages[0].blocked_now), (0, 1));
    assert!(stuck.edges[0].sent <= 24, "{:?}", stuck.edges[0]);
    let groups = rest(&sink).await;
    assert!(groups.iter().any(|group| group.len() == 4), "{groups:?}");
    assert!(groups.iter().all(|group| group.len() <= 4), "{groups:?}");
    assert_eq!(groups.concat(), (0..100).collect::<Vec<_>>());
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d6_conflate_with_seed_summarises_in_another_type() {
    let flow = Dataflow::new("lists");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let lists = numbers.conflate_with_seed(|n| vec![n], |list, n| list.push(n));
    lists.sink("slow", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    assert_eq!(job.metrics().stages[0].finished, 1, "it never waits");
    let lists = rest(&sink).await;
    assert!(lists.len() < 10 && lists[0].len() == 1, "{lists:?}");
    assert_eq!(lists.concat(), (0..100).collect::<Vec<_>>());
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d6_a_full_branch_merges_what_it_has_no_room_for() {
    let flow = Dataflow::new("branch");
    let (slow, slow_end) = probe_sink();
    let [all, sums] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    let count = all.count();
    sums.conflate_when_full(|sum, n| *sum += n).with_capacity(10).sink("slow", slow_end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    assert_eq!(job.metrics().stages[0].finished, 1, "it never waits");
    let sums = rest(&slow).await;
    assert!((11..=16).contains(&sums.len()) && sums[..10] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(sums.iter().sum::<u32>(), 4950);
    assert_eq!(job.await.unwrap().take(count), Some(100));
}

#[tokio::test(start_paused = true)]
async fn d6_a_boundary_behind_it_hides_it() {
    let flow = Dataflow::new("hidden");
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let conflated = flow.source("numbers", factory).conflate(|sum, n| *sum += n);
    conflated.boundary().with_capacity(100).sink("slow", end);
    let job = flow.start_with(&narrow()).unwrap();
    for n in 0..100 {
        source.send(n).await;
        Clock::system().sleep(Duration::from_millis(1)).await;
    }
    source.end().await;
    assert_eq!(rest(&sink).await, (0..100).collect::<Vec<_>>(), "it took them as they came");
    assert_eq!(job.await.unwrap().metrics().edges[0].dropped.total(), 0);
}

#[tokio::test]
async fn d6_a_panic_in_a_merge_fails_the_job_with_the_name_of_the_word() {
    let flow = Dataflow::new("panic");
    let (_stuck, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.conflate(|_, _| panic!("merged")).sink("slow", end);
    let error = flow.run_with(narrow()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("merged".to_owned()));
    assert_eq!(error.operator_name(), Some("conflate"));
}

#[tokio::test]
async fn d6_a_conflating_edge_that_knows_no_merge_is_a_building_mistake() {
    let flow = Dataflow::new("how");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.boundary().when_full(WhenFull::Conflate { max: 3 }).ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("`boundary` conflates, and was not told how"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn d19_detach_lets_one_record_wait() {
    let flow = Dataflow::new("one");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.detach().sink("stuck", end);
    let job = flow.start_with(&JobOptions::default().with_batch_records(1)).unwrap();
    Clock::system().sleep(LONG).await;
    let edge = job.metrics().edges[0].clone();
    assert_eq!((edge.depth, edge.capacity), (1, 1));
    assert_eq!(rest(&sink).await, (0..100).collect::<Vec<_>>());
    job.await.unwrap();
}

/// Everything of a source of ten, through a stage that is stuck until the source has ended.
async fn reordered(
    word: impl FnOnce(DataStream<u32>) -> DataStream<u32>,
    values: [u32; 10],
) -> Vec<u32> {
    let flow = Dataflow::new("reordered");
    let (sink, end) = probe_sink();
    let numbers = flow.source("numbers", source::from_iter(values)).boxed();
    word(numbers).with_capacity(10).sink("stuck", end);
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(LONG).await;
    let values = rest(&sink).await;
    job.await.unwrap();
    values
}

#[tokio::test(start_paused = true)]
async fn d23_prioritized_gives_out_the_highest_that_waits_first() {
    let values = [55, 11, 12, 31, 32, 21, 13, 33, 22, 14];
    let out = reordered(|numbers| numbers.prioritized(|n| i64::from(n / 10)), values).await;
    // The first few may have been handed out before the others came.
    let in_order = |out: &[u32]| out.is_sorted_by_key(|n| (std::cmp::Reverse(n / 10), *n));
    assert!((0..=4).any(|handed_out| in_order(&out[handed_out..])), "{out:?}");
    let mut sorted = out.clone();
    sorted.sort_unstable();
    let mut all = values.to_vec();
    all.sort_unstable();
    assert_eq!(sorted, all);
}

#[tokio::test(start_paused = true)]
async fn d23_last_in_first_out_gives_out_the_newest_that_waits_first() {
    let out = reordered(DataStream::last_in_first_out, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
    let taken = before_stuck(&out);
    assert!((0..=4).contains(&taken), "{out:?}");
    let newest_first = (u32::try_from(taken).unwrap()..10).rev();
    assert_eq!(out[taken..], newest_first.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn d23_a_panic_in_a_priority_names_the_word() {
    let flow = Dataflow::new("panic");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.prioritized(|_| panic!("ranked")).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("ranked".to_owned()));
    assert_eq!(error.operator_name(), Some("prioritized"));
}

#[tokio::test]
async fn d23_a_picture_of_the_graph_shows_policy_and_order() {
    let flow = Dataflow::new("pictured");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    let ordered = numbers.buffer(7, WhenFull::DropOldest).last_in_first_out();
    ordered.when_full(WhenFull::Disconnect(Duration::from_secs(3))).ignore();
    let graph = flow.graph().unwrap();
    assert!(graph.to_dot().contains("label=\"drop oldest\""), "{}", graph.to_dot());
    let chart = graph.to_mermaid();
    assert!(chart.contains("|disconnect after 3s, newest first|"), "{chart}");
}

/// What waits right behind an edge reads it itself: nothing is held in between, whatever is said of
/// the edge holds for it, and a name that stands there keeps its stage.
#[tokio::test(start_paused = true)]
async fn d7_a_call_right_behind_an_edge_is_reached_in_its_order() {
    let flow = Dataflow::new("urgent");
    let orders = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::clone(&orders);
    let numbers = flow.source("numbers", source::from_iter(0..20_u32));
    numbers
        .prioritized(|n| i64::from(*n))
        .with_capacity(100)
        .map_async(1, move |n| {
            let begun = Arc::clone(&begun);
            async move {
                Clock::system().sleep(Duration::from_secs(1)).await;
                begun.lock().unwrap().push(n);
            }
        })
        .ignore();
    let graph = flow.graph().unwrap();
    assert_eq!((graph.stages.len(), graph.edges.len()), (2, 1));
    flow.run_with(narrow()).await.unwrap();
    let orders = orders.lock().unwrap().clone();
    // The one at work when the others came, and one in hand.
    assert!(orders[2..].is_sorted_by(|one, next| one >= next), "{orders:?}");

    let named = Dataflow::new("named");
    let numbers = named.source("numbers", source::from_iter(0..9_u32)).boundary();
    numbers.named("here").map_async(1, std::future::ready).named("calls").ignore();
    let graph = named.graph().unwrap();
    let names: Vec<_> = graph.operators.iter().map(|operator| operator.name.as_str()).collect();
    assert_eq!((&names[1..3], graph.edges.len()), (&["here", "calls"][..], 2));
}
