//! The contract of a kind of windows.

use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Operator;

use super::{Trigger, WindowRules, Windowed};
use crate::aggregate::Aggregate;

/// A kind of windows, given to [`window`](crate::KeyedStream::window): tumbling, sliding, sessions.
///
/// Each kind brings an operator of its own, which lays its state out as suits it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of windows",
    note = "say which, as in `.window(Tumbling::of(Duration::from_secs(60)))`"
)]
pub trait Windows: Clone + Send + 'static {
    /// What tells one window from another.
    type Window: Clone + Send + 'static;

    /// What keeps the windows of the keys of one instance.
    type Operator<T, K, G, R>: Operator<Keyed<T>, Out = Windowed<K::Owned, Self::Window, G::Out>>
    where
        T: Send + 'static,
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;

    /// Makes that, from what was said.
    fn operator<T, K, G, R>(
        self,
        key: K,
        aggregate: G,
        rules: WindowRules<T, R>,
    ) -> Self::Operator<T, K, G, R>
    where
        T: Send + 'static,
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;
}
