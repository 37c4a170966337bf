//! A function with its limit of keys: how one that makes room is told, and both their side outputs.

use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use millstream_engine::batch::Barrier;
use millstream_engine::operator::SideOutput;
use millstream_engine::tail::Flush;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, Record};

use super::ProcessFunction;
use crate::keyed::limit::KeyBound;

/// A function and the limit of its keys, each of which may have side outputs.
pub(super) struct Bounded<K, T, F> {
    pub(super) function: F,
    pub(super) bound: Option<KeyBound<T>>,
    /// Whether the function's side output had no room when it was last looked at.
    full: bool,
    marker: PhantomData<fn(K)>,
}

impl<K, T, F> Bounded<K, T, F> {
    pub(super) const fn new(function: F, bound: Option<KeyBound<T>>) -> Self {
        Self { function, bound, full: false, marker: PhantomData }
    }
}

impl<K: 'static, T: Send + 'static, F: ProcessFunction<K, T>> Bounded<K, T, F> {
    /// What there is of side outputs, as one.
    pub(super) fn side(&mut self) -> Option<&mut dyn SideOutput> {
        if self.bound.as_mut().is_none_or(|bound| bound.side().is_none()) {
            return self.function.side();
        }
        self.look();
        Some(self)
    }

    /// Sends a record to where those of too many keys go.
    pub(super) fn divert(&mut self, record: Record<T>) {
        if let Some(bound) = &mut self.bound {
            bound.divert(record);
        }
    }

    fn look(&mut self) {
        self.full = self.function.side().is_some_and(|side| side.is_full());
    }

    fn each(&mut self, mut act: impl FnMut(&mut dyn SideOutput)) {
        let bound = self.bound.as_mut().and_then(KeyBound::side);
        self.function.side().into_iter().chain(bound).for_each(&mut act);
        self.look();
    }
}

impl<K: 'static, T: Send + 'static, F: ProcessFunction<K, T>> SideOutput for Bounded<K, T, F> {
    fn is_full(&self) -> bool {
        self.full || self.bound.as_ref().is_some_and(KeyBound::is_full)
    }

    fn watermark(&mut self, watermark: Timestamp) {
        self.each(|side| side.watermark(watermark));
    }

    fn idle(&mut self, idle: bool) {
        self.each(|side| side.idle(idle));
    }

    fn barrier(&mut self, barrier: Barrier) {
        self.each(|side| side.barrier(barrier));
    }

    fn end(&mut self) {
        self.each(|side| side.end());
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        let function = self.function.side().map(|side| side.poll_flush(cx, flush));
        let bound = self.bound.as_mut().and_then(KeyBound::side);
        let bound = bound.map(|side| side.poll_flush(cx, flush));
        self.look();
        for flushed in function.into_iter().chain(bound) {
            ready!(flushed)?;
        }
        Poll::Ready(Ok(()))
    }
}
