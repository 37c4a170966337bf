//! Sessions as spans of event time: each record opens one, and joins it to those it overlaps.

use millstream_engine::time::Timestamp;

use super::{Session, SessionGap};
use crate::window::time_windows::{Finality, OpenWindows, Opened, TimeWindows};

impl<T, S: SessionGap<T>> TimeWindows<T> for Session<S> {
    fn open(
        &self,
        value: &T,
        time: Timestamp,
        finality: Finality,
        open: &mut OpenWindows,
    ) -> Opened {
        let own = self.window(value, time);
        if finality.is_final(own) && !open.overlap(own) {
            return Opened::Late;
        }
        open.join(own);
        Opened::In
    }
}
