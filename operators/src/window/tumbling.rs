//! `Tumbling`: windows of equal length, one behind the other.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::{AlignedWindows, TimeWindow};

/// Windows of equal length, one behind the other: each record lies in one of them. They are aligned
/// to the Unix epoch, so windows of an hour begin with the hours of UTC.
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("turnover");
/// let sales = flow.source("sales", source::from_iter([(1_000, 5), (59_999, 7), (60_000, 1)]));
/// let turnover = sales
///     .event_time(|(millis, _)| Timestamp::from_millis(*millis), Watermarks::monotonic())
///     .key_by(|_| "the shop")
///     .window(Tumbling::of(Duration::from_secs(60)))
///     .aggregate(Sum::of(|(_, price): &(i64, u64)| *price))
///     .map(|minute| (minute.window.start.as_millis(), minute.value))
///     .collect();
/// assert_eq!(flow.run().await?.take(turnover), Some(vec![(0, 12), (60_000, 1)]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    /// In milliseconds, one at least.
    size: i64,
    offset: i64,
}

impl Tumbling {
    /// Windows of this length, a millisecond at least.
    #[must_use]
    pub fn of(size: Duration) -> Self {
        Self { size: millis(size).max(1), offset: 0 }
    }

    /// Lets the windows begin so much later than the epoch says: days that begin at six, say.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self { offset: millis(offset), ..self }
    }

    /// Lets the windows begin so much earlier: by an hour for days of a time zone that is an hour
    /// ahead of UTC. (For zones with summer time there are calendar windows.)
    #[must_use]
    pub fn offset_back(self, offset: Duration) -> Self {
        Self { offset: -millis(offset), ..self }
    }
}

/// A duration in milliseconds, as long as can be.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl AlignedWindows for Tumbling {
    fn window_of(&self, time: Timestamp) -> TimeWindow {
        let (size, time) = (i128::from(self.size), i128::from(time.as_millis()));
        let start = time - (time - i128::from(self.offset)).rem_euclid(size);
        TimeWindow::new(saturating(start), saturating(start + size))
    }
}

fn saturating(millis: i128) -> Timestamp {
    let beyond = if millis < 0 { i64::MIN } else { i64::MAX };
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(windows: Tumbling, time: i64) -> (i64, i64) {
        let window = windows.window_of(Timestamp::from_millis(time));
        (window.start.as_millis(), window.end.as_millis())
    }

    #[test]
    fn h3_windows_are_aligned_to_the_epoch_before_it_as_behind_it() {
        let ten = Tumbling::of(Duration::from_millis(10));
        assert_eq!([0, 9, 10, 19].map(|t| window(ten, t).0), [0, 0, 10, 10]);
        assert_eq!([-1, -10, -11].map(|t| window(ten, t)), [(-10, 0), (-10, 0), (-20, -10)]);
    }

    #[test]
    fn h3_an_offset_moves_all_windows_alike() {
        let ten = Tumbling::of(Duration::from_millis(10));
        let later = ten.offset(Duration::from_millis(3));
        assert_eq!([2, 3, 12, 13, -7, -8].map(|t| window(later, t).0), [-7, 3, 3, 13, -7, -17]);
        let earlier = ten.offset_back(Duration::from_millis(3));
        assert_eq!([-4, -3, 6, 7].map(|t| window(earlier, t).0), [-13, -3, -3, 7]);
        let round = ten.offset(Duration::from_millis(20));
        assert_eq!(window(round, 5), window(ten, 5), "an offset of whole windows is none");
    }

    #[test]
    fn f16_windows_at_the_ends_of_time_are_cut_off_there() {
        let ten = Tumbling::of(Duration::from_millis(10));
        let first = ten.window_of(Timestamp::MIN);
        assert_eq!((first.start, first.contains(Timestamp::MIN)), (Timestamp::MIN, true));
        let last = ten.window_of(Timestamp::MAX);
        assert_eq!((window(ten, i64::MAX).0, last.end), (i64::MAX - 7, Timestamp::MAX));
        let endless = Tumbling::of(Duration::MAX).offset_back(Duration::MAX);
        for time in [i64::MIN, -1, 0, 1, i64::MAX - 1] {
            let time = Timestamp::from_millis(time);
            assert!(endless.window_of(time).contains(time), "{time}");
        }
        assert_eq!(window(Tumbling::of(Duration::ZERO), 7), (7, 8));
    }
}
