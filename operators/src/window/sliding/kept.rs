//! What is kept of one key's sliding windows, and when which of them are told of.

use std::any::TypeId;

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

use super::Sliding;
use super::grid::{Grid, Start};
use super::panes::{Assembly, Panes};
use crate::aggregate::Aggregate;
use crate::state::Codec;
use crate::window::by_key::{Code, Layout, NEVER, Placed, Plan, Scene, Told, Verdict, Watch};
use crate::window::trigger::OnWatermark;
use crate::window::{Accumulation, Firing, Trigger};

/// Whether windows are told of by the default trigger, for which nothing is kept of a key's windows
/// but their panes.
fn by_default<R: Trigger>() -> bool {
    TypeId::of::<R>() == TypeId::of::<OnWatermark>()
}

/// What is kept of one key: its panes, and what is to be told of the windows made of them.
#[derive(Debug)]
pub struct Panorama<A, S> {
    panes: Panes<A>,
    /// Not before there are many panes.
    assembly: Option<Box<Assembly<A>>>,
    /// By default: the next window with anything in it, to be told of when it is complete.
    next: Option<Start>,
    /// The windows that a late record has changed, until they are told of.
    changed: Option<Box<Changed<A>>>,
    /// Windows with triggers, if not by default: those with records, in order.
    watched: Vec<Watched<A, S>>,
}

/// Complete windows that a late record has changed.
#[derive(Debug)]
struct Changed<A> {
    next: Start,
    last: Start,
    /// The record made a pane: a window that has no other was not told of before.
    new: bool,
    /// The record alone, where no more is to be told.
    only: Option<A>,
    assembly: Assembly<A>,
}

/// A window with a trigger of its own.
#[derive(Debug)]
struct Watched<A, S> {
    start: Start,
    since: Since<A>,
    watch: Watch<S>,
}

/// What is in a window.
#[derive(Debug)]
enum Since<A> {
    /// All that its panes hold.
    Always,
    /// What has come since it began anew, if anything.
    Anew(Option<A>),
}

impl<A, S> Default for Panorama<A, S> {
    fn default() -> Self {
        Self { panes: Panes::new(), assembly: None, next: None, changed: None, watched: Vec::new() }
    }
}

impl<A, S> Panorama<A, S> {
    /// The first window with anything in it that starts at `start` or later.
    fn first_from(&self, start: Start, grid: Grid) -> Option<Start> {
        let pane = self.panes.first_from(start)?;
        Some(start.max(grid.first_behind(pane)))
    }

