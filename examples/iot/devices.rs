//! What stands here for real devices and for whoever sets their limits: readings from a seed, one
//! of each device every ten seconds.

use std::time::Duration;

use millstream::prelude::*;
use millstream::random::Random;

pub(crate) type Device = &'static str;
pub(crate) type Limit = (Device, f64);

/// How long ten seconds of the workshop take.
pub(crate) const PACE: Duration = Duration::from_millis(5);
/// What each device is about, in degrees, and how far it strays.
const DEVICES: [(Device, f64, f64); 4] =
    [("boiler", 85.0, 0.6), ("cellar", 12.0, 0.2), ("oven", 210.0, 6.0), ("press", 45.0, 0.4)];

/// What is said of limits, one after the other. Without a word, it is one degree.
pub(crate) const LIMITS: [Limit; 3] = [("oven", 2.0), ("oven", 8.0), ("cellar", 2.0)];

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) device: Device,
    pub(crate) degrees: f64,
    pub(crate) time: Timestamp,
}

/// What the devices say at a tick. At times the cellar's door is open, and once the press is off.
pub(crate) fn readings(seed: u64, tick: u64) -> impl Iterator<Item = Reading> {
    let time = Timestamp::from_millis(0).saturating_add(Duration::from_secs(9 * 3600 + 10 * tick));
    (0..).zip(DEVICES).filter_map(move |(number, (device, base, strays))| {
        let mut random = Random::fork(seed, number, usize::try_from(tick).ok()?);
        let door = if device == "cellar" && tick % 150 > 140 { 3.0 } else { 0.0 };
        let degrees = base + door + strays * (2.0 * random.ratio() - 1.0);
        let off = device == "press" && (150..210).contains(&tick);
        (!off).then_some(Reading { device, degrees, time })
    })
}
