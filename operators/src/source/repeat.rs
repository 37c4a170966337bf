//! `repeat` and `cycle`: the same values over and over.

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::source::SourceFactory;

use super::FromIter;

/// A source that emits clones of one value for as long as somebody asks.
///
/// It never ends by itself, never waits and never fails. As every source, it lets others run after
/// each stretch of work.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("echo");
/// let all = flow.source("echo", source::repeat("hey")).take(2).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec!["hey", "hey"]));
/// # Ok(())
/// # }
/// ```
pub const fn repeat<T: Clone + Send + 'static>(value: T) -> FromIter<Repeat<T>> {
    FromIter { items: Repeat { value } }
}

/// The values of [`repeat`].
#[derive(Clone, Debug)]
pub struct Repeat<T> {
    value: T,
}

impl<T: Clone> Iterator for Repeat<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        Some(self.value.clone())
    }
}

/// A source that emits the items of an iterator, and when that has ended, those of a clone of it,
/// and so on.
///
/// It pulls an item only when there is room for it, never waits and never fails. It ends only if
/// the iterator has no item at all.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("steps");
/// let all = flow.source("steps", source::cycle(["left", "right"])).take(3).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec!["left", "right", "left"]));
/// # Ok(())
/// # }
/// ```
pub const fn cycle<I>(items: I) -> Cycle<I>
where
    I: IntoIterator<IntoIter: Clone + Send + 'static, Item: Send + 'static>,
    I: Clone + Send + 'static,
{
    Cycle { items }
}

/// The factory behind [`cycle`].
#[derive(Clone)]
pub struct Cycle<I> {
    items: I,
}

impl<I> SourceFactory for Cycle<I>
where
    I: IntoIterator<IntoIter: Clone + Send + 'static, Item: Send + 'static>,
    I: Clone + Send + 'static,
{
    type Source = FromIter<std::iter::Cycle<I::IntoIter>>;

    fn create(&self, _instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(FromIter { items: self.items.clone().into_iter().cycle() })
    }
}

impl<I> fmt::Debug for Cycle<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cycle")
    }
}
