//! `Alignment`: streams that wait for each other's event time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use millstream_engine::runtime::{JobLink, OperatorContext};
use millstream_engine::time::{Instant, Timestamp};

/// How often a stream tells the others how far it is, in the time they may be apart.
const TELLS: u32 = 8;

/// A group of streams of which none runs ahead of the slowest by more than some event time, so that
/// what comes behind has not to keep what the fast ones bring too early.
/// [`Watermarks::aligned`](super::Watermarks::aligned) puts a stream into it.
///
/// * **Who counts.** Every stream, and every instance of it, from the start of its run until it
///   ends, fails or is cancelled; not while it is idle, and not if it has not begun to read when it
///   would be idle by then. One that has had no record counts as being before everything.
/// * **Who waits.** A stream whose next record would bring its watermark more than the drift beyond
///   that of the slowest. It holds that one record, and where a stream holds one, that counts for
///   its place: so the first of those that wait always goes on, however large the gaps.
/// * **Runs.** The group of one run is not that of another: a value may be kept with its blueprint,
///   which runs as often as one likes. What is inside a section that restarts is a run of its own.
///
/// Streams of one group must not need each other in other ways. Where one is made from another, or
/// where a word waits for a certain one of them (`zip`, `merge_sorted`, `concat`), the fast one may
/// be held for the sake of a slow one that gets or gives nothing meanwhile. If that has no input,
/// it becomes idle and lets the other go, for a record at a time; but if it waits for room, which
/// is not idle, both stand still. Then [`explain`] names the `event_time` that waits.
///
/// [`explain`]: millstream_engine::runtime::JobHandle::explain
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let alignment = Alignment::new(Duration::from_secs(60));
/// let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(5)).aligned(&alignment);
/// let flow = Dataflow::new("yesterday and today");
/// let time = |second: &i64| Timestamp::from_millis(second * 1000);
/// let long = flow.source("long", source::from_iter(0..10_000));
/// let short = flow.source("short", source::from_iter(0..100));
/// let long = long.event_time(time, watermarks.clone());
/// let both = long.merge(short.event_time(time, watermarks)).count();
/// assert_eq!(flow.run().await?.take(both), Some(10_100));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Alignment(Arc<Shared>);

struct Shared {
    max_drift: Duration,
    /// The groups of the runs that are there.
    runs: Mutex<Vec<(JobLink, Weak<Group>)>>,
}

impl Alignment {
    /// A group whose streams may be `max_drift` of event time apart.
    #[must_use]
    pub fn new(max_drift: Duration) -> Self {
        Self(Arc::new(Shared { max_drift, runs: Mutex::default() }))
    }

    /// How far apart its streams may be.
    #[must_use]
    pub fn max_drift(&self) -> Duration {
        self.0.max_drift
    }

    /// The group of a run.
    fn group(&self, run: JobLink) -> Arc<Group> {
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|(_, group)| group.strong_count() > 0);
        let known = runs.iter().find(|(other, _)| other.is_same_run(&run));
        if let Some(group) = known.and_then(|(_, group)| group.upgrade()) {
            return group;
        }
        let group = Arc::new(Group {
            max_drift: self.0.max_drift,
            wakes_at: AtomicI64::new(i64::MAX),
            places: Mutex::default(),
        });
        runs.push((run, Arc::downgrade(&group)));
        group
    }
}

impl fmt::Debug for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alignment").field("max_drift", &self.0.max_drift).finish_non_exhaustive()
    }
}

/// The streams of one run.
struct Group {
    max_drift: Duration,
    /// From which time of the slowest on somebody who waits may go on. Who is not there yet need
    /// not tell.
    wakes_at: AtomicI64,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    next_id: u64,
    all: BTreeMap<u64, Place>,
}

/// What the others know of a stream.
struct Place {
    /// How far it is, with the record that it holds.
    reached: Timestamp,
    presence: Presence,
    held: Option<Held>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It has not begun, and counts as idle from then on.
    Expected(Instant),
    Here,
    Idle,
}

/// A record that waits.
struct Held {
    /// How far the slowest has to be.
    needs: Timestamp,
    free: bool,
    waker: Option<Waker>,
}

impl Places {
    /// How far the slowest is.
    fn slowest(&self) -> Timestamp {
        let counting = self.all.values().filter(|place| place.presence != Presence::Idle);
        counting.map(|place| place.reached).min().unwrap_or(Timestamp::MAX)
    }
}

