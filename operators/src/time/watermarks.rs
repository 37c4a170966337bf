//! `Watermarks`: how watermarks are made, and what happens when no records come.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::generator::{BoundedDisorder, Punctuated};
use super::{Alignment, Heartbeat};

/// How an [`event_time`](crate::DataStream::event_time) makes watermarks.
///
/// Each instance of a stream, and so each partition of its input, has a generator of its own; where
/// streams meet, the earliest of those that are not idle holds. So a record that is on time in its
/// own partition does not become late by a merge.
///
/// While no record comes, event time stands still. A quiet stream should say so
/// ([`idle_after`](Watermarks::idle_after)): it then holds nobody else up, not even if it never had
/// a record. When *all* that meet are quiet, the last windows stay open until there is a choice:
///
/// * to **wait** for the next record, the default, and right where results must not depend on when
///   records come;
/// * to go on with the **clock**: [`advance_when_idle`](Watermarks::advance_when_idle), from where
///   the stream was. A watermark that is the wall clock less a bound would make all late that is
///   read again, or late; who wants it all the same writes a [generator] with an
///   [interval](Watermarks::with_interval);
/// * to be told from **outside**: by records that say so ([`punctuated`](Watermarks::punctuated)),
///   or by a [`Heartbeat`] in the hand of the program.
///
/// [generator]: super::WatermarkGenerator::on_interval
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// # let flow = Dataflow::new("doc");
/// # let readings = flow.source("readings", source::from_iter([(0_i64, 20)]));
/// let watermarks = Watermarks::bounded_disorder(Duration::from_secs(5))
///     .idle_after(Duration::from_secs(60));
/// let time = |reading: &(i64, i32)| Timestamp::from_millis(reading.0);
/// readings.event_time(time, watermarks).ignore();
/// # flow.validate().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Watermarks<G> {
    pub(super) generator: G,
    pub(super) step: Duration,
    pub(super) idle_after: Option<Duration>,
    pub(super) advance: bool,
    pub(super) interval: Option<Duration>,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) alignment: Option<Alignment>,
}

impl Watermarks<BoundedDisorder> {
    /// For records that come in order.
    #[must_use]
    pub const fn monotonic() -> Self {
        Self::bounded_disorder(Duration::ZERO)
    }

    /// For records that come at most `bound` out of order: the watermark is the latest time seen,
    /// less the bound. What comes later than that is late.
    #[must_use]
    pub const fn bounded_disorder(bound: Duration) -> Self {
        Watermarks::custom(BoundedDisorder::new(bound))
    }
}

impl<T, F> Watermarks<Punctuated<T, F>>
where
    T: 'static,
    F: FnMut(&T) -> Option<Timestamp> + Clone + Send + 'static,
{
    /// For streams in which some records say that nothing earlier will follow.
    #[must_use]
    pub const fn punctuated(mark: F) -> Self {
        Watermarks::custom(Punctuated::new(mark))
    }
}

impl<G> Watermarks<G> {
    /// By a generator of your own.
    #[must_use]
    pub const fn custom(generator: G) -> Self {
        Self {
            generator,
            step: Duration::ZERO,
            idle_after: None,
            advance: false,
            interval: None,
            heartbeat: None,
            alignment: None,
        }
    }

    /// Rounds watermarks down to whole multiples of `step`, so that there are fewer of them: they
    /// cost throughput, and windows of an hour are none the worse for one every ten seconds. Zero,
    /// the default, leaves them as they are, to the millisecond.
    #[must_use]
    pub const fn with_step(mut self, step: Duration) -> Self {
        self.step = step;
        self
    }

    /// Says that the stream is idle when no record has come for `quiet`, be it the first: then it
    /// holds nobody's watermark back, until the next record. One that is behind what the others
    /// have come to meanwhile is late, as time never goes back.
    ///
    /// Time in which the stage waits for room does not count as quiet. A record costs no look at
    /// the clock: a timer looks eight times within `quiet`, and finds the stream idle up to an
    /// eighth later, never earlier. Default: never idle.
    ///
    /// # Panics
    ///
    /// If `quiet` is zero.
    #[must_use]
    #[track_caller]
    pub const fn idle_after(mut self, quiet: Duration) -> Self {
        assert!(!quiet.is_zero(), "a stream that is idle at once");
        self.idle_after = Some(quiet);
        self
    }

