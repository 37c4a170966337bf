//! What crosses the shuffle: a record as it was, or what several have become.

use std::borrow::Borrow as _;
use std::marker::PhantomData;

use millstream_engine::Record;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::OperatorContext;

use crate::fan::SidePort;
use crate::window::LateOutput;

/// A record as it was, or what several records of one key have become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Combined<T, K, A> {
    /// A record as it was.
    Record(T),
    /// What several have become.
    Partial(Partial<K, A>),
}

/// What several records of one key, and of one pane of its windows, have become. Its event time is
/// the latest of theirs, and so lies in that pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial<K, A> {
    /// Whose records they were.
    pub key: K,
    /// What has been kept of them.
    pub accumulator: A,
    /// How many they were.
    pub records: u64,
}

impl<T, K, A> Combined<T, K, A> {
    /// How many records it stands for.
    #[must_use]
    pub const fn records(&self) -> u64 {
        match self {
            Self::Record(_) => 1,
            Self::Partial(partial) => partial.records,
        }
    }
}

/// The key of a record, or that which a partial carries.
#[derive(Clone, Copy, Debug)]
pub struct CombinedKey<K>(pub K);

impl<T, A, K: KeyOf<T>> KeyOf<Combined<T, K::Owned, A>> for CombinedKey<K> {
    type Key = K::Key;
    type Owned = K::Owned;

    #[inline]
    fn with<R>(&self, value: &Combined<T, K::Owned, A>, look: impl FnOnce(&K::Key) -> R) -> R {
        match value {
            Combined::Record(value) => self.0.with(value, look),
            Combined::Partial(partial) => look(partial.key.borrow()),
        }
    }
}

/// The side output of late records, which are sent as they were. What has become part of a partial
/// can't be sent any more, and is counted as dropped.
pub(super) struct LateOnes<T, K, A> {
    port: SidePort<T>,
    marker: PhantomData<fn(K, A)>,
}

impl<T, K, A> LateOnes<T, K, A> {
    pub(super) const fn new(port: SidePort<T>) -> Self {
        Self { port, marker: PhantomData }
    }
}

impl<T, K, A> LateOutput<Combined<T, K, A>> for LateOnes<T, K, A>
where
    T: Send + 'static,
    K: 'static,
    A: 'static,
{
    fn open(&mut self, context: &mut OperatorContext<'_>) {
        self.port.open(context);
    }

    fn take(&mut self, record: Record<Combined<T, K, A>>) -> u64 {
        match record.value {
            Combined::Record(value) => {
                self.port.emit(Record::at(value, record.time));
                0
            }
            Combined::Partial(partial) => partial.records,
        }
    }

    fn blank(&self) -> Box<dyn LateOutput<Combined<T, K, A>>> {
        Box::new(Self::new(self.port.clone()))
    }

    fn side(&mut self) -> &mut dyn SideOutput {
        &mut self.port
    }
}
