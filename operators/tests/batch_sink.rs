//! `batch_sink`: when groups are written, what becomes of their items, and who hears of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::metrics::{DropReason, OperatorMetrics};
use millstream_engine::sink::{Sink, SinkContext, SinkStatus};
use millstream_engine::testing::probe_source;
use millstream_engine::time::{Instant, VirtualClock};
use millstream_engine::{Error, ErrorKind};
use millstream_operators::prelude::*;
use millstream_operators::sink::{BatchWriter, Batching, ItemResult, Written};

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// What happens to an item: how often it is tried again, or that it is rejected, or that it brings
/// its whole group down, for so many attempts.
#[derive(Clone, Copy)]
enum Fate {
    Retry(u32),
    Reject,
    Poison(u32),
}

/// Remembers every group that it was given, and every item that it stored.
#[derive(Clone, Default)]
struct Table {
    fates: BTreeMap<u32, Fate>,
    groups: Arc<Mutex<Vec<Vec<u32>>>>,
    stored: Arc<Mutex<Vec<u32>>>,
    seen: Arc<Mutex<BTreeMap<u32, u32>>>,
    closed: Arc<Mutex<usize>>,
}

impl Table {
    fn with(fates: impl IntoIterator<Item = (u32, Fate)>) -> Self {
        Self { fates: fates.into_iter().collect(), ..Self::default() }
    }

    fn groups(&self) -> Vec<Vec<u32>> {
        self.groups.lock().unwrap().clone()
    }

    fn stored(&self) -> Vec<u32> {
        self.stored.lock().unwrap().clone()
    }
}

impl BatchWriter<u32> for Table {
    async fn write(&mut self, items: &[u32]) -> Result<Written, OperatorError> {
        tokio::task::yield_now().await;
        self.groups.lock().unwrap().push(items.to_vec());
        let mut seen = self.seen.lock().unwrap();
        for item in items {
            *seen.entry(*item).or_default() += 1;
        }
        let is_poison = |item: &&u32| match self.fates.get(item) {
            Some(Fate::Poison(times)) => seen[*item] <= *times,
            _ => false,
        };
        if let Some(poison) = items.iter().find(is_poison) {
            return Err(OperatorError::new(format!("{poison} is poison")));
        }
        let mut stored = self.stored.lock().unwrap();
        let mut result = |item: &u32| match self.fates.get(item) {
            Some(Fate::Reject) => ItemResult::Reject(OperatorError::new("rejected")),
            Some(Fate::Retry(times)) if seen[item] <= *times => {
                ItemResult::Retry(OperatorError::new("busy"))
            }
            _ => {
                stored.push(*item);
                ItemResult::Stored
            }
        };
        Ok(Written::Each(items.iter().map(&mut result).collect()))
    }

    async fn close(&mut self) -> Result<(), OperatorError> {
        *self.closed.lock().unwrap() += 1;
        Ok(())
    }
}

fn steady(attempts: u32) -> Backoff {
    let backoff = Backoff::default().with_initial(Duration::from_millis(10));
    backoff.with_jitter(0.0).with_factor(1.0).with_attempts(attempts)
}

fn counts(report: &JobReport, name: &str) -> OperatorMetrics {
    report.metrics().operators.iter().find(|of| &*of.name == name).unwrap().clone()
}

async fn run(
    numbers: impl Iterator<Item = u32> + Clone + Send + 'static,
    batching: Batching<u32>,
    table: &Table,
) -> Result<JobReport, Error> {
    let flow = Dataflow::new("table");
    let options = JobOptions::default().with_batch_records(7).with_edge_capacity(7);
    flow.source("numbers", source::from_iter(numbers)).batch_sink("table", batching, table.clone());
    flow.run_with(options).await
}

