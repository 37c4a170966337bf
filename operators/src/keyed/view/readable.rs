//! What of an operator's state can be read from outside.

/// An operator that keeps something by key which can be told of: what
/// [`queryable`](crate::DataStream::queryable) asks for. Reading changes nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps nothing by key that could be read from outside",
    note = "`queryable` is said right behind `count`, `fold`, `reduce`, `aggregate`, their running \
        kin, and `table`, or behind their `uid` and `max_keys`"
)]
pub trait ReadableKeys {
    /// What its keys are.
    type Key: Send + 'static;
    /// What is told of one.
    type Value: Send + 'static;

    /// What is told of a key, given with its [hash](millstream_engine::key::stable_hash), if
    /// something is kept of it.
    fn value(&self, hash: u64, key: &Self::Key) -> Option<Self::Value>;

    /// Tells of every key, in no particular order.
    fn each(&self, tell: &mut dyn FnMut(&Self::Key, Self::Value));

    /// Of how many keys there is something to tell.
    fn len(&self) -> usize;

    /// Whether there is nothing to tell.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
