//! What becomes of the other partial matches when one is whole.

/// Where matching goes on after a match: every other partial match that began before that event is
/// given up. Said by [`after_match`](super::Pattern::after_match).
///
/// Flink's `AfterMatchSkipStrategy`. Over `b1 b2 b3 c`, one or more `b` and next a `c`:
///
/// | | what is found |
/// |---|---|
/// | `no_skip`, `skip_to_next`, `skip_to_first("b")` | `b1 b2 b3 c`, `b2 b3 c`, `b3 c` |
/// | `skip_past_last_event` | `b1 b2 b3 c` |
/// | `skip_to_last("b")` | `b1 b2 b3 c`, `b3 c` |
///
/// A match comes out when it is whole, and not only when every partial match that began before it
/// is decided, as in Flink: the one that is whole first wins. Of several that are whole at one
/// event, it is the first in their order, which is that of the events they took: what began
/// earlier, and then what took the next event earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AfterMatch(pub(super) Skip);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Skip {
    #[default]
    No,
    ToNext,
    PastLastEvent,
    ToFirst(String),
    ToLast(String),
}

impl AfterMatch {
    /// Nothing is given up, and every match comes out. The default.
    #[must_use]
    pub const fn no_skip() -> Self {
        Self(Skip::No)
    }

    /// Goes on behind the first event of the match: no two matches have the same first event.
    #[must_use]
    pub const fn skip_to_next() -> Self {
        Self(Skip::ToNext)
    }

    /// Goes on behind the last event of the match: no event is in two matches.
    #[must_use]
    pub const fn skip_past_last_event() -> Self {
        Self(Skip::PastLastEvent)
    }

    /// Goes on at the first event of a step. A match that has none there skips nothing.
    #[must_use]
    pub fn skip_to_first(step: impl Into<String>) -> Self {
        Self(Skip::ToFirst(step.into()))
    }

    /// Goes on at the last event of a step. A match that has none there skips nothing.
    #[must_use]
    pub fn skip_to_last(step: impl Into<String>) -> Self {
        Self(Skip::ToLast(step.into()))
    }
}
