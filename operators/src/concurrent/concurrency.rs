//! `Concurrency`: how many calls may be in flight.

use super::adaptive::Adaptive;

/// How many calls an asynchronous word may have in flight in each of its instances: a number, or
/// limits within which it finds the number itself.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// # let flow = Dataflow::new("doc");
/// # let pages = flow.source("pages", source::from_iter(0..3_u32));
/// # async fn fetch(page: u32) -> u32 { page }
/// pages.map_async(Concurrency::adaptive(2, 64), fetch).ignore();
/// # flow.run().await.map(drop)
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Concurrency {
    /// Always as many.
    ///
    /// # Panics
    ///
    /// If `calls` is zero.
    #[must_use]
    #[track_caller]
    pub const fn fixed(calls: usize) -> Self {
        assert!(calls > 0, "with no call in flight nothing would ever be done");
        Self { min: calls, max: calls }
    }

    /// As many as whoever is called bears, at least `min` and at most `max`: one more when as many
    /// as allowed were in flight and answers came as quickly as before, fewer when they come slower
    /// or fail. It begins at `min`.
    ///
    /// The rule is that of TCP's congestion avoidance, additive increase and multiplicative
    /// decrease (Chiu and Jain, 1989), on the latency and the errors of each round of calls.
    ///
    /// # Panics
    ///
    /// If `min` is zero or greater than `max`.
    #[must_use]
    #[track_caller]
    pub const fn adaptive(min: usize, max: usize) -> Self {
        assert!(min > 0, "with no call in flight nothing would ever be done");
        assert!(min <= max, "the least can't be more than the most");
        Self { min, max }
    }

    /// The most records that a stage holds: those in flight, and as many results that it works on.
    pub(super) const fn buffer(self) -> usize {
        self.max.saturating_mul(2)
    }

    pub(super) fn limit(self) -> Limit {
        if self.min == self.max {
            Limit::Fixed(self.max)
        } else {
            Limit::Adaptive(Adaptive::new(self.min, self.max))
        }
    }
}

impl From<usize> for Concurrency {
    #[track_caller]
    fn from(calls: usize) -> Self {
        Self::fixed(calls)
    }
}

/// The limit of one running operator.
pub(super) enum Limit {
    Fixed(usize),
    Adaptive(Adaptive),
}

impl Limit {
    pub(super) const fn calls(&self) -> usize {
        match self {
            Self::Fixed(calls) => *calls,
            Self::Adaptive(adaptive) => adaptive.calls(),
        }
    }
}
