//! Look-ups: what is asked for, together and once, and what is remembered.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use millstream_engine::random::Random;
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

use super::{at, sleep};

type Found = Result<Vec<(u64, String)>, std::io::Error>;
type Log = Arc<Mutex<Vec<Vec<u64>>>>;

/// A service that knows the even numbers, answers after 10 ms, and keeps a log.
fn service(
    log: &Log,
) -> impl FnMut(Vec<u64>) -> BoxFuture<'static, Found> + Clone + Send + 'static {
    let (log, clock) = (Arc::clone(log), Clock::system());
    move |keys: Vec<u64>| {
        log.lock().unwrap().push(keys.clone());
        let pause = sleep(&clock, 10);
        Box::pin(async move {
            pause.await;
            let known = keys.into_iter().rev().filter(|key| key % 2 == 0);
            Ok(known.map(|key| (key, format!("number {key}"))).collect())
        })
    }
}

fn answer(key: u64) -> (u64, Option<String>) {
    (key, key.is_multiple_of(2).then(|| format!("number {key}")))
}

#[tokio::test(start_paused = true)]
async fn c10_what_waits_is_asked_for_in_one_call_and_answers_find_their_inputs() {
    let (log, flow) = (Log::default(), Dataflow::new("grouped"));
    let keys: Vec<u64> = (0..40).map(|n| n % 10).collect();
    let numbers = flow.source("numbers", source::from_iter(keys.clone()));
    let lookup = Lookup::default().with_keys_per_call(4).with_calls(2);
    let found = numbers.lookup_async(lookup, |key| *key, service(&log)).collect();
    let found = flow.run().await.unwrap().take(found).unwrap();
    assert_eq!(found, keys.into_iter().map(answer).collect::<Vec<_>>());
    let log = log.lock().unwrap();
    assert_eq!(log[0], [0, 1, 2, 3]);
    assert!(log.iter().all(|call| call.len() <= 4), "{log:?}");
    let mut distinct = log[0].clone();
    distinct.dedup();
    assert_eq!(distinct, log[0], "no key twice in a call");
}

#[tokio::test(start_paused = true)]
async fn c10_what_is_remembered_is_not_asked_for_until_it_is_too_old() {
    let (log, flow) = (Log::default(), Dataflow::new("cached"));
    let (input, factory) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let lookup = Lookup::default().with_cache(100, Duration::from_secs(60));
    let numbers = flow.source("numbers", factory);
    numbers.lookup_async(lookup, |key| *key, service(&log)).sink("sink", sink);
    let job = flow.start().unwrap();
    for (pause, calls) in [(0, 1), (30, 1), (31, 2)] {
        Clock::system().sleep(Duration::from_secs(pause)).await;
        for key in [1, 2] {
            input.send(key).await;
            output.expect([answer(key)]).await;
        }
        // That there is no answer is remembered, too.
        assert_eq!(log.lock().unwrap().len(), 2 * calls);
    }
    input.end().await;
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c10_order_times_and_watermarks_stay_whatever_the_batches() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut below = |bound: u64| random.below(bound);
        let (log, flow) = (Log::default(), Dataflow::new("random"));
        let (input, factory) = probe_source::<u64>();
        let lookup = Lookup::default()
            .with_keys_per_call(1 + usize::try_from(below(4)).unwrap())
            .with_calls(1 + usize::try_from(below(3)).unwrap())
            .with_cache(usize::try_from(below(4)).unwrap(), Duration::from_millis(below(30)));
        let options = JobOptions::default()
            .with_batch_records(1 + usize::try_from(below(4)).unwrap())
            .with_edge_capacity(1 + usize::try_from(below(4)).unwrap());
        let numbers = flow.source("numbers", factory);
        let late = Arc::new(Mutex::new(0));
        let found = numbers.lookup_async(lookup, |key| *key, service(&log));
        let found = found.via(CountLate { watermark: Timestamp::MIN, late: Arc::clone(&late) });
        let found = found.collect();
        let job = flow.start_with(&options).unwrap();
        let mut expected = Vec::new();
        for number in 0..50_i64 {
            let key = below(8);
            input.send(Record::at(key, at(number))).await;
            expected.push(answer(key));
            if below(5) == 0 {
                input.watermark(at(number)).await;
            }
        }
        input.end().await;
        assert_eq!(job.await.unwrap().take(found), Some(expected), "SEED={seed}");
        assert_eq!(*late.lock().unwrap(), 0, "SEED={seed}");
    }
}

/// Counts records behind a watermark that they should have been before.
#[derive(Clone)]
struct CountLate {
    watermark: Timestamp,
    late: Arc<Mutex<u32>>,
}

impl<T: Send + 'static> millstream_engine::operator::Operator<T> for CountLate {
    type Out = T;
    const NAME: &'static str = "count_late";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl millstream_engine::operator::Collector<T>,
    ) -> Result<(), OperatorError> {
        *self.late.lock().unwrap() += u32::from(record.time < self.watermark);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl millstream_engine::operator::Collector<T>,
    ) -> Result<(), OperatorError> {
        self.watermark = watermark;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn c10_an_error_fails_the_job_and_a_call_without_an_end_does_not_outlive_it() {
    let flow = Dataflow::new("failed");
    let numbers = flow.source("numbers", source::from_iter([1_u64, 2]));
    let lookup = Lookup::default().with_keys_per_call(1);
    let ask = |keys: Vec<u64>| async move {
        if keys == [1] {
            pending::<()>().await;
        }
        Err::<Vec<(u64, u64)>, _>(std::io::Error::other("refused"))
    };
    numbers.lookup_async(lookup, |key| *key, ask).named("find").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("find"));
    assert_eq!(error.cause().unwrap().to_string(), "refused");
}
