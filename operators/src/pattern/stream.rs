//! `pattern`: puts a pattern over the records of each key, and what is said of it behind it.

use std::fmt;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::automaton::Automaton;
use super::function::{PatternFunction, Sides, TimedOutTag};
use super::{Match, Pattern};
use crate::KeyedStream;
use crate::fan::SideTag;
use crate::keyed::process::Processed;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Looks for a pattern in the events of each key. Behind it is said what becomes of late events
    /// and of partial matches whose time is up, and then what to make of each match.
    /// [The module](crate::pattern) tells how to write patterns, and what they mean.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// /// A card, an amount, and when it was paid.
    /// type Payment = (&'static str, u64, i64);
    ///
    /// let payments = [
    ///     ("ann", 90, 1_000), ("bob", 95, 2_000), ("ann", 80_000, 3_000), ("bob", 70_000, 99_000),
    /// ];
    /// let pattern = Pattern::begin("small")
    ///     .when(|p: &Payment| p.1 < 100)
    ///     .followed_by("large")
    ///     .when(|p| p.1 > 50_000)
    ///     .within(Duration::from_secs(60));
    /// let flow = Dataflow::new("fraud");
    /// let alerts = flow
    ///     .source("payments", source::from_iter(payments))
    ///     .event_time(|p| Timestamp::from_millis(p.2), Watermarks::monotonic())
    ///     .key_by(|p| p.0)
    ///     .pattern(pattern)
    ///     .select(|found| (found["small"][0].0, found["large"][0].1))
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(alerts), Some(vec![("ann", 80_000)]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Without an [`event_time`](crate::DataStream::event_time) before it, the graph is refused,
    /// and so it is with a pattern that makes no sense:
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("doc");
    /// # let numbers = flow.source("numbers", source::from_iter(0..9));
    /// # let numbers = numbers.event_time(|n| Timestamp::from_millis(*n), Watermarks::monotonic());
    /// let pattern = Pattern::begin("even").when(|n| n % 2 == 0).followed_by("even");
    /// numbers.key_by(|_| ()).pattern(pattern).select(|_| ()).ignore();
    /// let mistake = flow.validate().unwrap_err().to_string();
    /// assert!(mistake.contains("`pattern` has two steps called `even`"), "{mistake}");
    /// ```
    pub const fn pattern(self, pattern: Pattern<T>) -> PatternStream<T, C, K> {
        PatternStream { keyed: self, pattern, late: None, timed_out: None }
    }
}

/// Records of `T` that belong to keys, and a pattern that is looked for among those of each.
#[must_use = "a pattern of which nothing is told is a mistake: say what, by `.select(…)`"]
pub struct PatternStream<T, C, K> {
    keyed: KeyedStream<T, C, K>,
    pattern: Pattern<T>,
    late: Option<SideTag<T>>,
    timed_out: Option<Box<dyn TimedOutTag<T>>>,
}

impl<T, C, K> PatternStream<T, C, K>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    K: KeyOf<T, Owned: Eq + Clone>,
{
    /// Sends events that come late to a [side output](crate::Dataflow::side_output), with their
    /// event time: those that are earlier than the watermark. Without it they are dropped, and
    /// counted as [late](millstream_engine::metrics::DropReason::Late).
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("too late");
    /// let (late, too_late) = flow.side_output("late");
    /// let pattern = Pattern::begin("any").times(2).within(Duration::from_secs(1));
    /// flow.source("events", source::from_iter([100, 300, 200]))
    ///     .event_time(|millis| Timestamp::from_millis(*millis), Watermarks::monotonic())
    ///     .key_by(|_| ())
    ///     .pattern(pattern)
    ///     .late_to(&late)
    ///     .select(|found| found.end())
    ///     .ignore();
    /// let too_late = too_late.collect();
    /// assert_eq!(flow.run().await?.take(too_late), Some(vec![200]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn late_to(mut self, tag: &SideTag<T>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// Sends what `tell` makes of each partial match whose time is up to a
    /// [side output](crate::Dataflow::side_output), with the time when it was: that of its first
    /// event, plus [`within`](Pattern::within).
    ///
    /// A partial match is told of as far as it has come, once: not those that it grew from, unless
    /// they were still waiting for another way to go on, and not those that have been told as
    /// matches.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders");
    /// let (unpaid, reminders) = flow.side_output("unpaid");
    /// let paid = Pattern::begin("order")
    ///     .when(|event: &(i64, &str, u64)| event.1 == "order")
    ///     .followed_by("payment")
    ///     .when(|event| event.1 == "payment")
    ///     .within(Duration::from_millis(30));
    /// let events = [(0, "order", 7), (5, "order", 8), (20, "payment", 7), (60, "order", 9)];
    /// let paid = flow
    ///     .source("events", source::from_iter(events))
    ///     .event_time(|event| Timestamp::from_millis(event.0), Watermarks::monotonic())
    ///     .key_by(|event| event.2)
    ///     .pattern(paid)
    ///     .timed_out_to(&unpaid, |partial| partial["order"][0].2)
    ///     .select(|found| found["order"][0].2)
    ///     .collect();
    /// let reminders = reminders.collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(paid), Some(vec![7]));
    /// assert_eq!(report.take(reminders), Some(vec![8, 9]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timed_out_to<S, F>(mut self, tag: &SideTag<S>, tell: F) -> Self
    where
        S: Send + 'static,
        F: FnMut(&Match<'_, T>) -> S + Clone + Send + 'static,
    {
        self.timed_out = Some(Box::new((tag.clone(), tell)));
        self
    }

    /// Emits what `select` makes of each match, with the time of its last event; of a pattern that
    /// ends in a negation, with the time when that was decided.
    ///
    /// - **Emits** when the watermark has passed the event that makes a match whole: the matches of
    ///   a key in the order of their times, and those of one event in the order of the events that
    ///   they took. Where two took the same ones, or one has gone on where the other ends, the
    ///   nearest step is first: a loop that goes on, before what is behind it.
    /// - **Ends** with its input: then all time is over, so that partial matches are timed out, and
    ///   what was not to follow has not.
    /// - **Keeps** of each key the events that the watermark has not passed, and the partial
    ///   matches with the events that are part of them, each once. A key of which nothing is kept
    ///   takes no memory. Nothing is told of a key that is
    ///   [evicted](crate::keyed::KeyLimit::evict).
    /// - **Fails** with [`TooManyPartialMatches`](super::TooManyPartialMatches) where that is the
    ///   limit, and if a closure panics.
    pub fn select<U, F>(self, select: F) -> Processed<T, C, K, PatternFunction<T, F>>
    where
        U: Send + 'static,
        F: FnMut(&Match<'_, T>) -> U + Clone + Send + 'static,
    {
        let Self { keyed, pattern, late, timed_out } = self;
        keyed.process_with(|operator, blueprint| {
            let automaton = pattern.compile().unwrap_or_else(|mistake| {
                blueprint.refuse(operator, mistake.to_string());
                Automaton::blank()
            });
            let late = late.map(|tag| tag.port(operator, blueprint));
            let timed_out = timed_out.map(|tag| tag.port(operator, blueprint));
            PatternFunction::new(automaton, select, Sides { late, timed_out })
        })
    }
}

impl<T, C, K> fmt::Debug for PatternStream<T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatternStream").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}
