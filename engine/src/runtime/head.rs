//! Where a stage's records come from: a source, the channels into it, or what an operator that
//! waits makes of those.

use std::fmt;
use std::task::{Context, Poll};

use super::{OperatorContext, Seat};
use crate::batch::Batch;
use crate::edge::Inputs;
use crate::error::Error;
use crate::record::Record;

/// The beginning of a stage.
pub trait Head<T>: Send {
    /// The next batch. The one that ends the input has its `end` set, and is the last to be asked
    /// for. Cancel safe: until it is ready, nothing is taken.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>>;

    /// Moves on what is in flight while the stage waits for room and so can't ask for a batch.
    /// Called whenever the stage is polled, and again before it waits; what is ready by then is for
    /// the next [`poll_next`](Head::poll_next). It need not be called where nothing is in flight.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let _ = cx;
        Ok(())
    }

    /// Whether something is in flight that would bring out records without any more input: a
    /// future, a timer. Asked when the stage begins to wait, to tell what it waits for.
    fn in_flight(&self) -> bool {
        false
    }

    /// Whether a batch costs no time worth measuring, because nobody's code ran for it.
    fn is_quick(&self) -> bool {
        false
    }

    /// Takes back an emptied buffer.
    fn recycle(&mut self, records: Vec<Record<T>>);

    /// The stage has enough: whoever feeds it is to be told, and what is in flight is given up.
    fn finish(&mut self);
}

impl<T, H: Head<T> + ?Sized> Head<T> for Box<H> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        (**self).poll_next(cx)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        (**self).poll_progress(cx)
    }

    fn in_flight(&self) -> bool {
        (**self).in_flight()
    }

    fn is_quick(&self) -> bool {
        (**self).is_quick()
    }

    fn recycle(&mut self, records: Vec<Record<T>>) {
        (**self).recycle(records);
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}

/// Makes the head of each run and instance of a stage from the channels into it: the door for every
/// operator that waits, ours and a user's. Operators behind it are fused as behind any edge.
///
/// A head owes what an operator does, and some more:
///
/// * **Time.** A watermark stays behind every record, or result of a record, that came before it,
///   and before all that came after it. A barrier goes on when nothing from before it is in flight.
/// * **Waiting.** Everything admitted has been polled, so that it wakes the stage when it is ready,
///   also while the stage waits for room.
/// * **The end** comes out when everything that was in flight has.
/// * **Counting.** What is taken and not emitted is counted as `filtered`, and what is emitted
///   beyond one for each as `added`, by the [`OperatorCounters`](crate::metrics::OperatorCounters)
///   of the context, however finely the run counts. What it holds is in flight.
/// * **Buffers** are announced by [`Blueprint::add_buffer`](crate::graph::Blueprint::add_buffer).
/// * **Panics** are caught, name the operator and fail the job.
pub trait HeadFactory<In>: Send + 'static {
    /// What comes out.
    type Out: Send + 'static;
    /// What it makes.
    type Head: Head<Self::Out> + 'static;

    /// Makes the head for one instance of one run. An error, for which there is
    /// [`Error::operator`], keeps the job from being started.
    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<In>,
    ) -> Result<Self::Head, Error>;
}

/// A head that is users' code: a panic in it gets its name, an error of its own is counted.
pub(crate) struct Seated<H> {
    pub(crate) head: H,
    pub(crate) seat: Seat,
}

impl<H> Seated<H> {
    /// Runs one hook of the head.
    fn call<R>(&mut self, hook: impl FnOnce(&mut H) -> R) -> R {
        let guard = self.seat.guard();
        let result = hook(&mut self.head);
        guard.disarm();
        result
    }

    fn count(&self, error: Error) -> Error {
        if error.operator_name() == Some(&**self.seat.name()) {
            self.seat.counters().errors.add(1);
        }
        error
    }
}

impl<T, H: Head<T>> Head<T> for Seated<H> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        let polled = self.call(|head| head.poll_next(cx));
        polled.map_err(|error| self.count(error))
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let moved = self.call(|head| head.poll_progress(cx));
        moved.map_err(|error| self.count(error))
    }

    fn in_flight(&self) -> bool {
        self.head.in_flight()
    }

    fn recycle(&mut self, records: Vec<Record<T>>) {
        self.head.recycle(records);
    }

    fn finish(&mut self) {
        self.call(|head| head.finish());
    }
}

impl<H> fmt::Debug for Seated<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seated").field("seat", &self.seat).finish_non_exhaustive()
    }
}
