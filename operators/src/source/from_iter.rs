//! `from_iter`: the items of an iterator.

use millstream_engine::OperatorError;
use millstream_engine::source::{Entrance, Source, SourceBatch, SourceStatus};

/// A source of the items of an iterator, pulled only as there is room for them. It ends with the
/// iterator. Each run begins with a clone of it.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("letters");
/// let letters = flow.source("letters", source::from_iter(["a", "b"])).collect();
/// assert_eq!(flow.run().await?.take(letters), Some(vec!["a", "b"]));
/// # Ok(())
/// # }
/// ```
pub fn from_iter<I>(items: I) -> FromIter<I::IntoIter>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Clone + Send + 'static>,
{
    FromIter { items: items.into_iter() }
}

/// The source behind [`from_iter`].
#[derive(Clone, Debug)]
pub struct FromIter<I> {
    pub(super) items: I,
}

impl<I: Iterator<Item: Send + 'static> + Send + 'static> Source for FromIter<I> {
    type Item = I::Item;

    fn enter<E: Entrance<I::Item>>(self, entrance: E) -> E::Entered {
        entrance.items(self.items)
    }

    async fn next(
        &mut self,
        batch: &mut SourceBatch<I::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        Ok(if batch.fill(&mut self.items) { SourceStatus::End } else { SourceStatus::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_pulls_no_more_than_there_is_room_for() {
        let mut items = (0..).inspect(|n| assert!(*n < 3, "pulled without demand"));
        let mut batch = SourceBatch::new(3);
        assert!(!batch.fill(&mut items));
        assert!(batch.is_full());
    }
}
