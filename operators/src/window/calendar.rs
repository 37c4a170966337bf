//! `Calendar`: hours, days, weeks and months of a time zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use millstream_engine::time::Timestamp;

use super::{AlignedWindows, TimeWindow};

/// The hours, days, weeks or months of a time zone, whatever its clocks do: a day in which they
/// are put forward has 23 hours, and the one in which they are put back 25. (With the feature
/// `calendar`.)
///
/// Time zones are [jiff](https://docs.rs/jiff)'s. Their rules come from the machine's time zone
/// database, or from one in the program with jiff's feature `tzdb-bundle-always`. Windows that were
/// open when state was written keep their bounds, should the rules have changed since.
///
/// ```
/// use jiff::tz::TimeZone;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Or TimeZone::get("Europe/Berlin")?
/// let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3")?;
/// let flow = Dataflow::new("orders");
/// let first: jiff::Timestamp = "2025-03-30T00:30:00+01:00".parse()?;
/// let last: jiff::Timestamp = "2025-03-30T23:30:00+02:00".parse()?;
/// let days = flow
///     .source("orders", source::from_iter([first, last]))
///     .event_time(|at| Timestamp::from_millis(at.as_millisecond()), Watermarks::monotonic())
///     .window_all(Calendar::days(berlin))
///     .count()
///     .map(|day| (day.value, day.window.end.as_millis() - day.window.start.as_millis()))
///     .collect();
/// assert_eq!(flow.run().await?.take(days), Some(vec![(2, 23 * 60 * 60 * 1000)]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    unit: Unit,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Hour,
    Day,
    /// Which begins with this day.
    Week(Weekday),
    Month,
}

/// Time before this and behind its opposite is one window each: no calendar reaches so far.
const REACH: i64 = 8_000 * 365 * 24 * 60 * 60 * 1_000;

const HOUR: i64 = 60 * 60 * 1_000;

impl Calendar {
    /// Hours, as the clocks of the zone show them. In the hour in which they are put back by an
    /// hour, there are two.
    #[must_use]
    pub const fn hours(zone: TimeZone) -> Self {
        Self { zone, unit: Unit::Hour }
    }

    /// Days, from midnight to midnight.
    #[must_use]
    pub const fn days(zone: TimeZone) -> Self {
        Self { zone, unit: Unit::Day }
    }

    /// Weeks, which begin on Monday: see [`starting_on`](Calendar::starting_on).
    #[must_use]
    pub const fn weeks(zone: TimeZone) -> Self {
        Self { zone, unit: Unit::Week(Weekday::Monday) }
    }

    /// Months.
    #[must_use]
    pub const fn months(zone: TimeZone) -> Self {
        Self { zone, unit: Unit::Month }
    }

    /// Lets weeks begin on another day. Changes nothing else.
    #[must_use]
    pub fn starting_on(mut self, day: Weekday) -> Self {
        if let Unit::Week(first) = &mut self.unit {
            *first = day;
        }
        self
    }

    /// The window in milliseconds, where the calendar knows of one.
    fn bounds(&self, millis: i64) -> Option<(i64, i64)> {
        let time = jiff::Timestamp::from_millisecond(millis).ok()?.to_zoned(self.zone.clone());
        let date = time.date();
        let (first, behind) = match self.unit {
            Unit::Hour => return Some(self.hour(millis, &time)),
            Unit::Day => (date, date.tomorrow().ok()?),
            Unit::Week(first) => {
                let first = date.checked_sub(i64::from(date.weekday().since(first)).days()).ok()?;
                (first, first.checked_add(7.days()).ok()?)
            }
            Unit::Month => {
                let first = date.first_of_month();
                (first, first.checked_add(1.month()).ok()?)
            }
        };
        Some((self.start_of(first)?, self.start_of(behind)?))
    }

    /// When a day begins: at midnight, or behind it where there is none.
    fn start_of(&self, date: Date) -> Option<i64> {
        let start = date.to_zoned(self.zone.clone()).ok()?;
        Some(start.timestamp().as_millisecond())
    }

    /// The hour on the clock. One in which the clocks are changed is cut there, so that no two
    /// overlap.
    fn hour(&self, millis: i64, time: &Zoned) -> (i64, i64) {
        let past = (i64::from(time.minute()) * 60 + i64::from(time.second())) * 1_000;
        let start = millis - past - millis.rem_euclid(1_000);
        let end = start.saturating_add(HOUR);
        let changes = |change: jiff::Timestamp| change.as_millisecond();
        let mut before = self.zone.preceding(time.timestamp()).map(|c| changes(c.timestamp()));
        let mut behind = self.zone.following(time.timestamp()).map(|c| changes(c.timestamp()));
        // A change at this very point is in neither of the two.
        let now = self.zone.preceding(time.timestamp() + 1.second()).next();
        let now = now.map(|c| changes(c.timestamp())).filter(|change| *change <= millis);
        let start = now.or_else(|| before.next()).map_or(start, |change| start.max(change));
        (start, behind.next().map_or(end, |change| end.min(change)))
    }
}

