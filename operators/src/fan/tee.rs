//! The operator behind `also_to` and `wire_tap`: every record goes on, and a clone to one side.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::edge::Outbox;
use millstream_engine::graph::{EdgeOptions, Port};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::{Error, OperatorError, Record};

use super::OnCancel;
use crate::DataStream;

/// Whose operator it is.
pub trait Word: Clone + Send + 'static {
    /// The word.
    const NAME: &'static str;
}

/// The stream as it was, and its side branch.
pub type Teed<T, C, W> = (DataStream<T, Via<C, Tee<T, W>>>, DataStream<T>);

pub(super) fn tee<T: Clone + Send + 'static, C: Chain<Item = T>, W: Word>(
    stream: DataStream<T, C>,
    word: W,
    on_cancel: OnCancel,
    options: EdgeOptions,
) -> Teed<T, C, W> {
    let (flow, instances) = (stream.flow().clone(), stream.parallelism());
    let edge = flow.blueprint().add_edge::<T>(W::NAME, options);
    let main = stream.via_with(|operator, blueprint| Tee {
        port: blueprint.connect(edge, operator),
        on_cancel,
        side: None,
        word,
    });
    (main, DataStream::behind(flow, edge, instances, "branch"))
}

/// Passes on what it gets, and a clone of it to one side.
pub struct Tee<T, W> {
    port: Port,
    on_cancel: OnCancel,
    side: Option<Outbox<T>>,
    word: W,
}

impl<T, W: Word> Clone for Tee<T, W> {
    fn clone(&self) -> Self {
        let (port, on_cancel, word) = (self.port, self.on_cancel, self.word.clone());
        Self { port, on_cancel, side: None, word }
    }
}

impl<T, W: Word> fmt::Debug for Tee<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(W::NAME).field("side", &self.side).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + 'static, W: Word> Operator<T> for Tee<T, W> {
    type Out = T;
    const NAME: &'static str = W::NAME;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.side = context.side_output(self.port);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if let Some(side) = &mut self.side {
            // Whether there is room for another one is what the stage asks of the side output.
            let (Flow::More | Flow::Stop) = side.push(record.clone());
        }
        out.push(record);
        Ok(())
    }

    fn done(&self) -> bool {
        self.on_cancel == OnCancel::CancelAll && self.side.as_ref().is_some_and(|side| side.done())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.side.as_mut().map(|side| side as &mut dyn SideOutput)
    }
}
