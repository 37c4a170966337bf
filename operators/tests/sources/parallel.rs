//! Sources in several instances.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::runtime::JobState;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};
use millstream_engine::testing::probe_sink;
use millstream_operators::prelude::*;

use crate::{settle, small_batches};

/// Every so-many-th number, from the first on, which knows its place in the run. One of them may
/// fail at its end, or wait there.
#[derive(Debug)]
struct Numbers {
    first: u64,
    step: u64,
    end: u64,
    then: Then,
    place: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    End,
    Fail,
    Wait,
}

impl Numbers {
    fn part(instance: usize, instances: usize, end: u64) -> Self {
        let (first, step) = (instance as u64, instances as u64);
        Self { first, step, end, then: Then::End, place: (usize::MAX, 0) }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

impl Source for Numbers {
    type Item = (u64, usize, usize);

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.place = (context.instance, context.instances);
        Ok(())
    }

    async fn next(
        &mut self,
        batch: &mut SourceBatch<Self::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        while self.first < self.end && !batch.is_full() {
            batch.push((self.first, self.place.0, self.place.1));
            self.first += self.step;
        }
        match self.then {
            _ if self.first < self.end || !batch.is_empty() => Ok(SourceStatus::More),
            Then::End => Ok(SourceStatus::End),
            Then::Fail => Err(std::io::Error::other("the disk is gone").into()),
            Then::Wait => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a7_each_instance_of_a_source_reads_a_part_of_its_own() {
    for instances in 1..5 {
        let flow = Dataflow::new("parts");
        let part = move |instance| Numbers::part(instance, instances, 100);
        let all = flow.parallel_source("numbers", instances, part).collect();
        for _ in 0..2 {
            let all = flow.run_with(small_batches()).await.unwrap().take(all).unwrap();
            let mut by_instance = BTreeMap::<_, Vec<_>>::new();
            for (number, instance, of) in all {
                assert_eq!(of, instances, "each knows how many there are");
                by_instance.entry(instance).or_default().push(number);
            }
            let expected = (0..instances).map(|instance| {
                let part = (instance as u64..100).step_by(instances);
                (instance, part.collect::<Vec<_>>())
            });
            assert_eq!(by_instance, expected.collect(), "each in its order, in every run");
        }
    }
}

#[tokio::test]
async fn a7_what_follows_a_parallel_source_has_as_many_instances_and_no_edge() {
    let flow = Dataflow::new("fused");
    let part = |instance| Numbers::part(instance, 3, 9);
    let numbers = flow.parallel_source("numbers", 3, part).map(|(number, ..)| number);
    assert_eq!(numbers.parallelism(), 3);
    let sum = numbers.fold(0, |sum, number| *sum += number);
    let stages = flow.graph().unwrap().stages;
    assert_eq!(stages.iter().map(|stage| stage.instances).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(flow.run().await.unwrap().take(sum), Some(36), "one result of all of them");
}

#[tokio::test]
async fn a7_instances_of_a_source_may_be_far_apart_and_no_window_misses_a_record() {
    // Milliseconds, a hundred to a window. The last instance begins where the others will be last.
    const END: u64 = 2_000;
    for instances in [1, 2, 5] {
        let flow = Dataflow::new("windows");
        let part = move |instance: usize| {
            let (of, instance) = (instances as u64, instance as u64);
            source::from_iter(END * instance / of..END * (instance + 1) / of)
        };
        let told = flow
            .parallel_source("numbers", instances, part)
            .event_time(|n| Timestamp::from_millis(*n as i64), Watermarks::monotonic())
            .key_by(|n| n % 7)
            .window(Tumbling::of(Duration::from_millis(100)))
            .count()
            .map(|told| (told.window.start.as_millis(), told.key, told.value))
            .collect();
        let report = flow.run_with(small_batches()).await.unwrap();
        let mut told = report.take(told).unwrap();
        told.sort_unstable();
        let mut expected = BTreeMap::<_, u64>::new();
        for n in 0..END {
            *expected.entry(((n / 100 * 100) as i64, n % 7)).or_default() += 1;
        }
        let expected: Vec<_> = expected.into_iter().map(|((at, key), n)| (at, key, n)).collect();
        assert_eq!(told, expected, "{instances} instances");
    }
}

#[tokio::test]
async fn a7_a_parallel_source_ends_when_all_of_its_instances_have() {
    let flow = Dataflow::new("one waits");
    let (sink, end) = probe_sink();
    let part = |instance| {
        let then = if instance == 1 { Then::Wait } else { Then::End };
        Numbers::part(instance, 2, 2).then(then)
    };
    flow.parallel_source("numbers", 2, part).gather().map(|(n, ..)| n).sink("probe", end);
    let job = flow.start().unwrap();
    let mut got = [sink.next().await.unwrap().value, sink.next().await.unwrap().value];
    got.sort_unstable();
    assert_eq!(got, [0, 1]);
    settle().await;
    let metrics = job.metrics();
    assert_eq!((metrics.stages[0].started, metrics.stages[0].finished), (2, 1));
    assert_eq!(job.state(), JobState::Running, "one of them has not ended");
    job.drain(Duration::from_secs(1)).await.unwrap();
    assert!(sink.is_committed(), "and by a drain they end together");
}

#[tokio::test]
async fn a7_one_instance_that_fails_brings_down_the_job_and_is_named() {
    let flow = Dataflow::new("one fails");
    let part = |instance| {
        let then = if instance == 2 { Then::Fail } else { Then::Wait };
        Numbers::part(instance, 3, 30).then(then)
    };
    flow.parallel_source("numbers", 3, part).ignore();
    let error = flow.run().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("numbers"), "{text}");
}

#[tokio::test]
async fn a7_all_instances_of_a_source_stop_when_nobody_wants_more() {
    let flow = Dataflow::new("enough");
    let endless = |instance| source::from_iter(instance as u64..);
    let first = flow.parallel_source("numbers", 3, endless).gather().take(5).count();
    assert_eq!(flow.run().await.unwrap().take(first), Some(5));
}

#[test]
fn a7_a_source_in_no_instance_is_a_building_mistake() {
    let flow = Dataflow::new("none");
    flow.parallel_source("numbers", 0, |_| source::from_iter(0..9)).ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("the parallelism of `numbers` is zero"), "{error}");
}
