//! The head behind the words that keep records on disk.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use millstream_engine::batch::Batch;
use millstream_engine::edge::Inputs;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::time::{Clock, Sleep, Timestamp};
use millstream_engine::{Error, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::disk_buffer::{DiskBuffer, Locked};
use super::disk_turn::{Done, Entry, Turn, open};
use crate::concurrent::taken::Taken;
use crate::file::{FileError, unwound};

/// How often, and how many times, one asks again for a lock. A call of a job that was aborted may
/// still hold it.
const LOCK_EVERY: Duration = Duration::from_millis(50);
const LOCK_TRIES: u32 = 20;

/// Makes the heads.
pub(super) struct DiskHeads {
    pub(super) buffer: DiskBuffer,
    /// The most records in memory before the disk is used.
    pub(super) memory: usize,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> HeadFactory<T> for DiskHeads {
    type Out = T;
    type Head = Box<dyn Head<T>>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Self::Head, Error> {
        Ok(Box::new(DiskHead {
            name: context.name(),
            clock: context.clock(),
            counters: context.counters(),
            place: Place {
                path: self.buffer.path.clone(),
                instance: context.instance(),
                instances: context.instances(),
            },
            buffer: self.buffer.clone(),
            batch_limit: input.batch_limit(),
            taken: Taken::new(input),
            work: JoinSet::new(),
            lock_tries: 0,
            idle: None,
            opened: false,
            memory: Queue::new(),
            memory_limit: self.memory,
            write: Queue::new(),
            writing: 0,
            out: None,
            out_to: 0,
            handed: 0,
            acked: 0,
            finished_at: None,
            unread: false,
            full: false,
            clean: false,
            unsaved: false,
            timer: None,
        }))
    }
}

/// Which instance's folder it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) instance: usize,
    pub(super) instances: usize,
}

/// Entries that wait, with the number of records among them.
struct Queue<T> {
    entries: VecDeque<Entry<T>>,
    records: usize,
}

impl<T> Queue<T> {
    const fn new() -> Self {
        Self { entries: VecDeque::new(), records: 0 }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, record: Record<T>) {
        self.entries.push_back(Entry::Record(record));
        self.records += 1;
    }

    /// Watermarks without a record between them are one, so that their number is bounded.
    fn mark(&mut self, watermark: Timestamp) {
        match self.entries.back_mut() {
            Some(Entry::Watermark(last)) => *last = watermark.max(*last),
            _ => self.entries.push_back(Entry::Watermark(watermark)),
        }
    }

    fn pop(&mut self) -> Option<Entry<T>> {
        let entry = self.entries.pop_front()?;
        self.records -= usize::from(matches!(entry, Entry::Record(_)));
        Some(entry)
    }

    /// Puts back what was taken away, before everything else.
    fn put_back(&mut self, mut entries: VecDeque<Entry<T>>) {
        let records = entries.iter().filter(|entry| matches!(entry, Entry::Record(_))).count();
        entries.append(&mut self.entries);
        self.entries = entries;
        self.records += records;
    }
}

/// The stage's end of the log. The log itself is either here, idle, or with the one call that is
/// under way.
struct DiskHead<T> {
    name: Arc<str>,
    clock: Clock,
    counters: Arc<OperatorCounters>,
    place: Place,
    buffer: DiskBuffer,
    batch_limit: usize,
    taken: Taken<T>,
    work: JoinSet<Result<Done<T>, FileError>>,
    lock_tries: u32,
    idle: Option<super::disk_turn::OpenLog>,
    /// The log has been opened.
    opened: bool,
    /// What comes before everything on disk.
    memory: Queue<T>,
    memory_limit: usize,
    /// What comes behind everything on disk.
    write: Queue<T>,
    /// How many records the call under way has been given to write. They may come back.
    writing: usize,
    /// What comes first of what was on disk, and the record behind it.
    out: Option<Batch<T>>,
    out_to: u64,
    /// Records before this one have been handed to the stage.
    handed: u64,
    /// Those before this one have been taken by it.
    acked: u64,
    /// How far had been acknowledged when the log was last told to finish.
    finished_at: Option<u64>,
    /// There is more on disk.
    unread: bool,
    /// The disk has no room until something is read for good.
    full: bool,
    /// Nothing is on disk, and the ledger says so.
    clean: bool,
    /// Something is not synced.
    unsaved: bool,
    /// When it is to be.
    timer: Option<Sleep>,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> DiskHead<T> {
    fn error(&self, error: FileError) -> Error {
        Error::operator(&self.name, error.into())
    }

    /// The stage asks for more, so it has taken what it had been given.
    fn confirm(&mut self) {
        if self.handed > self.acked {
            self.acked = self.handed;
            (self.full, self.unsaved) = (false, true);
        }
    }

    /// Takes over what a call has done. Tells whether one was done.
    fn settle(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Poll::Ready(Some(joined)) = self.work.poll_join_next(cx) else {
            return Ok(false);
        };
        let done = unwound(joined).map_err(|error| Error::operator(&self.name, error))?;
        match done {
            Ok(done) => self.take_over(done),
            Err(error) if !self.opened && is_locked(&error) && self.lock_tries < LOCK_TRIES => {
                self.lock_tries += 1;
                self.timer = Some(self.clock.sleep(LOCK_EVERY));
            }
            Err(error) => return Err(self.error(error)),
        }
        Ok(true)
    }

    fn take_over(&mut self, done: Done<T>) {
        let counters = &self.counters;
        let lost = done.losses.earlier + done.losses.own;
        counters.added.add(done.replayed + done.losses.earlier);
        counters.filtered.add(lost + done.dropped);
        counters.dropped(DropReason::Damaged, lost);
        counters.dropped(DropReason::Overflow, done.dropped);
        counters.errors.add(done.losses.damages);
        self.writing = 0;
        if !done.rest.is_empty() {
            self.write.put_back(done.rest);
        }
        // What was read, or found missing, may make room.
        self.full = done.full && done.position == self.out_to;
        self.out_to = done.position;
        if done.out.is_spent() {
            if self.out.is_none() {
                // Nothing came of it that the stage would have to take first.
                self.handed = self.handed.max(done.position);
            }
        } else {
            self.out = Some(done.out);
        }
        self.unread = done.unread;
        self.clean = done.clean;
        self.unsaved |= !done.synced;
        self.idle = Some(done.log);
        self.opened = true;
    }

    /// Whether what comes has to queue up behind something on disk.
    fn disk_in_use(&self) -> bool {
        self.idle.is_none() || self.unread || self.out.is_some() || !self.write.is_empty()
    }

    /// Admits what there is room for. Tells whether anything was.
    fn admit(&mut self) -> bool {
        let mut any = false;
        if !self.opened {
            // What is on disk comes first, and nobody knows yet what that is.
            return false;
        }
        loop {
            let to_memory = self.memory_limit > 0 && !self.disk_in_use();
            if let Some(watermark) = self.taken.mark() {
                if to_memory { &mut self.memory } else { &mut self.write }.mark(watermark);
                any = true;
                continue;
            }
            let queue = if to_memory && self.memory.records < self.memory_limit {
                &mut self.memory
            } else if self.write.records + self.writing < 2 * self.batch_limit {
                &mut self.write
            } else {
                return any;
            };
            let Some(record) = self.taken.record() else {
                return any;
            };
            queue.push(record);
            any = true;
        }
    }

    /// Moves what comes next into `batch`. Tells whether there was anything.
    fn emit(&mut self, batch: &mut Batch<T>) -> bool {
        while batch.records.len() < self.batch_limit
            && let Some(entry) = self.memory.pop()
        {
            match entry {
                Entry::Record(record) => batch.records.push(record),
                Entry::Watermark(watermark) => batch.mark(watermark),
            }
        }
        if batch.is_spent()
            && let Some(out) = self.out.take()
        {
            (batch.records, batch.marks) = (out.records, out.marks);
            self.handed = self.out_to;
        }
        !batch.is_spent()
    }

    /// Whether nothing that came in is here any more.
    fn is_empty(&self) -> bool {
        self.memory.is_empty() && !self.disk_in_use()
    }

    /// Whether control may pass. The end waits until the ledger has heard of everything.
    fn is_quiet(&self) -> bool {
        let told = self.clean || self.finished_at == Some(self.acked);
        self.is_empty() && (told && self.acked == self.handed || !self.taken.is_ending())
    }

    /// Begins a call, if the log is idle and there is something to be done. Tells whether it did.
    fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.work.is_empty() {
            return false;
        }
        let Some(log) = self.idle.take() else {
            return self.begin_opening(cx);
        };
        let wants = self.memory.is_empty() && self.out.is_none();
        let due = self.is_due(cx);
        let has_room = !self.full || self.buffer.drops_newest && self.write.records > 0;
        let writes = has_room && !self.write.is_empty();
        let ends = self.taken.is_ending() && self.acked == self.handed;
        let left = !self.memory.is_empty() || self.unread || self.out.is_some();
        let left = left || !self.write.is_empty();
        let finish = ends && !left && !self.clean && self.finished_at != Some(self.acked);
        if !(writes || wants && self.unread || due || finish) {
            self.idle = Some(log);
            return false;
        }
        let turn = Turn {
            write: if writes { std::mem::take(&mut self.write.entries) } else { VecDeque::new() },
            drops_newest: self.buffer.drops_newest,
            want: if wants { self.batch_limit } else { 0 },
            acked: self.acked,
            sync: due || self.buffer.sync_every.is_zero(),
            finish,
        };
        if writes {
            self.writing = std::mem::take(&mut self.write.records);
        }
        if finish {
            self.finished_at = Some(self.acked);
        }
        if turn.sync || finish {
            (self.unsaved, self.timer) = (false, None);
        }
        self.work.spawn_blocking(move || turn.run(log));
        true
    }

    fn begin_opening(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(timer) = &mut self.timer
            && Pin::new(timer).poll(cx).is_pending()
        {
            return false;
        }
        self.timer = None;
        let (place, max_bytes) = (self.place.clone(), self.buffer.max_bytes);
        self.work.spawn_blocking(move || open(&place, max_bytes));
        true
    }

    /// Whether it is time to sync.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.unsaved {
            return false;
        }
        let every = self.buffer.sync_every;
        let clock = &self.clock;
        let timer = self.timer.get_or_insert_with(|| clock.sleep(every));
        Pin::new(timer).poll(cx).is_ready()
    }
}

