//! What makes watermarks of the records that come.

use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

/// Says after each record how far the stream has come. A clone is the configuration with blank
/// state.
///
/// A watermark of `t` says that no record earlier than `t` will follow; those at `t` may. (Flink's
/// watermark of `t` excludes `t`, too: where Flink says `t - 1 ms`, this says `t`.) One that goes
/// back is left out, so a generator need not see to that.
pub trait WatermarkGenerator<T>: Clone + Send + 'static {
    /// A record has come, and happened at `time`.
    fn on_record(&mut self, value: &T, time: Timestamp) -> Option<Timestamp>;

    /// The job's clock has come to `now`: asked as often as [`Watermarks::with_interval`] says,
    /// between records and while there are none. For watermarks that follow the clock, such as
    /// `now` less a bound. `now` never goes back, whatever is done to the machine's clock.
    ///
    /// Default: nothing. Records alone say how far the stream is, and the same ones always the
    /// same, which no generator can promise that uses this.
    ///
    /// [`Watermarks::with_interval`]: super::Watermarks::with_interval
    fn on_interval(&mut self, now: Timestamp) -> Option<Timestamp> {
        let _ = now;
        None
    }

    /// Its state, for a checkpoint. What is written here is all that [`restore`] gets back.
    ///
    /// [`restore`]: WatermarkGenerator::restore
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Goes on where another one was.
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let _ = state;
        Ok(())
    }
}

/// The latest record, less a bound on how much later others may come.
#[derive(Clone, Copy, Debug)]
pub struct BoundedDisorder {
    /// In milliseconds, because making them of a duration takes a division a record.
    bound: i64,
    /// The earliest time that the bound can be taken from.
    earliest: i64,
}

impl BoundedDisorder {
    pub(super) const fn new(bound: Duration) -> Self {
        let millis = bound.as_millis();
        #[allow(clippy::cast_possible_truncation, reason = "what is too long is cut off")]
        let bound = if millis > i64::MAX as u128 { i64::MAX } else { millis as i64 };
        Self { bound, earliest: i64::MIN + bound }
    }
}

impl<T> WatermarkGenerator<T> for BoundedDisorder {
    #[inline]
    fn on_record(&mut self, _value: &T, time: Timestamp) -> Option<Timestamp> {
        // What is behind the latest is left out by whoever asks. A saturating difference, but with
        // what can be known beforehand.
        Some(Timestamp::from_millis(time.as_millis().max(self.earliest) - self.bound))
    }
}

/// Records that say so themselves.
#[derive(Debug)]
pub struct Punctuated<T, F> {
    mark: F,
    marker: PhantomData<fn(T)>,
}

impl<T, F> Punctuated<T, F> {
    pub(super) const fn new(mark: F) -> Self {
        Self { mark, marker: PhantomData }
    }
}

impl<T, F: Clone> Clone for Punctuated<T, F> {
    fn clone(&self) -> Self {
        Self::new(self.mark.clone())
    }
}

impl<T, F> WatermarkGenerator<T> for Punctuated<T, F>
where
    T: 'static,
    F: FnMut(&T) -> Option<Timestamp> + Clone + Send + 'static,
{
    #[inline]
    fn on_record(&mut self, value: &T, _time: Timestamp) -> Option<Timestamp> {
        (self.mark)(value)
    }
}