#[tokio::test]
async fn n2_groups_are_full_and_the_last_one_is_written_at_the_end() {
    for batch_records in [1, 3, 64] {
        let table = Table::default();
        let flow = Dataflow::new("table");
        let batching = Batching::new(4).with_time(Duration::from_secs(1));
        let numbers = flow.source("numbers", source::from_iter(0..10_u32));
        numbers.batch_sink("table", batching, table.clone());
        let options = JobOptions::default().with_batch_records(batch_records);
        let report = flow.run_with(options).await.unwrap();
        let expected = [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
        assert_eq!(table.groups(), expected, "{batch_records}");
        assert_eq!(report.records_written(), 10);
        assert_eq!(*table.closed.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn n2_groups_are_bounded_in_bytes() {
    let table = Table::default();
    let weigh = |n: &u32| *n as usize;
    let numbers = [3, 3, 3, 4, 20, 1, 1, 9, 0, 10, 2];
    run(numbers.into_iter(), Batching::new(3).with_bytes(10, weigh), &table).await.unwrap();
    let groups = table.groups();
    let expected = [vec![3, 3, 3], vec![4], vec![20], vec![1, 1], vec![9, 0], vec![10], vec![2]];
    assert_eq!(groups, expected, "one that is too heavy stands alone");
}

#[tokio::test]
async fn n2_the_time_of_a_group_needs_no_further_record() {
    for boxed in [false, true] {
        let (hand, table) = (VirtualClock::new(), Table::default());
        let (probe, numbers) = probe_source();
        let flow = Dataflow::new("table");
        let batching = Batching::new(100).with_time(Duration::from_secs(5));
        let numbers = flow.source("numbers", numbers);
        if boxed {
            numbers.map(|n| n).boxed().batch_sink("table", batching, table.clone());
        } else {
            numbers.batch_sink("table", batching, table.clone());
        }
        let job = flow.start_with(&JobOptions::default().with_clock(hand.clock())).unwrap();
        probe.send(1).await;
        settle().await;
        hand.advance(Duration::from_secs(3));
        probe.send(2).await;
        settle().await;
        hand.advance(Duration::from_millis(1999));
        settle().await;
        assert_eq!(table.groups(), [] as [Vec<u32>; 0], "since the first record");
        assert_eq!(job.metrics().operators.last().unwrap().records_out, Some(0), "held");
        hand.advance(Duration::from_millis(1));
        settle().await;
        assert_eq!(table.groups(), [[1, 2]]);
        assert_eq!(job.metrics().operators.last().unwrap().records_out, Some(2));
        // The next group has a time of its own.
        hand.advance(Duration::from_secs(60));
        probe.send(3).await;
        settle().await;
        assert_eq!(table.groups().len(), 1);
        hand.advance(Duration::from_secs(5));
        settle().await;
        assert_eq!(table.groups()[1], [3]);
        probe.end().await;
        assert_eq!(job.await.unwrap().records_written(), 3);
    }
}

#[tokio::test]
async fn n2_the_time_of_a_group_comes_while_input_is_always_ready() {
    let (hand, table) = (VirtualClock::new(), Table::default());
    let flow = Dataflow::new("table");
    let batching = Batching::new(usize::MAX).with_time(Duration::from_secs(1));
    let moved = hand.clone();
    let numbers = flow.source("numbers", source::from_iter(0..1000)).inspect(move |n| {
        if n % 100 == 99 {
            moved.advance(Duration::from_secs(1));
        }
    });
    numbers.batch_sink("table", batching, table.clone());
    let options = JobOptions::default().with_clock(hand.clock()).with_batch_records(10);
    flow.run_with(options).await.unwrap();
    let groups = table.groups();
    assert!(groups.len() >= 8, "{}", groups.len());
    assert!(groups.concat().into_iter().eq(0..1000));
}

#[tokio::test]
async fn n2_without_a_time_nothing_waits_when_no_more_input_is_ready() {
    let table = Table::default();
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("table");
    flow.source("numbers", numbers).batch_sink("table", Batching::new(100), table.clone());
    let job = flow.start().unwrap();
    probe.send(1).await;
    settle().await;
    assert_eq!(table.groups(), [[1]]);
    probe.end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn n2_a_barrier_and_a_drain_write_the_group() {
    let table = Table::default();
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("table");
    let batching = Batching::new(100).with_time(Duration::from_secs(3600));
    flow.source("numbers", numbers).batch_sink("table", batching, table.clone());
    let job = flow.start().unwrap();
    probe.send(1).await;
    probe.send(2).await;
    settle().await;
    assert_eq!(table.groups(), [] as [Vec<u32>; 0]);
    probe.barrier(Barrier(1)).await;
    settle().await;
    assert_eq!(table.groups(), [[1, 2]]);
    probe.send(3).await;
    settle().await;
    let report = job.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(table.groups()[1], [3]);
    assert_eq!(report.records_written(), 3);
}

#[tokio::test]
async fn n2_an_aborted_job_does_not_count_what_was_waiting() {
    let table = Table::default();
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("table");
    let batching = Batching::new(100).with_time(Duration::from_secs(3600));
    flow.source("numbers", numbers).batch_sink("table", batching, table.clone());
    let job = flow.start().unwrap();
    probe.send(1).await;
    settle().await;
    job.abort();
    let error = job.await.unwrap_err();
    assert_eq!(error.report().unwrap().records_written(), 0);
    assert_eq!((table.groups().len(), *table.closed.lock().unwrap()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn n2_only_the_items_that_failed_are_tried_again() {
    let table = Table::with([(1, Fate::Retry(1)), (2, Fate::Retry(2))]);
    let batching = Batching::new(4).on_error(OnError::retry(steady(3)));
    let report = run(0..6, batching, &table).await.unwrap();
    let expected = [vec![0, 1, 2, 3], vec![1, 2], vec![2], vec![4, 5]];
    assert_eq!(table.groups(), expected, "and the next group waits for them");
    assert_eq!(table.stored(), [0, 3, 1, 2, 4, 5]);
    let counts = counts(&report, "table");
    assert_eq!((counts.errors, counts.retries, counts.skipped), (3, 2, 0));
    assert!(report.elapsed() >= Duration::from_millis(20));
    assert_eq!(report.records_written(), 6);
}

#[tokio::test(start_paused = true)]
async fn n2_every_item_ends_in_one_way_and_is_counted_once() {
    let fates = [
        (1, Fate::Reject),
        (3, Fate::Retry(9)),
        (9, Fate::Poison(99)),
        (20, Fate::Poison(99)),
        (21, Fate::Retry(1)),
        (22, Fate::Reject),
    ];
    for dead in [false, true] {
        for size in [1, 2, 5, 8, 64] {
            let table = Table::with(fates);
            let flow = Dataflow::new("table");
            let (letters, given_up) = flow.dead_letters("given up");
            let policy = OnError::retry(steady(3));
            let policy = if dead { policy.or_dead_letter(&letters) } else { policy.or_skip() };
            let other = flow.source("other", source::from_iter([100_u32]));
            let other = other.try_map(OnError::dead_letter(&letters), |n| {
                if *n == 0 { Ok(*n) } else { Err(std::fmt::Error) }
            });
            other.ignore();
            let numbers = flow.source("numbers", source::from_iter(0..40_u32));
            numbers.batch_sink("table", Batching::new(size).on_error(policy), table.clone());
            let given_up = given_up.map(|letter| letter.original).collect();
            let options = JobOptions::default().with_batch_records(3).with_edge_capacity(1);
            let report = flow.run_with(options).await.unwrap();
            let mut stored = table.stored();
            stored.sort_unstable();
            let lost = [1, 3, 9, 20, 22];
            let kept: Vec<_> = (0..40).filter(|n| !lost.contains(n)).collect();
            assert_eq!(stored, kept, "groups of {size}");
            let counts = counts(&report, "table");
            assert_eq!(counts.records_out, Some(35), "groups of {size}");
            let expected = if dead { (5, 0) } else { (0, 5) };
            assert_eq!((counts.dead_letters, counts.skipped), expected);
            let mut letters = report.take(given_up).unwrap();
            letters.sort_unstable();
            let expected = if dead { vec![1, 3, 9, 20, 22, 100] } else { vec![100] };
            assert_eq!(letters, expected, "groups of {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn j8_a_group_that_fails_whole_is_cut_until_the_poison_is_alone() {
    let table = Table::with([(5, Fate::Poison(99))]);
    let flow = Dataflow::new("table");
    let (letters, given_up) = flow.dead_letters("given up");
    let batching = Batching::new(8).on_error(OnError::retry(steady(2)).or_dead_letter(&letters));
    let numbers = flow.source("numbers", source::from_iter(0..8_u32));
    numbers.batch_sink("table", batching, table.clone());
    let given_up = given_up.map(|letter| {
        (letter.original, letter.attempts, letter.operator.to_string(), letter.to_string())
    });
    let given_up = given_up.collect();
    let report = flow.run().await.unwrap();
    let all: Vec<_> = (0..8).collect();
    let expected = [
        all.clone(),
        all,
        vec![0, 1, 2, 3],
        vec![4, 5, 6, 7],
        vec![4, 5],
        vec![6, 7],
        vec![4],
        vec![5],
    ];
    assert_eq!(table.groups(), expected);
    let letters = report.take(given_up).unwrap();
    // Two attempts, and one for each of the three cuts.
    assert_eq!((letters[0].0, letters[0].1, &*letters[0].2), (5, 5, "table"));
    assert!(letters[0].3.contains("5 is poison"), "{}", letters[0].3);
    assert_eq!(letters.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn n2_what_is_not_worth_another_attempt_gets_none() {
    let table = Table::with([(1, Fate::Retry(9)), (5, Fate::Poison(9))]);
    let policy = OnError::retry(steady(9)).only_if(|_| false).or_skip();
    let report = run(0..8, Batching::new(4).on_error(policy), &table).await.unwrap();
    assert_eq!(table.stored(), [0, 2, 3, 6, 7, 4]);
    assert_eq!(table.seen.lock().unwrap()[&1], 1);
    assert_eq!(table.seen.lock().unwrap()[&5], 3, "once for each cut");
    assert_eq!(counts(&report, "table").skipped, 2);
}

#[tokio::test(start_paused = true)]
async fn n2_a_group_may_be_given_up_as_a_whole() {
    let table = Table::with([(5, Fate::Poison(99))]);
    let batching = Batching::new(4).on_error(OnError::skip()).without_bisect();
    let report = run(0..12, batching, &table).await.unwrap();
    assert_eq!(table.stored(), [0, 1, 2, 3, 8, 9, 10, 11]);
    let counts = counts(&report, "table");
    assert_eq!((counts.errors, counts.skipped, counts.records_out), (1, 4, Some(8)));
}

#[tokio::test(start_paused = true)]
async fn n2_a_policy_that_fails_names_the_sink_and_the_error() {
    for (fate, attempts) in [(Fate::Reject, 1), (Fate::Retry(9), 3), (Fate::Poison(9), 3)] {
        let table = Table::with([(5, fate)]);
        let batching = Batching::new(4).on_error(OnError::retry(steady(3)));
        let error = run(0..100, batching, &table).await.unwrap_err();
        assert_eq!(error.operator_name(), Some("table"));
        assert_eq!(table.seen.lock().unwrap()[&5], attempts);
        assert_eq!(*table.closed.lock().unwrap(), 0);
        assert!(!table.stored().contains(&8), "nothing behind it was written");
    }
}

#[derive(Clone)]
struct Faulty(bool);

impl BatchWriter<u32> for Faulty {
    async fn write(&mut self, _items: &[u32]) -> Result<Written, OperatorError> {
        assert!(self.0, "the writer is broken");
        Ok(Written::Each(Vec::new()))
    }
}

#[tokio::test]
async fn n2_a_writer_that_panics_or_answers_wrongly_fails_the_job() {
    for answers in [false, true] {
        let flow = Dataflow::new("faulty");
        let batching = Batching::new(4).on_error(OnError::skip());
        let numbers = flow.source("numbers", source::from_iter(0..3));
        numbers.batch_sink("table", batching, Faulty(answers));
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("table"));
        let message = error.to_string();
        if answers {
            assert!(message.contains("given 3 items, and answered for 0"), "{message}");
        } else {
            assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{message}");
        }
    }
}

/// A sink of one's own that holds every other record, for a second.
#[derive(Clone, Default)]
struct Holding {
    held: Vec<u32>,
    due: Option<Instant>,
    context: Option<SinkContext>,
    flushed: Arc<Mutex<Vec<Vec<u32>>>>,
}

impl Sink for Holding {
    type Item = u32;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    async fn write(&mut self, records: &mut Vec<Record<u32>>) -> Result<SinkStatus, OperatorError> {
        let context = self.context.as_ref().unwrap();
        for record in records.drain(..) {
            if record.value % 2 == 0 {
                self.held.push(record.value);
                self.due.get_or_insert(context.clock.now() + Duration::from_secs(1));
            } else {
                context.counters.dropped(DropReason::Skipped, 1);
            }
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        self.due = None;
        self.flushed.lock().unwrap().push(std::mem::take(&mut self.held));
        Ok(())
    }

    fn flush_due(&self) -> Option<Instant> {
        self.due
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}

#[tokio::test]
async fn n2_a_sink_of_ones_own_may_hold_records_too() {
    let (hand, sink) = (VirtualClock::new(), Holding::default());
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("holding");
    flow.source("numbers", numbers).sink("holding", sink.clone());
    let job = flow.start_with(&JobOptions::default().with_clock(hand.clock())).unwrap();
    let delivered = || job.metrics().operators.last().unwrap().records_out;
    for n in 0..5 {
        probe.send(n).await;
    }
    settle().await;
    assert_eq!((delivered(), sink.flushed.lock().unwrap().len()), (Some(0), 0));
    hand.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!((delivered(), sink.flushed.lock().unwrap().clone()), (Some(3), vec![vec![0, 2, 4]]));
    probe.send(6).await;
    probe.end().await;
    let report = job.await.unwrap();
    assert_eq!(report.records_written(), 4);
    assert_eq!(counts(&report, "holding").skipped, 2);
    assert_eq!(sink.flushed.lock().unwrap()[1], [6], "the end does not wait");
}

#[tokio::test]
async fn n2_letters_are_not_behind_their_watermark() {
    let table = Table::with([(1, Fate::Reject)]);
    let (probe, numbers) = probe_source();
    let flow = Dataflow::new("table");
    let (letters, given_up) = flow.dead_letters("given up");
    let batching = Batching::new(9).with_time(Duration::from_secs(3600));
    let batching = batching.on_error(OnError::dead_letter(&letters));
    flow.source("numbers", numbers).batch_sink("table", batching, table.clone());
    let (seen, sink) = millstream_engine::testing::probe_sink();
    given_up.map(|letter| letter.event_time).sink("letters", sink);
    let job = flow.start().unwrap();
    probe.send(Record::at(1, Timestamp::from_millis(5))).await;
    probe.watermark(Timestamp::from_millis(8)).await;
    probe.end().await;
    let letter = seen.next().await.unwrap();
    assert_eq!(letter, Record::at(Timestamp::from_millis(5), Timestamp::from_millis(8)));
    seen.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn n2_a_slow_reader_of_the_letters_holds_the_sink_back() {
    let table = Table::with((0..1000).map(|n| (n, Fate::Reject)));
    let flow = Dataflow::new("table");
    let (letters, given_up) = flow.dead_letters("given up");
    let batching = Batching::new(3).on_error(OnError::dead_letter(&letters));
    let numbers = flow.source("numbers", source::from_iter(0..1000_u32));
    numbers.batch_sink("table", batching, table.clone());
    let (seen, sink) = millstream_engine::testing::probe_sink();
    given_up.map(|letter| letter.original).sink("letters", sink);
    let options = JobOptions::default().with_batch_records(2).with_edge_capacity(4);
    let job = flow.start_with(&options).unwrap();
    settle().await;
    let tried = table.groups().concat().len();
    assert!((1..40).contains(&tried), "{tried}");
    seen.expect(0..1000).await;
    seen.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn n2_each_instance_has_groups_of_its_own() {
    let table = Table::default();
    let flow = Dataflow::new("table");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32)).parallel(3);
    numbers.batch_sink("table", Batching::new(10), table.clone());
    let report = flow.run().await.unwrap();
    assert_eq!(report.records_written(), 100);
    let mut stored = table.stored();
    stored.sort_unstable();
    assert!(stored.into_iter().eq(0..100));
    assert_eq!(*table.closed.lock().unwrap(), 3);
}
