//! A source, two operators and a sink of one's own, with nothing but the public interface.
//!
//! ```text
//! thermometer ─▶ spikes ═▶ paced ─▶ protocol
//! ```
//!
//! `Thermometer` is a source that can be read again from a position, `Spikes` a fused operator that
//! keeps state and writes it down, `Paced` one that waits (the head of a stage), and `Protocol` a
//! sink that shows its lines when all of them are there. The tests at the end drive them by hand.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use millstream::batch::Batch;
use millstream::edge::Inputs;
use millstream::operator::{Collector, Operator};
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::{Head, HeadFactory, OperatorContext};
use millstream::sink::{Committable, Sink, SinkStatus};
use millstream::source::{Position, Source, SourceBatch, SourceContext, SourceStatus};
use millstream::state::{StateError, StateReader, StateWriter};
use millstream::time::{Clock, Sleep};
use millstream::{Chain, Error};

/// Readings in hundredths of a degree, one a minute. The same seed gives the same weather.
#[derive(Clone)]
struct Thermometer {
    seed: u64,
    next: u64,
    until: u64,
}

impl Source for Thermometer {
    type Item = i64;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        if let Some(Position(bytes)) = &context.position {
            self.next = u64::from_le_bytes(bytes.as_slice().try_into()?);
        }
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<i64>) -> Result<SourceStatus, OperatorError> {
        while self.next < self.until && !batch.is_full() {
            let mut random = Random::fork(self.seed, usize::try_from(self.next)?, 0);
            let noise = i64::try_from(random.below(100))?;
            let spike = if random.below(50) == 0 { 900 } else { 0 };
            let time = Timestamp::from_millis(i64::try_from(self.next)? * 60_000);
            batch.push(Record::at(2000 + noise + spike, time));
            batch.watermark(time);
            self.next += 1;
        }
        batch.position(Position(self.next.to_le_bytes().to_vec()));
        Ok(if self.next < self.until { SourceStatus::More } else { SourceStatus::End })
    }
}

/// Lets readings through that are further than `limit` from the running mean of those before.
#[derive(Debug)]
struct Spikes {
    limit: i64,
    mean: Option<i64>,
}

/// The configuration, with blank state: each run and instance begins with one.
impl Clone for Spikes {
    fn clone(&self) -> Self {
        Self { limit: self.limit, mean: None }
    }
}

impl Operator<i64> for Spikes {
    type Out = i64;
    const NAME: &'static str = "spikes";

    fn process(
        &mut self,
        record: Record<i64>,
        out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mean = self.mean.unwrap_or(record.value);
        self.mean = Some(mean + (record.value - mean) / 8);
        if (record.value - mean).abs() > self.limit {
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.mean.iter().for_each(|mean| state.write(mean.to_le_bytes().to_vec()));
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mean = state.read().map(TryInto::try_into).transpose();
        self.mean =
            mean.map_err(|_| StateError::new("a mean has 8 bytes"))?.map(i64::from_le_bytes);
        Ok(())
    }
}

/// Lets one record pass in each period: the beginning of a stage, which may wait.
struct Paced {
    period: Duration,
}

struct PacedHead<T> {
    period: Duration,
    input: Inputs<T>,
    /// What was read and has not passed, and the control behind it.
    held: VecDeque<Record<T>>,
    control: Batch<T>,
    clock: Clock,
    pause: Option<Sleep>,
}

impl<T: Send + 'static> HeadFactory<T> for Paced {
    type Out = T;
    type Head = PacedHead<T>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<PacedHead<T>, Error> {
        let (held, control, clock) = (VecDeque::new(), Batch::new(), context.clock());
        Ok(PacedHead { period: self.period, input, held, control, clock, pause: None })
    }
}

impl<T: Send> Head<T> for PacedHead<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        if self.held.is_empty() {
            self.control = ready!(self.input.poll_next(cx))?;
            self.held = std::mem::take(&mut self.control.records).into();
        }
        let mut batch = Batch::new();
        if let Some(record) = self.held.pop_front() {
            batch.records.push(record);
            self.pause = Some(self.clock.sleep(self.period));
        }
        if self.held.is_empty() {
            // The last watermark says what all of them say; nothing passes before its records.
            let control = std::mem::take(&mut self.control);
            control.marks.last().into_iter().for_each(|mark| batch.mark(mark.watermark));
            (batch.idle, batch.barrier, batch.end) = (control.idle, control.barrier, control.end);
        }
        Poll::Ready(Ok(batch))
    }

    fn recycle(&mut self, _records: Vec<Record<T>>) {}

    fn finish(&mut self) {
        self.held.clear();
        self.input.finish();
    }
}

/// Shows its lines when the input is complete, and nothing if it is not.
#[derive(Clone, Default)]
struct Protocol {
    lines: Vec<String>,
}

impl Sink for Protocol {
    type Item = String;

    async fn write(
        &mut self,
        records: &mut Vec<Record<String>>,
    ) -> Result<SinkStatus, OperatorError> {
        let line = |record: Record<String>| {
            let minutes = record.time.as_millis() / 60_000;
            format!("{:02}:{:02}  {}", minutes / 60, minutes % 60, record.value)
        };
        self.lines.extend(records.drain(..).map(line));
        Ok(SinkStatus::More)
    }

    async fn commit(&mut self, _committable: Committable) -> Result<(), OperatorError> {
        self.lines.drain(..).for_each(|line| println!("{line}"));
        Ok(())
    }
}

/// Words of one's own, said like the others.
trait Readings {
    fn spikes(self, limit: i64) -> DataStream<i64, impl Chain<Item = i64>>;
}

impl<C: Chain<Item = i64>> Readings for DataStream<i64, C> {
    fn spikes(self, limit: i64) -> DataStream<i64, impl Chain<Item = i64>> {
        self.via(Spikes { limit, mean: None })
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let flow = Dataflow::new("weather station");
    let weather = Thermometer { seed: 7, next: 0, until: 1440 };
    flow.source("thermometer", weather)
        .spikes(400)
        .map(|hundredths| format!("{}.{:02} °C", hundredths / 100, hundredths % 100))
        .through("paced", 1, 1, Paced { period: Duration::from_millis(20) })
        .sink("protocol", Protocol::default());
    let report = flow.run().await?;
    println!("{} alarms on one day, shown in {:.1?}", report.records_written(), report.elapsed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::testing::OperatorHarness;

    #[test]
    fn a_spike_is_found_also_behind_a_restart() {
        let mut before = OperatorHarness::new(Spikes { limit: 100, mean: None });
        [20, 25, 15].into_iter().for_each(|reading| before.push(reading));
        let mut after = OperatorHarness::new(before.operator().clone());
        after.restore(before.snapshot().unwrap()).unwrap();
        after.push(900);
        assert_eq!((before.values(), after.values()), (vec![], vec![900]));
    }

    #[tokio::test]
    async fn a_thermometer_goes_on_where_it_was() {
        let read = async |position| {
            let mut source = Thermometer { seed: 1, next: 0, until: 20 };
            let mut context = SourceContext::new(millstream::time::VirtualClock::new().clock());
            context.position = position;
            source.open(&context).await.unwrap();
            let mut batch = SourceBatch::new(8);
            source.next(&mut batch).await.unwrap();
            batch.into_parts()
        };
        let (first, position) = read(None).await;
        let (second, _) = read(position).await;
        assert_eq!(first.records.len(), 8);
        assert_eq!(second.records[0].time, Timestamp::from_millis(8 * 60_000));
    }
}
