//! `disk_buffer` and `overflow_to_disk`: records that wait on disk, and survive a crash there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_engine::chain::Chain;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk_head::DiskHeads;
use super::disk_log::BYTES_MIN;
use crate::DataStream;

pub use super::disk_log::Locked;

/// Where records wait on disk, and how many bytes of them.
///
/// Every instance has a folder of its own in the folder named here, and the files in it are: the
/// records, in segments; a ledger, which says how far they have been read; and what could not be
/// parsed, as `*.corrupt`, which is never deleted, does not count towards the size, and is for a
/// human to look at. One job at a time has them open: a second one fails, if the first is not gone
/// within a second. The lock goes with the process, so it is never in the way after a crash; on
/// Linux it holds among the processes of one network namespace, and on systems that are neither
/// Linux nor Windows it is a file to be removed by hand after a crash, as the error says.
#[derive(Clone, Debug)]
pub struct DiskBuffer {
    pub(super) path: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) sync_every: Duration,
    pub(super) drops_newest: bool,
}

impl DiskBuffer {
    /// A buffer in this folder, which is made if it isn't there: at most 1 GiB for each instance,
    /// synced every 500 ms.
    ///
    /// ```
    /// use millstream_operators::buffer::disk_buffer::DiskBuffer;
    ///
    /// let buffer = DiskBuffer::open("/var/lib/shop/orders").with_max_bytes(64 << 20);
    /// # drop(buffer);
    /// ```
    #[must_use]
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            max_bytes: 1 << 30,
            sync_every: Duration::from_millis(500),
            drops_newest: false,
        }
    }

    /// The most bytes on disk for each instance: headers, ledger and all, as the lengths of the
    /// files add up. A file system may need some more for itself. An eighth of it, and at most
    /// 16 MiB, is what a segment has, and the room of a segment is free again when all of it has
    /// been read.
    ///
    /// # Panics
    ///
    /// If there are fewer than 4,096.
    #[must_use]
    #[track_caller]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        assert!(bytes >= BYTES_MIN, "a disk buffer needs 4096 bytes or more");
        self.max_bytes = bytes;
        self
    }

    /// How often what has been written, and how far has been read, is made to survive a loss of
    /// power. Zero is after every batch.
    #[must_use]
    pub const fn with_sync_every(mut self, every: Duration) -> Self {
        self.sync_every = every;
        self
    }

    /// Drops what comes while the buffer is full, instead of waiting for room. What is dropped is
    /// counted, as [`Overflow`](millstream_engine::metrics::DropReason::Overflow).
    #[must_use]
    pub const fn drop_newest(mut self) -> Self {
        self.drops_newest = true;
        self
    }
}

impl<T, C> DataStream<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Chain<Item = T>,
{
    /// Writes every record to disk, and reads it from there when there is room behind: a slow or
    /// failing consumer holds up nobody until the disk is full, and what waits survives a crash.
    /// The order is kept. Begins a stage of its own.
    ///
    /// **What is kept.** Values are written as JSON, with their event times, in the order of the
    /// stream; what does not survive that, such as a float that is no number, is not for here. They
    /// are handed to the system with every batch, so the death of the process costs none of those,
    /// and synced at intervals, so a loss of power costs at most one interval of them; besides
    /// these, what is in memory at that moment is lost: some batches here, and whatever is in
    /// flight in front of it.
    ///
    /// **What is read for good.** A batch is, once the stage has taken it whole and asks for the
    /// next one, and that is on disk an interval later at the latest. In a run after a crash, an
    /// abort or a failure, everything behind that comes first, in order, and so some of it for the
    /// second time: at least once, as far as this stage. What was in flight behind the stage is
    /// gone; nobody tells this word of what became of it. Watermarks of an earlier run don't come
    /// again: time begins anew with each run, and is held up by what comes again.
    ///
    /// **Full.** It backpressures, or [drops what comes](DiskBuffer::drop_newest). A record too
    /// large to fit in at all is an error, or is dropped with the rest.
    ///
    /// **Damage.** A torn end, of what was not synced, is cut off. Anything else that can't be
    /// parsed costs the rest of its segment: reading goes on with the next one, the records missing
    /// are counted as [`Damaged`](millstream_engine::metrics::DropReason::Damaged), a warning is
    /// logged, and the file is kept as `*.corrupt`. A record that is whole and no JSON of a `T` is
    /// dropped alone. Nothing of this keeps a job from starting; a file of another version does,
    /// and so do folders of more instances than there are, if something waits in them.
    ///
    /// **Errors.** A disk that is full, or fails to read, write or sync, fails the job with the
    /// name of the file, and the next run begins with what was written whole. No file is written
    /// again after an error.
    ///
    /// Watermarks keep their places among the records. A barrier, idleness and the end wait until
    /// everything has been read; a job that drains reads all of it, and what is left at its
    /// deadline is there for the next one. When the output is cancelled, the input is too, and what
    /// has not been read stays on disk. All file work is done by `tokio::task::spawn_blocking`, one
    /// call at a time; one that runs when a job is aborted comes to its end.
    ///
    /// ```
    /// use millstream_operators::buffer::disk_buffer::DiskBuffer;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// let flow = Dataflow::new("orders");
    /// let orders = flow.source("orders", source::from_iter([250_u64, 80]));
    /// let all = orders.disk_buffer(DiskBuffer::open(path)).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![250, 80]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn disk_buffer(self, buffer: DiskBuffer) -> DataStream<T> {
        self.on_disk("disk_buffer", 0, buffer)
    }

    /// Keeps up to `memory_records` records of each instance in memory, and what comes when these
    /// are too many on disk, as [`disk_buffer`](DataStream::disk_buffer) does.
    ///
    /// The order is kept: from the first record that goes to disk, all go there, until everything
    /// on disk has been read. What is in memory does not survive a crash, and what is on disk does;
    /// in the next run it comes first. All else is as with
    /// [`disk_buffer`](DataStream::disk_buffer). With no records in memory it is the same.
    ///
    /// ```
    /// use millstream_operators::buffer::disk_buffer::DiskBuffer;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path();
    /// let flow = Dataflow::new("readings");
    /// let readings = flow.source("readings", source::from_iter(0..1000_u64));
    /// let sum = readings
    ///     .overflow_to_disk(100, DiskBuffer::open(path))
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(499_500));
    /// # Ok(())
    /// # }
    /// ```
    pub fn overflow_to_disk(self, memory_records: usize, buffer: DiskBuffer) -> DataStream<T> {
        self.on_disk("overflow_to_disk", memory_records, buffer)
    }

    fn on_disk(self, kind: &'static str, memory: usize, buffer: DiskBuffer) -> DataStream<T> {
        let instances = self.parallelism();
        let stream = self.through(kind, instances, memory, DiskHeads { buffer, memory });
        let (flow, chain, draft) = stream.into_parts();
        if let Some(&operator) = draft.operators.last() {
            // What was read from the input, what waits to be written, what is being written, and
            // what has been read back.
            flow.blueprint().add_buffer::<T>(operator, 4);
        }
        DataStream::from_parts(flow, chain, draft)
    }
}
