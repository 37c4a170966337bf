//! The head behind `flat_map_concat`, `flat_map_merge` and `flat_map_sequential`.

use std::marker::PhantomData;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStream, TryStreamExt as _};
use millstream_engine::batch::Batch;
use millstream_engine::chain::Chain;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::{Error, OperatorError, Record};

use super::opener::Opener;
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
        let opener = Opener::new(self.width.in_order, context, input);
        Ok(FlatMap { most: self.width.most, f: self.f.clone(), opener })
    }
}

/// Opens a stream for each record, several at once.
pub(super) struct FlatMap<T, S, O, F> {
    most: usize,
    f: F,
    opener: Opener<T, S, O>,
}

impl<T, S, O, F> FlatMap<T, S, O, F>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>>,
    F: FnMut(T) -> S,
{
    fn may_open(&self) -> bool {
        self.opener.open() < self.most && !self.opener.waits()
    }

    /// Fills a batch. Tells whether there may be more without waiting for anybody.
    fn work(&mut self, cx: &mut Context<'_>, batch: &mut Batch<O>) -> Result<bool, Error> {
        self.opener.poll(cx)?;
        // Streams may be empty: after so many of them others have their turn.
        for _ in 0..self.opener.limit() {
            // First, so that one that always has something can't keep others from being opened.
            if self.may_open() && self.opener.advance(cx, |_, value| (self.f)(value))? {
                continue;
            }
            let open = self.opener.open();
            if self.opener.fill(batch)? {
                return Ok(true);
            }
            if self.opener.open() == open || !self.may_open() {
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
        let mut batch = self.opener.batch();
        let more = self.work(cx, &mut batch)?;
        self.opener.finish_batch(batch, more).map(Ok)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.opener.poll(cx)
    }

    fn in_flight(&self) -> bool {
        self.opener.open() > 0
    }

    fn recycle(&mut self, records: Vec<Record<O>>) {
        self.opener.recycle(records);
    }

    fn finish(&mut self) {
        self.opener.finish();
    }
}
