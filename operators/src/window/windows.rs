//! The contract of a kind of windows.

use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Operator;

use super::{Trigger, WindowRules, Windowed};
use crate::aggregate::Aggregate;

/// A kind of windows of records of `T`, given to [`window`](crate::KeyedStream::window): tumbling,
/// sliding, sessions.
///
/// Each kind brings an operator of its own, which lays its state out as suits it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of windows of `{T}`",
    note = "say which, as in `.window(Tumbling::of(Duration::from_secs(60)))`"
)]
pub trait Windows<T: Send + 'static>: Clone + Send + 'static {
    /// What tells one window from another.
    type Window: Clone + Send + 'static;

    /// What keeps the windows of the keys of one instance.
    type Operator<K, G, R>: Operator<Keyed<T>, Out = Windowed<K::Owned, Self::Window, G::Out>>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;

    /// Makes that, from what was said.
    fn operator<K, G, R>(
        self,
        key: K,
        aggregate: G,
        rules: WindowRules<T, R>,
    ) -> Self::Operator<K, G, R>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;
}
