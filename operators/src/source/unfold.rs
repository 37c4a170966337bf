//! `unfold`: values computed from a state, one after another.

use super::FromIter;

/// A source that computes each value, and the next state, from the state before; `None` completes
/// it. Each run begins with clones of the seed and the closure.
///
/// The next state is computed only when there is room for its value. The closure is called from the
/// worker that runs the stage: one that blocks belongs into [`unfold_async`](super::unfold_async).
/// It cannot fail and never waits.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let digits = source::unfold(407_u32, |n| (n > 0).then_some((n % 10, n / 10)));
/// let flow = Dataflow::new("digits");
/// let all = flow.source("digits", digits).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![7, 0, 4]));
/// # Ok(())
/// # }
/// ```
pub const fn unfold<S, T, F>(seed: S, step: F) -> FromIter<Unfold<S, F>>
where
    S: Clone + Send + 'static,
    T: Send + 'static,
    F: FnMut(S) -> Option<(T, S)> + Clone + Send + 'static,
{
    FromIter { items: Unfold { state: Some(seed), step } }
}

/// The values of [`unfold`].
#[derive(Clone, Debug)]
pub struct Unfold<S, F> {
    state: Option<S>,
    step: F,
}

impl<S, T, F: FnMut(S) -> Option<(T, S)>> Iterator for Unfold<S, F> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let (value, state) = (self.step)(self.state.take()?)?;
        self.state = Some(state);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use millstream_engine::source::{Source, SourceBatch, SourceStatus};

    use super::*;

    #[test]
    fn a6_the_next_state_is_computed_only_on_demand() {
        let step = |n: u32| {
            assert!(n < 3, "computed without demand");
            Some((n, n + 1))
        };
        let mut source = unfold(0, step);
        let mut batch = SourceBatch::new(3);
        let status = source.next(&mut batch).now_or_never().unwrap();
        assert_eq!(status.unwrap(), SourceStatus::More);
        assert!(batch.is_full());
    }

    #[test]
    fn a6_nothing_is_computed_after_the_end() {
        let mut calls = 0;
        let mut source = unfold((), move |()| {
            calls += 1;
            assert_eq!(calls, 1);
            None::<(u32, ())>
        });
        for _ in 0..2 {
            let status = source.next(&mut SourceBatch::new(1)).now_or_never();
            assert_eq!(status.unwrap().unwrap(), SourceStatus::End);
        }
    }
}
