//! `side_output` and `process_with_side`: typed outputs beside the main one.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use millstream_engine::batch::Barrier;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::edge::Outbox;
use millstream_engine::graph::{Blueprint, EdgeId, EdgeOptions, OperatorId, Port};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::tail::{Flow, Flush, Tail as _};
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};

use crate::{DataStream, Dataflow};

impl Dataflow {
    /// A stream for what operators have to say beside their main output: late values, errors, an
    /// audit. The tag is what they send it by; any number of operators of this dataflow may use it,
    /// and one operator may use several tags. The stream has one instance, which brings all of them
    /// together.
    ///
    /// It is a stream like every other: if it is slow, the operators that write to it wait, unless
    /// [`when_full`](DataStream::when_full) says otherwise, and if it fails, the job does. It ends
    /// when all of those operators have. A tag that nobody uses is a mistake in the graph.
    ///
    /// By a closure it is used in [`process_with_side`](DataStream::process_with_side), and by an
    /// operator of your own like this:
    ///
    /// ```
    /// use millstream_engine::operator::{Collector, Operator, SideOutput};
    /// use millstream_engine::runtime::OperatorContext;
    /// use millstream_operators::fan::SidePort;
    /// use millstream_operators::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Sort {
    ///     // Each tag once for each operator. Several are one side output together.
    ///     sides: (SidePort<i64>, SidePort<String>),
    /// }
    ///
    /// impl Operator<i64> for Sort {
    ///     type Out = i64;
    ///     const NAME: &'static str = "sort";
    ///
    ///     fn open(
    ///         &mut self,
    ///         context: &mut OperatorContext<'_>,
    ///     ) -> Result<(), millstream_engine::Error> {
    ///         self.sides.0.open(context);
    ///         self.sides.1.open(context);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: Record<i64>,
    ///         out: &mut impl Collector<i64>,
    ///     ) -> Result<(), OperatorError> {
    ///         match record.value {
    ///             0 => self.sides.1.emit(record.with(|_| "nothing".to_owned())),
    ///             n if n < 0 => self.sides.0.emit(record),
    ///             _ => out.push(record),
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn side(&mut self) -> Option<&mut dyn SideOutput> {
    ///         Some(&mut self.sides)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("three ways");
    /// let (negative, negatives) = flow.side_output::<i64>("negatives");
    /// let (remark, remarks) = flow.side_output::<String>("remarks");
    /// let positives = flow
    ///     .source("numbers", source::from_iter([3, -2, 0]))
    ///     .via_with(|operator, blueprint| Sort {
    ///         sides: (negative.port(operator, blueprint), remark.port(operator, blueprint)),
    ///     })
    ///     .collect();
    /// let (negatives, remarks) = (negatives.collect(), remarks.count());
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(positives), Some(vec![3]));
    /// assert_eq!(report.take(negatives), Some(vec![-2]));
    /// assert_eq!(report.take(remarks), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn side_output<S: Send + 'static>(&self, name: &str) -> (SideTag<S>, DataStream<S>) {
        let edge = self.blueprint().add_edge::<S>(name, EdgeOptions::default());
        let stream = DataStream::behind(self.clone(), edge, 1, "side_output").named(name);
        (SideTag { edge, marker: PhantomData }, stream)
    }
}

/// The name by which operators send to a side output. Made by [`Dataflow::side_output`], and good
/// for operators of that dataflow only.
pub struct SideTag<S> {
    edge: EdgeId,
    marker: PhantomData<fn(S)>,
}

impl<S: Send + 'static> SideTag<S> {
    /// The way into it for one operator: see [`DataStream::via_with`].
    #[must_use]
    pub fn port(&self, operator: OperatorId, blueprint: &Blueprint) -> SidePort<S> {
        SidePort::new(blueprint.connect(self.edge, operator))
    }
}

impl<S> Clone for SideTag<S> {
    fn clone(&self) -> Self {
        Self { edge: self.edge, marker: PhantomData }
    }
}

impl<S> fmt::Debug for SideTag<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SideTag").field(&self.edge).finish()
    }
}

/// One operator's way into a side output: a part of the operator, which opens it in its own
/// [`open`](Operator::open) and hands it out in its own [`side`](Operator::side), in a tuple with
/// others if there are several. A clone is blank.
///
/// While it has no room, its operator gets no further record. What one record sends all the same is
/// kept and delivered in order, at the cost of memory outside the job's bounds.
pub struct SidePort<S> {
    port: Port,
    outbox: Option<Outbox<S>>,
    waiting: VecDeque<Waiting<S>>,
}

/// What came when there was no room.
enum Waiting<S> {
    Record(Record<S>),
    Watermark(Timestamp),
    Idle(bool),
    Barrier(Barrier),
    End,
}

impl<S> SidePort<S> {
    /// The way to what was connected as `port`.
    #[must_use]
    pub const fn new(port: Port) -> Self {
        Self { port, outbox: None, waiting: VecDeque::new() }
    }
}

