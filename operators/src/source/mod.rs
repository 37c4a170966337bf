//! Where records enter: the sources to give to [`Dataflow::source`](crate::Dataflow::source).

mod attempts;
#[cfg(feature = "files")]
mod csv;
#[cfg(feature = "files")]
mod csv_row;
#[cfg(feature = "files")]
mod csv_rows;
#[cfg(all(unix, feature = "woken-by-io"))]
mod doorbell;
mod empty;
mod failed;
#[cfg(feature = "files")]
mod file;
#[cfg(feature = "files")]
mod files;
mod from_future;
mod from_iter;
mod from_stream;
mod interval;
mod iterate;
#[cfg(feature = "files")]
mod json_lines;
mod lazy;
#[cfg(feature = "files")]
mod line;
#[cfg(feature = "files")]
mod line_splitter;
#[cfg(feature = "files")]
mod lines;
mod maybe;
mod never;
mod once;
mod paginate;
mod queue;
#[cfg(feature = "files")]
mod read_lines;
mod recover;
mod recover_with;
mod repeat;
mod retry_stream;
mod split_positions;
mod splits;
#[cfg(feature = "files")]
mod tail;
mod try_from_stream;
mod unfold;
mod unfold_async;
mod unfold_resource;
#[cfg(all(unix, feature = "woken-by-io"))]
mod woken_by_io;

#[cfg(feature = "files")]
pub use self::csv::Csv;
pub use attempts::ReadAttempts;
#[cfg(feature = "files")]
pub use csv_row::{CsvRow, RowError};
#[cfg(feature = "files")]
pub use csv_rows::CsvRows;
pub use empty::{Empty, empty};
pub use failed::{Failed, failed};
#[cfg(feature = "files")]
pub use file::FileRows;
#[cfg(feature = "files")]
pub use files::{Files, FolderFiles};
pub use from_future::{FromFuture, from_future};
pub use from_iter::{FromIter, from_iter};
pub use from_stream::{FromStream, FromStreamWith, from_stream, from_stream_with};
pub use interval::{Interval, MissedTicks, ZeroPeriod, interval};
pub use iterate::{Iterate, iterate};
#[cfg(feature = "files")]
pub use json_lines::JsonLines;
pub use lazy::{Lazy, ReadLazy, lazy};
#[cfg(feature = "files")]
pub use line::{Line, LineError};
#[cfg(feature = "files")]
pub use lines::{Lines, file_lines};
pub use maybe::{Maybe, MaybeHandle, maybe};
pub use never::{Never, never};
pub use once::{Once, once};
pub use paginate::{Page, Paginate, ReadPages, paginate};
pub use queue::{Offer, Queue, QueueHandle, ReadQueue, queue};
#[cfg(feature = "files")]
pub use read_lines::{LinesOf, ReadLines, read_lines};
pub use recover::{on_error_complete, recover};
pub use recover_with::{RecoverWith, recover_with};
pub use repeat::{Cycle, Repeat, cycle, repeat};
pub use retry_stream::{RetryStream, retry_stream};
pub use splits::{ReadSplits, Split, SplitEnumerator, Splits};
#[cfg(feature = "files")]
pub use tail::{ReadTail, Tail, file_tail};
pub use try_from_stream::{TryFromStream, try_from_stream};
pub use unfold::{Unfold, unfold};
pub use unfold_async::{ReadUnfoldAsync, UnfoldAsync, unfold_async};
pub use unfold_resource::{ReadResource, UnfoldResource, unfold_resource};
#[cfg(all(unix, feature = "woken-by-io"))]
pub use woken_by_io::{ReadWokenByIo, WokenByIo, woken_by_io};
