//! `InWindows`: two streams by key and window, before anything is told of them.

use std::time::Duration;

use millstream_engine::key::KeyOf;

use super::lateness::Lateness;
use super::windowing::{Telling, Windowing};
use crate::fan::{Either, KeyedPair, Met, SideTag};
use crate::keyed::process::Processed;
use crate::window::TimeWindows;

/// The stream that a join in windows ends in.
pub type JoinedInWindows<L, R, K, W, M> =
    Processed<Either<L, R>, Met<L, R>, K, Windowing<L, R, W, M>>;

/// What window joins and cogroups have in common.
pub(super) struct InWindows<L, R, K, W> {
    pub(super) pair: KeyedPair<L, R, K>,
    pub(super) windows: W,
    pub(super) lateness: Duration,
    pub(super) late: Option<SideTag<Either<L, R>>>,
}

impl<L, R, K, W> InWindows<L, R, K, W> {
    pub(super) const fn new(pair: KeyedPair<L, R, K>, windows: W) -> Self {
        Self { pair, windows, lateness: Duration::ZERO, late: None }
    }
}

impl<L, R, K, W> InWindows<L, R, K, W>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
    W: TimeWindows<Either<L, R>>,
{
    pub(super) fn tell<M: Telling<K::Owned, L, R>>(
        self,
        telling: M,
    ) -> JoinedInWindows<L, R, K, W, M> {
        let Self { pair, windows, lateness, late } = self;
        pair.process_with(|operator, blueprint| {
            let port = late.map(|tag| tag.port(operator, blueprint));
            Windowing::new(windows, telling, Lateness::new(lateness, port))
        })
    }
}
