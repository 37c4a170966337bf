//! Tails that pass on to another one whatever they are told.

use std::task::{Context, Poll};

use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::graph::OperatorId;
use crate::record::Record;
use crate::tail::{Flow, Flush, Pulled, Tail, Way};
use crate::time::{Instant, Timestamp};

/// All of a [`Tail`] but where its records come from: passed on to what a pattern finds.
macro_rules! delegate {
    ($self:ident: $($pattern:pat => $next:expr),+) => {
        fn resume(&mut $self) -> Flow {
            match $self { $($pattern => $next.resume()),+ }
        }

        fn watermark(&mut $self, watermark: Timestamp) -> Flow {
            match $self { $($pattern => $next.watermark(watermark)),+ }
        }

        fn idle(&mut $self, idle: bool) -> Flow {
            match $self { $($pattern => $next.idle(idle)),+ }
        }

        fn timer(&mut $self, now: Instant) -> Flow {
            match $self { $($pattern => $next.timer(now)),+ }
        }

        fn next_timer(&$self) -> Option<Instant> {
            match $self { $($pattern => $next.next_timer()),+ }
        }

        fn waiting(&$self) -> bool {
            match $self { $($pattern => $next.waiting()),+ }
        }

        fn holder(&$self) -> Option<OperatorId> {
            match $self { $($pattern => $next.holder()),+ }
        }

        fn barrier(&mut $self, barrier: Barrier) -> Flow {
            match $self { $($pattern => $next.barrier(barrier)),+ }
        }

        fn end(&mut $self) -> Flow {
            match $self { $($pattern => $next.end()),+ }
        }

        fn done(&$self) -> bool {
            match $self { $($pattern => $next.done()),+ }
        }

        fn take_error(&mut $self) -> Option<Error> {
            match $self { $($pattern => $next.take_error()),+ }
        }

        fn poll_flush(&mut $self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
            match $self { $($pattern => $next.poll_flush(cx, flush)),+ }
        }

        fn poll_wanted(&mut $self, cx: &mut Context<'_>) -> Poll<()> {
            match $self { $($pattern => $next.poll_wanted(cx)),+ }
        }

        fn publish(&mut $self) {
            match $self { $($pattern => $next.publish()),+ }
        }
    };
}

pub(crate) use delegate;

impl<T, N: Tail<T> + ?Sized> Tail<T> for Box<N> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        (**self).push(record)
    }

    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        (**self).run(batch, limit, spare)
    }

    fn pull(&mut self, limit: usize, pulled: &mut Pulled) -> Flow {
        (**self).pull(limit, pulled)
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        (**self).collecting()
    }

    fn collected(&mut self) -> Flow {
        (**self).collected()
    }

    fn watch(&mut self, on: bool) {
        (**self).watch(on);
    }

    delegate!(self: next => (**next));
}

/// A whole kernel, which gets its records by the batch. A trait object has to have a way for a
/// single one, too: it goes as a batch of one, or the chain would be compiled for it once more.
pub(crate) struct Whole<N>(pub(crate) N);

impl<T, N: Tail<T>> Tail<T> for Whole<N> {
    fn push(&mut self, record: Record<T>) -> Flow {
        run_one(self, record)
    }

    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        self.0.run(batch, limit, spare)
    }

    fn watch(&mut self, on: bool) {
        self.0.watch(on);
    }

    delegate!(self: Self(next) => next);
}

fn run_one<T>(tail: &mut dyn Tail<T>, record: Record<T>) -> Flow {
    let mut batch = Batch::new();
    batch.records.push(record);
    tail.run(&mut batch, 1, &mut Vec::new())
}

/// One of two ends, where it is known only at run time which: the chain before them is compiled
/// once, and not once for each.
#[derive(Debug)]
pub enum EitherTail<A, B> {
    /// The one.
    First(A),
    /// The other.
    Second(B),
}

impl<T, A: Tail<T>, B: Tail<T>> Tail<T> for EitherTail<A, B> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        match self {
            Self::First(next) => next.push(record),
            Self::Second(next) => next.push(record),
        }
    }

    #[inline]
    fn push_counted(&mut self, record: Record<T>) -> Flow {
        match self {
            Self::First(next) => next.push_counted(record),
            Self::Second(next) => next.push_counted(record),
        }
    }

    fn push_apart(&mut self, record: Record<T>) -> Flow {
        match self {
            Self::First(next) => next.push_apart(record),
            Self::Second(next) => next.push_apart(record),
        }
    }

    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        match self {
            Self::First(next) => next.run(batch, limit, spare),
            Self::Second(next) => next.run(batch, limit, spare),
        }
    }

    fn way(&self) -> Way {
        match self {
            Self::First(next) => next.way(),
            Self::Second(next) => next.way(),
        }
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        match self {
            Self::First(next) => next.collecting(),
            Self::Second(next) => next.collecting(),
        }
    }

    fn collected(&mut self) -> Flow {
        match self {
            Self::First(next) => next.collected(),
            Self::Second(next) => next.collected(),
        }
    }

    fn watch(&mut self, on: bool) {
        match self {
            Self::First(next) => next.watch(on),
            Self::Second(next) => next.watch(on),
        }
    }

    delegate!(self: Self::First(next) => next, Self::Second(next) => next);
}
