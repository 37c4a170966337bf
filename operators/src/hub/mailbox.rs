//! What waits for the subscribers of a broadcast hub, behind one mutex that is held for a moment a
//! batch: records are shared, and cloned by whoever takes them, outside of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use millstream_engine::Record;
use millstream_engine::time::Instant;

use super::HubError;

/// Records that were published at once, or some of them.
pub(super) struct Segment<T> {
    records: Arc<Vec<Record<T>>>,
    from: usize,
    to: usize,
}

impl<T> Clone for Segment<T> {
    fn clone(&self) -> Self {
        Self { records: Arc::clone(&self.records), from: self.from, to: self.to }
    }
}

impl<T> Segment<T> {
    const fn len(&self) -> usize {
        self.to - self.from
    }

    pub(super) fn records(&self) -> &[Record<T>] {
        self.records.get(self.from..self.to).unwrap_or_default()
    }

    /// Takes at most so many off the front.
    fn split_front(&mut self, most: usize) -> Self {
        let mut front = self.clone();
        front.to = front.to.min(front.from.saturating_add(most));
        self.from = front.to;
        front
    }
}

/// Segments, oldest first.
struct Segments<T> {
    queue: VecDeque<Segment<T>>,
    records: usize,
}

impl<T> Segments<T> {
    const fn new() -> Self {
        Self { queue: VecDeque::new(), records: 0 }
    }

    fn push(&mut self, segment: Segment<T>) {
        self.records += segment.len();
        self.queue.push_back(segment);
    }

    /// Takes at most so many records off the front.
    fn take(&mut self, most: usize) -> Vec<Segment<T>> {
        let mut taken = Vec::new();
        let mut left = most;
        while left > 0 {
            let Some(first) = self.queue.front_mut() else {
                break;
            };
            let front = first.split_front(left);
            if first.len() == 0 {
                self.queue.pop_front();
            }
            left -= front.len();
            taken.push(front);
        }
        self.records -= most - left;
        taken
    }

    /// Takes the oldest out, until no more than so many are left. Tells how many those were.
    fn keep_last(&mut self, most: usize, spent: &mut Vec<Self>) -> usize {
        let excess = self.records.saturating_sub(most);
        if excess > 0 {
            let queue = self.take(excess).into();
            spent.push(Self { queue, records: excess });
        }
        excess
    }
}

/// Why nothing more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Failed(HubError),
}

struct Mailbox<T> {
    segments: Segments<T>,
    /// Records that were taken, and still count.
    held: usize,
    /// When it is full: it loses its oldest records, and holds nobody back.
    lossy: bool,
    /// It holds the publishers back.
    full: bool,
    /// Since when somebody has had something to publish, and could not because of it.
    stuck_since: Option<Instant>,
    waker: Option<Waker>,
    end: Option<End>,
}

impl<T> Mailbox<T> {
    const fn load(&self) -> usize {
        self.segments.records + self.held
    }
}

/// What is said of a hub before it is used.
pub(super) struct Settings {
    pub(super) capacity: usize,
    pub(super) max_subscribers: usize,
    pub(super) wait_for: usize,
    pub(super) replay: usize,
    pub(super) evict_after: Option<Duration>,
}

pub(super) struct State<T> {
    pub(super) settings: Settings,
    mailboxes: BTreeMap<u64, Mailbox<T>>,
    next_id: u64,
    /// Mailboxes that are open, and how many of them are full.
    open: usize,
    full: usize,
    /// As many subscribers as were to be waited for have been there.
    begun: bool,
    history: Segments<T>,
    publishers: usize,
    waiting: Vec<Waker>,
    end: Option<End>,
    dropped: u64,
}

/// What became of an attempt to publish.
pub(super) enum Published {
    /// Some of the records went out, or all.
    Some,
    /// Nobody can take any. At this time somebody may be let go.
    Wait(Option<Instant>),
    /// The hub has failed.
    Over(HubError),
}

/// What is left to do when the mutex is free: whom to wake, and what to drop, which is the user's
/// code.
struct After<T> {
    wakers: Vec<Waker>,
    spent: Vec<Segments<T>>,
}

/// What a subscriber gets: at least one segment, or why there are no more.
pub(super) type Taken<T> = Result<Vec<Segment<T>>, End>;

