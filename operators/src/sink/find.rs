//! `find`, `any`, `all` and `collect_first`: an answer, and no more records than it needs.

use std::fmt;
use std::marker::PhantomData;

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Keeps the first value for which `predicate` holds, and cancels the input right after it. The
    /// report of the run gives it, or `None` if there was none. Of a parallel stream it is
    /// whichever comes first.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("found");
    /// let found = flow.source("numbers", source::from_iter(0..)).find(|n| n % 7 == 6);
    /// assert_eq!(flow.run().await?.take(found), Some(Some(6)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn find<F>(self, mut predicate: F) -> Output<Option<T>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let choose = move |value: T| predicate(&value).then_some(value);
        self.result("find", Search::new(choose, |found| found))
    }

    /// Keeps what `choose` makes of the first value for which it gives anything, and cancels the
    /// input right after that. The report of the run gives it, or `None` if there was none.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("found");
    /// let words = flow.source("words", source::from_iter(["a", "7", "8"]));
    /// let number = words.collect_first(|word| word.parse::<u32>().ok());
    /// assert_eq!(flow.run().await?.take(number), Some(Some(7)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn collect_first<U, F>(self, choose: F) -> Output<Option<U>>
    where
        U: Send + 'static,
        F: FnMut(T) -> Option<U> + Clone + Send + 'static,
    {
        self.result("collect_first", Search::new(choose, |found| found))
    }

    /// Whether `predicate` holds for any value. At the first for which it does, the input is
    /// cancelled. It holds for none of an empty stream.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("any");
    /// let any = flow.source("numbers", source::from_iter(0..)).any(|n| *n > 100);
    /// assert_eq!(flow.run().await?.take(any), Some(true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn any<F>(self, mut predicate: F) -> Output<bool>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let choose = move |value: T| predicate(&value).then_some(());
        self.result("any", Search::new(choose, |found| found.is_some()))
    }

    /// Whether `predicate` holds for every value. At the first for which it doesn't, the input is
    /// cancelled. It holds for all of an empty stream.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("all");
    /// let all = flow.source("numbers", source::from_iter(0..)).all(|n| *n < 100);
    /// assert_eq!(flow.run().await?.take(all), Some(false));
    /// # Ok(())
    /// # }
    /// ```
    pub fn all<F>(self, mut predicate: F) -> Output<bool>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let choose = move |value: T| (!predicate(&value)).then_some(());
        self.result("all", Search::new(choose, |found| found.is_none()))
    }
}

/// Looks for something until it is found.
struct Search<U, F, R> {
    choose: F,
    found: Option<U>,
    answer: fn(Option<U>) -> R,
    marker: PhantomData<fn() -> R>,
}

impl<U, F, R> Search<U, F, R> {
    fn new(choose: F, answer: fn(Option<U>) -> R) -> Self {
        Self { choose, found: None, answer, marker: PhantomData }
    }
}

impl<U, F: Clone, R> Clone for Search<U, F, R> {
    fn clone(&self) -> Self {
        Self::new(self.choose.clone(), self.answer)
    }
}

impl<U, F, R> fmt::Debug for Search<U, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Search")
    }
}

impl<T, U, F, R> Gather<T> for Search<U, F, R>
where
    U: Send + 'static,
    R: Send + 'static,
    F: FnMut(T) -> Option<U> + Clone + Send + 'static,
{
    type Result = R;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        if self.found.is_none() {
            self.found = (self.choose)(record.value);
        }
    }

    #[inline]
    fn is_complete(&self) -> bool {
        self.found.is_some()
    }

    fn finish(self) -> R {
        (self.answer)(self.found)
    }
}
