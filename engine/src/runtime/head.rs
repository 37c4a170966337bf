//! Where a stage's records come from: a source, or the channels into it.

use std::task::{Context, Poll};

use crate::batch::Batch;
use crate::error::Error;
use crate::record::Record;

/// The beginning of a stage.
pub trait Head<T>: Send {
    /// The next batch. The one that ends the input has its `end` set, and is the last to be asked
    /// for. Cancel safe: until it is ready, nothing is taken.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>>;

    /// Takes back an emptied buffer.
    fn recycle(&mut self, records: Vec<Record<T>>);

    /// The stage has enough: whoever feeds it is to be told.
    fn finish(&mut self);
}