impl<T> State<T> {
    fn finish(&mut self, id: u64, end: End, after: &mut After<T>) {
        let Some(mailbox) = self.mailboxes.get_mut(&id).filter(|mailbox| mailbox.end.is_none())
        else {
            return;
        };
        mailbox.end = Some(end);
        after.wakers.extend(mailbox.waker.take());
        self.open -= 1;
        if std::mem::take(&mut mailbox.full) {
            self.full -= 1;
            if self.full == 0 {
                after.wakers.append(&mut self.waiting);
            }
        }
    }

    fn finish_all(&mut self, end: End, after: &mut After<T>) {
        self.end = Some(end);
        let open: Vec<_> = self.mailboxes.keys().copied().collect();
        for id in open {
            self.finish(id, end, after);
        }
        after.wakers.append(&mut self.waiting);
    }

    /// Lets those go who have held the publishers back for too long.
    fn evict(&mut self, now: Instant, after: &mut After<T>) {
        let Some(limit) = self.settings.evict_after.filter(|_| self.full > 0) else {
            return;
        };
        let stuck = |mailbox: &Mailbox<T>| {
            mailbox.full && mailbox.stuck_since.is_some_and(|since| since + limit <= now)
        };
        let stuck = self.mailboxes.iter().filter(|(_, mailbox)| stuck(mailbox));
        let stuck: Vec<_> = stuck.map(|(id, _)| *id).collect();
        for id in stuck {
            self.finish(id, End::Failed(HubError::Evicted(limit)), after);
        }
    }

    /// Notes who holds the publishers back, and tells when the first of them is to be let go.
    fn note_stuck(&mut self, now: Instant) -> Option<Instant> {
        let after = self.settings.evict_after.filter(|_| self.full > 0)?;
        let full = self.mailboxes.values_mut().filter(|mailbox| mailbox.full);
        let since = full.map(|mailbox| *mailbox.stuck_since.get_or_insert(now)).min();
        since.map(|since| since + after)
    }

    /// How many records everybody has room for.
    fn room(&self) -> usize {
        if !self.begun || self.open == 0 || self.full > 0 {
            return 0;
        }
        let open = self.mailboxes.values().filter(|mailbox| mailbox.end.is_none());
        let blocking = open.filter(|mailbox| !mailbox.lossy);
        let room = blocking.map(|mailbox| self.settings.capacity.saturating_sub(mailbox.load()));
        room.min().unwrap_or(usize::MAX)
    }

    fn deliver(&mut self, segment: &Segment<T>, after: &mut After<T>) {
        let capacity = self.settings.capacity;
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| mailbox.end.is_none()) {
            mailbox.segments.push(segment.clone());
            after.wakers.extend(mailbox.waker.take());
            if mailbox.lossy {
                let room = capacity.saturating_sub(mailbox.held);
                self.dropped += mailbox.segments.keep_last(room, &mut after.spent) as u64;
            } else if mailbox.load() >= capacity {
                mailbox.full = true;
                mailbox.stuck_since = None;
                self.full += 1;
            }
        }
        if self.settings.replay > 0 {
            self.history.push(segment.clone());
            // No newcomer has room for more.
            self.history.keep_last(self.settings.replay.min(capacity), &mut after.spent);
        }
    }

    /// After a subscriber has taken something: whether the publishers can go on.
    fn relieve(&mut self, id: u64, after: &mut After<T>) {
        let half = self.settings.capacity / 2;
        if let Some(mailbox) = self.mailboxes.get_mut(&id)
            && mailbox.full
            && mailbox.load() <= half
        {
            mailbox.full = false;
            self.full -= 1;
            if self.full == 0 {
                after.wakers.append(&mut self.waiting);
            }
        }
    }
}

