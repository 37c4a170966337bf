//! What the words have in common that choose from which of their inputs the next record comes.

use std::sync::Arc;

use millstream_engine::Error;
use millstream_engine::edge::{Inputs, Picker, Ports, Select};
use millstream_engine::graph::EdgeId;
use millstream_engine::metrics::OperatorCounters;
use millstream_engine::random::Random;
use millstream_engine::runtime::{HeadFactory, OperatorContext};

use crate::{DataStream, Dataflow};

/// When a stream with two inputs ends. What the other input still has is cancelled then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MergeEnd {
    /// When both inputs have ended.
    #[default]
    Last,
    /// When one of them has, whichever it is.
    First,
    /// When the stream has on which the word was said.
    Left,
    /// When the other one has.
    Right,
}

impl MergeEnd {
    /// Whether it is time to end, though one input may be open.
    pub(super) fn has_come<T: Send>(self, ports: &Ports<'_, T>) -> bool {
        match self {
            Self::Last => ports.all_ended(),
            Self::First => ports.is_ended(0) || ports.is_ended(1),
            Self::Left => ports.is_ended(0),
            Self::Right => ports.is_ended(1),
        }
    }
}

/// The stream of what a picker makes of the `producers` of an edge, in one instance. Each run gets
/// a picker of its own.
pub(super) fn choose<T, P>(
    flow: Dataflow,
    edge: EdgeId,
    producers: usize,
    kind: &'static str,
    make: impl Fn(Given) -> P + Send + 'static,
) -> DataStream<P::Out>
where
    T: Send + 'static,
    P: Picker<T> + 'static,
{
    let stream = DataStream::headed(flow, edge, 1, kind, 0, Choosing(make));
    let (flow, chain, draft) = stream.into_parts();
    for &operator in &draft.operators {
        // Of each input it has one batch in hand.
        flow.blueprint().add_buffer::<T>(operator, producers);
    }
    DataStream::from_parts(flow, chain, draft)
}

/// What a picker may need of its run.
pub(super) struct Given {
    pub(super) random: Random,
    pub(super) counters: Arc<OperatorCounters>,
}

/// Makes the head of such a stream, with a picker of its own for each run.
struct Choosing<F>(F);

impl<T, P, F> HeadFactory<T> for Choosing<F>
where
    T: Send + 'static,
    P: Picker<T> + 'static,
    F: Fn(Given) -> P + Send + 'static,
{
    type Out = P::Out;
    type Head = Select<T, P>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Self::Head, Error> {
        let picker = (self.0)(Given { random: context.random(), counters: context.counters() });
        Ok(Select::new(context, input, picker))
    }
}
