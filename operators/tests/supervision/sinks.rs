//! A sink that is made anew.

use std::sync::Mutex;

use millstream_engine::sink::{Committable, Sink, SinkStatus, SinkWith};

use super::*;

#[derive(Clone, Default)]
struct Shared {
    written: Arc<Mutex<Vec<u32>>>,
    calls: Arc<AtomicU32>,
    made: Arc<AtomicU32>,
    committed: Arc<AtomicU32>,
}

/// Fails at certain calls of its hooks, after half of the work.
struct Flaky {
    shared: Shared,
    fails: &'static [u32],
}

impl Flaky {
    fn call(&self) -> Result<(), OperatorError> {
        let call = self.shared.calls.fetch_add(1, SeqCst);
        if self.fails.contains(&call) {
            return Err(std::io::Error::other("connection lost").into());
        }
        Ok(())
    }
}

impl Sink for Flaky {
    type Item = u32;

    async fn write(&mut self, records: &mut Vec<Record<u32>>) -> Result<SinkStatus, OperatorError> {
        for record in records.drain(..) {
            self.shared.written.lock().unwrap().push(record.value);
            self.call()?;
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        self.call()
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        self.flush().await?;
        self.call()?;
        Ok(Committable(vec![7]))
    }

    async fn commit(&mut self, committable: Committable) -> Result<(), OperatorError> {
        assert_eq!(committable.0, [7]);
        self.call()?;
        self.shared.committed.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_sink_is_given_again_what_it_had_not_flushed() {
    // Whichever call fails, and however many.
    for fails in [&[0_u32] as &[u32], &[3, 4], &[5], &[9, 11, 12], &[22, 23, 24, 25, 26]] {
        let shared = Shared::default();
        let state = shared.clone();
        let make = SinkWith(move |_| {
            state.made.fetch_add(1, SeqCst);
            Ok(Flaky { shared: state.clone(), fails })
        });
        let flow = Dataflow::new("flaky");
        let numbers = flow.source("in", source::from_iter(0..20_u32));
        let sink = sink::restarting(quick(9), make).with_unflushed(4);
        numbers.sink("table", sink);
        let report = flow.run_with(small()).await.unwrap();
        let mut written = shared.written.lock().unwrap().clone();
        assert!(written.len() < 40, "only what had not been flushed: {written:?}");
        written.sort_unstable();
        written.dedup();
        assert_eq!(written, (0..20).collect::<Vec<_>>(), "{fails:?}");
        assert_eq!(shared.committed.load(SeqCst), 1);
        assert_eq!(shared.made.load(SeqCst) as usize, 1 + fails.len());
        assert_eq!(operator(&report, "table").retries, fails.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn j4_a_sink_that_is_not_made_anew_any_more_fails_the_job() {
    let shared = Shared::default();
    let state = shared.clone();
    let make = SinkWith(move |_| Ok(Flaky { shared: state.clone(), fails: &[0, 1, 2] }));
    let flow = Dataflow::new("broken");
    flow.source("in", source::from_iter(0..3)).sink("table", sink::restarting(quick(3), make));
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("table"));
    assert_eq!(error.cause().unwrap().to_string(), "connection lost");
    assert_eq!(shared.committed.load(SeqCst), 0);
}