pub(super) struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    pub(super) const fn new(settings: Settings) -> Self {
        Self(Mutex::new(State {
            settings,
            mailboxes: BTreeMap::new(),
            next_id: 0,
            open: 0,
            full: 0,
            begun: false,
            history: Segments::new(),
            publishers: 0,
            waiting: Vec::new(),
            end: None,
            dropped: 0,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes whom that concerns once the mutex is free.
    fn change<R>(&self, act: impl FnOnce(&mut State<T>, &mut After<T>) -> R) -> R {
        let mut after = After { wakers: Vec::new(), spent: Vec::new() };
        let result = act(&mut self.lock(), &mut after);
        after.wakers.into_iter().for_each(Waker::wake);
        result
    }

    pub(super) fn subscribers(&self) -> usize {
        self.lock().open
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn subscribe(&self, lossy: bool) -> Result<u64, HubError> {
        self.change(|state, after| {
            let limit = state.settings.max_subscribers;
            if state.end.is_none() && state.open >= limit {
                return Err(HubError::TooManySubscribers { limit });
            }
            let id = state.next_id;
            state.next_id += 1;
            let mut segments = Segments::new();
            for segment in &state.history.queue {
                segments.push(segment.clone());
            }
            segments.keep_last(state.settings.capacity, &mut after.spent);
            let full = !lossy && state.end.is_none() && segments.records >= state.settings.capacity;
            let mailbox = Mailbox {
                segments,
                held: 0,
                lossy,
                full,
                stuck_since: None,
                waker: None,
                end: state.end,
            };
            state.mailboxes.insert(id, mailbox);
            if state.end.is_none() {
                state.open += 1;
                state.full += usize::from(full);
                // As many as there may be are all there will be.
                state.begun |= state.open >= state.settings.wait_for.min(limit);
                after.wakers.append(&mut state.waiting);
            }
            Ok(id)
        })
    }

    /// Nothing more is put into the mailbox; what is there can still be taken.
    pub(super) fn close(&self, id: u64) {
        self.change(|state, after| {
            state.finish(id, End::Complete, after);
            after.wakers.append(&mut state.waiting);
        });
    }

    pub(super) fn unsubscribe(&self, id: u64) {
        let gone = self.change(|state, after| {
            state.finish(id, End::Complete, after);
            after.wakers.append(&mut state.waiting);
            state.mailboxes.remove(&id)
        });
        // Outside of the mutex: dropping a record is the user's code.
        drop(gone);
    }

    /// Takes at most so many records. With `hold` they count until they are [let
    /// go](Shared::release).
    pub(super) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        id: u64,
        most: usize,
        hold: bool,
    ) -> Poll<Taken<T>> {
        self.change(|state, after| {
            let Some(mailbox) = state.mailboxes.get_mut(&id) else {
                return Poll::Ready(Err(End::Complete));
            };
            if mailbox.segments.records == 0 {
                return match mailbox.end {
                    Some(end) => Poll::Ready(Err(end)),
                    None => {
                        mailbox.waker = Some(cx.waker().clone());
                        Poll::Pending
                    }
                };
            }
            let before = mailbox.segments.records;
            let taken = mailbox.segments.take(most.max(1));
            if hold && !mailbox.lossy {
                mailbox.held += before - mailbox.segments.records;
            }
            state.relieve(id, after);
            Poll::Ready(Ok(taken))
        })
    }

    pub(super) fn release(&self, id: u64, records: usize) {
        self.change(|state, after| {
            if let Some(mailbox) = state.mailboxes.get_mut(&id) {
                mailbox.held = mailbox.held.saturating_sub(records);
            }
            state.relieve(id, after);
        });
    }

    pub(super) fn add_publisher(&self) -> Result<(), HubError> {
        let mut state = self.lock();
        match state.end {
            Some(End::Failed(error)) => Err(error),
            Some(End::Complete) => Err(HubError::Closed),
            None => {
                state.publishers += 1;
                Ok(())
            }
        }
    }

    /// A publisher has gone: at the end of its input, or not.
    pub(super) fn remove_publisher(&self, complete: bool) {
        self.change(|state, after| {
            state.publishers -= 1;
            match (state.end, complete) {
                (None, false) => {
                    state.finish_all(End::Failed(HubError::PublisherFailed), after);
                }
                (None, true) if state.publishers == 0 => state.finish_all(End::Complete, after),
                _ => {}
            }
        });
    }

    /// Nobody can become a publisher any more.
    pub(super) fn abandon(&self) {
        self.change(|state, after| {
            if state.end.is_none() && state.publishers == 0 {
                state.finish_all(End::Failed(HubError::Abandoned), after);
            }
        });
    }

    pub(super) fn publish(
        &self,
        cx: &mut Context<'_>,
        records: &mut Vec<Record<T>>,
        now: Instant,
    ) -> Published {
        self.change(|state, after| {
            if let Some(End::Failed(error)) = state.end {
                return Published::Over(error);
            }
            state.evict(now, after);
            let room = state.room().min(records.len());
            if room == 0 {
                let deadline = state.note_stuck(now);
                if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.waiting.push(cx.waker().clone());
                }
                return Published::Wait(deadline);
            }
            let now = if room == records.len() {
                std::mem::take(records)
            } else {
                records.drain(..room).collect()
            };
            let segment = Segment { from: 0, to: now.len(), records: Arc::new(now) };
            state.deliver(&segment, after);
            Published::Some
        })
    }
}
