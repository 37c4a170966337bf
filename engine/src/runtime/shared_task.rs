//! Stages that share a task: what one hands to the next is still at hand there, and nobody has to
//! be woken for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::shell::POLL_MAX;
use super::times::Times;
use crate::metrics::{StageCounters, UNCOUNTED};
use crate::sync::{Mutex, lock};
use crate::time::{Clock, Instant};

/// How often one poll goes round at most, for a clock that stands still.
const ROUNDS_MAX: usize = 256;
/// How long a stage has to have worked before it is judged.
const TRIAL: Duration = Duration::from_micros(200);
/// What each poll of it may take on top, however few its records are: to wake another worker for
/// them takes as long.
const WAKE: Duration = Duration::from_micros(1);
/// How many trials in a row it has to fail: a single one may have been somebody else's doing.
const TRIALS: u32 = 4;

/// A stage that runs.
pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One of the stages of a shared task.
pub(super) struct Sharer {
    pub(super) stage: Running,
    pub(super) counters: Arc<StageCounters>,
    /// As the stage has them, too.
    pub(super) times: Arc<Times>,
}

/// One task for several stages, each woken and polled for itself.
///
/// All but the first are guests. A guest whose records turn out to be slow moves into a task of its
/// own, so that it works beside the others: what is shared is the cost of handing over, and that
/// is a matter of cheap stages only. Nobody moves back.
pub(super) struct SharedTask {
    stages: Vec<Member>,
    woken: Arc<Woken>,
    clock: Clock,
}

struct Member {
    stage: Option<Running>,
    waker: Waker,
    counters: Arc<StageCounters>,
    times: Arc<Times>,
    /// The task of its own, which waits for it.
    home: Option<oneshot::Sender<Running>>,
    trial: Trial,
}

impl SharedTask {
    /// Spawns a task for all of `sharers`, and one for each guest to move into when a record costs
    /// more in it than is `cheap`.
    pub(super) fn spawn(
        stages: &mut JoinSet<()>,
        sharers: Vec<Sharer>,
        cheap: Duration,
        clock: Clock,
    ) {
        let woken = Arc::new(Woken::all(sharers.len()));
        let mut members = Vec::new();
        for (index, sharer) in sharers.into_iter().enumerate() {
            let Sharer { stage, counters, times } = sharer;
            let knock = Arc::new(Knock::of(&woken, 1 << index));
            let home = (index > 0).then(|| {
                let (home, guest) = oneshot::channel();
                super::spawn::spawn(stages, await_guest(guest, Arc::clone(&knock)));
                home
            });
            let (waker, trial) = (Waker::from(knock), Trial::new(cheap));
            members.push(Member { stage: Some(stage), waker, counters, times, home, trial });
        }
        super::spawn::spawn(stages, Self { stages: members, woken, clock });
    }
}

/// Runs the guest that moves in, or ends when it has ended elsewhere.
async fn await_guest(guest: oneshot::Receiver<Running>, knock: Arc<Knock>) {
    let Ok(mut stage) = guest.await else {
        return;
    };
    std::future::poll_fn(|cx| {
        knock.move_to(cx.waker());
        stage.as_mut().poll(cx)
    })
    .await;
}

impl Future for SharedTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stages, woken, clock } = self.get_mut();
        woken.begin(cx);
        let started = clock.now();
        let mut now = started;
        for round in 0..ROUNDS_MAX {
            // Guests go first: the last poll may have left records for them, and the first stage
            // could use up the task's budget for sockets and channels once more.
            for (index, member) in stages.iter_mut().enumerate().skip(usize::from(round == 0)) {
                if woken.take(1 << index) {
                    now = member.poll(clock, now);
                }
            }
            if stages.iter().all(|member| member.stage.is_none()) {
                return Poll::Ready(());
            }
            if woken.rest() {
                return Poll::Pending;
            }
            if now.saturating_since(started) >= POLL_MAX {
                break;
            }
        }
        super::spawn::yield_now(cx);
        Poll::Pending
    }
}

impl Member {
    /// Polls the stage, if it is still here. Tells when it was through.
    fn poll(&mut self, clock: &Clock, before: Instant) -> Instant {
        let Some(stage) = &mut self.stage else {
            return before;
        };
        self.times.give(before);
        if stage.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            (self.stage, self.home) = (None, None);
            return clock.now();
        }
        let after = self.times.take().unwrap_or_else(|| clock.now());
        let spent = after.saturating_since(before);
        let judged = self.home.is_some() && !UNCOUNTED;
        if judged && self.trial.fails(spent, self.counters.records_in.get()) {
            self.move_out();
        }
        after
    }

    #[cold]
    fn move_out(&mut self) {
        if let (Some(home), Some(stage)) = (self.home.take(), self.stage.take()) {
            tracing::debug!("a stage that is slow has a task of its own from here on");
            // Where nobody waits for it, the job is being stopped.
            self.stage = home.send(stage).err();
        }
    }
}

/// What is known of the cost of a guest.
#[derive(Debug)]
struct Trial {
    /// What a record may cost.
    cheap: Duration,
    polls: u32,
    spent: Duration,
    /// How many records it had taken when the trial began.
    begun_at: u64,
    failed: u32,
}

impl Trial {
    const fn new(cheap: Duration) -> Self {
        Self { cheap, polls: 0, spent: Duration::ZERO, begun_at: 0, failed: 0 }
    }

