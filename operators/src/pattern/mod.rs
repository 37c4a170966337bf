//! Event patterns: sequences of events of one key, as "a small payment, then a large one within a
//! minute, and nobody confirmed it". Flink calls it complex event processing.
//!
//! # A pattern is a sequence of steps
//!
//! A [`Pattern`] begins with a step and goes on with others. Each has a name and a condition, and
//! says how it follows the one before. [`pattern`](crate::KeyedStream::pattern) looks for it in the
//! events of each key, and every [`Match`] has the events by the names of their steps.
//!
//! ```
//! use std::time::Duration;
//! use millstream_operators::prelude::*;
//!
//! struct Payment {
//!     cents: u64,
//! }
//!
//! let suspicious = Pattern::begin("small")
//!     .when(|p: &Payment| p.cents < 100)
//!     .followed_by("large")
//!     .when(|p| p.cents > 50_000)
//!     .within(Duration::from_secs(60));
//! assert!(suspicious.check().is_ok());
//! ```
//!
//! Every event that is like the first step begins a match, so that many partial matches are under
//! way at once. A condition sees the event ([`when`](Pattern::when)), or what was matched before it
//! as well ([`when_with`](Pattern::when_with)).
//!
//! # How a step follows the one before
//!
//! - [`next`](Pattern::next): the very next event; any other breaks the match. Flink's strict.
//! - [`followed_by`](Pattern::followed_by): the next event that is like that; others are skipped.
//!   Flink's relaxed.
//! - [`followed_by_any`](Pattern::followed_by_any): each later event that is like that, in a match
//!   of its own. Flink's non-deterministic relaxed.
//! - [`not_next`](Pattern::not_next): the very next event is not like that.
//! - [`not_followed_by`](Pattern::not_followed_by): no event is like that, up to the next step and
//!   that one included.
//!
//! Over `a c b1 b2`, `a` and next `b` is nothing, `a` followed by `b` is `a b1`, and `a` followed
//! by any `b` is `a b1` and `a b2`. A negation takes no event: it watches those between the steps
//! around it. At the end of a pattern it is decided when the time of [`within`](Pattern::within) is
//! over.
//!
//! # How often a step comes
//!
//! [`one_or_more`](Pattern::one_or_more), [`at_least(n)`](Pattern::at_least),
//! [`times(n)`](Pattern::times), `times(from..=to)`, and [`optional`](Pattern::optional). In a
//! loop, events that are not like it are skipped; [`consecutive`](Pattern::consecutive) lets them
//! break it, and [`allow_combinations`](Pattern::allow_combinations) lets it pass over those that
//! are like it, too. [`until`](Pattern::until) closes it. A pattern may itself be a step: then it
//! is a group, which can be repeated.
//!
//! Each time when a loop may go on or be left, both are followed: `a`, one or more `b`, `c` over
//! `a b1 b2 c` is `a b1 b2 c` and `a b1 c`, as nothing says that the second may not be skipped. A
//! [`greedy`](Pattern::greedy) loop takes what it can, and only `a b1 b2 c` is left.
//!
//! ```
//! use millstream_operators::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), millstream_engine::Error> {
//! // Three or more failed logins, and then one that is none.
//! let failed = Pattern::begin("failed").when(|ok: &(i64, bool)| !ok.1);
//! let broken_in = failed.at_least(3).consecutive().greedy().next("in").when(|ok| ok.1);
//! let broken_in = broken_in.after_match(AfterMatch::skip_past_last_event());
//! let logins = [false, true, false, false, false, false, true];
//! let flow = Dataflow::new("logins");
//! let found = flow
//!     .source("logins", source::from_iter((0..).zip(logins)))
//!     .event_time(|login| Timestamp::from_millis(login.0), Watermarks::monotonic())
//!     .key_by(|_| "ann")
//!     .pattern(broken_in.max_partial_matches(1_000))
//!     .select(|found| found["failed"].len())
//!     .collect();
//! assert_eq!(flow.run().await?.take(found), Some(vec![4]));
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of the others
//!
//! By default every match comes out, and an event may be in many.
//! [`after_match`](Pattern::after_match) says where matching goes on when one is whole: whatever
//! began before that is given up. See [`AfterMatch`].
//!
//! # Time
//!
//! Events of a key are matched in the order of their event time, each when the watermark has passed
//! it. Those of one time are taken as they came: in the order of their stream. Where streams meet
//! before the key, or instances do, nobody orders what happened in the same millisecond; a pattern
//! for which that matters needs finer times, or one stream. Otherwise results depend neither on
//! the order of arrival nor on batches, schedules or the number of instances. Events that are late,
//! which is earlier than the watermark, are left out, and [go to](PatternStream::late_to) a side
//! output or are counted.
//!
//! [`within`](Pattern::within) bounds the time from the first event to the last: the span excludes
//! its end, as in Flink. When it is up, what has come so far can be
//! [told](PatternStream::timed_out_to) of.
//!
//! # What it keeps, and what bounds it
//!
//! Each event of a partial match once, however many it is part of, with a few words for each
//! partial match. Both are given up when the last partial match that needs them is: at the latest
//! when its time is up. A pattern that could wait for ever is refused, unless
//! [`max_partial_matches`](Pattern::max_partial_matches) bounds it in another way. With a
//! [`uid`](crate::DataStream::uid) all of it is state, and is found again by a later run with as
//! many instances as one likes; a pattern with other steps, or another time, is refused then. A
//! condition may change: it is asked of events that come from then on.
//!
//! # Where it is not Flink's
//!
//! - A match comes out when it is whole: see [`AfterMatch`].
//! - A greedy loop outranks what follows only while it can take something: where Flink's gives up a
//!   match because of an event that the loop is not free to take any more, ours goes on.
//! - A partial match whose time is up is told of once, and not at all if it has been told as a
//!   match.
//! - `not_next` at the end of a pattern is decided by time, as `not_followed_by` is.
//! - A negation may follow an optional step.

mod after_match;
mod automaton;
mod compile;
mod condition;
mod draft;
mod error;
mod function;
mod matched;
mod matching;
mod sequence;
mod shape;
mod shared_buffer;
mod slab;
mod state;
mod stream;
mod ways;

pub use after_match::AfterMatch;
pub use error::{PatternError, TooManyPartialMatches};
pub use function::PatternFunction;
pub use matched::Match;
pub use sequence::{IntoStep, Pattern, Times};
pub use state::{PatternCell, PatternState};
pub use stream::PatternStream;
