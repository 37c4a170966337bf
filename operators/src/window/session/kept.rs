//! What is kept of one key's sessions, and how they are joined.

use std::collections::VecDeque;

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

use super::{Session, SessionGap};
use crate::aggregate::Aggregate;
use crate::state::Codec;
use crate::window::by_key::{Code, Layout, Placed, Plan, Scene, Told, Verdict, Watch};
use crate::window::{TimeWindow, Trigger};

/// The sessions of one key, in the order of time; no two of them overlap.
#[derive(Debug)]
pub struct Sessions<A, S> {
    /// The last. Most keys have no other, and pay no allocation.
    latest: Option<One<A, S>>,
    earlier: VecDeque<One<A, S>>,
}

/// One session.
#[derive(Debug)]
struct One<A, S> {
    window: TimeWindow,
    /// What has come; nothing, if what was there has been told and given up.
    accumulator: Option<A>,
    watch: Watch<S>,
}

impl<A, S> Default for Sessions<A, S> {
    fn default() -> Self {
        Self { latest: None, earlier: VecDeque::new() }
    }
}

impl<A, S> Sessions<A, S> {
    fn iter(&self) -> impl Iterator<Item = &One<A, S>> {
        self.earlier.iter().chain(&self.latest)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut One<A, S>> {
        self.earlier.iter_mut().chain(&mut self.latest)
    }

    /// The latest session, if a record's window overlaps it and no other.
    #[inline]
    fn latest_under(&mut self, own: TimeWindow) -> Option<&mut One<A, S>> {
        let latest = self.latest.as_mut().filter(|latest| latest.window.overlaps(own))?;
        let alone = self.earlier.back().is_none_or(|earlier| !earlier.window.overlaps(own));
        alone.then_some(latest)
    }

    /// Does something to all sessions in one line.
    fn in_line<R>(&mut self, change: impl FnOnce(&mut VecDeque<One<A, S>>) -> R) -> R {
        self.earlier.extend(self.latest.take());
        let result = change(&mut self.earlier);
        self.latest = self.earlier.pop_back();
        if self.earlier.is_empty() {
            self.earlier = VecDeque::new();
        }
        result
    }

    fn remove(&mut self, at: usize) -> Option<One<A, S>> {
        if at < self.earlier.len() {
            let one = self.earlier.remove(at);
            if self.earlier.is_empty() {
                self.earlier = VecDeque::new();
            }
            return one;
        }
        let one = self.latest.take();
        self.latest = self.earlier.pop_back();
        one
    }
}

impl<A, S: Default> One<A, S> {
    fn new(window: TimeWindow) -> Self {
        Self { window, accumulator: None, watch: Watch::default() }
    }

    /// Adds a record.
    #[inline]
    fn add<T, G, R>(&mut self, value: &T, own: TimeWindow, scene: &Scene<'_, G, R>) -> Plan
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
    {
        self.window = self.window.cover(own);
        let accumulator = self.accumulator.get_or_insert_with(|| scene.aggregate.create());
        scene.aggregate.add(accumulator, value);
        self.watch.record(own.start, self.window, scene)
    }

    /// Makes a later session a part of this one.
    fn join<T, G, R>(&mut self, later: Self, scene: &Scene<'_, G, R>)
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
    {
        self.window = self.window.cover(later.window);
        self.watch.join(later.watch, scene);
        match (&mut self.accumulator, later.accumulator) {
            (Some(accumulator), Some(later)) => scene.aggregate.merge(accumulator, &later),
            (accumulator @ None, later) => *accumulator = later,
            (Some(_), None) => {}
        }
    }

    /// Tells of it, if there is a reason, and leaves what is to be added to.
    fn tell<T, G, R>(&mut self, scene: &Scene<'_, G, R>) -> Option<Told<G::Out>>
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
    {
        let Verdict { firing, begin_anew } =
            self.watch.look(self.window, self.accumulator.is_some(), scene)?;
        let value = if begin_anew {
            scene.aggregate.finish(self.accumulator.take()?)
        } else {
            scene.aggregate.result(self.accumulator.as_ref()?)
        };
        Some(Told { window: self.window, value, firing })
    }
}

impl<T, S, G, R> Layout<T, G, R> for Session<S>
where
    S: SessionGap<T>,
    G: Aggregate<T>,
    R: Trigger,
{
    type Kept = Sessions<G::Accumulator, R::State>;

    const NAME: &'static str = "session_window";

    #[inline]
    fn add(
        &self,
        kept: &mut Self::Kept,
        value: &T,
        time: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Placed {
        let own = self.window(value, time);
        if let Some(latest) = kept.latest_under(own) {
            return Placed::In(latest.add(value, own, scene));
        }
        let overlaps = kept.iter().any(|one| one.window.overlaps(own));
        if !overlaps && scene.is_over(scene.expiry(own.end)) {
            return Placed::Late;
        }
        kept.in_line(|all| {
            let first =
                all.partition_point(|one| one.window.end <= own.start && !one.window.overlaps(own));
            if !overlaps {
                all.insert(first, One::new(own));
            }
            while let Some(next) = all.get(first + 1).filter(|next| next.window.overlaps(own)) {
                let _ = next;
                let Some(later) = all.remove(first + 1) else { break };
                if let Some(one) = all.get_mut(first) {
                    one.join(later, scene);
                }
            }
            let plan = all.get_mut(first).map(|one| one.add(value, own, scene));
            plan.map_or(Placed::Late, Placed::In)
        })
    }

    fn ring(&self, kept: &mut Self::Kept, scene: &Scene<'_, G, R>) {
        kept.iter_mut().for_each(|one| one.watch.ring(one.window, scene));
    }

    fn tell(
        &self,
        kept: &mut Self::Kept,
        until: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Option<Told<G::Out>> {
        loop {
            let at = kept.iter().position(|one| one.watch.plan.due <= until)?;
            let told = if kept.iter().nth(at)?.watch.is_over(scene) {
                kept.remove(at)?.tell(scene)
            } else {
                kept.iter_mut().nth(at)?.tell(scene)
            };
            if told.is_some() {
                return told;
            }
        }
    }

    #[inline]
    fn plan(&self, kept: &Self::Kept, _scene: &Scene<'_, G, R>) -> Option<Plan> {
        kept.iter().map(|one| one.watch.plan).reduce(Plan::and)
    }

    /// How many there are, and of each its window, what its trigger keeps, and the accumulator if
    /// it has one.
    fn write(
        &self,
        kept: &Self::Kept,
        code: &Code<G::Accumulator>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), StateError> {
        Codec::new().write(&kept.iter().count(), bytes)?;
        for one in kept.iter() {
            Codec::new().write(&one.window, bytes)?;
            one.watch.write(bytes)?;
            Codec::new().write(&one.accumulator.is_some(), bytes)?;
            one.accumulator.iter().try_for_each(|accumulator| code.0.write(accumulator, bytes))?;
        }
        Ok(())
    }

    fn read(
        &self,
        code: &Code<G::Accumulator>,
        bytes: &mut &[u8],
        scene: &Scene<'_, G, R>,
    ) -> Result<Self::Kept, StateError> {
        let mut kept = Sessions::default();
        for _ in 0..Codec::<usize>::new().read(bytes)? {
            let mut one = One::new(Codec::new().read(bytes)?);
            one.watch = Watch::read(bytes, one.window, scene)?;
            let some = Codec::new().read(bytes)?;
            one.accumulator = if some { Some(code.0.read(bytes)?) } else { None };
            kept.earlier.extend(kept.latest.replace(one));
        }
        Ok(kept)
    }
}
