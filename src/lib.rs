//! Millstream.

#[cfg(feature = "console")]
pub use millstream_console as console;
pub use millstream_engine as engine;
pub use millstream_engine::{BuildError, Error, ErrorKind, OperatorError, Record};
pub use millstream_operators::{DataStream, Dataflow, prelude, source};