impl Group {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After any change: lets go who need not wait any more.
    fn settle(&self, mut places: MutexGuard<'_, Places>) {
        let slowest = places.slowest();
        let mut wakers = Vec::new();
        let mut wakes_at = Timestamp::MAX;
        let held = places.all.values_mut().filter_map(|place| place.held.as_mut());
        for held in held.filter(|held| !held.free) {
            if held.needs <= slowest {
                held.free = true;
                wakers.extend(held.waker.take());
            } else {
                wakes_at = wakes_at.min(held.needs);
            }
        }
        self.wakes_at.store(wakes_at.as_millis(), Relaxed);
        drop(places);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A stream of a group, in one run. Dropping it is leaving.
pub(super) struct Member {
    group: Arc<Group>,
    id: u64,
    /// How far it is, how far the others know it to be, and when to tell them again.
    reached: Timestamp,
    told: Timestamp,
    tells_at: Timestamp,
    /// How far it may go without asking.
    allowed: Timestamp,
    here: bool,
    held: bool,
    /// When one that it waits for, and that has not begun, counts as idle.
    patience: Option<Instant>,
}

impl Member {
    /// Comes into the group, and is expected to begin before `patience` is over.
    pub(super) fn join(
        alignment: &Alignment,
        context: &OperatorContext<'_>,
        patience: Duration,
    ) -> Self {
        let group = alignment.group(context.job());
        let presence = Presence::Expected(context.clock().now() + patience);
        let mut places = group.places();
        let id = places.next_id;
        places.next_id += 1;
        places.all.insert(id, Place { reached: Timestamp::MIN, presence, held: None });
        drop(places);
        Self {
            group,
            id,
            reached: Timestamp::MIN,
            told: Timestamp::MIN,
            tells_at: Timestamp::MIN,
            allowed: Timestamp::MIN,
            here: false,
            held: false,
            patience: None,
        }
    }

    /// Whether a record may go on that brings the watermark to `time`. If not, it is held.
    #[inline]
    pub(super) fn admits(&mut self, time: Timestamp) -> bool {
        (self.here && time <= self.allowed) || self.ask(time)
    }

    #[cold]
    fn ask(&mut self, time: Timestamp) -> bool {
        let group = Arc::clone(&self.group);
        let mut places = group.places();
        self.here = true;
        self.tell(&mut places, self.reached.max(time));
        let slowest = places.slowest();
        let needs = time.saturating_sub(group.max_drift);
        if needs <= slowest {
            self.allowed = slowest.saturating_add(group.max_drift);
        } else {
            self.held = true;
            self.patience = expected(&places);
            if let Some(place) = places.all.get_mut(&self.id) {
                place.held = Some(Held { needs, free: false, waker: None });
            }
        }
        group.settle(places);
        !self.held
    }

    fn tell(&mut self, places: &mut Places, reached: Timestamp) {
        self.told = reached;
        let step = (self.group.max_drift / TELLS).max(Duration::from_millis(1));
        self.tells_at = reached.saturating_add(step);
        if let Some(place) = places.all.get_mut(&self.id) {
            place.reached = place.reached.max(reached);
            if self.here {
                place.presence = Presence::Here;
            }
        }
    }

    /// The watermark has come to `time`.
    #[inline]
    pub(super) fn reach(&mut self, time: Timestamp) {
        self.reached = time;
        let wakes_at = Timestamp::from_millis(self.group.wakes_at.load(Relaxed));
        if time >= self.tells_at || (time >= wakes_at && self.told < wakes_at) {
            self.tell_all();
        }
    }

    fn tell_all(&mut self) {
        let group = Arc::clone(&self.group);
        let mut places = group.places();
        self.tell(&mut places, self.reached);
        group.settle(places);
    }

    /// The stage begins, or comes to rest: the others are to know where. Whoever holds a record is
    /// woken when it may go on.
    pub(super) fn rest(&mut self, cx: &Context<'_>, begins: bool) {
        if begins && !self.here {
            self.here = true;
            self.tell_all();
        }
        if self.held {
            let mut places = self.group.places();
            if let Some(place) = places.all.get_mut(&self.id) {
                match &mut place.held {
                    Some(held) if !held.free => held.waker = Some(cx.waker().clone()),
                    _ => {
                        place.held = None;
                        self.held = false;
                    }
                }
            }
        } else if self.told < self.reached {
            self.tell_all();
        }
    }

    /// Whether its record has to wait.
    #[inline]
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// Until when it waits for one that has not begun.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.patience.filter(|_| self.held)
    }

    /// Waits no longer for those that were expected by `now`.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        if self.patience().is_none_or(|until| until > now) {
            return;
        }
        let group = Arc::clone(&self.group);
        let mut places = group.places();
        for place in places.all.values_mut() {
            if matches!(place.presence, Presence::Expected(until) if until <= now) {
                place.presence = Presence::Idle;
            }
        }
        self.patience = expected(&places);
        group.settle(places);
    }

    /// It is idle, until its next record.
    pub(super) fn go_idle(&mut self) {
        self.here = false;
        let places = self.with_place(|place| place.presence = Presence::Idle);
        self.group.settle(places);
    }

    /// It is idle no longer, without a record.
    pub(super) fn come_back(&mut self) {
        if !self.here {
            self.here = true;
            self.tell_all();
        }
    }

    fn with_place(&self, change: impl FnOnce(&mut Place)) -> MutexGuard<'_, Places> {
        let mut places = self.group.places();
        if let Some(place) = places.all.get_mut(&self.id) {
            change(place);
        }
        places
    }

    /// It has ended.
    pub(super) fn leave(&self) {
        let mut places = self.group.places();
        if places.all.remove(&self.id).is_some() {
            self.group.settle(places);
        }
    }
}

/// When the first of those that have not begun counts as idle.
fn expected(places: &Places) -> Option<Instant> {
    let until = places.all.values().filter_map(|place| match place.presence {
        Presence::Expected(until) => Some(until),
        Presence::Here | Presence::Idle => None,
    });
    until.min()
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
