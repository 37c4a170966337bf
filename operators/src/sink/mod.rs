//! Where records leave: the words that end a stream, and the sinks to give to
//! [`DataStream::sink`](crate::DataStream::sink).

mod batch_sink;
mod cancelled;
mod channel;
mod collect;
mod count;
#[cfg(feature = "files")]
mod csv_file;
#[cfg(feature = "files")]
mod file;
mod find;
mod first;
mod fold;
mod for_each;
mod for_each_concurrent;
mod from_sink;
mod ignore;
mod into_stream;
#[cfg(feature = "files")]
mod json_lines_file;
mod last;
mod lazy;
#[cfg(feature = "files")]
mod lines_file;
mod never;
mod reduce;
mod restarting;
mod result;
mod stage;

pub use batch_sink::{BatchWriter, Batching, ItemResult, Written};
pub use channel::{Channel, ChannelClosed, ToChannel, channel};
#[cfg(feature = "files")]
pub use csv_file::{CsvFile, csv_to_stdout};
#[cfg(feature = "files")]
pub use file::{FileSink, NotOneInstance};
pub use from_sink::{AlreadyWritten, FromSink, WriteSink, from_sink};
pub use into_stream::JobStream;
#[cfg(feature = "files")]
pub use json_lines_file::{JsonLinesFile, json_lines_to_stdout};
pub use lazy::{Lazy, WriteLazy, lazy};
#[cfg(feature = "files")]
pub use lines_file::{LinesFile, lines_to_stdout};
pub use never::{Never, never};
pub use restarting::{Restarting, RestartingSink, restarting};
pub use stage::ToSink;
