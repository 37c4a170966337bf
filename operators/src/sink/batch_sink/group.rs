//! The running batch sink: it collects a group, and settles what becomes of each item.

use std::error::Error as StdError;
use std::sync::Arc;

use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::sink::{Committable, Sink, SinkContext, SinkStatus};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{OperatorError, Record};

use super::letters::LetterSlot;
use super::{BatchWriter, Batching, ItemResult, Written};
use crate::attempt::{AtLast, DeadLetter};

/// Items that are written together, each with its event time.
struct Group<T> {
    items: Vec<T>,
    times: Vec<Timestamp>,
}

impl<T> Group<T> {
    const fn new() -> Self {
        Self { items: Vec::new(), times: Vec::new() }
    }

    fn push(&mut self, item: T, time: Timestamp) {
        self.items.push(item);
        self.times.push(time);
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn split_off(&mut self, at: usize) -> Self {
        Self { items: self.items.split_off(at), times: self.times.split_off(at) }
    }

    fn into_items(self) -> impl Iterator<Item = (T, Timestamp)> {
        self.items.into_iter().zip(self.times)
    }
}

type SharedError = Arc<dyn StdError + Send + Sync>;

pub(super) struct BatchSink<T, W> {
    batching: Batching<T>,
    writer: W,
    letters: Arc<LetterSlot<T>>,
    group: Group<T>,
    bytes: usize,
    /// When the group has to be written at the latest.
    due: Option<Instant>,
    context: Option<SinkContext>,
}

/// The writer answered for another number of items than it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the writer was given {given} items, and answered for {answered}")]
struct AnswersMissing {
    given: usize,
    answered: usize,
}

impl<T: Send + Sync + 'static, W: BatchWriter<T>> BatchSink<T, W> {
    pub(super) const fn new(batching: Batching<T>, writer: W, letters: Arc<LetterSlot<T>>) -> Self {
        let group = Group::new();
        Self { batching, writer, letters, group, bytes: 0, due: None, context: None }
    }

    async fn add(&mut self, record: Record<T>) -> Result<(), OperatorError> {
        if let Some((limit, weight)) = &self.batching.bytes {
            let (limit, bytes) = (*limit, weight(&record.value));
            if self.bytes.saturating_add(bytes) > limit {
                self.write_group().await?;
            }
            self.bytes = self.bytes.saturating_add(bytes);
        }
        if self.group.len() == 0 {
            let now = self.context.as_ref().map(|context| context.clock.now());
            self.due = now.zip(self.batching.time).map(|(now, time)| now + time);
        }
        self.group.push(record.value, record.time);
        let full = self.batching.bytes.as_ref().is_some_and(|(limit, _)| self.bytes >= *limit);
        if full || self.group.len() >= self.batching.records {
            self.write_group().await?;
        }
        Ok(())
    }

    async fn write_group(&mut self) -> Result<(), OperatorError> {
        let group = std::mem::replace(&mut self.group, Group::new());
        self.bytes = 0;
        self.due = None;
        if group.len() == 0 { Ok(()) } else { self.settle(group).await }
    }

