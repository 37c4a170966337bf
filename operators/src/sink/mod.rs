//! Where records leave: the words that end a stream.

mod collect;
mod fold;
mod ignore;
mod result;
mod stage;

pub use stage::ToSink;
