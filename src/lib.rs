//! Millstream.

pub use millstream_engine as engine;
pub use millstream_engine::{BuildError, Error, ErrorKind, OperatorError, Record};
#[cfg(feature = "files")]
pub use millstream_operators::file;
pub use millstream_operators::{DataStream, Dataflow, prelude, sink, source};
