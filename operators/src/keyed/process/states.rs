//! What a function keeps for each key: one piece of state, or several in a tuple.

use std::time::Duration;

use millstream_engine::state::StateError;

use super::StateTime;

/// The state that a [`ProcessFunction`](super::ProcessFunction) has: a
/// [`ValueState`](super::ValueState), [`ListState`](super::ListState),
/// [`MapState`](super::MapState), [`ReducingState`](super::ReducingState),
/// [`AggregatingState`](super::AggregatingState), a tuple of up to six of them, or `()` for none.
///
/// A value of it says how the state is called and how long it lives; what is kept for each key is
/// its [`Cells`](States::Cells).
pub trait States: Clone + Send + 'static {
    /// What is kept for one key; blank by default.
    type Cells: Default + Send + 'static;

    /// What a function sees of the key at hand.
    type View<'a>;

    /// Shows what is kept.
    fn view<'a>(&'a self, cells: &'a mut Self::Cells, now: StateTime) -> Self::View<'a>;

    /// Whether nothing is kept, so that the key can be forgotten.
    fn is_blank(&self, cells: &Self::Cells) -> bool;

    /// Forgets what has lived its time, and tells when the next of it will have.
    fn expire(&self, cells: &mut Self::Cells, now: StateTime) -> StateTime;

    /// The shortest time to live of any of it, if it has one.
    fn shortest_life(&self) -> Option<Duration>;

    /// What the pieces are called.
    fn names(&self, names: &mut Vec<&'static str>);
}

/// State that can be written down: that whose values are [`State`](crate::state::State).
pub trait StoredStates: States {
    /// Adds each piece of it that is not blank to `entry`, by its name.
    fn write(
        &self,
        cells: &Self::Cells,
        entry: &mut Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), StateError>;

    /// Reads the piece called `name`, and tells whether there is one.
    fn read(&self, cells: &mut Self::Cells, name: &str, bytes: &[u8]) -> Result<bool, StateError>;
}

/// Adds one piece.
pub(super) fn one(
    name: &'static str,
    entry: &mut Vec<(&'static str, Vec<u8>)>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    entry.push((name, bytes));
    Ok(())
}

impl States for () {
    type Cells = ();
    type View<'a> = ();

    fn view<'a>(&'a self, (): &'a mut (), _now: StateTime) {}

    fn is_blank(&self, (): &()) -> bool {
        true
    }

    fn expire(&self, (): &mut (), _now: StateTime) -> StateTime {
        StateTime::NEVER
    }

    fn shortest_life(&self) -> Option<Duration> {
        None
    }

    fn names(&self, _names: &mut Vec<&'static str>) {}
}

impl StoredStates for () {
    fn write(&self, (): &(), _entry: &mut Vec<(&'static str, Vec<u8>)>) -> Result<(), StateError> {
        Ok(())
    }

    fn read(&self, (): &mut (), _name: &str, _bytes: &[u8]) -> Result<bool, StateError> {
        Ok(false)
    }
}

/// Several pieces of state, as one.
macro_rules! together {
    ($($states:ident $index:tt),+) => {
        impl<$($states: States),+> States for ($($states,)+) {
            type Cells = ($($states::Cells,)+);
            type View<'a> = ($($states::View<'a>,)+);

            fn view<'a>(&'a self, cells: &'a mut Self::Cells, now: StateTime) -> Self::View<'a> {
                ($(self.$index.view(&mut cells.$index, now),)+)
            }

            fn is_blank(&self, cells: &Self::Cells) -> bool {
                $(self.$index.is_blank(&cells.$index))&&+
            }

            fn expire(&self, cells: &mut Self::Cells, now: StateTime) -> StateTime {
                let mut next = StateTime::NEVER;
                $(next = next.earlier(self.$index.expire(&mut cells.$index, now));)+
                next
            }

            fn shortest_life(&self) -> Option<Duration> {
                [$(self.$index.shortest_life()),+].into_iter().flatten().min()
            }

            fn names(&self, names: &mut Vec<&'static str>) {
                $(self.$index.names(names);)+
            }
        }

        impl<$($states: StoredStates),+> StoredStates for ($($states,)+) {
            fn write(
                &self,
                cells: &Self::Cells,
                entry: &mut Vec<(&'static str, Vec<u8>)>,
            ) -> Result<(), StateError> {
                $(self.$index.write(&cells.$index, entry)?;)+
                Ok(())
            }

            fn read(
                &self,
                cells: &mut Self::Cells,
                name: &str,
                bytes: &[u8],
            ) -> Result<bool, StateError> {
                Ok($(self.$index.read(&mut cells.$index, name, bytes)?)||+)
            }
        }
    };
}

together!(A 0, B 1);
together!(A 0, B 1, C 2);
together!(A 0, B 1, C 2, D 3);
together!(A 0, B 1, C 2, D 3, E 4);
together!(A 0, B 1, C 2, D 3, E 4, F 5);
