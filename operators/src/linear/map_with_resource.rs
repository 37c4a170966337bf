//! `map_with_resource`: a map with something that has to be opened and closed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::part::LatestTime;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one with the help of a resource. `open` makes it for each run
    /// and instance, before the job starts, and an error keeps the job from starting. `close` gets
    /// it back exactly once, however the stream ends: at its end, by failure, abort or panic, or
    /// because nobody downstream wants more. What `close` returns is a last value; it is emitted at
    /// the end of a complete input, and dropped otherwise.
    ///
    /// None of the three may block the thread. Order and event times stay.
    ///
    /// Emits when its input does, and once more at its end if there is a last value: at the latest
    /// event time, or the watermark if that has passed it. Backpressures when its output does.
    ///
    /// State: none that is written down. A resource belongs to its run, and takes no part in
    /// snapshots.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbered");
    /// let words = flow.source("words", source::from_iter(["a", "b"]));
    /// let open = || Ok::<_, std::io::Error>(vec![]);
    /// let write = |file: &mut Vec<_>, word: &'static str| {
    ///     file.push(word);
    ///     file.len()
    /// };
    /// let sizes = words.map_with_resource(open, write, |file| Some(file.len() * 100)).collect();
    /// assert_eq!(flow.run().await?.take(sizes), Some(vec![1, 2, 200]));
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closures, as those of other operators do"
    )]
    pub fn map_with_resource<R, U, E, M, F, X>(
        self,
        open: M,
        f: F,
        close: X,
    ) -> DataStream<U, Via<C, MapWithResource<R, U, M, F, X>>>
    where
        R: Send + 'static,
        U: Send + 'static,
        E: Into<OperatorError>,
        M: FnMut() -> Result<R, E> + Clone + Send + 'static,
        F: FnMut(&mut R, T) -> U + Clone + Send + 'static,
        X: FnMut(R) -> Option<U> + Clone + Send + 'static,
    {
        let held = Held { resource: None, close, marker: std::marker::PhantomData };
        self.via(MapWithResource { open, f, held, time: LatestTime::new() })
    }
}

/// The operator behind [`DataStream::map_with_resource`].
pub struct MapWithResource<R, U, M, F, X: FnMut(R) -> Option<U>> {
    open: M,
    f: F,
    held: Held<R, U, X>,
    time: LatestTime,
}

/// Closes what it holds, at the latest when it is dropped.
struct Held<R, U, X: FnMut(R) -> Option<U>> {
    resource: Option<R>,
    close: X,
    marker: std::marker::PhantomData<fn() -> U>,
}

impl<R, U, X: FnMut(R) -> Option<U>> Held<R, U, X> {
    fn close(&mut self) -> Option<U> {
        self.resource.take().and_then(&mut self.close)
    }
}

impl<R, U, X: FnMut(R) -> Option<U>> Drop for Held<R, U, X> {
    fn drop(&mut self) {
        // A panic here may be one on top of another, which would end the program.
        catch_unwind(AssertUnwindSafe(|| drop(self.close()))).ok();
    }
}

impl<R, U, M, F, X> Clone for MapWithResource<R, U, M, F, X>
where
    M: Clone,
    F: Clone,
    X: FnMut(R) -> Option<U> + Clone,
{
    fn clone(&self) -> Self {
        let close = self.held.close.clone();
        let held = Held { resource: None, close, marker: std::marker::PhantomData };
        let (open, f) = (self.open.clone(), self.f.clone());
        Self { open, f, held, time: LatestTime::new() }
    }
}

impl<R, U, M, F, X: FnMut(R) -> Option<U>> fmt::Debug for MapWithResource<R, U, M, F, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapWithResource")
            .field("open", &self.held.resource.is_some())
            .finish_non_exhaustive()
    }
}

/// A record came although the resource was not open: the operator was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource is not open")]
struct NotOpen;

impl<T, R, U, E, M, F, X> Operator<T> for MapWithResource<R, U, M, F, X>
where
    T: Send + 'static,
    R: Send + 'static,
    U: Send + 'static,
    E: Into<OperatorError>,
    M: FnMut() -> Result<R, E> + Clone + Send + 'static,
    F: FnMut(&mut R, T) -> U + Clone + Send + 'static,
    X: FnMut(R) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "map_with_resource";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let opened = (self.open)();
        let resource = opened.map_err(|error| Error::operator(&context.name(), error.into()))?;
        self.held.resource = Some(resource);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        let resource = self.held.resource.as_mut().ok_or(NotOpen)?;
        self.time.add(record.time);
        let value = (self.f)(resource, record.value);
        out.push(Record::at(value, record.time));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<U>) -> Result<(), OperatorError> {
        if let Some(value) = self.held.close() {
            out.push(Record::at(value, self.time.take()));
        }
        Ok(())
    }
}
