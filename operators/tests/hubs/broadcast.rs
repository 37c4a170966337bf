//! Broadcast hubs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::VirtualClock;
use millstream_operators::hub::{BroadcastHub, HubError, Start, Subscription};
use millstream_operators::prelude::*;

use crate::{settle, small, within};

/// What a subscriber can have at once.
fn ready<T: Clone>(subscription: &mut Subscription<T>) -> Vec<T> {
    let mut values = Vec::new();
    while let Some(Some(value)) = subscription.next().now_or_never() {
        values.push(value.unwrap());
    }
    values
}

#[tokio::test(start_paused = true)]
async fn e8_subscribers_come_and_go() {
    let hand = VirtualClock::new();
    let hub = BroadcastHub::new(4).evict_after(Duration::from_secs(30));
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("numbers");
    flow.source("numbers", numbers).sink("hub", hub.publisher());
    let job = flow.start_with(&small().with_clock(hand.clock())).unwrap();

    // With nobody there, nothing is lost.
    for n in 0..3_u32 {
        probe.send(n).await;
    }
    settle().await;
    let mut first = hub.subscribe().unwrap();
    settle().await;
    assert_eq!(ready(&mut first), [0, 1, 2]);

    // Whoever comes later begins with what comes later.
    let mut second = hub.subscribe().unwrap();
    probe.send(3).await;
    settle().await;
    assert_eq!((ready(&mut first), ready(&mut second)), (vec![3], vec![3]));

    // The slowest rules, here the second, with room for four.
    for n in 4..12 {
        probe.send(n).await;
    }
    settle().await;
    assert_eq!(ready(&mut first), [4, 5, 6, 7]);
    settle().await;
    assert_eq!(ready(&mut first), [] as [u32; 0]);
    assert_eq!(ready(&mut second), [4, 5, 6, 7]);
    settle().await;
    assert_eq!(ready(&mut first), [8, 9, 10, 11]);

    // A subscriber that leaves holds nobody back.
    drop(second);
    for n in 12..16 {
        probe.send(n).await;
    }
    settle().await;
    assert_eq!(ready(&mut first), [12, 13, 14, 15]);

    // One that reads nothing is let go after its time, and is told so.
    let mut stuck = hub.subscribe().unwrap();
    for n in 16..24 {
        probe.send(n).await;
    }
    settle().await;
    assert_eq!(ready(&mut first), [16, 17, 18, 19]);
    hand.advance(Duration::from_secs(29));
    settle().await;
    assert_eq!((ready(&mut first), hub.subscribers()), (vec![], 2));
    hand.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!((ready(&mut first), hub.subscribers()), (vec![20, 21, 22, 23], 1));
    for n in 16..20 {
        assert_eq!(stuck.next().await, Some(Ok(n)), "what was waiting is not lost");
    }
    assert_eq!(stuck.next().await, Some(Err(HubError::Evicted(Duration::from_secs(30)))));
    assert_eq!(stuck.next().await, None);

    // When the last one leaves, the publisher waits again.
    drop(first);
    for n in 24..27 {
        probe.send(n).await;
    }
    probe.end().await;
    settle().await;
    assert!(!job.metrics().operators.is_empty(), "the job runs on");
    let last = hub.subscribe().unwrap();
    assert_eq!(last.try_collect::<Vec<_>>().await.unwrap(), [24, 25, 26]);
    assert_eq!(job.await.unwrap().records_written(), 27);
    let late = hub.subscribe().unwrap();
    assert_eq!(late.try_collect::<Vec<u32>>().await.unwrap(), [] as [u32; 0]);
}

