//! What is left out on purpose is asked for anew, and is no drop.

use std::time::Duration;

use millstream_engine::testing::{probe_sink, probe_source};
use millstream_operators::prelude::*;

#[tokio::test(start_paused = true)]
async fn b2_a_rejected_record_makes_demand_and_counts_as_delivered() {
    type Word = fn(DataStream<u64>) -> DataStream<u64>;
    let words: [Word; 3] = [
        |all| all.filter(|n| *n == 99).boxed(),
        |all| all.filter_not(|n| *n != 99).boxed(),
        |all| all.filter_map(|n| (n == 99).then_some(n)).boxed(),
    ];
    for word in words {
        let (input, factory) = probe_source::<u64>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("demand");
        word(flow.source("in", factory).boxed()).sink("out", sink);
        let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
        let options = options.with_operator_counts(true);
        let job = flow.start_with(&options).unwrap();
        // For one record that it wants, the sink is given as many as it takes to find it.
        output.request(1);
        for n in 0..100 {
            input.expect_asked(Duration::from_secs(1)).await;
            input.send(n).await;
        }
        output.expect([99]).await;
        input.end().await;
        let report = job.await.unwrap();
        let filter = &report.metrics().operators[1];
        assert_eq!((filter.filtered, filter.dropped.total()), (99, 0));
        assert_eq!((filter.records_in, filter.records_out), (Some(100), Some(1)));
    }
}
