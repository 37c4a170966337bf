//! Where a stream ends early: who has enough, who is told, and who still has something to say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use millstream_engine::operator::{Collector, Operator};
use millstream_operators::prelude::*;

/// An operator that takes no heed of whether there is room.
#[derive(Clone)]
struct Thrice;

impl Operator<u32> for Thrice {
    type Out = u32;
    const NAME: &'static str = "thrice";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        for _ in 0..3 {
            out.push(record);
        }
        Ok(())
    }
}

fn number(seen: &mut u32, n: u32) -> u32 {
    *seen += 1;
    n + *seen
}

#[tokio::test]
async fn b4_take_of_none_ends_the_stream_before_it_pulls() {
    let flow = Dataflow::new("none");
    let endless = std::iter::repeat_with(|| -> u32 { panic!("pulled") });
    let none = flow.source("numbers", source::from_iter(endless)).take(0).collect();
    assert_eq!(flow.run().await.unwrap().take(none), Some(vec![]));
}

#[tokio::test]
async fn b4_take_cancels_an_endless_source_however_far_away() {
    let flow = Dataflow::new("far");
    let numbers = flow.source("numbers", source::from_iter(0_u32..));
    let three = numbers.boundary().map(|n| n + 1).boundary().boxed().take(3).boundary().collect();
    assert_eq!(flow.run().await.unwrap().take(three), Some(vec![1, 2, 3]));
}

#[tokio::test]
async fn b4_take_takes_no_more_than_it_lets_through() {
    let flow = Dataflow::new("exact");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32)).boundary();
    let three = numbers.take(3).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(three), Some(vec![0, 1, 2]));
    assert_eq!(report.metrics().stages[1].records_in, 3);
}

#[tokio::test]
async fn b3_an_endless_iterator_ends_with_what_wants_no_more() {
    let flow = Dataflow::new("endless");
    let one = flow.source("one", source::from_iter([0_u64]));
    let three = one.flat_map_iter(|n| n..).map(|n| n * 2).take(3).collect();
    assert_eq!(flow.run().await.unwrap().take(three), Some(vec![0, 2, 4]));
}

#[tokio::test]
async fn b6_the_last_word_is_not_said_where_nobody_listens() {
    let flow = Dataflow::new("cancelled");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let last = |_: u32| -> Option<u32> { panic!("nobody listens") };
    let three = numbers.stateful_map(|| 0, number, last).take(3).collect();
    assert_eq!(flow.run().await.unwrap().take(three), Some(vec![1, 3, 5]));
}

#[tokio::test]
async fn b6_state_is_made_for_each_run() {
    let flow = Dataflow::new("twice");
    let numbers = flow.source("numbers", source::from_iter(0..3_u32));
    let sums =
        numbers.stateful_map(|| 0, number, Some).scan(0, |sum, n| *sum += n).take(9).collect();
    let first = flow.run().await.unwrap().take(sums);
    assert_eq!(first, Some(vec![1, 4, 9, 12]));
    assert_eq!(flow.run().await.unwrap().take(sums), first);
}

#[tokio::test]
async fn b4_what_is_behind_take_gets_all_of_its_output_out() {
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let flow = Dataflow::new("busy");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32)).take(2);
    let all = numbers.via(Thrice).via(Thrice).boundary().count();
    assert_eq!(flow.run_with(options).await.unwrap().take(all), Some(18));
}
