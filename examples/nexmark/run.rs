//! One run of one query over events in memory.

use std::time::Duration;

use millstream::Error;
use millstream::prelude::*;
use millstream::testing::TestDriver;
use millstream::time::Clock;
use tokio::runtime::Runtime;

use crate::model::Event;
use crate::queries;
use crate::replay::Replay;
use crate::table::Table;

/// By how much events may come out of order, as the definition of the benchmark says.
const DISORDER: Duration = Duration::from_secs(4);

/// The choices about a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// In how many instances keys live.
    pub(crate) instances: usize,
    /// The most records in a batch.
    pub(crate) batch: Option<usize>,
    /// Whether the rows are to be written, or only counted.
    pub(crate) keep: bool,
}

/// What came of it.
pub(crate) struct Ran {
    pub(crate) table: Box<dyn Table>,
    /// By the machine's clock, without the making of the events.
    pub(crate) elapsed: Duration,
}

impl Run {
    /// Runs query `number` over the events, on the threads of `runtime`.
    pub(crate) fn query(
        self,
        number: u8,
        events: Vec<Event>,
        runtime: &Runtime,
    ) -> Result<Ran, Error> {
        let flow = Dataflow::new(&format!("q{number}"));
        let by_the_clock = queries::BY_THE_CLOCK.contains(&number);
        let last = events.last().map(Event::time);
        let replay = if by_the_clock { Replay::paced(events) } else { Replay::at_once(events) };
        // Windows end at whole seconds, and sessions may wait a little: finer watermarks would cost
        // more and tell no more.
        let watermarks =
            Watermarks::bounded_disorder(DISORDER).with_step(Duration::from_millis(100));
        let events = flow.source("events", replay).event_time(Event::time, watermarks);
        let table = queries::put_behind(number, events, self);
        let mut options = JobOptions::default();
        if let Some(batch) = self.batch {
            options = options.with_batch_records(batch);
        }
        let clock = Clock::system();
        let report = match last {
            Some(last) if by_the_clock => on_virtual_time(&flow, options, last)?,
            _ => runtime.block_on(flow.run_with(options))?,
        };
        let elapsed = clock.now().since_start();
        Ok(Ran { table: table(&report), elapsed })
    }
}

/// Runs a job on a clock that is moved by hand to each point at which something is to happen, when
/// everything before it is done. It shows the time of the events, and the same run is the same
/// always.
fn on_virtual_time(
    flow: &Dataflow,
    options: JobOptions,
    last: Timestamp,
) -> Result<JobReport, Error> {
    // Timers of the job's own would only be more points to stop at.
    let options = options.with_publish_every(None).with_stall_warning(None);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options)?;
    driver.advance(Duration::from_millis(last.as_millis().unsigned_abs()));
    driver.finish()
}
