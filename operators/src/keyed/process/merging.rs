//! `ReducingState` and `AggregatingState`: what is added is merged into one value for each key.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::state::StateError;

use super::states::{States, StoredStates};
use super::value::{ValueCell, ValueState, ValueView};
use super::{StateTime, StateTtl};
use crate::aggregate::Aggregate;
use crate::state::State;

/// One value for each key, into which everything that is added is reduced.
pub struct ReducingState<V, F> {
    value: ValueState<V>,
    reduce: F,
}

impl<V, F: Fn(&V, &V) -> V> ReducingState<V, F> {
    /// State that is written, and found again, under `name`.
    #[must_use]
    pub const fn new(name: &'static str, reduce: F) -> Self {
        Self { value: ValueState::new(name), reduce }
    }

    /// Forgets a value that has not been touched for so long.
    #[must_use]
    pub fn with_ttl(self, ttl: StateTtl) -> Self {
        Self { value: self.value.with_ttl(ttl), reduce: self.reduce }
    }
}

/// The value of the key at hand.
#[derive(Debug)]
pub struct ReducingView<'a, V, F> {
    value: ValueView<'a, V>,
    reduce: &'a F,
}

impl<V, F: Fn(&V, &V) -> V> ReducingView<'_, V, F> {
    /// Adds a value.
    pub fn add(&mut self, value: V) {
        let reduced =
            self.value.take().map_or_else(|| None, |old| Some((self.reduce)(&old, &value)));
        self.value.set(reduced.unwrap_or(value));
    }

    /// What has been made of all that was added, if anything was.
    pub fn get(&mut self) -> Option<&V> {
        self.value.get()
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.value.clear();
    }
}

/// An accumulator for each key, to which an [`Aggregate`] adds.
pub struct AggregatingState<T, G: Aggregate<T>> {
    value: ValueState<G::Accumulator>,
    aggregate: G,
    marker: PhantomData<fn(T)>,
}

impl<T, G: Aggregate<T>> AggregatingState<T, G> {
    /// State that is written, and found again, under `name`.
    #[must_use]
    pub const fn new(name: &'static str, aggregate: G) -> Self {
        Self { value: ValueState::new(name), aggregate, marker: PhantomData }
    }

    /// Forgets an accumulator that has not been touched for so long.
    #[must_use]
    pub fn with_ttl(self, ttl: StateTtl) -> Self {
        Self { value: self.value.with_ttl(ttl), ..self }
    }
}

/// The accumulator of the key at hand.
pub struct AggregatingView<'a, T, G: Aggregate<T>> {
    value: ValueView<'a, G::Accumulator>,
    aggregate: &'a G,
}

impl<T, G: Aggregate<T>> AggregatingView<'_, T, G> {
    /// Adds a value.
    pub fn add(&mut self, value: &T) {
        let aggregate = self.aggregate;
        self.value.update(|| aggregate.create(), |kept| aggregate.add(kept, value));
    }

    /// What the aggregate says of all that was added, if anything was.
    pub fn get(&mut self) -> Option<G::Out> {
        self.value.get().map(|kept| self.aggregate.result(kept))
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.value.clear();
    }
}

impl<T, G: Aggregate<T>> fmt::Debug for AggregatingView<'_, T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatingView").finish_non_exhaustive()
    }
}

/// Both are a value with something beside it.
macro_rules! by_value {
    ([$($generics:tt)*] [$($stored:tt)*] $states:ty, $value:ty, $view:ident, $beside:ident,
        $view_type:ty) => {
        impl<$($generics)*> States for $states {
            type Cells = ValueCell<$value>;
            type View<'a> = $view_type;

            fn view<'a>(&'a self, cells: &'a mut Self::Cells, now: StateTime) -> Self::View<'a> {
                $view { value: self.value.view(cells, now), $beside: &self.$beside }
            }

            fn is_blank(&self, cells: &Self::Cells) -> bool {
                self.value.is_blank(cells)
            }

            fn expire(&self, cells: &mut Self::Cells, now: StateTime) -> StateTime {
                self.value.expire(cells, now)
            }

            fn shortest_life(&self) -> Option<Duration> {
                self.value.shortest_life()
            }

            fn names(&self, names: &mut Vec<&'static str>) {
                self.value.names(names);
            }
        }

        impl<$($stored)*> StoredStates for $states {
            fn write(
                &self,
                cells: &Self::Cells,
                entry: &mut Vec<(&'static str, Vec<u8>)>,
            ) -> Result<(), StateError> {
                self.value.write(cells, entry)
            }

            fn read(
                &self,
                cells: &mut Self::Cells,
                name: &str,
                bytes: &[u8],
            ) -> Result<bool, StateError> {
                self.value.read(cells, name, bytes)
            }
        }
    };
}

by_value!(
    [V: Send + 'static, F: Fn(&V, &V) -> V + Clone + Send + 'static]
    [V: State, F: Fn(&V, &V) -> V + Clone + Send + 'static]
    ReducingState<V, F>, V, ReducingView, reduce, ReducingView<'a, V, F>
);
by_value!(
    [T: 'static, G: Aggregate<T>]
    [T: 'static, G: Aggregate<T, Accumulator: State>]
    AggregatingState<T, G>, G::Accumulator, AggregatingView, aggregate, AggregatingView<'a, T, G>
);

impl<V, F: Clone> Clone for ReducingState<V, F> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), reduce: self.reduce.clone() }
    }
}

impl<V, F> fmt::Debug for ReducingState<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReducingState").field(&self.value).finish()
    }
}

impl<T, G: Aggregate<T>> Clone for AggregatingState<T, G> {
    fn clone(&self) -> Self {
        let (value, aggregate) = (self.value.clone(), self.aggregate.clone());
        Self { value, aggregate, marker: PhantomData }
    }
}

impl<T, G: Aggregate<T>> fmt::Debug for AggregatingState<T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AggregatingState").field(&self.value).finish()
    }
}