fn is_locked(error: &FileError) -> bool {
    let cause = error.cause().downcast_ref::<io::Error>();
    let cause = cause.and_then(io::Error::get_ref);
    cause.is_some_and(|cause| cause.is::<Locked>())
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Head<T> for DiskHead<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        self.confirm();
        let mut batch = Batch::new();
        loop {
            let settled = self.settle(cx)?;
            let admitted = self.admit();
            let emitted = self.emit(&mut batch);
            let begun = self.begin(cx);
            if emitted {
                break;
            }
            let quiet = self.is_quiet().then_some(&mut batch);
            let came = self.taken.read(cx, quiet)?;
            if batch.barrier.is_some() || batch.end || !(settled || admitted || begun || came) {
                break;
            }
        }
        self.taken.hand_over(batch).map(Ok)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            let settled = self.settle(cx)?;
            let admitted = self.admit();
            let begun = self.begin(cx);
            let came = self.taken.read(cx, None::<&mut Batch<T>>)?;
            if !(settled || admitted || begun || came) {
                return Ok(());
            }
        }
    }

    fn in_flight(&self) -> bool {
        !self.is_empty()
    }

    fn recycle(&mut self, _records: Vec<Record<T>>) {}

    fn finish(&mut self) {
        // What has not been read stays where it is, for the next run.
        self.idle = None;
        self.work = JoinSet::new();
        (self.memory, self.write, self.out) = (Queue::new(), Queue::new(), None);
        self.taken.finish();
    }
}
