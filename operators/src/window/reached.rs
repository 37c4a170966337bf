//! How far windows have come in time, and how that is written down: by instance.

use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use super::wall_clock::WallClock;
use crate::state::Codec;

/// How the watermark and the clock are written down.
#[derive(Clone, Copy)]
pub(super) struct ReachedCodec(Codec<(i64, i64)>);

impl ReachedCodec {
    pub(super) const fn new() -> Self {
        Self(Codec::new())
    }

    pub(super) fn write(
        self,
        watermark: Timestamp,
        clock: &WallClock,
        state: &mut StateWriter,
    ) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        self.0.write(&(watermark.as_millis(), clock.reached().as_millis()), &mut bytes)?;
        state.write(bytes);
        Ok(())
    }

    /// Sets the clock as far as that of any instance was, and gives the earliest watermark: at a
    /// barrier all instances are as far; if they were not, no record is to become late.
    pub(super) fn read(
        self,
        state: &StateReader<'_>,
        clock: &mut WallClock,
    ) -> Result<Option<Timestamp>, StateError> {
        let mut earliest = None;
        for (_, mut bytes) in state.instances() {
            let (watermark, reached) = self.0.read(&mut bytes)?;
            clock.restore(Timestamp::from_millis(reached));
            let watermark = Timestamp::from_millis(watermark);
            earliest = Some(earliest.map_or(watermark, |earliest| watermark.min(earliest)));
        }
        Ok(earliest)
    }
}
