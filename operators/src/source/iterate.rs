//! `iterate`: a seed, and what follows from each value.

use super::FromIter;

/// A source of a seed and then of what a closure makes of each value before; `None` completes it.
/// Each run begins with clones of the seed and the closure.
///
/// A value is computed only when there is room for it, from a kept clone of the last one. It cannot
/// fail and never waits.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let halves = source::iterate(20_u32, |n| (n % 2 == 0).then_some(n / 2));
/// let flow = Dataflow::new("halves");
/// let all = flow.source("halves", halves).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![20, 10, 5]));
/// # Ok(())
/// # }
/// ```
pub const fn iterate<T, F>(seed: T, step: F) -> FromIter<Iterate<T, F>>
where
    T: Clone + Send + 'static,
    F: FnMut(&T) -> Option<T> + Clone + Send + 'static,
{
    FromIter { items: Iterate { seed: Some(seed), last: None, step } }
}

/// The values of [`iterate`].
#[derive(Clone, Debug)]
pub struct Iterate<T, F> {
    /// What to begin with, until it has been emitted.
    seed: Option<T>,
    last: Option<T>,
    step: F,
}

impl<T: Clone, F: FnMut(&T) -> Option<T>> Iterator for Iterate<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let first = self.seed.take();
        let value = first.or_else(|| self.last.take().and_then(|last| (self.step)(&last)))?;
        self.last = Some(value.clone());
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use millstream_engine::source::{Source, SourceBatch, SourceStatus};

    use super::*;

    #[test]
    fn a6_iterate_computes_a_value_only_when_there_is_room_for_it() {
        let step = |n: &u32| {
            assert!(*n < 2, "computed without demand");
            Some(n + 1)
        };
        let mut source = iterate(0, step);
        let mut batch = SourceBatch::new(3);
        let status = source.next(&mut batch).now_or_never().unwrap();
        assert_eq!(status.unwrap(), SourceStatus::More);
        let values: Vec<u32> = batch.into_parts().0.records.iter().map(|r| r.value).collect();
        assert_eq!(values, [0, 1, 2]);
    }
}
