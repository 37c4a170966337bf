//! Two streams of different types before one operator.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::Error;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::{Clock, Instant};
use millstream_operators::fan::Either;
use millstream_operators::prelude::*;

use super::{LONG, narrow, sorted};

/// Adds up the left values, and tells the sum when the right input says so.
#[derive(Clone, Default)]
struct Gate {
    sum: u32,
    due: Option<Instant>,
    clock: Option<Clock>,
}

impl Operator<Either<u32, &'static str>> for Gate {
    type Out = u32;
    const NAME: &'static str = "gate";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock = Some(context.clock());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Either<u32, &'static str>>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        match record.value {
            Either::Left(n) => self.sum += n,
            Either::Right(_) => {
                self.due = self.clock.as_ref().map(|clock| clock.now() + Duration::from_secs(60));
            }
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn on_timer(&mut self, _: Instant, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.due = None;
        out.push(Record::new(self.sum));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn f7_one_operator_sees_both_inputs_and_has_its_timers() {
    let flow = Dataflow::new("connected");
    let (numbers, left) = probe_source::<u32>();
    let (says, right) = probe_source::<&'static str>();
    let (sink, end) = probe_sink();
    let other = flow.source("says", right);
    flow.source("numbers", left).connect(other).process(Gate::default()).sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(3).await;
    numbers.send(4).await;
    numbers.asked().await;
    says.send("now").await;
    sink.expect([7]).await;
    says.end().await;
    numbers.send(5).await;
    sink.expect_no_record(LONG).await;
    numbers.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f7_both_inputs_of_one_key_go_to_one_instance() {
    for instances in [1, 3] {
        let flow = Dataflow::new("balances");
        let paid = flow.source("paid", source::from_iter((0..300_u32).map(|n| (n % 10, n))));
        let used = flow.source("used", source::from_iter((0..200_u64).map(|n| (n % 10, n))));
        let keyed = paid.connect(used).key_by(|paid| paid.0, |used| used.0 as u32);
        let sums = keyed.parallel(instances).fold((0_u32, 0_u64), |sums, either| match either {
            Either::Left((_, n)) => sums.0 += n,
            Either::Right((_, n)) => sums.1 += n,
        });
        let out = sums.collect();
        let sums: BTreeMap<_, _> =
            flow.run_with(narrow()).await.unwrap().take(out).unwrap().into_iter().collect();
        assert_eq!(sums.len(), 10, "each key once");
        for (key, (paid, used)) in sums {
            assert_eq!(paid, (0..300).filter(|n| n % 10 == key).sum::<u32>());
            assert_eq!(used, (0..200).filter(|n| n % 10 == u64::from(key)).sum::<u64>());
        }
    }
}

#[tokio::test]
async fn f7_flat_map_iter_makes_several_of_either() {
    let flow = Dataflow::new("connected");
    let left = flow.source("one", source::from_iter([1_u32, 2]));
    let right = flow.source("two", source::from_iter(["ab"]));
    let connected = left.connect(right);
    let all = connected.flat_map_iter(|n| vec![n; 2], |text| text.bytes().map(u32::from).collect());
    let all = all.collect();
    let all = sorted(flow.run().await.unwrap().take(all).unwrap());
    assert_eq!(all, [1, 1, 2, 2, 97, 98]);
}
