//! One call to a disk buffer's log, on a thread for blocking work: it writes what came, reads what
//! is wanted, and syncs when that is due.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::Arc;

use millstream_engine::Record;
use millstream_engine::batch::Batch;
use millstream_engine::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk_head::Place;
use super::disk_log::{Appended, Kind, LockedFolder, Log, Losses};
use crate::file::{self, FileError};

pub(super) type OpenLog = Log<LockedFolder>;

/// What is in the log, or on its way there.
pub(super) enum Entry<T> {
    Record(Record<T>),
    Watermark(Timestamp),
}

/// What is to be done.
pub(super) struct Turn<T> {
    pub(super) write: VecDeque<Entry<T>>,
    pub(super) drops_newest: bool,
    /// The most records to read.
    pub(super) want: usize,
    /// Records before this one have been read for good.
    pub(super) acked: u64,
    pub(super) sync: bool,
    /// Nothing more will come.
    pub(super) finish: bool,
}

/// What was done.
pub(super) struct Done<T> {
    pub(super) log: OpenLog,
    /// What there was no room for.
    pub(super) rest: VecDeque<Entry<T>>,
    pub(super) full: bool,
    pub(super) dropped: u64,
    pub(super) out: Batch<T>,
    /// How many of the records read are from an earlier run.
    pub(super) replayed: u64,
    pub(super) losses: Losses,
    /// The record to be read next.
    pub(super) position: u64,
    pub(super) unread: bool,
    pub(super) synced: bool,
    pub(super) clean: bool,
}

/// A record is larger than all the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {bytes} bytes does not fit into the buffer at all")]
struct TooLarge {
    bytes: usize,
}

/// There is a folder of an instance that this job does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("records of instance {instance} wait there, and this job has {instances} of them")]
struct OtherInstance {
    instance: usize,
    instances: usize,
}

/// Locks and opens the log of an instance.
pub(super) fn open<T>(place: &Place, max_bytes: u64) -> Result<Done<T>, FileError> {
    let path = place.path.join(place.instance.to_string());
    let name: Arc<str> = Arc::from(path.to_string_lossy());
    let named = |error: io::Error| FileError::new(&name, file::Place::File, error);
    let folder = LockedFolder::open(path).map_err(named)?;
    if place.instance == 0 {
        look_for_others(place)?;
    }
    let log = Log::open(folder, max_bytes)?;
    let turn = Turn::<T> {
        write: VecDeque::new(),
        drops_newest: false,
        want: 0,
        acked: 0,
        sync: false,
        finish: false,
    };
    Ok(turn.done(log, Written::default(), Batch::new(), 0))
}

/// Records in the folder of an instance that isn't there would wait for ever.
fn look_for_others(place: &Place) -> Result<(), FileError> {
    let named = |error: io::Error| {
        FileError::new(&Arc::from(place.path.to_string_lossy()), file::Place::File, error)
    };
    for entry in fs::read_dir(&place.path).map_err(named)? {
        let entry = entry.map_err(named)?;
        let instance = entry.file_name().to_str().and_then(|name| name.parse::<usize>().ok());
        let Some(instance) = instance.filter(|instance| *instance >= place.instances) else {
            continue;
        };
        for file in fs::read_dir(entry.path()).map_err(named)? {
            if file.map_err(named)?.path().extension().is_some_and(|ending| ending == "log") {
                let other = OtherInstance { instance, instances: place.instances };
                return Err(named(io::Error::other(other)));
            }
        }
    }
    Ok(())
}

/// What became of what was to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    full: bool,
    dropped: u64,
}

impl<T> Turn<T> {
    fn done(self, mut log: OpenLog, written: Written, out: Batch<T>, replayed: u64) -> Done<T> {
        Done {
            rest: self.write,
            full: written.full,
            dropped: written.dropped,
            out,
            replayed,
            losses: log.take_losses(),
            position: log.position(),
            unread: log.unread(),
            synced: log.is_synced(),
            clean: log.is_synced() && log.is_empty(),
            log,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Turn<T> {
    pub(super) fn run(mut self, mut log: OpenLog) -> Result<Done<T>, FileError> {
        log.acknowledge(self.acked);
        let written = self.write_all(&mut log)?;
        let mut out = Batch::new();
        let mut replayed = 0;
        if self.want > 0 {
            let own = log.own_record();
            log.read(self.want, |kind, sequence, time, payload| {
                let time = Timestamp::from_millis(time);
                if kind == Kind::Watermark {
                    out.mark(time);
                    return Ok(());
                }
                let value = serde_json::from_slice(payload)?;
                replayed += u64::from(sequence < own);
                out.records.push(Record::at(value, time));
                Ok::<_, serde_json::Error>(())
            })?;
        } else {
            log.flush()?;
        }
        if self.finish {
            log.seal()?;
        }
        if self.sync || self.finish {
            log.sync()?;
        }
        Ok(self.done(log, written, out, replayed))
    }

    /// Writes as much as there is room for.
    fn write_all(&mut self, log: &mut OpenLog) -> Result<Written, FileError> {
        let mut written = Written::default();
        let mut payload = Vec::new();
        let mut held = None;
        while let Some(entry) = self.write.pop_front() {
            // A watermark that found no room stays in front of what comes behind it.
            if let Some(watermark) = held {
                match append(log, &Entry::<T>::Watermark(watermark), &mut payload)? {
                    Appended::Done => held = None,
                    Appended::Full | Appended::TooLarge => {}
                }
            }
            let appended = match held {
                None => append(log, &entry, &mut payload)?,
                Some(_) => Appended::Full,
            };
            match (appended, &entry) {
                (Appended::Done, _) => {}
                (_, Entry::Record(_)) if self.drops_newest => written.dropped += 1,
                (_, Entry::Watermark(watermark)) if self.drops_newest => {
                    held = Some(*watermark);
                }
                (Appended::TooLarge, _) => {
                    let error = io::Error::other(TooLarge { bytes: payload.len() });
                    return Err(FileError::new(&log.path(""), file::Place::File, error));
                }
                (Appended::Full, _) => {
                    self.write.push_front(entry);
                    written.full = true;
                    break;
                }
            }
        }
        if let Some(watermark) = held {
            self.write.push_back(Entry::Watermark(watermark));
            written.full = true;
        }
        Ok(written)
    }
}

fn append<T: Serialize>(
    log: &mut OpenLog,
    entry: &Entry<T>,
    payload: &mut Vec<u8>,
) -> Result<Appended, FileError> {
    payload.clear();
    match entry {
        Entry::Record(record) => {
            let encoded = serde_json::to_writer(&mut *payload, &record.value);
            encoded.map_err(|error| FileError::new(&log.path(""), file::Place::File, error))?;
            log.append(Kind::Record, record.time.as_millis(), payload)
        }
        Entry::Watermark(watermark) => log.append(Kind::Watermark, watermark.as_millis(), payload),
    }
}
