//! Where records enter: the sources to give to [`Dataflow::source`](crate::Dataflow::source).

mod attempts;
#[cfg(feature = "files")]
mod csv;
#[cfg(feature = "files")]
mod csv_row;
#[cfg(feature = "files")]
mod csv_rows;
mod empty;
mod failed;
#[cfg(feature = "files")]
mod file;
mod from_iter;
mod from_stream;
mod interval;
mod iterate;
#[cfg(feature = "files")]
mod json_lines;
#[cfg(feature = "files")]
mod line;
#[cfg(feature = "files")]
mod lines;
mod never;
mod once;
mod queue;
mod recover;
mod recover_with;
mod retry_stream;
mod try_from_stream;
mod unfold;
mod unfold_async;

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
pub use from_iter::{FromIter, from_iter};
pub use from_stream::{FromStream, FromStreamWith, from_stream, from_stream_with};
pub use interval::{Interval, MissedTicks, ZeroPeriod, interval};
pub use iterate::{Iterate, iterate};
#[cfg(feature = "files")]
pub use json_lines::JsonLines;
#[cfg(feature = "files")]
pub use line::{Line, LineError};
#[cfg(feature = "files")]
pub use lines::Lines;
pub use never::{Never, never};
pub use once::{Once, once};
pub use queue::{Offer, Queue, QueueHandle, ReadQueue, queue};
pub use recover::{on_error_complete, recover};
pub use recover_with::{RecoverWith, recover_with};
pub use retry_stream::{RetryStream, retry_stream};
pub use try_from_stream::{TryFromStream, try_from_stream};
pub use unfold::{Unfold, unfold};
pub use unfold_async::{ReadUnfoldAsync, UnfoldAsync, unfold_async};
