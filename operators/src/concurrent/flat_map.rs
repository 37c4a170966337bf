//! The head behind `flat_map_concat`, `flat_map_merge` and `flat_map_sequential`.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStream, TryStreamExt as _};
use millstream_engine::batch::{Barrier, Batch};
use millstream_engine::chain::Chain;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::{Error, OperatorError, Record};

use super::inner::{Hand, InnerStreams, Next};
use crate::DataStream;

/// How many streams are open at once, and whether what they have is put in their order.
#[derive(Clone, Copy)]
pub(super) struct Width {
    pub(super) most: usize,
    pub(super) in_order: bool,
}

/// The stream of what the streams have that `f` makes.
pub(super) fn flat_mapped<T, C, S, F>(
    stream: DataStream<T, C>,
    kind: &'static str,
    width: Width,
    mut f: F,
) -> DataStream<S::Item>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    S: Stream<Item: Send + 'static> + Send + 'static,
    F: FnMut(T) -> S + Clone + Send + 'static,
{
    let f = move |value| f(value).map(Ok::<_, OperatorError>);
    try_flat_mapped(stream, kind, width, f)
}

/// The same of streams that may fail.
pub(super) fn try_flat_mapped<T, C, S, F>(
    stream: DataStream<T, C>,
    kind: &'static str,
    width: Width,
    mut f: F,
) -> DataStream<S::Ok>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    S: TryStream<Ok: Send + 'static, Error: Into<OperatorError>> + Send + 'static,
    F: FnMut(T) -> S + Clone + Send + 'static,
{
    let f = move |value| f(value).map_err(Into::into);
    let instances = stream.parallelism();
    let factory = FlatMapFactory { width, f, marker: PhantomData };
    let stream = stream.through(kind, instances, width.most, factory);
    announce_hand::<T, _>(stream)
}

/// Says that the head of this stage takes batches of `T` apart.
pub(super) fn announce_hand<T, O: Send + 'static>(stream: DataStream<O>) -> DataStream<O> {
    let (flow, chain, draft) = stream.into_parts();
    for &operator in &draft.operators {
        flow.blueprint().add_buffer::<T>(operator, 1);
    }
    DataStream::from_parts(flow, chain, draft)
}

struct FlatMapFactory<F, S> {
    width: Width,
    f: F,
    marker: PhantomData<fn() -> S>,
}

impl<T, S, O, F> HeadFactory<T> for FlatMapFactory<F, S>
where
    T: Send + 'static,
    S: Stream<Item = Result<O, OperatorError>> + Send + 'static,
    O: Send + 'static,
    F: FnMut(T) -> S + Clone + Send + 'static,
{
    type Out = O;
    type Head = FlatMap<T, S, O, F>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Self::Head, Error> {
        Ok(FlatMap {
            most: self.width.most,
            f: self.f.clone(),
            limit: input.batch_limit(),
            hand: Hand::new(input),
            streams: InnerStreams::new(self.width.in_order, context.counters()),
            operator: context.name(),
            spare: Vec::new(),
            barrier: None,
            ending: false,
            idle: false,
            over: false,
        })
    }
}

/// Opens a stream for each record, several at once.
pub(super) struct FlatMap<T, S, O, F> {
    most: usize,
    f: F,
    limit: usize,
    hand: Hand<T>,
    streams: InnerStreams<S, O>,
    operator: Arc<str>,
    spare: Vec<Record<O>>,
    /// A barrier that waits until the streams before it have ended.
    barrier: Option<Barrier>,
    /// The input has ended.
    ending: bool,
    idle: bool,
    over: bool,
}

impl<T, S, O, F> FlatMap<T, S, O, F>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>>,
    F: FnMut(T) -> S,
{
    fn may_open(&self) -> bool {
        self.streams.open() < self.most && self.barrier.is_none() && !self.ending
    }

    /// Fills a batch. Tells whether there may be more without waiting for anybody.
    fn work(&mut self, cx: &mut Context<'_>, batch: &mut Batch<O>) -> Result<bool, Error> {
        let named = |error| Error::operator(&self.operator, error);
        self.streams.poll(cx).map_err(named)?;
        // Streams may be empty: after so many of them others have their turn.
        for _ in 0..self.limit {
            // First, so that one that always has something can't keep others from being opened.
            if self.may_open()
                && let Poll::Ready(next) = self.hand.poll_next(cx)?
            {
                match next {
                    Next::Record(record) => {
                        let stream = (self.f)(record.value);
                        self.streams.push(stream, record.time).map_err(named)?;
                    }
                    Next::Watermark(watermark) => self.streams.fence(watermark),
                    Next::Barrier(barrier) => self.barrier = Some(barrier),
                    Next::End => self.ending = true,
                }
                continue;
            }
            let open = self.streams.open();
            self.streams.fill(batch, self.limit).map_err(named)?;
            if batch.records.len() >= self.limit {
                return Ok(true);
            }
            if self.streams.open() == open || !self.may_open() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<T, S, O, F> Head<O> for FlatMap<T, S, O, F>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>> + Send,
    O: Send,
    F: FnMut(T) -> S + Send,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<O>, Error>> {
        let mut batch = Batch { records: std::mem::take(&mut self.spare), ..Batch::new() };
        if self.over {
            batch.end = true;
            return Poll::Ready(Ok(batch));
        }
        let more = self.work(cx, &mut batch)?;
        let at_rest = self.streams.open() == 0;
        if at_rest {
            batch.barrier = self.barrier.take();
            batch.end = self.ending;
        }
        batch.idle = at_rest && self.hand.idle && !batch.end;
        if more || !batch.is_empty() || batch.idle != self.idle {
            self.idle = batch.idle;
            return Poll::Ready(Ok(batch));
        }
        self.spare = batch.records;
        Poll::Pending
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.streams.poll(cx).map_err(|error| Error::operator(&self.operator, error))
    }

    fn in_flight(&self) -> bool {
        self.streams.open() > 0
    }

    fn recycle(&mut self, records: Vec<Record<O>>) {
        self.spare = records;
    }

    fn finish(&mut self) {
        self.over = true;
        self.hand.finish();
        self.streams.drop_all();
    }
}