    /// While the stream is idle, lets event time go on with the job's clock, from the last
    /// watermark on: the last window closes although nothing comes any more. What does come after
    /// such a pause may be late. Only the time that was waited counts, so neither the machine's
    /// date matters nor a jump of it; over a pause of the machine itself, event time goes on by no
    /// more than twice what `idle_after` says. A stream that had no record has no time to go on
    /// from, and is only idle. Default: event time stands still with the records.
    ///
    /// # Panics
    ///
    /// If nothing was said of when the stream is [idle](Watermarks::idle_after).
    #[must_use]
    #[track_caller]
    pub const fn advance_when_idle(mut self) -> Self {
        assert!(self.idle_after.is_some(), "say first when the stream is idle: `idle_after`");
        self.advance = true;
        self
    }

    /// Asks the [generator](super::WatermarkGenerator::on_interval) every so often by the job's
    /// clock, too, while there is room for records behind. Those that were missed are not made up
    /// for. The generators that are here need it not.
    ///
    /// # Panics
    ///
    /// If `every` is zero.
    #[must_use]
    #[track_caller]
    pub const fn with_interval(mut self, every: Duration) -> Self {
        assert!(!every.is_zero(), "an interval of no time");
        self.interval = Some(every);
        self
    }

    /// Lets `heartbeat` say, too, how far the stream has come. It is best right behind the source,
    /// as what is on its way there is not known here.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: &Heartbeat) -> Self {
        self.heartbeat = Some(heartbeat.clone());
        self
    }

    /// Keeps the stream within reach of the others in the group: a record that would bring its
    /// watermark too far beyond the slowest waits, and so does all that is behind it. While it
    /// waits the stream is not idle. What says how far it is without a record, a clock or a
    /// heartbeat, waits for nobody.
    ///
    /// # Panics
    ///
    /// If nothing was said of when the stream is [idle](Watermarks::idle_after): one that is quiet
    /// would stop the others for ever.
    #[must_use]
    #[track_caller]
    pub fn aligned(mut self, alignment: &Alignment) -> Self {
        assert!(self.idle_after.is_some(), "say first when the stream is idle: `idle_after`");
        self.alignment = Some(alignment.clone());
        self
    }

    /// Whether anything but a record says how far the stream is.
    pub(super) const fn is_timed(&self) -> bool {
        self.idle_after.is_some() || self.interval.is_some() || self.heartbeat.is_some()
    }

    /// A watermark as it goes on.
    pub(super) fn round(&self, watermark: Timestamp) -> Timestamp {
        let step = i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX);
        if step <= 1 || watermark == Timestamp::MIN {
            return watermark;
        }
        let millis = watermark.as_millis();
        Timestamp::from_millis(millis.saturating_sub(millis.rem_euclid(step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_watermarks_are_rounded_down_also_before_the_epoch() {
        let watermarks = Watermarks::monotonic().with_step(Duration::from_millis(10));
        let cases = [(0, 0), (9, 0), (10, 10), (-1, -10), (-10, -10), (i64::MIN + 1, i64::MIN)];
        for (exact, rounded) in cases {
            let round = watermarks.round(Timestamp::from_millis(exact)).as_millis();
            assert_eq!(round, rounded, "{exact}");
        }
        assert_eq!(Watermarks::monotonic().round(Timestamp::MIN), Timestamp::MIN);
        let huge = Watermarks::monotonic().with_step(Duration::MAX);
        assert!(huge.round(Timestamp::MAX) <= Timestamp::MAX);
    }

    #[test]
    #[should_panic(expected = "say first when the stream is idle")]
    fn h17_who_is_aligned_says_when_it_is_idle() {
        let alignment = Alignment::new(Duration::from_secs(1));
        assert!(Watermarks::monotonic().aligned(&alignment).alignment.is_some());
    }

    #[test]
    #[should_panic(expected = "say first when the stream is idle")]
    fn h2_who_goes_on_when_idle_says_when_that_is() {
        assert!(Watermarks::monotonic().advance_when_idle().advance);
    }
}
