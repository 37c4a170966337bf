//! What a function keeps of a key, as it is read from outside.

use millstream_engine::key::KeyOf;

use super::{Process, ProcessFunction, StateTime, States};
use crate::keyed::ReadableKeys;

/// A function that says what a [`StateView`](crate::keyed::StateView) tells of a key, so that
/// [`queryable`](crate::DataStream::queryable) may be said behind it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what can be read of its state",
    note = "implement `ReadableFunction<{K}, {T}>` for it"
)]
pub trait ReadableFunction<K, T>: ProcessFunction<K, T> {
    /// What is told of a key.
    type Value: Clone + Send + 'static;

    /// What is to be told of a key of which `cells` are kept, if there is anything: most often the
    /// [`peek`](super::ValueState::peek) of one of its states.
    fn read<'a>(
        states: &Self::States,
        cells: &'a <Self::States as States>::Cells,
        now: StateTime,
    ) -> Option<&'a Self::Value>;
}

impl<T, K, F> Process<T, K, F>
where
    K: KeyOf<T>,
    F: ReadableFunction<K::Owned, T>,
{
    /// Every key of which there is something to tell.
    fn told(&self) -> impl Iterator<Item = (&K::Owned, &F::Value)> {
        let now = self.time_read();
        let keys = self.store.keys.iter();
        keys.filter_map(move |kept| Some((&kept.key, F::read(&self.states, &kept.cells, now)?)))
    }

    fn time_read(&self) -> StateTime {
        let processing = self.now.processing.max(self.clock.now());
        StateTime { processing, ..self.now }
    }
}

impl<T, K, F> ReadableKeys for Process<T, K, F>
where
    K: KeyOf<T, Owned: Eq>,
    F: ReadableFunction<K::Owned, T>,
{
    type Key = K::Owned;
    type Value = F::Value;

    fn value(&self, hash: u64, key: &K::Owned) -> Option<F::Value> {
        let kept = self.store.keys.find(hash, |kept| kept.hash == hash && kept.key == *key)?;
        F::read(&self.states, &kept.cells, self.time_read()).cloned()
    }

    fn each(&self, tell: &mut dyn FnMut(&K::Owned, F::Value)) {
        self.told().for_each(|(key, value)| tell(key, value.clone()));
    }

    fn len(&self) -> usize {
        self.told().count()
    }
}