    /// After a poll: whether the guest has been slow for long enough, given how long that took and
    /// how many records it has taken since its beginning.
    fn fails(&mut self, spent: Duration, records: u64) -> bool {
        self.polls = self.polls.saturating_add(1);
        self.spent += spent;
        if self.spent < TRIAL {
            return false;
        }
        let taken = u32::try_from(records.saturating_sub(self.begun_at)).unwrap_or(u32::MAX);
        let spent = self.spent.saturating_sub(WAKE.saturating_mul(self.polls));
        let slow = spent > self.cheap.saturating_mul(taken);
        let failed = if slow { self.failed + 1 } else { 0 };
        *self = Self { begun_at: records, failed, ..Self::new(self.cheap) };
        failed >= TRIALS
    }
}

/// Which of the stages have been woken, one bit for each.
struct Woken {
    bits: AtomicU64,
    task: Mutex<Option<Waker>>,
}

/// Set while the task is running, or about to: it will look, and need not be woken.
const RUNNING: u64 = 1 << 63;

impl Woken {
    /// All of them, as at the beginning.
    fn all(stages: usize) -> Self {
        let bits = (0..stages).fold(RUNNING, |bits, index| bits | 1 << index);
        Self { bits: AtomicU64::new(bits), task: Mutex::new(None) }
    }

    fn begin(&self, cx: &Context<'_>) {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        self.bits.fetch_or(RUNNING, AcqRel);
    }

    fn wake(&self, bit: u64) {
        if self.bits.fetch_or(bit, AcqRel) == 0 {
            let waker = lock(&self.task).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether a stage has been woken since the last time.
    fn take(&self, bit: u64) -> bool {
        self.bits.load(Acquire) & bit != 0 && self.bits.fetch_and(!bit, AcqRel) & bit != 0
    }

    /// Lets the task wait to be woken, unless somebody has been in the meantime.
    fn rest(&self) -> bool {
        self.bits.compare_exchange(RUNNING, 0, AcqRel, Acquire).is_ok()
    }
}

/// The waker of one stage.
struct Knock {
    woken: Arc<Woken>,
    bit: u64,
    /// That of the task it has moved into: whoever was to wake it there still finds it.
    moved: OnceLock<Waker>,
}

impl Knock {
    fn of(woken: &Arc<Woken>, bit: u64) -> Self {
        Self { woken: Arc::clone(woken), bit, moved: OnceLock::new() }
    }

    fn move_to(&self, task: &Waker) {
        self.moved.get_or_init(|| task.clone());
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.moved.get() {
            Some(task) => task.wake_by_ref(),
            None => self.woken.wake(self.bit),
        }
    }
}

impl fmt::Debug for SharedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTask").field("stages", &self.stages.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicU64);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, AcqRel);
        }
    }

    impl Task {
        fn woken(&self) -> u64 {
            self.0.swap(0, AcqRel)
        }
    }

    #[test]
    fn a_task_at_rest_is_woken_once_and_one_that_runs_is_not() {
        let task = Arc::<Task>::default();
        let woken = Arc::new(Woken::all(2));
        let stages = [1, 2].map(|bit| Waker::from(Arc::new(Knock::of(&woken, bit))));
        let waker = Waker::from(Arc::clone(&task));
        woken.begin(&Context::from_waker(&waker));
        assert!(woken.take(1) && woken.take(2), "all are polled at first");

        stages[1].wake_by_ref();
        assert_eq!(task.woken(), 0);
        assert!(!woken.rest(), "one of them has been woken");
        assert!(!woken.take(1) && woken.take(2));
        assert!(woken.rest());

        stages[0].wake_by_ref();
        stages[1].wake_by_ref();
        assert_eq!(task.woken(), 1);
        woken.begin(&Context::from_waker(&waker));
        assert!(woken.take(1) && woken.take(2));
    }

    #[test]
    fn who_has_moved_is_woken_where_it_is() {
        let (shared, own) = (Arc::<Task>::default(), Arc::<Task>::default());
        let woken = Arc::new(Woken::all(1));
        let knock = Arc::new(Knock::of(&woken, 1));
        let waker = Waker::from(Arc::clone(&shared));
        woken.begin(&Context::from_waker(&waker));
        assert!(woken.take(1) && woken.rest());
        knock.move_to(&Waker::from(Arc::clone(&own)));
        Waker::from(knock).wake();
        assert_eq!((shared.woken(), own.woken()), (0, 1));
    }

    #[test]
    fn only_a_guest_that_is_slow_again_and_again_fails_its_trial() {
        let cheap = Duration::from_nanos(5);
        let (mut trial, mut records) = (Trial::new(cheap), 0);
        let mut poll = |spent: Duration, taken: u64| {
            records += taken;
            trial.fails(spent, records)
        };
        for _ in 0..100 {
            assert!(!poll(TRIAL / 2, 0), "it has not worked for long enough, or was quick before");
            assert!(!poll(TRIAL / 2, 100_000));
        }
        for _ in 1..TRIALS {
            assert!(!poll(TRIAL, 1));
        }
        assert!(!poll(TRIAL, 100_000), "something else had held it up");
        for _ in 1..TRIALS {
            assert!(!poll(TRIAL, 1));
        }
        assert!(poll(TRIAL, 1));
    }

    #[test]
    fn a_poll_shorter_than_a_wake_is_cheap_however_few_its_records_are() {
        let mut trial = Trial::new(Duration::from_nanos(5));
        for records in 0..100_000 {
            // Now and then somebody else runs in its stead.
            let spent = if records % 5_000 == 0 { WAKE * 5_000 } else { WAKE * 9 / 10 };
            assert!(!trial.fails(spent, records));
        }
        assert!((0..10_000).any(|records| trial.fails(WAKE * 2, 100_000 + records)));
    }
}
