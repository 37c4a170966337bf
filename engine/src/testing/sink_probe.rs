//! A sink that a test holds in its hand.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::watched::Watched;
use crate::error::{Error, OperatorError};
use crate::record::Record;
use crate::runtime::JobReport;
use crate::sink::{Committable, Sink, SinkFactory, SinkStatus};
use crate::time::Clock;

/// The test's end of a [`probe_sink`].
///
/// The sink takes a record only when the probe has asked for one, so what waits here is never more
/// than was asked for.
pub struct SinkProbe<T>(Arc<Watched<State<T>>>);

/// The graph's end of a [`probe_sink`].
pub struct ProbedSink<T>(Arc<Watched<State<T>>>);

struct State<T> {
    /// Records asked for and not yet delivered.
    demand: usize,
    delivered: VecDeque<Record<T>>,
    enough: bool,
    error: Option<OperatorError>,
    prepared: bool,
    committed: bool,
    /// Sinks that are open, and whether there has been one.
    open: usize,
    gone: bool,
}

/// What became of a sink's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was complete, and the sink committed.
    Committed,
    /// The sink was dropped before that: the job failed or was stopped.
    Dropped,
}

/// Makes a sink that takes records as its probe asks for them.
///
/// ```
/// use millstream_engine::Record;
/// use millstream_engine::sink::{Sink, SinkFactory};
/// use millstream_engine::testing::probe_sink;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::OperatorError> {
/// let (probe, factory) = probe_sink::<u32>();
/// let mut sink = factory.create(0)?;
/// probe.request(1);
/// sink.write(&mut vec![Record::new(7)]).await?;
/// assert_eq!(probe.next().await, Some(Record::new(7)));
///
/// sink.commit(Default::default()).await?;
/// probe.expect_end().await;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn probe_sink<T: Send + 'static>() -> (SinkProbe<T>, impl SinkFactory<Sink = ProbedSink<T>>) {
    let shared = Arc::new(Watched::new(State {
        demand: 0,
        delivered: VecDeque::new(),
        enough: false,
        error: None,
        prepared: false,
        committed: false,
        open: 0,
        gone: false,
    }));
    (SinkProbe(Arc::clone(&shared)), Factory(shared))
}

impl<T> SinkProbe<T> {
    /// Asks for `records` more.
    pub fn request(&self, records: usize) {
        self.0.change(|state| state.demand = state.demand.saturating_add(records));
    }

    /// Has enough: the sink takes nothing more, and its input is cancelled.
    pub fn enough(&self) {
        self.0.change(|state| state.enough = true);
    }

    /// Fails: what is being written, or will be next, returns this error.
    pub fn fail(&self, error: impl Into<OperatorError>) {
        self.0.change(|state| state.error = Some(error.into()));
    }

    /// What has been delivered and not looked at.
    pub(super) fn take_delivered(&self) -> Vec<Record<T>> {
        self.0.change(|state| state.delivered.drain(..).collect())
    }

    /// The next record, asked for if it was not yet. `None` once the input has ended, in whatever
    /// way. Cancel safe.
    pub async fn next(&self) -> Option<Record<T>> {
        self.ask_for_one();
        let next = self.0.until(|state| match state.delivered.pop_front() {
            Some(record) => Some(Ok(record)),
            None => ending(state).map(Err),
        });
        next.await.ok()
    }

    /// The records that have been delivered and not looked at.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.look(|state| state.delivered.len())
    }

    /// Whether `prepare` has been called.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.0.look(|state| state.prepared)
    }

    /// Whether `commit` has been called.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.0.look(|state| state.committed)
    }

    /// Waits until the input has ended, and tells how. Cancel safe.
    pub async fn ended(&self) -> Ending {
        self.0.until(|state| ending(state)).await
    }

    /// Waits for the sink to be let go before its input was complete, as it is when the job fails,
    /// and for the job's error.
    ///
    /// # Panics
    ///
    /// If a record comes, if the input was complete, or if the job ends well.
    pub async fn expect_error(&self, job: impl Future<Output = Result<JobReport, Error>>) -> Error {
        let ended = job.await;
        assert_eq!(self.waiting(), 0, "an error was expected, and records came");
        assert_eq!(self.ended().await, Ending::Dropped, "the input was complete");
        match ended {
            Err(error) => error,
            Ok(report) => panic!("an error was expected, and the job {:?}", report.outcome()),
        }
    }

    fn ask_for_one(&self) {
        self.0.change(|state| {
            if state.delivered.is_empty() {
                state.demand = state.demand.max(1);
            }
        });
    }
}

