//! `lookup_async`: each record with what a service knows of its key, many keys a call.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use millstream_engine::batch::Batch;
use millstream_engine::chain::Chain;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::time::{Clock, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::lookup::{Answers, Lookup, Place};
use super::slots::Slots;
use super::taken::Taken;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Looks each record up by its key, and emits it with the answer, or with `None` where there is
    /// none. What is waiting is grouped: a call is made for as many different keys as have come by
    /// then, and `lookup` says how many that may be, how many calls may be in flight and what is
    /// remembered. A key that is being asked for is not asked for twice.
    ///
    /// `ask` gets the keys of a call, no two alike, and gives what it found of them in any order.
    /// An error fails the job.
    ///
    /// The order of the input and its event times stay. Backpressures when as many records wait as
    /// fit into all calls; ends when its input has and every answer is out. Calls move on whether
    /// or not the output is taken, and are dropped when it is cancelled.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// async fn names(ids: Vec<u32>) -> Result<Vec<(u32, &'static str)>, std::io::Error> {
    ///     Ok(ids.into_iter().filter(|id| *id == 1).map(|id| (id, "ann")).collect())
    /// }
    ///
    /// let flow = Dataflow::new("names");
    /// let ids = flow.source("ids", source::from_iter([1, 2, 1]));
    /// let named = ids.lookup_async(Lookup::default(), |id| *id, names).collect();
    /// let expected = vec![(1, Some("ann")), (2, None), (1, Some("ann"))];
    /// assert_eq!(flow.run().await?.take(named), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lookup_async<K, V, A, E, R, F>(
        self,
        lookup: Lookup,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        ask: F,
    ) -> DataStream<(T, Option<V>)>
    where
        K: Ord + Clone + Send + 'static,
        V: Clone + Send + Sync + 'static,
        A: IntoIterator<Item = (K, V)> + 'static,
        E: Into<OperatorError> + 'static,
        R: Future<Output = Result<A, E>> + Send + 'static,
        F: FnMut(Vec<K>) -> R + Clone + Send + 'static,
    {
        let instances = self.parallelism();
        let buffer = lookup.records_max().saturating_mul(2);
        let lookups = Lookups { lookup, key: Arc::new(key), ask };
        self.through("lookup_async", instances, buffer, lookups)
    }
}

struct Lookups<T, K, F> {
    lookup: Lookup,
    key: Arc<dyn Fn(&T) -> K + Send + Sync>,
    ask: F,
}

impl<T, K, V, A, E, R, F> HeadFactory<T> for Lookups<T, K, F>
where
    T: Send + 'static,
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    A: IntoIterator<Item = (K, V)> + 'static,
    E: Into<OperatorError> + 'static,
    R: Future<Output = Result<A, E>> + Send + 'static,
    F: FnMut(Vec<K>) -> R + Clone + Send + 'static,
{
    type Out = (T, Option<V>);
    type Head = Box<dyn Head<(T, Option<V>)>>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Self::Head, Error> {
        Ok(Box::new(LookupHead {
            batch_limit: input.batch_limit(),
            taken: Taken::new(input),
            answers: Answers::new(self.lookup),
            slots: Slots::new(),
            calls: 0,
            lookup: self.lookup,
            key: Arc::clone(&self.key),
            ask: self.ask.clone(),
            asked: Vec::new(),
            waiting: VecDeque::new(),
            records: 0,
            operator: context.name(),
            clock: context.clock(),
        }))
    }
}

/// What waits to leave, in order.
enum Waiting<T, V> {
    Record(Record<T>, Place<V>),
    Watermark(Timestamp),
}

struct LookupHead<T, K, V, R, F> {
    taken: Taken<T>,
    answers: Answers<K, V>,
    slots: Slots<R, Vec<K>>,
    /// In flight.
    calls: usize,
    lookup: Lookup,
    key: Arc<dyn Fn(&T) -> K + Send + Sync>,
    ask: F,
    /// The keys that the next call will be about.
    asked: Vec<K>,
    waiting: VecDeque<Waiting<T, V>>,
    /// Of those waiting, the records.
    records: usize,
    batch_limit: usize,
    operator: Arc<str>,
    clock: Clock,
}

