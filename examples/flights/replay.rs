//! The source: the rows of the file, released at the pace of their departures if that is asked for.

use std::collections::VecDeque;
use std::time::Duration;

use millstream::prelude::*;
use millstream::source::{
    CsvRow, CsvRows, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream::time::{Clock, Instant};

/// A source of our own around another one: hands each row over when its scheduled departure has
/// come, on a clock that runs `speed` times as fast as the job's. A row that can't be read comes at
/// once.
pub(crate) struct Paced<S> {
    rows: S,
    speed: Option<f64>,
    clock: Option<Clock>,
    /// The first departure, and when it was handed over.
    start: Option<(i64, Instant)>,
    waiting: VecDeque<Record<CsvRow>>,
    ended: bool,
}

impl<S> Paced<S> {
    fn new(rows: S, speed: Option<f64>) -> Self {
        Self { rows, speed, clock: None, start: None, waiting: VecDeque::new(), ended: false }
    }

    /// When the next row is to be handed over; `None`: now.
    fn due(&mut self) -> Option<Instant> {
        let (speed, now) = (self.speed?, self.clock.as_ref()?.now());
        let row = &self.waiting.front()?.value;
        let hour: jiff::Timestamp = row.get("time_hour")?.parse().ok()?;
        let departure = hour.as_millisecond() + row.get("minute")?.parse::<i64>().ok()? * 60_000;
        let (first, started) = *self.start.get_or_insert((departure, now));
        let after = (departure - first).max(0) as f64 / 1000.0 / speed;
        Some(started + Duration::from_secs_f64(after)).filter(|due| *due > now)
    }
}

impl<S: Source<Item = CsvRow>> Source for Paced<S> {
    type Item = CsvRow;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        self.rows.open(context).await
    }

    async fn next(&mut self, out: &mut SourceBatch<CsvRow>) -> Result<SourceStatus, OperatorError> {
        loop {
            while !out.is_full() && !self.waiting.is_empty() && self.due().is_none() {
                out.extend(self.waiting.pop_front());
            }
            let wait =
                self.due().zip(self.clock.as_ref()).map(|(due, clock)| clock.sleep_until(due));
            match wait {
                _ if !out.is_empty() => return Ok(SourceStatus::More),
                // Dropped here when the job drains: what waits was not handed over yet.
                Some(wait) => wait.await,
                None if self.ended => return Ok(SourceStatus::End),
                None => {
                    let mut batch = SourceBatch::new(out.room());
                    self.ended = self.rows.next(&mut batch).await? == SourceStatus::End;
                    self.waiting.extend(batch.into_parts().0.records);
                }
            }
        }
    }
}

/// Makes the source of each run.
pub(crate) struct Replay {
    pub(crate) rows: CsvRows,
    pub(crate) speed: Option<f64>,
}

impl SourceFactory for Replay {
    type Source = Paced<<CsvRows as SourceFactory>::Source>;

    fn create(&self, instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(Paced::new(self.rows.create(instance)?, self.speed))
    }
}
