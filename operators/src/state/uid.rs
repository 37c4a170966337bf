//! `uid`: gives an operator an identity, by which its state is written and found again.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::Operator;

use crate::DataStream;

/// An operator that can write down what it keeps. With [`uid`](DataStream::uid) it takes part in
/// snapshots.
///
/// For an operator of your own, which has [`snapshot`](Operator::snapshot) and
/// [`restore`](Operator::restore), the empty implementation says so. One that is generic over what
/// it keeps implements this where that is [`State`](super::State), and takes note of how to write
/// it, so that without a `uid` it keeps whatever it likes.
#[diagnostic::on_unimplemented(
    message = "the state of `{Self}` can't be written down",
    note = "what it keeps, its keys included, has to implement serde's `Serialize` and \
        `DeserializeOwned`; for an operator of your own write `impl Checkpointed for …`"
)]
pub trait Checkpointed: Sized {
    /// The same operator, ready to write its state.
    #[must_use]
    fn checkpointed(self) -> Self {
        self
    }
}

impl<T, C, O> DataStream<T, Via<C, O>>
where
    T: Send + 'static,
    C: Chain,
    O: Operator<C::Item, Out = T> + Checkpointed,
{
    /// Gives the last operator, which keeps state, an identity: under it, its state is written at
    /// a barrier and found again by a later run. Choose it once and keep it when operators are
    /// added, moved and renamed; no two operators of a dataflow have the same.
    ///
    /// What the operator keeps, with its keys, has to be [`State`](super::State). Without a `uid`
    /// it need not be, and is gone with the run.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// let flow = Dataflow::new("visits");
    /// let visits = flow.source("visits", source::from_iter(["ann", "bob", "ann"]));
    /// visits.map(String::from).key_by(String::clone).count().uid("visits by user").ignore();
    /// flow.validate().unwrap();
    /// ```
    ///
    /// Two with the same are a mistake, which is found before the dataflow runs:
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("first");
    /// let numbers = flow.source("numbers", source::from_iter(0..9));
    /// numbers.take(5).uid("first").skip(2).uid("first").ignore();
    /// let mistake = flow.validate().unwrap_err().to_string();
    /// assert!(mistake.contains("`take` and `skip` have the same uid `first`"), "{mistake}");
    /// ```
    ///
    /// And what can't be written down does not compile:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// #[derive(Clone, PartialEq, Eq, Hash)]
    /// struct NoState;
    ///
    /// # let flow = Dataflow::new("doc");
    /// let numbers = flow.source("numbers", source::from_iter(0..9));
    /// numbers.key_by(|_| NoState).count().uid("count").ignore();
    /// ```
    pub fn uid(self, uid: &str) -> Self {
        let (flow, chain, draft) = self.into_parts();
        let (chain, operator, id) = chain.into_parts();
        flow.blueprint().identify_operator(id, uid);
        Self::from_parts(flow, Via::new(chain, operator.checkpointed(), id), draft)
    }
}