impl<T, K, V, A, E, R, F> LookupHead<T, K, V, R, F>
where
    T: Send,
    K: Ord + Clone,
    V: Clone,
    A: IntoIterator<Item = (K, V)>,
    E: Into<OperatorError>,
    R: Future<Output = Result<A, E>>,
    F: FnMut(Vec<K>) -> R,
{
    /// Takes what has been answered.
    fn answer(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut ready = Vec::new();
        let any = self.slots.poll_woken(cx, |keys, result| ready.push((keys, result)));
        self.calls -= ready.len();
        for (keys, result) in ready {
            self.fill(keys, result)?;
        }
        Ok(any)
    }

    fn fill(&mut self, keys: Vec<K>, result: Result<A, E>) -> Result<(), Error> {
        let found = result.map_err(|error| Error::operator(&self.operator, error.into()))?;
        let mut found: BTreeMap<K, V> = found.into_iter().collect();
        let now = self.clock.now();
        for key in keys {
            let answer = found.remove(&key);
            self.answers.fill(key, answer, now);
        }
        Ok(())
    }

    /// Admits records, as long as there are some and the answers for more may wait.
    fn admit(&mut self) {
        let now = self.clock.now();
        loop {
            if let Some(watermark) = self.taken.mark() {
                match self.waiting.back_mut() {
                    Some(Waiting::Watermark(last)) => *last = watermark.max(*last),
                    _ => self.waiting.push_back(Waiting::Watermark(watermark)),
                }
                continue;
            }
            if self.records >= self.lookup.records_max()
                || self.asked.len() >= self.lookup.keys_per_call
            {
                return;
            }
            let Some(record) = self.taken.record() else {
                return;
            };
            let key = (self.key)(&record.value);
            let (place, ask) = self.answers.place(&key, now);
            if ask {
                self.asked.push(key);
            }
            self.records += 1;
            self.waiting.push_back(Waiting::Record(record, place));
        }
    }

    /// Makes a call about what has been gathered, if another one may be in flight.
    fn call(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.asked.is_empty() || self.calls >= self.lookup.calls {
            return Ok(false);
        }
        let keys = std::mem::take(&mut self.asked);
        self.calls += 1;
        let call = (self.ask)(keys.clone());
        if let Some((keys, result)) = self.slots.start(cx, call, keys) {
            self.calls -= 1;
            self.fill(keys, result)?;
        }
        Ok(true)
    }

    fn emit(&mut self, batch: &mut Batch<(T, Option<V>)>) -> bool {
        let mut any = false;
        while batch.records.len() < self.batch_limit {
            match self.waiting.pop_front() {
                Some(Waiting::Watermark(watermark)) => batch.mark(watermark),
                Some(Waiting::Record(record, place)) => {
                    let Some(answer) = place.get() else {
                        self.waiting.push_front(Waiting::Record(record, place));
                        break;
                    };
                    self.records -= 1;
                    let answer = answer.clone();
                    batch.records.push(record.with(|value| (value, answer)));
                }
                None => break,
            }
            any = true;
        }
        any
    }
}

impl<T, K, V, A, E, R, F> Head<(T, Option<V>)> for LookupHead<T, K, V, R, F>
where
    T: Send,
    K: Ord + Clone + Send,
    V: Clone + Send + Sync,
    A: IntoIterator<Item = (K, V)>,
    E: Into<OperatorError>,
    R: Future<Output = Result<A, E>> + Send,
    F: FnMut(Vec<K>) -> R + Send,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<(T, Option<V>)>, Error>> {
        let mut batch = Batch::new();
        loop {
            let mut moved = self.answer(cx)?;
            self.admit();
            // What is ready is gathered before it is asked for.
            let more = self.asked.len() < self.lookup.keys_per_call;
            if more && self.taken.read(cx, self.waiting.is_empty().then_some(&mut batch))? {
                if batch.barrier.is_some() || batch.end {
                    break;
                }
                continue;
            }
            moved |= self.call(cx)?;
            moved |= self.emit(&mut batch);
            if !moved || batch.records.len() >= self.batch_limit {
                break;
            }
        }
        self.taken.hand_over(batch).map(Ok)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            let answered = self.answer(cx)?;
            self.admit();
            let more = self.asked.len() < self.lookup.keys_per_call;
            if more && self.taken.read(cx, None::<&mut Batch<T>>)? {
                continue;
            }
            if !self.call(cx)? && !answered {
                return Ok(());
            }
        }
    }

    fn in_flight(&self) -> bool {
        self.calls > 0
    }

    fn recycle(&mut self, _records: Vec<Record<(T, Option<V>)>>) {}

    fn finish(&mut self) {
        self.slots.clear();
        self.waiting.clear();
        self.taken.finish();
    }
}
