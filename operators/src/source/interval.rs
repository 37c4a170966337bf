//! `interval`: a tick every so often.

use std::time::Duration;

use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};
use millstream_engine::time::{Clock, Instant};
use millstream_engine::{OperatorError, Record};

/// What becomes of the ticks that fell due while nobody asked, because downstream was slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// They are skipped, and the schedule stays: the next tick comes at the next multiple of the
    /// period. The ticks keep their numbers, so that a gap shows how many were missed.
    #[default]
    Skip,
    /// They are all emitted as soon as somebody asks, and the schedule stays.
    Burst,
    /// The schedule moves: one tick comes at once, and the next a period later.
    Delay,
}

/// A source of ticks, numbered from 0, the first of them at once and then one every `period` of the
/// job's clock. A tick's event time is the clock's timestamp when it is emitted.
///
/// It does not end by itself and says nothing of watermarks. Backpressure makes it miss ticks, and
/// `missed` says what becomes of them; nothing is queued meanwhile. Cancelling it loses nothing.
///
/// # Errors
///
/// [`ZeroPeriod`] if the period is zero, when the job starts.
///
/// ```
/// use millstream_engine::{source::*, time::VirtualClock};
/// use millstream_operators::source::{interval, MissedTicks};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::OperatorError> {
/// let hand = VirtualClock::new();
/// let mut ticks = interval(Duration::from_secs(60), MissedTicks::Burst);
/// ticks.open(&SourceContext::new(hand.clock())).await?;
/// hand.advance(Duration::from_secs(150));
/// let mut batch = SourceBatch::new(8);
/// ticks.next(&mut batch).await?;
/// let numbers: Vec<u64> = batch.into_parts().0.records.iter().map(|tick| tick.value).collect();
/// assert_eq!(numbers, [0, 1, 2]);
/// # Ok(())
/// # }
/// ```
pub const fn interval(period: Duration, missed: MissedTicks) -> Interval {
    Interval { period, missed, running: None }
}

/// The period of an [`interval`] is zero, so that it would never stop ticking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the period of the interval is zero")]
pub struct ZeroPeriod;

/// The source behind [`interval`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    missed: MissedTicks,
    running: Option<Running>,
}

impl Clone for Interval {
    fn clone(&self) -> Self {
        interval(self.period, self.missed)
    }
}

#[derive(Debug)]
struct Running {
    clock: Clock,
    /// The next tick, and when it is due.
    number: u64,
    due: Instant,
}

impl Source for Interval {
    type Item = u64;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        if self.period.is_zero() {
            return Err(ZeroPeriod.into());
        }
        self.running =
            Some(Running { clock: context.clock.clone(), number: 0, due: context.clock.now() });
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        // A source that was never opened has no clock to tick by.
        let Some(running) = &mut self.running else {
            return Ok(SourceStatus::End);
        };
        if running.clock.now() < running.due {
            running.clock.sleep_until(running.due).await;
        }
        let (now, time) = (running.clock.now(), running.clock.timestamp());
        while running.due <= now && !batch.is_full() {
            let behind = now.saturating_since(running.due);
            let skipped = match self.missed {
                MissedTicks::Skip => whole_periods(behind, self.period),
                MissedTicks::Burst | MissedTicks::Delay => 0,
            };
            running.number = running.number.saturating_add(skipped);
            batch.push(Record::at(running.number, time));
            running.number = running.number.saturating_add(1);
            running.due = match self.missed {
                MissedTicks::Skip => now + (self.period - remainder(behind, self.period)),
                MissedTicks::Burst => running.due + self.period,
                MissedTicks::Delay => now + self.period,
            };
        }
        Ok(SourceStatus::More)
    }
}

fn whole_periods(behind: Duration, period: Duration) -> u64 {
    let periods = behind.as_nanos() / period.as_nanos();
    u64::try_from(periods).unwrap_or(u64::MAX)
}

fn remainder(behind: Duration, period: Duration) -> Duration {
    let nanos = behind.as_nanos() % period.as_nanos();
    let part = |nanos: u128| u64::try_from(nanos).unwrap_or(u64::MAX);
    Duration::new(part(nanos / 1_000_000_000), u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
    use millstream_engine::time::{Timestamp, VirtualClock};

    use super::*;
    use crate::prelude::{Dataflow, source};

    const SECOND: Duration = Duration::from_secs(1);

    /// What is emitted by each call, after the clock has moved by each of these.
    fn ticks(missed: MissedTicks, moves: &[u64]) -> Vec<Vec<u64>> {
        let hand = VirtualClock::new();
        let mut ticks = interval(SECOND, missed);
        let context = SourceContext::new(hand.clock());
        let opened = ticks.open(&context);
        opened.now_or_never().unwrap().unwrap();
        let mut seen = Vec::new();
        for &millis in moves {
            hand.advance(Duration::from_millis(millis));
            let mut batch = SourceBatch::new(8);
            let ready = ticks.next(&mut batch).now_or_never();
            let records = batch.into_parts().0.records;
            assert_eq!(ready.is_some(), !records.is_empty());
            seen.push(records.iter().map(|record| record.value).collect());
        }
        seen
    }

    #[test]
    fn a3_ticks_come_with_the_clock_and_carry_its_time() {
        for missed in [MissedTicks::Skip, MissedTicks::Burst, MissedTicks::Delay] {
            let seen = ticks(missed, &[0, 999, 1, 1000]);
            assert_eq!(seen, [vec![0], vec![], vec![1], vec![2]], "{missed:?}");
        }
        let hand = VirtualClock::starting_at(Timestamp::from_millis(500));
        let mut source = interval(SECOND, MissedTicks::default());
        let context = SourceContext::new(hand.clock());
        let opened = source.open(&context);
        opened.now_or_never().unwrap().unwrap();
        let mut batch = SourceBatch::new(1);
        source.next(&mut batch).now_or_never().unwrap().unwrap();
        let time = Timestamp::from_millis(500);
        assert_eq!(batch.into_parts().0.records, [Record::at(0, time)]);
    }

    #[test]
    fn a3_missed_ticks_are_skipped_and_keep_their_numbers() {
        let seen = ticks(MissedTicks::Skip, &[0, 3500, 499, 1]);
        assert_eq!(seen, [vec![0], vec![3], vec![], vec![4]]);
    }

    #[test]
    fn a3_missed_ticks_burst() {
        let seen = ticks(MissedTicks::Burst, &[0, 3500, 499, 1]);
        assert_eq!(seen, [vec![0], vec![1, 2, 3], vec![], vec![4]]);
    }

    #[test]
    fn a3_missed_ticks_delay_the_schedule() {
        let seen = ticks(MissedTicks::Delay, &[0, 3500, 999, 1]);
        assert_eq!(seen, [vec![0], vec![1], vec![], vec![2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a3_ticks_follow_the_clock_of_a_paused_runtime() {
        let flow = Dataflow::new("ticks");
        let ticks = flow.source("ticks", source::interval(SECOND, MissedTicks::Skip)).into_stream();
        let seen: Vec<u64> = ticks.take(3).try_collect().await.unwrap();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[tokio::test]
    async fn a3_a_period_of_zero_is_an_error() {
        let flow = Dataflow::new("zero");
        flow.source("ticks", interval(Duration::ZERO, MissedTicks::Skip)).ignore();
        let error = flow.run().await.unwrap_err();
        assert!(error.cause().unwrap().is::<ZeroPeriod>());
    }
}
