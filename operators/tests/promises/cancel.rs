//! Dropping a run, at whatever point, stops all of it and delivers nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use millstream_engine::ErrorKind;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::Outcome;
use millstream_operators::prelude::*;

use super::{Ledger, Numbers, on_both, settle};

/// Counts its own instances: a clone is an instance, and the blueprint's is the first.
struct Guarded(Arc<()>);

impl Clone for Guarded {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Operator<u64> for Guarded {
    type Out = u64;
    const NAME: &'static str = "guarded";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}

struct Watched {
    flow: Dataflow,
    stages: Arc<()>,
    ledger: Ledger,
}

impl Watched {
    fn new(total: u64) -> Self {
        let (stages, ledger) = (Arc::new(()), Ledger::default());
        let flow = Dataflow::new("watched");
        let guarded = || Guarded(Arc::clone(&stages));
        flow.source("in", source::from_iter(0..total))
            .via(guarded())
            .parallel(2)
            .via(guarded())
            .gather()
            .via(guarded())
            .sink("out", ledger.clone());
        Self { flow, stages, ledger }
    }

    /// How many stages live, over and above the blueprint.
    fn live(&self) -> usize {
        Arc::strong_count(&self.stages) - 4
    }
}

fn options() -> JobOptions {
    JobOptions::default().with_edge_capacity(2).with_batch_records(1)
}

#[test]
fn a_run_that_is_dropped_at_any_poll_is_gone_and_delivers_no_more() {
    // One task is polled, and then the test is: so it can cut between any two polls.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.event_interval(1).enable_all().build().unwrap();
    runtime.block_on(cut_everywhere());
}

async fn cut_everywhere() {
    let watched = Watched::new(20);
    let mut finished = false;
    let mut polls = 0;
    while !finished {
        *watched.ledger.0.lock().unwrap() = super::Entries::default();
        let mut run = Box::pin(watched.flow.run_with(options()));
        for _ in 0..=polls {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(run.as_mut().poll(cx)));
            if let std::task::Poll::Ready(ended) = polled.await {
                assert_eq!(ended.unwrap().records_written(), 20);
                finished = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(run);
        let then = watched.ledger.entries();
        settle().await;
        assert_eq!(watched.live(), 0, "after {polls} polls");
        assert_eq!(watched.ledger.entries(), then, "after {polls} polls");
        let whole = then.written.len() == 20;
        assert!(then.committed == 0 || whole, "after {polls} polls");
        polls += 1;
    }
    assert!(polls > 20, "the run was cut in {polls} places");
}

#[test]
fn a_dropped_job_is_gone_on_either_runtime() {
    on_both(async || {
        for rounds in 0..20 {
            let watched = Watched::new(u64::MAX);
            let job = watched.flow.start_with(&options()).unwrap();
            let mut observer = job.observer();
            for _ in 0..rounds {
                tokio::task::yield_now().await;
            }
            drop(job);
            observer.ended().await;
            while watched.live() > 0 {
                tokio::task::yield_now().await;
            }
            let then = watched.ledger.entries();
            settle().await;
            assert_eq!(watched.ledger.entries(), then);
            assert_eq!(then.committed, 0);
            let busy = observer.metrics().stages.iter().map(|stage| stage.busy).collect::<Vec<_>>();
            settle().await;
            let later = observer.metrics();
            assert_eq!(later.stages.iter().map(|stage| stage.busy).collect::<Vec<_>>(), busy);
            assert!(later.stages.iter().all(|stage| stage.blocked_now + stage.busy_now == 0));
            assert!(later.explain().full_edges.is_empty());
        }
    });
}

#[test]
fn both_runtimes_give_the_same_results() {
    on_both(async || {
        let watched = Watched::new(5000);
        let report = watched.flow.run_with(options()).await.unwrap();
        assert_eq!(report.outcome(), Outcome::Completed);
        let mut entries = watched.ledger.entries();
        entries.written.sort_unstable();
        assert_eq!(entries.written, (0..5000).collect::<Vec<_>>());
        assert_eq!((entries.prepared, entries.committed), (1, 1));
    });
}

#[test]
fn an_abort_tells_what_was_left() {
    on_both(async || {
        let count = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&count);
        let flow = Dataflow::new("aborted");
        let numbers = Numbers::default();
        flow.source("in", numbers)
            .boundary()
            .map(move |n| {
                seen.fetch_add(1, SeqCst);
                n
            })
            .ignore();
        let job = flow.start_with(&options()).unwrap();
        while count.load(SeqCst) < 10 {
            tokio::task::yield_now().await;
        }
        job.abort();
        let error = job.await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Aborted);
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::Aborted);
        let (_, edge) = report.edges().next().unwrap();
        assert_eq!(edge.handled, count.load(SeqCst));
        assert_eq!(edge.sent, edge.handled + edge.abandoned);
        assert!(edge.abandoned <= 3, "{edge:?}");
    });
}
