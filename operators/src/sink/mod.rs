//! Where records leave: the words that end a stream.

mod collect;
mod count;
mod first;
mod fold;
mod for_each;
mod for_each_concurrent;
mod ignore;
mod last;
mod reduce;
mod result;
mod stage;

pub use stage::ToSink;
