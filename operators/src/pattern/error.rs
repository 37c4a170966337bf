//! Patterns that make no sense, and too many partial matches.

/// Why a pattern makes no sense: what it does, and what to say instead. A dataflow that has one is
/// refused before it runs, with this behind the operator's name; [`Pattern::check`] finds it
/// earlier.
///
/// [`Pattern::check`]: super::Pattern::check
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Two steps have one name.
    #[error("has two steps called `{0}`: give each a name of its own")]
    DuplicateName(String),
    /// Nothing bounds how long a partial match waits.
    #[error(
        "may wait for ever for the rest of a match, and keep all that could begin one: say \
         `.within(…)`, or `.max_partial_matches(…)`"
    )]
    Unbounded,
    /// Nothing decides that something has not come.
    #[error("ends in the negation `{0}`, which only time can decide: say `.within(…)`")]
    EndlessNegation(String),
    /// A group ends in a negation.
    #[error("has a group that ends in the negation `{0}`: say that behind the group")]
    NegationEndsGroup(String),
    /// A negation is repeated.
    #[error(
        "has the negation `{0}` in a group that is repeated: take it out, or say `.next(…)` with \
         the opposite condition"
    )]
    NegationInLoop(String),
    /// Something was said of a negation that only makes sense of what is taken.
    #[error("says `.{word}` of the negation `{step}`, which takes no event: leave that out")]
    OfNegation {
        /// What was said.
        word: &'static str,
        /// Of which step.
        step: String,
    },
    /// Something was said of a group that only makes sense of a step.
    #[error("says `.{word}` of {step}: say it of a step in it")]
    OfGroup {
        /// What was said.
        word: &'static str,
        /// The group.
        step: String,
    },
    /// Something was said in a group that only makes sense of the whole.
    #[error("says `.{0}` within a group: say it of the whole pattern")]
    InGroup(&'static str),
    /// Something was said of a step that only makes sense of a loop.
    #[error(
        "says `.{word}` of {step}, which is not repeated: say `.one_or_more()`, `.at_least(…)` or \
         `.times(…)` too"
    )]
    NotALoop {
        /// What was said.
        word: &'static str,
        /// Of which step.
        step: String,
    },
    /// A step is repeated in two ways.
    #[error("says more than once how often {0} comes: say it once")]
    TwoQuantifiers(String),
    /// A step is repeated no time.
    #[error("lets {0} come no times at all: say `.times(1)` or more, and `.optional()` for none")]
    NoTimes(String),
    /// What a loop may skip was said in two ways.
    #[error("says both `.consecutive()` and `.allow_combinations()` of {0}: say one of them")]
    TwoContiguities(String),
    /// Greedy, and free to leave out what matches.
    #[error(
        "says `.greedy()` of {0}, which `.allow_combinations()` lets leave out events: say one \
         of them"
    )]
    GreedyCombinations(String),
    /// A greedy loop ends a match.
    #[error(
        "says `.greedy()` of {0}, with which a match can end: it comes out as soon as it is \
         whole, so leave that out, or say what has to follow"
    )]
    GreedyEnd(String),
    /// Every step is optional.
    #[error("would match nothing at all: let one of its steps not be `.optional()`")]
    Empty,
    /// Every step of a group is optional.
    #[error(
        "has a group of which every step is optional: let one of them not be, and the group be \
         `.optional()`"
    )]
    EmptyGroup,
    /// A span of time that is none.
    #[error("is to be over within less than a millisecond: say a longer time")]
    NoTime,
    /// A bound of zero.
    #[error("may have no partial matches: say `.max_partial_matches(1)` or more")]
    NoPartialMatches,
    /// There is no such step to skip to.
    #[error("is to skip to `{0}`, which is no step that takes events: skip to one of those")]
    UnknownStep(String),
    /// Too long.
    #[error(
        "has more than {max} steps when `.times(…)` is written out, which is the most: say \
         `.at_least(…)`, or let an iterative condition count"
    )]
    TooLong {
        /// How long it may be.
        max: usize,
    },
    /// Too many ways to go on.
    #[error("can go on in more than {max} ways from `{step}`: let fewer steps be `.optional()`")]
    TooManyWays {
        /// From where.
        step: String,
        /// The most.
        max: usize,
    },
}

/// A key has more partial matches than [`max_partial_matches`] allows.
///
/// [`max_partial_matches`]: super::Pattern::max_partial_matches
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has more than {max} partial matches, which is the limit")]
pub struct TooManyPartialMatches {
    /// The limit.
    pub max: usize,
}