    /// Tells of the next window that a late record has changed.
    fn tell_changed<T, G, R>(&mut self, grid: Grid, scene: &Scene<'_, G, R>) -> Option<Told<G::Out>>
    where
        G: Aggregate<T, Accumulator = A>,
    {
        let changed = self.changed.as_mut()?;
        let start = changed.next;
        let (from, to) = grid.bounds(start);
        let first = changed.new && self.panes.alone(from, to);
        let firing = if first { Firing::OnTime } else { Firing::Late };
        let sum = if let Some(only) = &changed.only {
            let mut sum = scene.aggregate.create();
            scene.aggregate.merge(&mut sum, only);
            sum
        } else {
            changed.assembly.next(from, to, &self.panes, scene.aggregate)
        };
        changed.next += grid.step();
        if changed.next > changed.last {
            self.changed = None;
        }
        Some(Told { window: grid.window(start), value: scene.aggregate.finish(sum), firing })
    }

    /// Tells of the next window that is complete, if it ends by `until`.
    fn tell_next<T, G, R>(
        &mut self,
        until: Timestamp,
        grid: Grid,
        scene: &Scene<'_, G, R>,
    ) -> Option<Told<G::Out>>
    where
        G: Aggregate<T, Accumulator = A>,
    {
        let start = self.next.filter(|start| grid.window(*start).end <= until)?;
        let (from, to) = grid.bounds(start);
        let sum = if self.panes.are_few() {
            self.panes.sum(from, to, scene.aggregate)
        } else {
            let assembly = self.assembly.get_or_insert_with(|| Box::new(Assembly::new()));
            assembly.next(from, to, &self.panes, scene.aggregate)
        };
        self.next = self.first_from(start + grid.step(), grid);
        let value = scene.aggregate.finish(sum);
        Some(Told { window: grid.window(start), value, firing: Firing::OnTime })
    }

    /// Tells of a window that is watched, if one is due by `until`.
    fn tell_watched<T, G, R>(
        &mut self,
        until: Timestamp,
        grid: Grid,
        scene: &Scene<'_, G, R>,
    ) -> Option<Told<G::Out>>
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
    {
        loop {
            let at = self.watched.iter().position(|one| one.watch.plan.due <= until)?;
            let one = self.watched.get_mut(at)?;
            let ((from, to), window) = (grid.bounds(one.start), grid.window(one.start));
            let holds = !matches!(one.since, Since::Anew(None));
            let verdict = one.watch.look(window, holds, scene);
            let told = verdict.and_then(|Verdict { firing, begin_anew }| {
                let value = match &mut one.since {
                    Since::Always => {
                        scene.aggregate.finish(self.panes.sum(from, to, scene.aggregate))
                    }
                    Since::Anew(since) if begin_anew => scene.aggregate.finish(since.take()?),
                    Since::Anew(since) => scene.aggregate.result(since.as_ref()?),
                };
                if begin_anew {
                    one.since = Since::Anew(None);
                }
                Some(Told { window, value, firing })
            });
            if one.watch.is_over(scene) {
                self.watched.remove(at);
            }
            if told.is_some() {
                return told;
            }
        }
    }

    /// Adds a record to each window that it lies in, from `first` to `last`.
    fn watch<T, G, R>(
        &mut self,
        (value, time): (&T, Timestamp),
        (first, last): (Start, Start),
        grid: Grid,
        scene: &Scene<'_, G, R>,
    ) -> Plan
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
        S: Default,
    {
        let mut plan = Plan { due: NEVER, alarm: NEVER };
        let mut at = self.watched.partition_point(|one| one.start < first);
        let mut start = first;
        while start <= last {
            if self.watched.get(at).is_none_or(|one| one.start != start) {
                let watch = Watch::default();
                self.watched.insert(at, Watched { start, since: Since::Always, watch });
            }
            if let Some(one) = self.watched.get_mut(at) {
                if let Since::Anew(since) = &mut one.since {
                    let since = since.get_or_insert_with(|| scene.aggregate.create());
                    scene.aggregate.add(since, value);
                }
                plan = plan.and(one.watch.record(time, grid.window(start), scene));
            }
            at += 1;
            start += grid.step();
        }
        plan
    }

    /// Gives up the panes of which nothing will be told any more.
    fn forget<G, R: Trigger>(&mut self, until: Timestamp, grid: Grid, scene: &Scene<'_, G, R>) {
        let over = |pane: Timestamp| scene.expiry(grid.last_end(pane)) <= until;
        while self.panes.0.front().is_some_and(|(pane, _)| over(*pane)) {
            self.panes.0.pop_front();
        }
    }
}

impl<T, G, R> Layout<T, G, R> for Sliding
where
    G: Aggregate<T>,
    R: Trigger,
{
    type Kept = Panorama<G::Accumulator, R::State>;

    const NAME: &'static str = "sliding_window";

    #[inline]
    fn add(
        &self,
        kept: &mut Self::Kept,
        value: &T,
        time: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Placed {
        let Self(grid) = *self;
        let Some(pane) = grid.pane(time) else {
            return Placed::Outside;
        };
        // Behind the watermark, some of its windows may be complete.
        let behind = time < scene.watermark || scene.watermark == Timestamp::MAX;
        if behind && scene.is_over(scene.expiry(grid.last_end(pane))) {
            return Placed::Late;
        }
        let (accumulator, new) = kept.panes.entry(pane, || scene.aggregate.create());
        scene.aggregate.add(accumulator, value);
        if let Some(assembly) = &mut kept.assembly {
            assembly.changed(pane);
        }
        if by_default::<R>() && !behind && !new {
            // Whatever is due is so already.
            return Placed::In(Plan { due: NEVER, alarm: NEVER });
        }
        let (mut first, last) = (grid.first_behind(pane), grid.last_from(pane));
        if behind {
            let given_up = scene.watermark.saturating_sub(scene.lateness);
            first = first.max(grid.first_behind(given_up));
        }
        if !by_default::<R>() {
            return Placed::In(kept.watch((value, time), (first, last), grid, scene));
        }
        let mut incomplete = first;
        if behind {
            incomplete = incomplete.max(grid.first_behind(scene.watermark));
            let last = last.min(incomplete - grid.step());
            if first <= last {
                let anew = scene.accumulation == Accumulation::Discarding;
                let only = anew.then(|| {
                    let mut only = scene.aggregate.create();
                    scene.aggregate.add(&mut only, value);
                    only
                });
                let assembly = Assembly::new();
                kept.changed = Some(Box::new(Changed { next: first, last, new, only, assembly }));
            }
        }
        if incomplete <= last {
            kept.next = Some(kept.next.map_or(incomplete, |next| next.min(incomplete)));
        }
        let plan = <Self as Layout<T, G, R>>::plan(self, kept, scene);
        Placed::In(plan.unwrap_or(Plan { due: NEVER, alarm: NEVER }))
    }

    fn ring(&self, kept: &mut Self::Kept, scene: &Scene<'_, G, R>) {
        for one in &mut kept.watched {
            one.watch.ring(self.0.window(one.start), scene);
        }
    }

    fn tell(
        &self,
        kept: &mut Self::Kept,
        until: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Option<Told<G::Out>> {
        let Self(grid) = *self;
        let told = if by_default::<R>() {
            let changed = kept.tell_changed(grid, scene);
            changed.or_else(|| kept.tell_next(until, grid, scene))
        } else {
            kept.tell_watched(until, grid, scene)
        };
        // What is told later still needs its panes.
        let next = kept.next.map(|start| grid.window(start).end);
        let more = next.is_some_and(|end| end <= until) || kept.changed.is_some();
        if told.is_none() || (by_default::<R>() && !more) {
            kept.forget(until, grid, scene);
        }
        told
    }

    fn plan(&self, kept: &Self::Kept, scene: &Scene<'_, G, R>) -> Option<Plan> {
        let Self(grid) = *self;
        let Some((pane, _)) = kept.panes.0.front() else {
            return kept.watched.iter().map(|one| one.watch.plan).reduce(Plan::and);
        };
        if kept.changed.is_some() {
            return Some(Plan { due: Plan::AT_ONCE, alarm: NEVER });
        }
        let expiry = scene.expiry(grid.last_end(*pane));
        let due = kept.next.map_or(expiry, |start| grid.window(start).end.min(expiry));
        let plan = Plan { due, alarm: NEVER };
        let watched = kept.watched.iter().map(|one| one.watch.plan);
        watched.chain([plan]).reduce(Plan::and)
    }

    /// How many panes there are, and each with its start; how many windows are watched, and each
    /// with its start, what its trigger keeps, and what is in it if it has begun anew.
    fn write(
        &self,
        kept: &Self::Kept,
        code: &Code<G::Accumulator>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), StateError> {
        Codec::new().write(&(kept.panes.0.len(), kept.watched.len()), bytes)?;
        for (start, accumulator) in &kept.panes.0 {
            Codec::new().write(&start.as_millis(), bytes)?;
            code.0.write(accumulator, bytes)?;
        }
        for one in &kept.watched {
            Codec::new().write(&one.start.to_le_bytes(), bytes)?;
            one.watch.write(bytes)?;
            let (anew, since) = match &one.since {
                Since::Always => (false, None),
                Since::Anew(since) => (true, since.as_ref()),
            };
            Codec::new().write(&(anew, since.is_some()), bytes)?;
            since.into_iter().try_for_each(|since| code.0.write(since, bytes))?;
        }
        Ok(())
    }

    fn read(
        &self,
        code: &Code<G::Accumulator>,
        bytes: &mut &[u8],
        scene: &Scene<'_, G, R>,
    ) -> Result<Self::Kept, StateError> {
        let Self(grid) = *self;
        let mut kept = Panorama::default();
        let (panes, watched): (usize, usize) = Codec::new().read(bytes)?;
        for _ in 0..panes {
            let start = Timestamp::from_millis(Codec::new().read(bytes)?);
            kept.panes.0.push_back((start, code.0.read(bytes)?));
        }
        for _ in 0..watched {
            let start = Start::from_le_bytes(Codec::new().read(bytes)?);
            let watch = Watch::read(bytes, grid.window(start), scene)?;
            let since = match Codec::new().read(bytes)? {
                (false, _) => Since::Always,
                (true, false) => Since::Anew(None),
                (true, true) => Since::Anew(Some(code.0.read(bytes)?)),
            };
            kept.watched.push(Watched { start, since, watch });
        }
        if by_default::<R>() {
            kept.next = kept.first_from(grid.first_behind(scene.watermark), grid);
        }
        Ok(kept)
    }
}
