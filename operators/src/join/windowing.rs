//! `Windowing`: keeps both sides of a key in the order of time, and tells of its windows when they
//! are final.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::lateness::Lateness;
use super::timeline::Timeline;
use crate::fan::Either;
use crate::keyed::process::{KeyContext, KeyTimers, ProcessFunction, Timer, ValueState};
use crate::window::{Finality, Firing, OpenWindows, Opened, TimeWindow, TimeWindows, Windowed};

/// The function behind a [`window_join`](crate::KeyedStream::window_join) and a
/// [`cogroup`](crate::KeyedStream::cogroup).
///
/// Each record is kept once, however many windows it lies in: a window is a span of each side. A
/// key has one timer, for the first of its windows that will be final. Then `M` tells of it, and
/// records go that lie in no later one.
pub struct Windowing<L, R, W, M> {
    windows: W,
    telling: M,
    late: Lateness<Either<L, R>>,
    /// The window that is being told of, where there was no room for all of it.
    paused: Option<Paused>,
}

/// A window that has not been told of wholly.
#[derive(Clone, Copy)]
struct Paused {
    window: TimeWindow,
    /// How much of it has been told.
    told: usize,
}

/// What is kept of a key: both sides, and which windows are open.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sides<L, R> {
    left: Timeline<L>,
    right: Timeline<R>,
    open: OpenWindows,
}

impl<L, R> Sides<L, R> {
    fn new() -> Self {
        let (left, right) = (Timeline::new(), Timeline::new());
        Self { left, right, open: OpenWindows::default() }
    }

    /// Closes the first window, and lets go of what lies in no later one.
    fn close<W: TimeWindows<Either<L, R>>>(&mut self, told: TimeWindow, windows: &W) {
        self.open.close_first();
        let needed = windows.next(told);
        let first = [self.left.let_go(needed), self.right.let_go(needed)];
        if let Some(first) = first.into_iter().flatten().min() {
            windows.reopen(told, first, &mut self.open);
        }
    }
}

/// What there is of a key in a window, on both sides: at least one record.
pub struct CoGroup<'a, K, L, R> {
    /// The key.
    pub key: &'a K,
    /// The window.
    pub window: TimeWindow,
    left: Side<'a, L>,
    right: Side<'a, R>,
}

/// A span of one side.
struct Side<'a, V> {
    all: &'a Timeline<V>,
    within: Range<usize>,
}

impl<'a, V> Side<'a, V> {
    fn new(all: &'a Timeline<V>, window: TimeWindow) -> Self {
        // The end of time is the last point of windows that reach it.
        let last = if window.end == Timestamp::MAX { window.end } else { window.last() };
        Self { all, within: all.between(window.start, last) }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &'a V> + ExactSizeIterator + use<'a, V> {
        self.all.range(self.within.clone())
    }

    pub(super) fn get(&self, place: usize) -> Option<&'a V> {
        self.all.get(self.within.start + place)
    }
}

impl<'a, K, L, R> CoGroup<'a, K, L, R> {
    /// The records of the stream on which the word was said, in the order of time; those of one
    /// time in the order in which they came.
    pub fn left(
        &self,
    ) -> impl DoubleEndedIterator<Item = &'a L> + ExactSizeIterator + use<'a, K, L, R> {
        self.left.iter()
    }

    /// The records of the other stream, in the same order.
    pub fn right(
        &self,
    ) -> impl DoubleEndedIterator<Item = &'a R> + ExactSizeIterator + use<'a, K, L, R> {
        self.right.iter()
    }

    /// A certain one of the left.
    pub(super) fn left_at(&self, place: usize) -> Option<&'a L> {
        self.left.get(place)
    }

    /// A certain one of the right.
    pub(super) fn right_at(&self, place: usize) -> Option<&'a R> {
        self.right.get(place)
    }
}

impl<K: fmt::Debug, L, R> fmt::Debug for CoGroup<'_, K, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoGroup")
            .field("key", &self.key)
            .field("window", &self.window)
            .field("left", &self.left.within.len())
            .field("right", &self.right.within.len())
            .finish()
    }
}