impl<S: Send + 'static> SidePort<S> {
    /// Makes ready for a run.
    pub fn open(&mut self, context: &mut OperatorContext<'_>) {
        self.outbox = context.side_output(self.port);
    }

    /// Sends a record. Where an operator is driven by hand there is nobody to send to, and it is
    /// dropped.
    pub fn emit(&mut self, record: Record<S>) {
        self.put(Waiting::Record(record));
    }

    /// Whether whoever reads the side output has had enough: what is sent is dropped and counted.
    #[must_use]
    pub fn done(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.done())
    }

    fn put(&mut self, item: Waiting<S>) {
        self.waiting.push_back(item);
        self.pass_on();
    }

    /// Passes on as much as there is room for. Without an outbox there is nobody to pass it to.
    fn pass_on(&mut self) {
        let Some(outbox) = &mut self.outbox else {
            self.waiting.clear();
            return;
        };
        while !SideOutput::is_full(outbox)
            && let Some(item) = self.waiting.pop_front()
        {
            match item {
                Waiting::Record(record) => {
                    let (Flow::More | Flow::Stop) = outbox.push(record);
                }
                Waiting::Watermark(watermark) => SideOutput::watermark(outbox, watermark),
                Waiting::Idle(idle) => SideOutput::idle(outbox, idle),
                Waiting::Barrier(barrier) => SideOutput::barrier(outbox, barrier),
                Waiting::End => SideOutput::end(outbox),
            }
        }
    }
}

impl<S> Clone for SidePort<S> {
    fn clone(&self) -> Self {
        Self::new(self.port)
    }
}

impl<S> fmt::Debug for SidePort<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SidePort").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<S: Send + 'static> SideOutput for SidePort<S> {
    fn is_full(&self) -> bool {
        !self.waiting.is_empty() || self.outbox.as_ref().is_some_and(SideOutput::is_full)
    }

    fn watermark(&mut self, watermark: Timestamp) {
        self.put(Waiting::Watermark(watermark));
    }

    fn idle(&mut self, idle: bool) {
        self.put(Waiting::Idle(idle));
    }

    fn barrier(&mut self, barrier: Barrier) {
        self.put(Waiting::Barrier(barrier));
    }

    fn end(&mut self) {
        self.put(Waiting::End);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        loop {
            self.pass_on();
            let Some(outbox) = &mut self.outbox else {
                return Poll::Ready(Ok(()));
            };
            let flush = if self.waiting.is_empty() { flush } else { Flush::Room };
            ready!(SideOutput::poll_flush(outbox, cx, flush))?;
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one or into none, as
    /// [`filter_map`](DataStream::filter_map) does, and lets the closure send values to a side
    /// output. What is sent has the event time of the record.
    ///
    /// Emits when its input does and the closure gives a value; backpressures when its output or
    /// the side output does; ends with its input, and so does its part of the side output. A side
    /// output that has had enough is left alone, and what is sent there is dropped and counted. A
    /// panic in the closure fails the job.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("checked");
    /// let (audit, entries) = flow.side_output::<String>("audit");
    /// let amounts = flow.source("amounts", source::from_iter([5, 7_000, 9]));
    /// let passed = amounts
    ///     .process_with_side(&audit, |amount, audit| {
    ///         if amount > 1_000 {
    ///             audit.emit(format!("{amount} is much"));
    ///         }
    ///         Some(amount)
    ///     })
    ///     .count();
    /// let entries = entries.collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(passed), Some(3));
    /// assert_eq!(report.take(entries), Some(vec!["7000 is much".to_owned()]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn process_with_side<S, U, F>(
        self,
        tag: &SideTag<S>,
        f: F,
    ) -> DataStream<U, Via<C, ProcessWithSide<S, F>>>
    where
        S: Send + 'static,
        U: Send + 'static,
        F: FnMut(T, &mut Side<'_, S>) -> Option<U> + Clone + Send + 'static,
    {
        self.via_with(|operator, blueprint| {
            let port = tag.port(operator, blueprint);
            ProcessWithSide { port, f }
        })
    }
}

/// Where a closure sends what is not for its main output.
#[derive(Debug)]
pub struct Side<'a, S> {
    port: &'a mut SidePort<S>,
    time: Timestamp,
}

impl<S: Send + 'static> Side<'_, S> {
    /// Sends a value.
    pub fn emit(&mut self, value: S) {
        self.port.emit(Record::at(value, self.time));
    }
}

/// The operator behind [`DataStream::process_with_side`].
#[derive(Debug)]
pub struct ProcessWithSide<S, F> {
    port: SidePort<S>,
    f: F,
}

impl<S, F: Clone> Clone for ProcessWithSide<S, F> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone(), f: self.f.clone() }
    }
}

impl<T, S, U, F> Operator<T> for ProcessWithSide<S, F>
where
    T: Send + 'static,
    S: Send + 'static,
    U: Send + 'static,
    F: FnMut(T, &mut Side<'_, S>) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "process_with_side";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.port.open(context);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        let mut side = Side { port: &mut self.port, time: record.time };
        if let Some(value) = (self.f)(record.value, &mut side) {
            out.push(Record::at(value, record.time));
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        Some(&mut self.port)
    }
}
