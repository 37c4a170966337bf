//! `once`: a single value.

use super::FromIter;

/// A source of one value. Each run begins with a clone of it.
///
/// Emits when first asked, backpressures when its output does, and ends with the value. It cannot
/// fail and never waits.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("one");
/// let all = flow.source("one", source::once("a")).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec!["a"]));
/// # Ok(())
/// # }
/// ```
pub const fn once<T: Clone + Send + 'static>(value: T) -> FromIter<Once<T>> {
    FromIter { items: Once { value: Some(value) } }
}

/// The value of [`once`].
#[derive(Clone, Debug)]
pub struct Once<T> {
    value: Option<T>,
}

impl<T> Iterator for Once<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.value.take()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[tokio::test]
    async fn a1_once_emits_its_value_in_every_run() {
        let flow = Dataflow::new("once");
        let all = flow.source("once", source::once(7)).collect();
        for _ in 0..2 {
            assert_eq!(flow.run().await.unwrap().take(all), Some(vec![7]));
        }
    }
}