#[tokio::test]
async fn e8_publishing_waits_for_as_many_as_was_said() {
    let hub = BroadcastHub::new(8).with_start(Start::WaitFor(2));
    let flow = Dataflow::new("numbers");
    flow.source("numbers", source::from_iter(0..3)).sink("hub", hub.publisher());
    let job = flow.start().unwrap();
    let mut first = hub.subscribe().unwrap();
    settle().await;
    assert_eq!(ready(&mut first), [] as [u32; 0]);
    let second = hub.subscribe().unwrap();
    assert_eq!(second.try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
    assert_eq!(first.try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
    job.await.unwrap();
}

#[tokio::test]
async fn e8_a_newcomer_is_given_the_last_records() {
    for (replay, capacity) in [(3, 8), (8, 3), (3, 3), (0, 8)] {
        let hub = BroadcastHub::new(capacity).with_start(Start::Replay(replay));
        let (probe, numbers) = probe_source();
        let flow = Dataflow::new("numbers");
        flow.source("numbers", numbers).sink("hub", hub.publisher());
        let job = flow.start_with(&small()).unwrap();
        let mut first = hub.subscribe().unwrap();
        for n in 0..10 {
            probe.send(n).await;
            assert_eq!(first.next().await, Some(Ok(n)));
        }
        let mut late = hub.subscribe().unwrap();
        let expected: Vec<_> = (10 - replay.min(capacity) as u64..10).collect();
        assert_eq!(ready(&mut late), expected, "{replay} {capacity}");
        probe.send(10).await;
        assert_eq!(late.next().await, Some(Ok(10)), "{replay} {capacity}");
        drop(first);
        probe.end().await;
        job.await.unwrap();
        // What is to be repeated is still there behind the end.
        let behind = hub.subscribe().unwrap().try_collect::<Vec<_>>().await.unwrap();
        assert_eq!(behind.len(), replay.min(capacity));
    }
}

#[tokio::test]
async fn e8_one_subscriber_too_many_is_refused() {
    let hub = BroadcastHub::<u32>::new(1).with_max_subscribers(2);
    let first = hub.subscribe().unwrap();
    let _second = hub.subscribe_lossy().unwrap();
    let refused = hub.subscribe().unwrap_err();
    assert_eq!(refused, HubError::TooManySubscribers { limit: 2 });
    assert_eq!(refused.to_string(), "the hub has 2 subscribers, and allows no more");
    drop(first);
    hub.subscribe().unwrap();
}

#[tokio::test]
async fn e8_a_lossy_subscriber_holds_nobody_back_and_what_it_loses_is_counted() {
    let hub = BroadcastHub::new(4);
    let mut lossy = hub.subscribe_lossy().unwrap();
    let kept = hub.subscribe().unwrap();
    let flow = Dataflow::new("numbers");
    flow.source("numbers", source::from_iter(0..100)).sink("hub", hub.publisher());
    let job = flow.start_with(&small()).unwrap();
    assert_eq!(kept.try_collect::<Vec<_>>().await.unwrap(), (0..100).collect::<Vec<_>>());
    job.await.unwrap();
    assert_eq!(ready(&mut lossy), [96, 97, 98, 99]);
    assert_eq!(hub.dropped(), 96);
}

#[tokio::test]
async fn e8_a_failure_never_looks_like_the_end() {
    let hub = BroadcastHub::new(8);
    let by_hand = hub.subscribe().unwrap();
    let flow = Dataflow::new("subscriber");
    flow.source("hub", hub.subscribe().unwrap()).ignore();
    let reading = flow.start().unwrap();
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("publisher");
    flow.source("numbers", numbers).sink("hub", hub.publisher());
    let job = flow.start().unwrap();
    probe.send(1).await;
    probe.asked().await;
    settle().await;
    probe.fail(OperatorError::new("the cable was pulled")).await;
    job.await.unwrap_err();
    let seen: Vec<_> = by_hand.collect().await;
    assert_eq!(seen, [Ok(1), Err(HubError::PublisherFailed)], "and what was waiting came first");
    let error = reading.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("hub"));
    assert_eq!(error.report().unwrap().records_read(), 1);
    assert_eq!(error.cause().unwrap().downcast_ref(), Some(&HubError::PublisherFailed));
    // The hub has failed for whoever comes later, too.
    let late: Vec<_> = hub.subscribe().unwrap().collect().await;
    assert_eq!(late, [Err::<i32, _>(HubError::PublisherFailed)]);
    assert!(flow.start().is_err());
}

#[tokio::test]
async fn e8_an_abort_and_a_dropped_hub_are_failures() {
    let hub = BroadcastHub::new(8);
    let subscription = hub.subscribe().unwrap();
    let flow = Dataflow::new("publisher");
    flow.source("none", source::never::<u32>()).sink("hub", hub.publisher());
    let job = flow.start().unwrap();
    settle().await;
    job.abort();
    job.await.unwrap_err();
    let seen: Vec<_> = subscription.collect().await;
    assert_eq!(seen, [Err(HubError::PublisherFailed)]);

    let hub = BroadcastHub::<u32>::new(8);
    let subscription = hub.subscribe().unwrap();
    let publisher = hub.publisher();
    drop(hub);
    let mut subscription = Box::pin(subscription);
    assert!(subscription.next().now_or_never().is_none(), "somebody could still publish");
    drop(publisher);
    assert_eq!(subscription.next().await, Some(Err(HubError::Abandoned)));
}

#[tokio::test]
async fn e8_a_drain_of_the_publisher_loses_nothing() {
    let hub = BroadcastHub::new(1);
    let (handle, queue) = source::queue(64);
    let flow = Dataflow::new("publisher");
    flow.source("queue", queue).sink("hub", hub.publisher());
    let job = flow.start_with(&small()).unwrap();
    assert!((0..40).all(|n| handle.offer(n).is_accepted()));
    let seen = hub.subscribe().unwrap().try_collect::<Vec<_>>();
    let (report, seen) = tokio::join!(job.drain(Duration::from_secs(60)), seen);
    assert_eq!(seen.unwrap(), (0..40).collect::<Vec<_>>());
    assert_eq!(report.unwrap().records_written(), 40);
}

#[tokio::test]
async fn e8_a_drain_of_a_subscriber_delivers_its_buffer_and_frees_the_others() {
    let hub = BroadcastHub::new(4);
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("subscriber");
    flow.source("hub", hub.subscribe().unwrap()).sink("probe", sink);
    let reading = flow.start_with(&small()).unwrap();
    let publisher = Dataflow::new("publisher");
    publisher.source("numbers", source::from_iter(0..1000)).sink("hub", hub.publisher());
    let publishing = publisher.start_with(&small()).unwrap();
    let other = hub.subscribe().unwrap();
    settle().await;
    let draining = reading.drain(Duration::from_secs(60));
    let (report, rest) = tokio::join!(draining, async {
        probe.request(usize::MAX);
        other.try_collect::<Vec<_>>().await
    });
    let report = report.unwrap();
    assert_eq!(report.records_read(), report.records_written());
    assert!((4..100).contains(&report.records_read()), "{report}");
    assert_eq!(rest.unwrap().len(), 1000, "the other one goes on alone");
    publishing.await.unwrap();
}

#[tokio::test]
async fn e8_event_times_pass_and_watermarks_do_not() {
    let hub = BroadcastHub::new(8);
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("publisher");
    flow.source("numbers", numbers).sink("hub", hub.publisher());
    let publishing = flow.start().unwrap();
    let (seen, sink) = probe_sink();
    let flow = Dataflow::new("subscriber");
    flow.source("hub", hub.subscribe().unwrap()).sink("probe", sink);
    let reading = flow.start().unwrap();
    probe.send(Record::at(1, Timestamp::from_millis(7))).await;
    probe.watermark(Timestamp::from_millis(9)).await;
    assert_eq!(seen.next().await, Some(Record::at(1, Timestamp::from_millis(7))));
    probe.end().await;
    publishing.await.unwrap();
    seen.expect_end().await;
    reading.await.unwrap();
}

#[tokio::test]
async fn e8_a_parallel_stream_and_several_jobs_publish_to_one_hub() {
    let hub = BroadcastHub::new(8).with_start(Start::WaitFor(1));
    let publish = |from: u32| {
        let flow = Dataflow::new("publisher");
        let numbers = flow.source("numbers", source::from_iter(from..from + 50)).parallel(3);
        numbers.sink("hub", hub.publisher());
        flow.start_with(&small()).unwrap()
    };
    let (first, second) = (publish(0), publish(50));
    let subscription = hub.subscribe().unwrap();
    let (seen, first, second) = tokio::join!(subscription.try_collect::<Vec<_>>(), first, second);
    let mut seen = seen.unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    assert_eq!(first.unwrap().records_written() + second.unwrap().records_written(), 100);
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn e8_a_thousand_subscribers_are_woken_once_a_batch() {
    let hub = BroadcastHub::new(256).evict_after(Duration::from_secs(5));
    let mut subscribers: Vec<_> = (0..1000).map(|_| hub.subscribe().unwrap()).collect();
    let mut frozen: Vec<_> = (0..10).map(|_| hub.subscribe().unwrap()).collect();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    for subscriber in &mut subscribers {
        assert!(subscriber.poll_next_unpin(&mut cx).is_pending());
    }
    let flow = Dataflow::new("publisher");
    flow.source("numbers", source::from_iter(0..100_u32)).sink("hub", hub.publisher());
    let options = JobOptions::default().with_batch_records(100);
    flow.run_with(options).await.unwrap();
    // One for the records, and as nobody has looked since, none for the end.
    assert_eq!(wakes.0.load(SeqCst), 1000);
    for subscriber in &mut subscribers {
        for n in 0..100 {
            assert_eq!(subscriber.poll_next_unpin(&mut cx), Poll::Ready(Some(Ok(n))));
        }
        assert_eq!(subscriber.poll_next_unpin(&mut cx), Poll::Ready(None));
    }
    assert_eq!(frozen[0].next().await, Some(Ok(0)));
}

#[tokio::test(start_paused = true)]
async fn e8_frozen_subscribers_are_closed_with_a_reason() {
    let hub = BroadcastHub::new(16).evict_after(Duration::from_secs(5));
    let live: Vec<_> = (0..100).map(|_| hub.subscribe().unwrap()).collect();
    let frozen: Vec<_> = (0..10).map(|_| hub.subscribe().unwrap()).collect();
    let flow = Dataflow::new("publisher");
    flow.source("numbers", source::from_iter(0..1000_u32)).sink("hub", hub.publisher());
    let all = futures_util::future::try_join_all(live.into_iter().map(TryStreamExt::try_collect));
    let (report, all) = tokio::join!(flow.run(), all);
    let all: Vec<Vec<u32>> = all.unwrap();
    assert!(all.iter().all(|seen| seen.iter().copied().eq(0..1000)));
    let elapsed = report.unwrap().elapsed();
    assert!(elapsed >= Duration::from_secs(5), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(6), "held back once, and not by each: {elapsed:?}");
    for subscriber in frozen {
        let seen: Vec<_> = subscriber.collect().await;
        assert_eq!(seen.len(), 17);
        assert_eq!(seen.last(), Some(&Err(HubError::Evicted(Duration::from_secs(5)))));
    }
}

#[tokio::test(start_paused = true)]
async fn e8_time_in_which_there_is_nothing_to_publish_evicts_nobody() {
    let hub = BroadcastHub::new(2).evict_after(Duration::from_secs(5));
    let mut slow = hub.subscribe().unwrap();
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("publisher");
    flow.source("numbers", numbers).sink("hub", hub.publisher());
    let job = flow.start().unwrap();
    probe.send(1).await;
    probe.send(2).await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    settle().await;
    probe.send(3).await;
    settle().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    settle().await;
    assert_eq!(hub.subscribers(), 1);
    for n in 1..=3 {
        assert_eq!(slow.next().await, Some(Ok(n)));
        settle().await;
    }
    probe.end().await;
    job.await.unwrap();
    assert_eq!(slow.next().await, None);
}

#[tokio::test]
async fn e8_many_threads_lose_and_double_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let hub = BroadcastHub::new(3).with_start(Start::WaitFor(8));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let subscription = hub.subscribe().unwrap();
        readers.spawn_on(subscription.try_collect::<Vec<u32>>(), runtime.handle());
    }
    let comers = hub.clone();
    readers.spawn_on(
        async move {
            for n in 0..200 {
                let mut short = comers.subscribe().unwrap();
                for _ in 0..n % 7 {
                    short.next().await;
                }
            }
            Ok((0..5000).collect())
        },
        runtime.handle(),
    );
    let flow = Dataflow::new("publisher");
    flow.source("numbers", source::from_iter(0..5000)).sink("hub", hub.publisher());
    let job = flow.run_with(small());
    let mut jobs = tokio::task::JoinSet::new();
    jobs.spawn_on(job, runtime.handle());
    while let Some(read) = readers.join_next().await {
        assert!(read.unwrap().unwrap().into_iter().eq(0..5000));
    }
    jobs.join_next().await.unwrap().unwrap().unwrap();
    runtime.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn e8_no_more_are_waited_for_than_there_may_be() {
    for limit in [0, 1] {
        let hub = BroadcastHub::new(4).with_start(Start::WaitFor(3)).with_max_subscribers(limit);
        let flow = Dataflow::new("numbers");
        flow.source("numbers", source::from_iter(0..3_u32)).sink("hub", hub.publisher());
        let only = hub.subscribe().unwrap();
        let refused = hub.subscribe().unwrap_err();
        assert_eq!(refused, HubError::TooManySubscribers { limit: 1 });
        let run = within(Duration::from_secs(60), flow.run());
        let (run, values) = tokio::join!(run, only.try_collect::<Vec<_>>());
        run.unwrap();
        assert_eq!(values, Ok(vec![0, 1, 2]));
    }
}