impl AlignedWindows for Calendar {
    fn window_of(&self, time: Timestamp) -> TimeWindow {
        let millis = time.as_millis();
        let known = (-REACH..REACH).contains(&millis).then(|| self.bounds(millis)).flatten();
        let reach = Timestamp::from_millis;
        match known {
            Some((start, end)) => TimeWindow::new(reach(start.max(-REACH)), reach(end.min(REACH))),
            None if millis < 0 => TimeWindow::new(Timestamp::MIN, reach(-REACH)),
            None => TimeWindow::new(reach(REACH), Timestamp::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// The window of a point in time: its start, and how many hours it has.
    fn window(windows: &Calendar, text: &str) -> (String, i64) {
        let window = windows.window_of(time(text));
        assert!(window.contains(time(text)), "{window}");
        let start = jiff::Timestamp::from_millisecond(window.start.as_millis()).unwrap();
        let start = start.to_zoned(windows.zone.clone()).strftime("%Y-%m-%d %H:%M%:z").to_string();
        (start, (window.end.as_millis() - window.start.as_millis()) / HOUR)
    }

    #[test]
    fn h13_a_day_has_23_or_25_hours_when_the_clocks_change() {
        let days = Calendar::days(berlin());
        for inside in ["2025-03-29T23:00:00Z", "2025-03-30T01:00:00Z", "2025-03-30T21:59:59.999Z"] {
            assert_eq!(window(&days, inside), ("2025-03-30 00:00+01:00".to_owned(), 23));
        }
        for inside in ["2025-10-25T22:00:00Z", "2025-10-26T01:00:00Z", "2025-10-26T22:59:59.999Z"] {
            assert_eq!(window(&days, inside), ("2025-10-26 00:00+02:00".to_owned(), 25));
        }
        let after = window(&days, "2025-10-26T23:00:00Z");
        assert_eq!(after, ("2025-10-27 00:00+01:00".to_owned(), 24));
    }

    #[test]
    fn h13_of_the_hour_that_the_clocks_show_twice_there_are_two() {
        let hours = Calendar::hours(berlin());
        let starts = ["2025-10-26T00:30:00Z", "2025-10-26T01:00:00Z", "2025-10-26T02:59:59.999Z"];
        let expected =
            ["2025-10-26 02:00+02:00", "2025-10-26 02:00+01:00", "2025-10-26 03:00+01:00"];
        for (inside, start) in starts.into_iter().zip(expected) {
            assert_eq!(window(&hours, inside), (start.to_owned(), 1));
        }
        let missing = window(&hours, "2025-03-30T01:00:00Z");
        assert_eq!(missing, ("2025-03-30 03:00+02:00".to_owned(), 1));
    }

    #[test]
    fn h13_weeks_and_months_follow_the_calendar() {
        let weeks = Calendar::weeks(berlin());
        let week = window(&weeks, "2025-03-30T12:00:00Z");
        assert_eq!(week, ("2025-03-24 00:00+01:00".to_owned(), 7 * 24 - 1));
        let from_sunday = window(&weeks.starting_on(Weekday::Sunday), "2025-03-30T12:00:00Z");
        assert_eq!(from_sunday, ("2025-03-30 00:00+01:00".to_owned(), 7 * 24 - 1));
        let months = Calendar::months(berlin());
        let february = window(&months, "2024-02-29T22:59:59Z");
        assert_eq!(february, ("2024-02-01 00:00+01:00".to_owned(), 29 * 24));
        assert_eq!(window(&months, "2025-10-31T22:30:00Z").1, 31 * 24 + 1);
    }

    #[test]
    fn h13_windows_of_every_kind_follow_each_other_without_gap_or_overlap() {
        // Lord Howe Island puts its clocks back by half an hour.
        let lord_howe = TimeZone::posix("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").unwrap();
        for zone in [berlin(), lord_howe, TimeZone::UTC] {
            let kinds = [Calendar::hours, Calendar::days, Calendar::weeks, Calendar::months];
            for windows in kinds.map(|kind| kind(zone.clone())) {
                let mut window = windows.window_of(time("2025-01-01T00:00:00Z"));
                let end = time("2026-01-01T00:00:00Z");
                while window.end < end {
                    assert!(window.start < window.end);
                    for inside in [window.start, window.last()] {
                        assert_eq!(windows.window_of(inside), window, "{windows:?}");
                    }
                    let next = windows.window_of(window.end);
                    assert_eq!(next.start, window.end, "{windows:?}");
                    window = next;
                }
            }
        }
    }

    #[test]
    fn f16_no_calendar_reaches_to_the_ends_of_time() {
        let days = Calendar::days(berlin());
        for time in [i64::MIN, -REACH - 1, -REACH, 0, REACH - 1, REACH, i64::MAX - 1] {
            let time = Timestamp::from_millis(time);
            assert!(days.window_of(time).contains(time), "{time:?}");
        }
        assert_eq!(days.window_of(Timestamp::MAX).end, Timestamp::MAX);
    }
}
