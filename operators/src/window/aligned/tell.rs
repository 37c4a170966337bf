//! How windows come to be told of: whatever is due, one after the other, as long as there is room.

use millstream_engine::Record;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Collector;
use millstream_engine::time::Timestamp;

use super::AlignedWindows;
use super::operator::{Aligned, WalkOf};
use super::slots::{IntoIter, Slot};
use crate::aggregate::Aggregate;
use crate::keyed::hash_of;
use crate::window::timers::{Due, next};
use crate::window::trigger::{Moment, Trigger};
use crate::window::{Firing, TimeWindow, Windowed};

/// The way through the slots of a window.
pub(super) enum Walk<K, A, S> {
    /// One that is complete, and stays for late records: its place, and the next bucket.
    Complete(usize, usize),
    /// One that is given up, and what is left of it.
    Leaving(TimeWindow, IntoIter<K, A, S>),
}

pub(super) type Told<T, K, G> =
    Windowed<<K as KeyOf<T>>::Owned, TimeWindow, <G as Aggregate<T>>::Out>;

impl<T, W, K, G, R> Aligned<T, W, K, G, R>
where
    T: Send + 'static,
    W: AlignedWindows,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    /// Notes when the next thing is due, by event time and by the clock.
    pub(super) fn set_due(&mut self) {
        let end = self.panes.first_behind(self.complete).map(|(_, end)| end);
        let due = [self.panes.first_expiry(), end, self.by_watermark.first()];
        let due = due.into_iter().flatten().min();
        self.due = due.unwrap_or(Timestamp::MAX);
        let by_time = due.filter(|_| W::BY_CLOCK);
        self.clock.set_timer(by_time.into_iter().chain(self.by_clock.first()).min());
    }

    /// Notes when the trigger of a key wants to be asked again.
    #[inline]
    pub(super) fn set_timers(
        &mut self,
        before: [Option<Due<TimeWindow>>; 2],
        after: [Option<Due<TimeWindow>>; 2],
    ) {
        let ([old_watermark, old_clock], [watermark, clock]) = (before, after);
        let mut set = false;
        // That a window is complete is told without being asked for.
        let ahead = |due: &Due<TimeWindow>| due.time > self.watermark;
        let asked =
            |due: &Due<TimeWindow>| due.time < due.window.end || due.window.end <= self.complete;
        if let Some(due) = watermark.filter(|due| ahead(due) && asked(due))
            && old_watermark != watermark
        {
            self.by_watermark.push(due);
            set = true;
        }
        if let Some(due) = clock
            && old_clock != clock
        {
            self.by_clock.push(due);
            set = true;
        }
        if set {
            if self.by_watermark.is_crowded() || self.by_clock.is_crowded() {
                self.collect_timers();
            }
            self.set_due();
        }
    }

    /// Asks all triggers anew when they want to be asked again.
    pub(super) fn collect_timers(&mut self) {
        if R::BY_WINDOW {
            return;
        }
        let (mut by_watermark, mut by_clock) = (Vec::new(), Vec::new());
        for pane in self.panes.iter() {
            for slot in pane.slots.iter_kept() {
                let hash = hash_of::<T, K>(&slot.key);
                let [watermark, clock] =
                    next(&self.rules.trigger, &slot.kept.trigger, pane.window, pane.window, hash);
                let complete = pane.window.end <= self.complete;
                let ahead = |due: &Due<TimeWindow>| {
                    due.time > self.watermark && (complete || due.time < due.window.end)
                };
                by_watermark.extend(watermark.filter(ahead));
                by_clock.extend(clock);
            }
        }
        self.by_watermark.collect(by_watermark);
        self.by_clock.collect(by_clock);
    }

    /// Tells of what is due, as long as there is room.
    pub(super) fn tell(&mut self, out: &mut impl Collector<Told<T, K, G>>) {
        self.busy = true;
        while !out.is_full() {
            if let Some(walk) = self.walk.take() {
                self.walk_on(walk, out);
            } else if self.panes.first_expiry().is_some_and(|expiry| expiry <= self.watermark) {
                self.walk = self.panes.take_first().map(|pane| {
                    self.complete = self.complete.max(pane.window.end);
                    Walk::Leaving(pane.window, pane.slots.into_iter())
                });
            } else if let Some((place, end)) = self.panes.first_behind(self.complete)
                && end <= self.watermark
            {
                self.complete = end;
                if let Some(pane) = self.panes.get_mut(place) {
                    pane.slots.keep(hash_of::<T, K>);
                }
                self.walk = Some(Walk::Complete(place, 0));
            } else if let Some(due) = self.by_watermark.pop(self.watermark) {
                self.ask(due, out);
            } else if let Some(due) = self.by_clock.pop(self.clock.reached()) {
                self.ask(due, out);
            } else {
                self.complete = self.complete.max(self.watermark);
                self.busy = false;
                self.set_due();
                return;
            }
        }
    }

    /// Goes through a window until there is no room, or nothing left.
    fn walk_on(&mut self, walk: WalkOf<T, K, G, R>, out: &mut impl Collector<Told<T, K, G>>) {
        match walk {
            Walk::Leaving(window, mut slots) => {
                let at = self.moment(window);
                loop {
                    if out.is_full() {
                        self.walk = Some(Walk::Leaving(window, slots));
                        return;
                    }
                    let Some(Slot { key, mut kept }) = slots.next() else { return };
                    let result = self.rules.trigger.on_time(&mut kept.trigger, at);
                    if let Some(told) = kept.give_up(&self.aggregate, result) {
                        push(key, at.window, told, out);
                    }
                }
            }
            Walk::Complete(place, mut bucket) => loop {
                if out.is_full() {
                    self.walk = Some(Walk::Complete(place, bucket));
                    return;
                }
                let Some(pane) = self.panes.get_mut(place) else { return };
                if bucket >= pane.slots.kept_buckets() {
                    return;
                }
                let window = pane.window;
                self.ask_bucket(place, bucket, window, out);
                bucket += 1;
            },
        }
    }

    /// Asks the trigger of one slot, if there is one.
    fn ask_bucket(
        &mut self,
        place: usize,
        bucket: usize,
        window: TimeWindow,
        out: &mut impl Collector<Told<T, K, G>>,
    ) {
        let at = self.moment(window);
        let pane = self.panes.get_mut(place);
        let slots = pane.map(|pane| pane.slots.keep(hash_of::<T, K>));
        let slot = slots.and_then(|slots| slots.get_bucket_mut(bucket));
        let Some(Slot { key, kept }) = slot else { return };
        let trigger = &self.rules.trigger;
        let result = trigger.on_time(&mut kept.trigger, at);
        let complete = window.is_complete(at.watermark);
        if let Some(told) = kept.tell(&self.aggregate, &self.rules, result, complete) {
            push(key.clone(), window, told, out);
        }
        if !R::BY_WINDOW {
            let hash = hash_of::<T, K>(key);
            let [watermark, clock] = next(trigger, &kept.trigger, window, window, hash);
            // Whoever wants to be asked by the clock at once has been.
            let clock = clock.filter(|due| due.time > at.clock);
            self.set_timers([None; 2], [watermark, clock]);
        }
    }

    /// Asks the triggers that wanted it then: the key's, if it still does.
    fn ask(&mut self, due: Due<TimeWindow>, out: &mut impl Collector<Told<T, K, G>>) {
        let Some(place) = self.panes.place(due.window) else { return };
        let (watermark, clock) = (self.watermark, self.clock.reached());
        let trigger = &self.rules.trigger;
        let Some(pane) = self.panes.get_mut(place) else { return };
        let slots = pane.slots.keep(hash_of::<T, K>);
        let buckets: Vec<usize> = slots
            .iter_hash_buckets(due.hash)
            .filter(|bucket| {
                let state = slots.get_bucket(*bucket).map(|slot| &slot.kept.trigger);
                let [by_watermark, by_clock] = state.map_or([None; 2], |state| {
                    next(trigger, state, due.window, due.window, due.hash)
                });
                by_watermark.is_some_and(|due| due.time <= watermark)
                    || by_clock.is_some_and(|due| due.time <= clock)
            })
            .collect();
        for bucket in buckets {
            self.ask_bucket(place, bucket, due.window, out);
        }
    }

    /// Takes over a slot that was written down.
    pub(super) fn put_back(
        &mut self,
        window: TimeWindow,
        slot: Slot<K::Owned, G::Accumulator, R::State>,
    ) {
        let place = self.panes.open(window, self.rules.expiry(window.end));
        if let Some(pane) = self.panes.get_mut(place) {
            pane.slots.insert(slot, hash_of::<T, K>);
        }
    }

    #[inline]
    fn moment(&self, window: TimeWindow) -> Moment {
        Moment { window, watermark: self.watermark, clock: self.clock.reached() }
    }
}

#[inline]
pub(super) fn push<K, A>(
    key: K,
    window: TimeWindow,
    (value, firing): (A, Firing),
    out: &mut impl Collector<Windowed<K, TimeWindow, A>>,
) {
    out.push(Record::at(Windowed { key, window, value, firing }, window.last()));
}
