//! The log: what a line says, and somebody who writes one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use millstream::prelude::*;
use millstream::random::Random;
use millstream::source::Line;
use millstream::time::Clock;

/// How long a second of the log takes.
const PACE: Duration = Duration::from_millis(10);
/// After how many of them another file begins: longer than it takes to notice the last.
const ROTATION: u64 = 100;
const PAGES: [(&str, u64); 4] = [("/", 12), ("/cart", 80), ("/login", 45), ("/search", 150)];

/// A request that was served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) time: Timestamp,
    pub(crate) page: String,
    pub(crate) status: u16,
    pub(crate) millis: u64,
}

impl Hit {
    /// Reads what [`Hit::line`] writes.
    pub(crate) fn parse(line: &Line) -> Result<Self, OperatorError> {
        let mut words = line.text()?.split_whitespace();
        let mut word = |what| words.next().ok_or_else(|| OperatorError::new(format!("no {what}")));
        Ok(Self {
            time: Timestamp::from_millis(word("time")?.parse()?),
            page: word("page")?.to_owned(),
            status: word("status")?.parse()?,
            millis: word("duration")?.parse()?,
        })
    }

    fn line(&self) -> String {
        let Self { time, page, status, millis } = self;
        format!("{} {page} {status} {millis}\n", time.as_millis())
    }

    /// Somebody asks for something, a little before `second` is over.
    fn random(second: u64, random: &mut Random) -> Self {
        let time = (second * 1000 + random.below(1000)).saturating_sub(random.below(1500));
        let (page, usual) = PAGES.get(random.below(4) as usize).copied().unwrap_or(("/", 12));
        let status = if random.below(50) == 0 { 503 } else { 200 };
        let millis = usual / 2 + random.below(usual) + random.below(20) / 19 * 400;
        let time = Timestamp::from_millis(i64::try_from(time).unwrap_or(i64::MAX));
        Self { time, page: page.to_owned(), status, millis }
    }
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) lines: u64,
    pub(crate) bad: u64,
}

/// Writes so many minutes of a log, with some lines that are none and some that come in two pieces,
/// and begins another file now and then.
pub(crate) async fn write(path: &Path, minutes: u64) -> io::Result<Written> {
    let mut random = Random::new(11);
    let clock = Clock::system();
    let mut written = Written::default();
    let mut file = File::create(path)?;
    for second in 0..60 * minutes {
        if second % ROTATION == ROTATION - 1 {
            fs::rename(path, path.with_extension("old"))?;
            file = File::create(path)?;
        }
        for _ in 0..random.below(40) {
            let line = match random.below(100) {
                0 => "\u{fffd} out of memory \u{fffd}\n".to_owned(),
                _ => Hit::random(second, &mut random).line(),
            };
            written.bad += u64::from(line.starts_with('\u{fffd}'));
            written.lines += 1;
            let (start, rest) = line.split_at(line.len() / 2 + usize::from(!line.is_ascii()));
            file.write_all(start.as_bytes())?;
            if random.below(200) == 0 {
                clock.sleep(PACE / 2).await;
            }
            file.write_all(rest.as_bytes())?;
        }
        clock.sleep(PACE).await;
    }
    Ok(written)
}