fn ending<T>(state: &State<T>) -> Option<Ending> {
    match (state.committed, state.gone) {
        (true, _) => Some(Ending::Committed),
        (false, true) => Some(Ending::Dropped),
        (false, false) => None,
    }
}

impl<T: fmt::Debug + PartialEq> SinkProbe<T> {
    /// Asks for as many records as there are `values`, and compares.
    ///
    /// # Panics
    ///
    /// If something else comes, or too little.
    #[track_caller]
    pub fn expect(&self, values: impl IntoIterator<Item = T>) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let values: Vec<_> = values.into_iter().collect();
        async move {
            for (index, value) in values.into_iter().enumerate() {
                let next = self.next().await.map(|record| record.value);
                assert!(
                    next.as_ref() == Some(&value),
                    "{caller}: record {index} should be {value:?}, and is {next:?}"
                );
            }
        }
    }

    /// Waits for the end of a complete input, asking for one more record.
    ///
    /// # Panics
    ///
    /// If a record comes, or the sink is dropped before its commit.
    pub async fn expect_end(&self) {
        let next = self.next().await;
        assert!(next.is_none(), "the end was expected, and {next:?} came");
        let ending = self.ended().await;
        assert_eq!(ending, Ending::Committed, "the input was not complete");
    }

    /// Waits for the next record, and compares it with its event time.
    ///
    /// # Panics
    ///
    /// If something else comes, or the end.
    pub async fn expect_record(&self, record: impl Into<Record<T>>) {
        let next = self.next().await;
        let expected = Some(record.into());
        assert!(next == expected, "{expected:?} was expected, and {next:?} came");
    }

    /// Asks for a record, waits for `duration` of tokio's time, and wants none to come. On a
    /// runtime whose time is paused that takes no time, and is over only when the whole graph
    /// stands still.
    ///
    /// # Panics
    ///
    /// If a record comes.
    pub async fn expect_no_record(&self, duration: Duration) {
        self.ask_for_one();
        Clock::system().sleep(duration).await;
        let next = self.0.change(|state| state.delivered.pop_front());
        assert!(next.is_none(), "no record was expected, and {next:?} came");
    }
}

impl<T: Send + 'static> Sink for ProbedSink<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        let mut rest = std::mem::take(records).into_iter();
        let mut status = None;
        while status.is_none() {
            let before = rest.len();
            let deliver = |state: &mut State<T>| {
                while !state.enough && state.demand > 0 {
                    let Some(record) = rest.next() else { break };
                    state.demand -= 1;
                    state.delivered.push_back(record);
                }
                if let Some(error) = state.error.take() {
                    status = Some(Err(error));
                } else if state.enough {
                    status = Some(Ok(SinkStatus::Enough));
                } else if rest.len() == 0 {
                    status = Some(Ok(SinkStatus::More));
                }
                // The probe hears of each step.
                (status.is_some() || rest.len() < before).then_some(())
            };
            self.0.until(deliver).await;
        }
        records.extend(rest);
        status.unwrap_or(Ok(SinkStatus::More))
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        self.0.change(|state| state.prepared = true);
        Ok(Committable::default())
    }

    async fn commit(&mut self, _committable: Committable) -> Result<(), OperatorError> {
        self.0.change(|state| state.committed = true);
        Ok(())
    }
}

impl<T> Drop for ProbedSink<T> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.open -= 1;
            state.gone = state.open == 0;
        });
    }
}

/// Each instance and run gets a sink of its own, and all of them share the probe.
struct Factory<T>(Arc<Watched<State<T>>>);

impl<T: Send + 'static> SinkFactory for Factory<T> {
    type Sink = ProbedSink<T>;

    fn create(&self, _instance: usize) -> Result<ProbedSink<T>, OperatorError> {
        self.0.change(|state| {
            state.open += 1;
            state.gone = false;
            state.committed = false;
            state.prepared = false;
        });
        Ok(ProbedSink(Arc::clone(&self.0)))
    }
}

impl<T> fmt::Debug for SinkProbe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkProbe").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ProbedSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbedSink")
    }
}