/// What is told of a window.
pub trait Telling<K, L, R>: Clone + Send + 'static {
    /// One thing that is told.
    type Out: Send + 'static;
    /// What the operator is called.
    const NAME: &'static str;

    /// Of how many things at most it tells.
    fn count(&self, group: &CoGroup<'_, K, L, R>) -> usize;

    /// Tells one of them, if there is anything to tell.
    fn tell(&mut self, group: &CoGroup<'_, K, L, R>, number: usize) -> Option<Self::Out>;
}

type AtHand<'a, K, L, R> = KeyContext<'a, K, ValueState<Sides<L, R>>>;

impl<L, R, W, M> Windowing<L, R, W, M> {
    pub(super) const fn new(windows: W, telling: M, late: Lateness<Either<L, R>>) -> Self {
        Self { windows, telling, late, paused: None }
    }

    const fn finality(&self, watermark: Timestamp) -> Finality {
        Finality { watermark, lateness: self.late.grace() }
    }
}

impl<L, R, W, M> Windowing<L, R, W, M>
where
    L: Send + 'static,
    R: Send + 'static,
    W: TimeWindows<Either<L, R>>,
{
    /// Lets the timer follow the first window.
    fn set_timer<K: Eq + Clone>(
        &self,
        before: Option<TimeWindow>,
        after: Option<TimeWindow>,
        timers: &mut KeyTimers<'_, K>,
    ) {
        if before.map(|window| window.end) == after.map(|window| window.end) {
            return;
        }
        // A timer waits until its time has passed.
        let time = |window: TimeWindow| self.late.end(window.last());
        before.into_iter().for_each(|window| timers.delete_event_time(time(window)));
        after.into_iter().for_each(|window| timers.set_event_time(time(window)));
    }

    /// Tells of a window as long as there is room, beginning behind what was `told` of it; and lets
    /// go of it when that is all. Says how much was told, if it is not.
    fn tell<K: Clone>(
        &mut self,
        Paused { window, mut told }: Paused,
        key: &K,
        sides: &Sides<L, R>,
        out: &mut impl Collector<Windowed<K, TimeWindow, M::Out>>,
    ) -> Option<Paused>
    where
        M: Telling<K, L, R>,
    {
        let (left, right) = (Side::new(&sides.left, window), Side::new(&sides.right, window));
        let group = CoGroup { key, window, left, right };
        let count = self.telling.count(&group);
        while told < count {
            let value = self.telling.tell(&group, told);
            told += 1;
            let Some(value) = value else { continue };
            let record = Windowed { key: key.clone(), window, value, firing: Firing::OnTime };
            out.push(Record::at(record, window.last()));
            if out.is_full() && told < count {
                return Some(Paused { window, told });
            }
        }
        None
    }

    /// Goes on with the window at hand.
    fn go_on<K: Eq + Clone>(
        &mut self,
        paused: Paused,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<Windowed<K, TimeWindow, M::Out>>,
    ) where
        M: Telling<K, L, R>,
    {
        let Some(mut sides) = context.states.take() else { return };
        self.paused = self.tell(paused, context.key, &sides, out);
        if self.paused.is_none() {
            sides.close(paused.window, &self.windows);
            self.set_timer(None, sides.open.first(), &mut context.timers);
        }
        if self.paused.is_some() || sides.open.first().is_some() {
            context.states.set(sides);
        }
    }
}

impl<K, L, R, W, M> ProcessFunction<K, Either<L, R>> for Windowing<L, R, W, M>
where
    K: Eq + Clone + Send + 'static,
    L: Send + 'static,
    R: Send + 'static,
    W: TimeWindows<Either<L, R>>,
    M: Telling<K, L, R>,
{
    type Out = Windowed<K, TimeWindow, M::Out>;
    type States = ValueState<Sides<L, R>>;
    const NAME: &'static str = M::NAME;
    const NEEDS_TIME: bool = true;
    const HOLDS_WATERMARK: bool = true;

    fn watermark_delay(&self) -> Duration {
        self.late.grace()
    }

    fn states(&self) -> Self::States {
        ValueState::new("sides")
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.late.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Either<L, R>>,
        context: &mut KeyContext<'_, K, Self::States>,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let finality = self.finality(context.watermark);
        let mut sides = context.states.take().unwrap_or_else(Sides::new);
        let before = sides.open.first();
        match self.windows.open(&record.value, record.time, finality, &mut sides.open) {
            Opened::In => match record.value {
                Either::Left(left) => sides.left.insert(record.time, left),
                Either::Right(right) => sides.right.insert(record.time, right),
            },
            Opened::Late => self.late.take(record),
            Opened::Outside => {}
        }
        self.set_timer(before, sides.open.first(), &mut context.timers);
        if sides.open.first().is_some() {
            context.states.set(sides);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(window) = context.states.get().and_then(|sides| sides.open.first()) {
            self.go_on(Paused { window, told: 0 }, context, out);
        }
        Ok(())
    }

    fn pending(&self) -> bool {
        self.paused.is_some()
    }

    fn resume(
        &mut self,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(paused) = self.paused.take() {
            self.go_on(paused, context, out);
        }
        Ok(())
    }

    /// All windows are told of at once.
    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let Some(mut sides) = context.states.take() else { return Ok(()) };
        while let Some(window) = sides.open.first() {
            let mut paused = Some(Paused { window, told: 0 });
            while let Some(on) = paused {
                paused = self.tell(on, context.key, &sides, out);
            }
            sides.close(window, &self.windows);
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.late.side()
    }
}

/// As that of an operator: the configuration, with nothing of a run.
impl<L, R, W: Clone, M: Clone> Clone for Windowing<L, R, W, M> {
    fn clone(&self) -> Self {
        Self::new(self.windows.clone(), self.telling.clone(), self.late.clone())
    }
}

impl<L, R, W: fmt::Debug, M> fmt::Debug for Windowing<L, R, W, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windowing").field("windows", &self.windows).finish_non_exhaustive()
    }
}
