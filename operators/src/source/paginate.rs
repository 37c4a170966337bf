//! `paginate`: the items of pages, each of which names the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceFactory, SourceStatus};

/// Some items, and where there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items of this page. There may be none.
    pub items: Vec<T>,
    /// What the next page is asked for with, if there is one.
    pub next: Option<C>,
}

/// A source of the items of pages: `fetch` is asked for a page with a cursor, and the page holds
/// the cursor of the next. Each run begins with a clone of `first`.
///
/// The next page is fetched only when all the items of the page before it have been taken and more
/// is asked for, so one page is in memory at a time, and backpressure reaches the server. It ends
/// behind the page without a next one. A fetch belongs to the source, so a wait that is given up
/// loses nothing; it is dropped when the job is over.
///
/// # Errors
///
/// Those of `fetch`, which tries again itself where that is worth it.
///
/// ```
/// use millstream_operators::prelude::*;
/// use source::Page;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let users = source::paginate(1, |page: u32| async move {
///     // Ask the server for the page.
///     let next = (page < 3).then_some(page + 1);
///     Ok(Page { items: vec![page * 10, page * 10 + 1], next })
/// });
/// let flow = Dataflow::new("users");
/// let all = flow.source("users", users).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![10, 11, 20, 21, 30, 31]));
/// # Ok(())
/// # }
/// ```
pub const fn paginate<C, T, F, R>(first: C, fetch: F) -> Paginate<C, F>
where
    C: Clone + Send + 'static,
    T: Send + 'static,
    F: FnMut(C) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Page<T, C>, OperatorError>> + Send + 'static,
{
    Paginate { first, fetch }
}

/// The factory behind [`paginate`].
#[derive(Clone)]
pub struct Paginate<C, F> {
    first: C,
    fetch: F,
}

impl<C, T, F, R> SourceFactory for Paginate<C, F>
where
    C: Clone + Send + 'static,
    T: Send + 'static,
    F: FnMut(C) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Page<T, C>, OperatorError>> + Send + 'static,
{
    type Source = ReadPages<C, T, F, R>;

    fn create(&self, _instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(ReadPages {
            items: Vec::new().into_iter(),
            next: Some(self.first.clone()),
            fetch: self.fetch.clone(),
            under_way: None,
        })
    }
}

impl<C, F> fmt::Debug for Paginate<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paginate")
    }
}

/// The running source behind [`paginate`].
pub struct ReadPages<C, T, F, R> {
    items: std::vec::IntoIter<T>,
    next: Option<C>,
    fetch: F,
    under_way: Option<Pin<Box<R>>>,
}

impl<C, T, F, R> Source for ReadPages<C, T, F, R>
where
    C: Send + 'static,
    T: Send + 'static,
    F: FnMut(C) -> R + Send + 'static,
    R: Future<Output = Result<Page<T, C>, OperatorError>> + Send + 'static,
{
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        loop {
            batch.fill(&mut self.items);
            if !batch.is_empty() {
                return Ok(SourceStatus::More);
            }
            if let Some(cursor) = self.next.take() {
                self.under_way = Some(Box::pin((self.fetch)(cursor)));
            }
            let Some(fetch) = &mut self.under_way else {
                return Ok(SourceStatus::End);
            };
            let fetched = fetch.await;
            self.under_way = None;
            let Page { items, next } = fetched?;
            (self.items, self.next) = (items.into_iter(), next);
        }
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        // What has been fetched is handed over, and nothing else is fetched.
        Ok(if batch.fill(&mut self.items) { SourceStatus::End } else { SourceStatus::More })
    }
}

impl<C, T, F, R> fmt::Debug for ReadPages<C, T, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadPages")
    }
}
