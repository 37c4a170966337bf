//! `switch_map`: the stream of the newest value.

use std::marker::PhantomData;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::StreamExt as _;
use millstream_engine::batch::Batch;
use millstream_engine::chain::Chain;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::{Error, OperatorError, Record};

use super::flat_map::announce_hand;
use super::opener::Opener;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into a futures [`Stream`] and emits what that has, until the next value
    /// comes: then the running stream is dropped, and only when that is over the next one made.
    /// Every item has the event time of its value.
    ///
    /// Never holds its input back: while its output is full the input is read on, and streams
    /// replace each other, the one item that they may be ahead included. While there is room, what
    /// a stream has ready is emitted before the next value is looked at, up to a batch. So what
    /// comes out depends on how fast the output is. A value whose stream was replaced before it had
    /// anything counts as superseded.
    ///
    /// Ends when its input has ended, and the last stream. When its output has enough, the running
    /// stream is dropped. A watermark goes on when the streams of all values before it have ended
    /// or been replaced. A panic in `f` or in a stream fails the job. It begins a stage of its own,
    /// with as many instances as before.
    ///
    /// ```
    /// use futures_util::stream::{self, StreamExt};
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("the newest feed");
    /// let feeds = flow.source("feeds", source::from_iter([1, 2]));
    /// let items = feeds.switch_map(|feed| {
    ///     let first = stream::iter([feed * 10]);
    ///     // The first feed would go on for ever.
    ///     if feed == 1 { first.chain(stream::pending()).boxed() } else { first.boxed() }
    /// });
    /// let items = items.collect();
    /// assert_eq!(flow.run().await?.take(items), Some(vec![10, 20]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn switch_map<S, F>(self, mut f: F) -> DataStream<S::Item>
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        let instances = self.parallelism();
        let f = move |value| f(value).map(Ok);
        let factory = SwitchMapFactory { f, marker: PhantomData };
        announce_hand::<T, _>(self.through("switch_map", instances, 1, factory))
    }
}

struct SwitchMapFactory<F, S> {
    f: F,
    marker: PhantomData<fn() -> S>,
}

impl<T, S, O, F> HeadFactory<T> for SwitchMapFactory<F, S>
where
    T: Send + 'static,
    S: Stream<Item = Result<O, OperatorError>> + Send + 'static,
    O: Send + 'static,
    F: FnMut(T) -> S + Clone + Send + 'static,
{
    type Out = O;
    type Head = SwitchMap<T, S, O, F>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Self::Head, Error> {
        let opener = Opener::new(false, context, input);
        Ok(SwitchMap { f: self.f.clone(), opener, kept_waiting: false })
    }
}

/// Runs the stream of the newest record.
struct SwitchMap<T, S, O, F> {
    f: F,
    opener: Opener<T, S, O>,
    /// The stage has been polled without asking for a batch.
    kept_waiting: bool,
}

impl<T, S, O, F> SwitchMap<T, S, O, F>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>>,
    F: FnMut(T) -> S,
{
    /// Looks at what comes next, if it is there and nothing keeps it from being looked at.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        self.opener.advance(cx, |streams, value| {
            streams.close_all();
            (self.f)(value)
        })
    }

    /// Fills a batch. Tells whether there may be more without waiting for anybody.
    fn work(&mut self, cx: &mut Context<'_>, batch: &mut Batch<O>) -> Result<bool, Error> {
        self.opener.poll(cx)?;
        for _ in 0..self.opener.limit() {
            let more = self.advance(cx)?;
            if self.opener.fill(batch)? {
                break;
            }
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<T, S, O, F> Head<O> for SwitchMap<T, S, O, F>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>> + Send,
    O: Send,
    F: FnMut(T) -> S + Send,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<O>, Error>> {
        self.kept_waiting = false;
        let mut batch = self.opener.batch();
        let more = self.work(cx, &mut batch)?;
        self.opener.finish_batch(batch, more).map(Ok)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.opener.poll(cx)?;
        if self.opener.waits() {
            return Ok(());
        }
        // A stage that is about to ask must not have its stream replaced before it could. One that
        // comes by again without having asked has no room.
        if !std::mem::replace(&mut self.kept_waiting, true) {
            if self.opener.poll_ready(cx)?.is_ready() {
                cx.waker().wake_by_ref();
            }
            return Ok(());
        }
        for _ in 0..self.opener.limit() {
            if !self.advance(cx)? {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
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
