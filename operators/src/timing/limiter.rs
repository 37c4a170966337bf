//! `RateLimiter`: one allowance for everybody who holds it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_engine::time::{Clock, Instant, Sleep};

use super::rate::{Gcra, Rate};

/// One rate, shared by all clones: by operators ([`limited_by`](crate::DataStream::limited_by)),
/// their instances, several dataflows, and closures that [`acquire`](RateLimiter::acquire).
///
/// **Fair**, in the order of asking: who asks first is served first, whatever the others ask for,
/// and nobody passes a request that waits. An operator asks for one record at a time, so that
/// several busy ones take turns, a record each.
///
/// The rate can be [changed](RateLimiter::set_rate) at any time, also for those who wait. A unit
/// counts when it is granted. The limiter has a clock of its own, the machine's unless
/// [`with_clock`](RateLimiter::with_clock) says otherwise, because it outlives jobs.
///
/// It is the generic cell rate algorithm behind a queue. The crate `governor` has the algorithm,
/// but no queue and so no order, no way to change the quota, and waits only on timers of its own,
/// which no virtual clock moves.
///
/// ```
/// use millstream_operators::{prelude::*, timing::{Rate, RateLimiter}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let limiter = RateLimiter::new("api", Rate::per_second(1000));
/// let flow = Dataflow::new("two callers");
/// let left = flow.source("left", source::from_iter(0..5)).limited_by(&limiter).count();
/// let right = flow.source("right", source::from_iter(0..5)).limited_by(&limiter).count();
/// limiter.acquire(1).await;
/// let report = flow.run().await?;
/// assert_eq!((report.take(left), report.take(right)), (Some(5), Some(5)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    bucket: Gcra,
    rate: Rate,
    /// Those who wait, one entry for each [`Acquire`] that has been polled.
    waiting: VecDeque<Waiter>,
    next_id: u64,
}

struct Waiter {
    id: u64,
    cost: u32,
    asked: Instant,
    waker: Waker,
}

impl RateLimiter {
    /// A limiter on the machine's clock.
    #[must_use]
    pub fn new(name: &str, rate: Rate) -> Self {
        Self::with_clock(name, rate, Clock::system())
    }

    /// A limiter on another clock: in tests, on that of the jobs.
    #[must_use]
    pub fn with_clock(name: &str, rate: Rate, clock: Clock) -> Self {
        let bucket = Gcra::new(rate);
        let state = State { bucket, rate, waiting: VecDeque::new(), next_id: 0 };
        Self(Arc::new(Shared { name: Arc::from(name), clock, state: Mutex::new(state) }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The rate as it is now.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.state().rate
    }

    /// How many requests are waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Changes the rate from now on. Those who wait are served by the new one, and what has been
    /// used of the allowance stays used.
    pub fn set_rate(&self, rate: Rate) {
        let now = self.0.clock.now();
        let mut state = self.state();
        state.bucket.change(now, rate);
        state.rate = rate;
        wake_first(state);
    }

    /// Takes `units` if they may be taken at once and nobody is waiting.
    #[must_use = "the units may have been refused"]
    pub fn try_acquire(&self, units: u32) -> bool {
        let now = self.0.clock.now();
        let mut state = self.state();
        state.waiting.is_empty() && state.bucket.try_take(now, units).is_ok()
    }

    /// Waits until `units` may be taken, and takes them: more than a burst, too, which take as long
    /// as the rate needs for them.
    ///
    /// It takes its place in the queue when it is first polled, and loses it, and nothing else, by
    /// being dropped. One that is neither polled nor dropped when its turn comes holds up those
    /// behind it.
    pub fn acquire(&self, units: u32) -> Acquire {
        Acquire { limiter: self.clone(), cost: units, place: None, timer: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("RateLimiter")
            .field("name", &self.0.name)
            .field("rate", &state.rate)
            .field("waiting", &state.waiting.len())
            .finish_non_exhaustive()
    }
}

/// Has whoever is first look again, once the lock is free.
fn wake_first(state: MutexGuard<'_, State>) {
    let first = state.waiting.front().map(|waiter| waiter.waker.clone());
    drop(state);
    if let Some(waker) = first {
        waker.wake();
    }
}

/// The wait of [`RateLimiter::acquire`].
#[must_use = "futures do nothing unless polled"]
pub struct Acquire {
    limiter: RateLimiter,
    cost: u32,
    /// Its id in the queue.
    place: Option<u64>,
    timer: Option<(Instant, Sleep)>,
}

impl Acquire {
    /// Takes the units, or tells when to look again: `None` if that is for those before to say.
    fn turn(&mut self, cx: &Context<'_>) -> Result<(), Option<Instant>> {
        let now = self.limiter.0.clock.now();
        let mut state = self.limiter.state();
        let Some(id) = self.place else {
            if state.waiting.is_empty() && state.bucket.try_take(now, self.cost).is_ok() {
                return Ok(());
            }
            let id = state.next_id;
            state.next_id += 1;
            let asked = state.bucket.asked(now);
            let due = state.bucket.due(asked, self.cost);
            let first = state.waiting.is_empty();
            let waker = cx.waker().clone();
            state.waiting.push_back(Waiter { id, cost: self.cost, asked, waker });
            self.place = Some(id);
            return Err(first.then_some(due));
        };
        match state.waiting.front() {
            Some(first) if first.id == id => {
                let (asked, cost) = (first.asked, first.cost);
                let due = state.bucket.due(asked, cost);
                if due <= now {
                    state.bucket.take(asked, cost);
                    state.bucket.went(now, due);
                    state.waiting.pop_front();
                    self.place = None;
                    wake_first(state);
                    return Ok(());
                }
                if let Some(first) = state.waiting.front_mut() {
                    first.waker.clone_from(cx.waker());
                }
                Err(Some(due))
            }
            _ => {
                let own = state.waiting.iter_mut().find(|waiter| waiter.id == id);
                if let Some(own) = own {
                    own.waker.clone_from(cx.waker());
                }
                Err(None)
            }
        }
    }
}

impl Future for Acquire {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = match self.turn(cx) {
                Ok(()) => return Poll::Ready(()),
                Err(None) => return Poll::Pending,
                Err(Some(due)) => due,
            };
            let timer = match self.timer.take() {
                Some(timer) if timer.0 == due => timer,
                _ => (due, self.limiter.0.clock.sleep_until(due)),
            };
            let (_, sleep) = self.timer.insert(timer);
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(id) = self.place else {
            return;
        };
        let mut state = self.limiter.state();
        let was_first = state.waiting.front().is_some_and(|first| first.id == id);
        state.waiting.retain(|waiter| waiter.id != id);
        if was_first {
            wake_first(state);
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("units", &self.cost).finish_non_exhaustive()
    }
}
