//! Where questions about the state of one instance are put, and answered between two records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use millstream_engine::runtime::JobLink;
use tokio::sync::{Semaphore, oneshot};

use super::{ReadableKeys, ViewError};

/// The most questions that wait at an instance. Whoever has another one waits for his turn.
const ROOM: usize = 16;

/// What the operator keeps, as a question sees it.
pub(super) type Kept<K, V> = dyn ReadableKeys<Key = K, Value = V>;

type Question<K, V> = Box<dyn FnOnce(&Kept<K, V>) + Send>;

/// The counter of one instance in one run: those who ask stand before it, the operator behind.
pub(super) struct Counter<K, V> {
    /// Whether there are questions: all that a record has to look at.
    asked: AtomicBool,
    /// A place for each question.
    room: Semaphore,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    questions: Vec<Question<K, V>>,
    /// Of the operator's stage, once that has come to rest.
    waker: Option<Waker>,
    closed: Option<ViewError>,
}

impl<K: 'static, V: 'static> Counter<K, V> {
    pub(super) const fn new() -> Self {
        let inner = Inner { questions: Vec::new(), waker: None, closed: None };
        let (asked, room) = (AtomicBool::new(false), Semaphore::const_new(ROOM));
        Self { asked, room, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why there are no answers any more.
    fn why(&self) -> ViewError {
        self.inner().closed.unwrap_or(ViewError::Aborted)
    }

    /// Asks, and waits for the answer. Who gives that up takes nobody's place.
    pub(super) async fn ask<A: Send + 'static>(
        self: Arc<Self>,
        question: impl FnOnce(&Kept<K, V>) -> A + Send + 'static,
    ) -> Result<A, ViewError> {
        let (tell, told) = oneshot::channel();
        let question = move |kept: &Kept<K, V>| {
            if !tell.is_closed() {
                // Nor is it a mistake to go away while the answer is being made.
                drop(tell.send(question(kept)));
            }
        };
        self.room.acquire().await.map_err(|_| self.why())?.forget();
        self.put(Box::new(question))?;
        told.await.map_err(|_| self.why())
    }

    fn put(&self, question: Question<K, V>) -> Result<(), ViewError> {
        let mut inner = self.inner();
        if let Some(why) = inner.closed {
            return Err(why);
        }
        inner.questions.push(question);
        self.asked.store(true, Ordering::Relaxed);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Whether somebody has asked something.
    #[inline]
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Answers what has been asked, and no more than there is room for at once. Given the context
    /// of a stage that comes to rest, has it woken by the next question.
    pub(super) fn answer(&self, kept: &Kept<K, V>, cx: Option<&Context<'_>>) {
        let mut inner = self.inner();
        if let Some(cx) = cx {
            match &mut inner.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        self.asked.store(false, Ordering::Relaxed);
        let questions = std::mem::take(&mut inner.questions);
        drop(inner);
        let answered = questions.len();
        questions.into_iter().for_each(|question| question(kept));
        self.room.add_permits(answered);
    }

    /// Turns away everybody who has asked, or is about to. The first reason counts.
    pub(super) fn close(&self, why: ViewError) {
        let mut inner = self.inner();
        inner.closed.get_or_insert(why);
        let unanswered = std::mem::take(&mut inner.questions);
        drop(inner);
        self.room.close();
        drop(unanswered);
    }
}

/// The counters of the newest run, one an instance.
pub(super) struct Counters<K, V>(Mutex<Option<Newest<K, V>>>);

struct Newest<K, V> {
    job: JobLink,
    counters: Vec<Option<Arc<Counter<K, V>>>>,
}

impl<K, V> Counters<K, V> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn newest(&self) -> MutexGuard<'_, Option<Newest<K, V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an instance. The first of a run takes the place of every earlier run.
    pub(super) fn open(
        &self,
        job: &JobLink,
        instance: usize,
        instances: usize,
        counter: &Arc<Counter<K, V>>,
    ) {
        let mut newest = self.newest();
        if newest.as_ref().is_none_or(|newest| !newest.job.is_same_run(job)) {
            *newest = Some(Newest { job: job.clone(), counters: vec![None; instances] });
        }
        let newest = newest.as_mut();
        if let Some(place) = newest.and_then(|newest| newest.counters.get_mut(instance)) {
            *place = Some(Arc::clone(counter));
        }
    }

    /// Those of all instances.
    pub(super) fn all(&self) -> Result<Vec<Arc<Counter<K, V>>>, ViewError> {
        let newest = self.newest();
        let newest = newest.as_ref().ok_or(ViewError::NotRunning)?;
        newest.counters.iter().map(|counter| counter.clone().ok_or(ViewError::NotRunning)).collect()
    }
}