    /// Writes a group, and again what is left of it, until nothing is.
    async fn settle(&mut self, mut group: Group<T>) -> Result<(), OperatorError> {
        let mut attempt = 1;
        loop {
            match self.writer.write(&group.items).await {
                Ok(Written::All) => return Ok(()),
                Ok(Written::Each(results)) => {
                    let (again, errors) = self.settle_each(group, results, attempt).await?;
                    if again.len() == 0 {
                        return Ok(());
                    }
                    if !self.wait(attempt).await {
                        return self.give_up_each(again, errors, attempt).await;
                    }
                    group = again;
                }
                Err(error) => {
                    self.count(|counters| counters.errors.add(1));
                    if !self.is_worth_it(&error) || !self.wait(attempt).await {
                        return self.settle_whole(group, attempt, error).await;
                    }
                }
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Gives up what is rejected, and returns what is to be tried again, with the errors.
    async fn settle_each(
        &mut self,
        group: Group<T>,
        results: Vec<ItemResult>,
        attempt: u32,
    ) -> Result<(Group<T>, Vec<OperatorError>), OperatorError> {
        let (given, answered) = (group.len(), results.len());
        if given != answered {
            return Err(AnswersMissing { given, answered }.into());
        }
        let mut again = Group::new();
        let mut errors = Vec::new();
        for ((item, time), result) in group.into_items().zip(results) {
            match result {
                ItemResult::Stored => {}
                ItemResult::Reject(error) => {
                    self.count(|counters| counters.errors.add(1));
                    self.give_up(item, time, attempt, error).await?;
                }
                ItemResult::Retry(error) => {
                    self.count(|counters| counters.errors.add(1));
                    if self.is_worth_it(&error) {
                        again.push(item, time);
                        errors.push(error);
                    } else {
                        self.give_up(item, time, attempt, error).await?;
                    }
                }
            }
        }
        Ok((again, errors))
    }

    async fn give_up_each(
        &mut self,
        group: Group<T>,
        errors: Vec<OperatorError>,
        attempts: u32,
    ) -> Result<(), OperatorError> {
        for ((item, time), error) in group.into_items().zip(errors) {
            self.give_up(item, time, attempts, error).await?;
        }
        Ok(())
    }

    /// What becomes of a group that has failed as a whole, for the last time.
    async fn settle_whole(
        &mut self,
        group: Group<T>,
        attempt: u32,
        error: OperatorError,
    ) -> Result<(), OperatorError> {
        if matches!(self.batching.on_error.at_last, AtLast::Fail) {
            return Err(error);
        }
        let mut failed = vec![(group, attempt, SharedError::from(error.into_inner()))];
        // The first half is on top, so that the order stays.
        while let Some((mut group, attempt, error)) = failed.pop() {
            if group.len() == 1 || !self.batching.bisect {
                for (item, time) in group.into_items() {
                    self.give_up_shared(item, time, attempt, &error).await;
                }
                continue;
            }
            let behind = group.split_off(group.len() / 2);
            let attempt = attempt.saturating_add(1);
            let mut halves = Vec::new();
            for half in [group, behind] {
                self.count(|counters| counters.retries.add(1));
                match self.writer.write(&half.items).await {
                    Ok(Written::All) => {}
                    Ok(Written::Each(results)) => {
                        let (left, errors) = self.settle_each(half, results, attempt).await?;
                        self.give_up_each(left, errors, attempt).await?;
                    }
                    Err(error) => {
                        self.count(|counters| counters.errors.add(1));
                        halves.push((half, attempt, SharedError::from(error.into_inner())));
                    }
                }
            }
            failed.extend(halves.into_iter().rev());
        }
        Ok(())
    }

    /// Whether another attempt makes sense after an error, as far as the policy knows.
    fn is_worth_it(&self, error: &OperatorError) -> bool {
        self.batching.on_error.retry_if.as_ref().is_none_or(|predicate| predicate(error))
    }

    /// Waits before another attempt. `false` if there is none.
    async fn wait(&mut self, failed: u32) -> bool {
        let Some(context) = &mut self.context else {
            return false;
        };
        let backoff = self.batching.on_error.backoff;
        let delay = backoff.and_then(|backoff| backoff.delay(failed, &mut context.random));
        let Some(delay) = delay else {
            return false;
        };
        tracing::debug!(operator = %context.name, failed, ?delay, "trying again");
        context.clock.sleep(delay).await;
        context.counters.retries.add(1);
        true
    }

    async fn give_up(
        &mut self,
        item: T,
        time: Timestamp,
        attempts: u32,
        error: OperatorError,
    ) -> Result<(), OperatorError> {
        if matches!(self.batching.on_error.at_last, AtLast::Fail) {
            return Err(error);
        }
        self.give_up_shared(item, time, attempts, &SharedError::from(error.into_inner())).await;
        Ok(())
    }

    async fn give_up_shared(
        &mut self,
        item: T,
        time: Timestamp,
        attempts: u32,
        error: &SharedError,
    ) {
        let Some(context) = &self.context else {
            return;
        };
        let dead = matches!(self.batching.on_error.at_last, AtLast::DeadLetter(_));
        let reason = if dead { DropReason::DeadLetter } else { DropReason::Skipped };
        context.counters.dropped(reason, 1);
        let given_up = context.counters.drops().of(reason);
        // Every one is counted; a log that grows with their logarithm can't fill a disk.
        if given_up.is_power_of_two() {
            tracing::warn!(operator = %context.name, %error, given_up, "gave up an item");
        }
        if dead {
            let letter = DeadLetter {
                original: item,
                error: Arc::clone(error),
                attempts,
                operator: Arc::clone(&context.name),
                time: context.clock.timestamp(),
                event_time: time,
            };
            self.letters.put(letter).await;
        }
    }

    fn count(&self, count: impl FnOnce(&OperatorCounters)) {
        if let Some(context) = &self.context {
            count(&context.counters);
        }
    }
}

impl<T: Send + Sync + 'static, W: BatchWriter<T>> Sink for BatchSink<T, W> {
    type Item = T;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        self.writer.open(context).await
    }

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        for record in records.drain(..) {
            self.add(record).await?;
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        self.write_group().await
    }

    fn flush_due(&self) -> Option<Instant> {
        self.due
    }

    fn held(&self) -> usize {
        self.group.len()
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        self.write_group().await?;
        self.writer.close().await?;
        Ok(Committable::default())
    }
}
