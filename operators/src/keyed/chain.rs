//! The chain up to a keyed operator: through a shuffle, or straight on.

use std::fmt;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::Keyed;
use millstream_engine::key::{KeyOf, stable_hash};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::Run;
use millstream_engine::tail::Tail;
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;

/// What comes before a keyed operator: the chain `C` before the `key_by`, if each record is where
/// its key belongs already, or else the edge behind which it will be.
///
/// Which of the two it is depends on how many instances there are, which no type says; so both are
/// compiled, and one is run.
pub struct KeyedChain<T, C, K>(Way<T, C, K>);

/// The stream behind a keyed operator.
pub type ViaKeyed<T, C, K, O> =
    DataStream<<O as Operator<Keyed<T>>>::Out, Via<KeyedChain<T, C, K>, O>>;

enum Way<T, C, K> {
    Fused(Via<C, HashKey<K>>),
    Shuffled(Boundary<Keyed<T>>),
}

impl<T, C, K> KeyedChain<T, C, K> {
    pub(super) const fn fused(chain: Via<C, HashKey<K>>) -> Self {
        Self(Way::Fused(chain))
    }

    pub(crate) const fn shuffled(chain: Boundary<Keyed<T>>) -> Self {
        Self(Way::Shuffled(chain))
    }
}

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> Chain for KeyedChain<T, C, K> {
    type Item = Keyed<T>;

    fn finish<N: Tail<Keyed<T>> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        match &self.0 {
            Way::Fused(chain) => chain.finish(run, instance, next),
            Way::Shuffled(chain) => chain.finish(run, instance, next),
        }
    }
}

impl<T, C, K> fmt::Debug for KeyedChain<T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match &self.0 {
            Way::Fused(_) => "fused",
            Way::Shuffled(_) => "shuffled",
        };
        f.debug_tuple("KeyedChain").field(&way).finish()
    }
}

/// Where nothing has to find its way: the hash goes with the record, and nowhere else.
#[derive(Clone)]
pub(super) struct HashKey<K>(pub(super) K);

impl<T: Send + 'static, K: KeyOf<T>> Operator<T> for HashKey<K> {
    type Out = Keyed<T>;
    const NAME: &'static str = "key_by";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Keyed<T>>,
    ) -> Result<(), OperatorError> {
        let hash = self.0.with(&record.value, stable_hash);
        out.push(record.with(|value| Keyed { hash, value }));
        Ok(())
    }
}
