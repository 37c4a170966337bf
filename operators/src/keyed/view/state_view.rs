//! `StateView`: what a program asks of the state of a job that runs in it.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::try_join_all;
use millstream_engine::key::{key_group, owner, stable_hash};

use super::ViewError;
use super::counter::{Counters, Kept};

/// In the hand of the program around a job: reads what an operator keeps of its keys, while the job
/// runs. [`queryable`](crate::DataStream::queryable) gives it. Clones are the same view.
///
/// A question is put when its future is first polled, and answered by the instances that own the
/// keys, each between two records: it sees all that the records before have done, and nothing of
/// those behind. Instances do so each at a point of its own. What is told of a key is a copy; it
/// is made on the job's time, so a [`snapshot`](StateView::snapshot) of many keys holds each
/// instance up for as long as it takes to copy them.
///
/// An answer comes at the next record or watermark, or when the stage comes to rest. Where hardly
/// any come because the same stage has a busy source and a filter in it, that may be long: a
/// [`boundary`](crate::DataStream::boundary) before the key lets the two run apart; and a stage
/// that is not to begin yet, as the second input of a `concat`, answers when it begins. At most
/// sixteen
/// questions wait at an instance, and others for their turn. A future that is dropped asks nothing
/// more.
///
/// The view is that of the newest run of its dataflow. Before there is one, and after the stream
/// has ended or the job has failed, there is a [`ViewError`] for an answer.
///
/// ```
/// use millstream_operators::keyed::{StateView, ViewError};
///
/// /// What a handler of an HTTP server would do.
/// async fn visits(view: &StateView<String, u64>, name: &str) -> Result<String, ViewError> {
///     Ok(match view.get(name).await? {
///         Some(count) => format!("{name} has been here {count} times"),
///         None => format!("{name} has never been here"),
///     })
/// }
/// ```
pub struct StateView<K, V>(Arc<Counters<K, V>>);

impl<K: Send + 'static, V: Send + 'static> StateView<K, V> {
    pub(super) const fn new(counters: Arc<Counters<K, V>>) -> Self {
        Self(counters)
    }

    /// What is told of a key; `None` if nothing is kept of it.
    ///
    /// # Errors
    ///
    /// If no job runs that keeps the state, or it stops before it has answered.
    ///
    /// ```
    /// # use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let flow = Dataflow::new("prices");
    /// # let (input, prices) = source::queue(16);
    /// # let prices = flow.source("prices", prices);
    /// let (changes, view) = prices.key_by(|p: &(u8, u32)| p.0).table(|p| Some(p.1)).queryable();
    /// # let mut changes = changes.into_stream();
    /// # let _ = input.offer((7, 12));
    /// # changes.try_next().await?;
    /// assert_eq!(view.get(&7).await?, Some(12));
    /// # Ok(())
    /// # }
    /// ```
    pub fn get<Q>(
        &self,
        key: &Q,
    ) -> impl Future<Output = Result<Option<V>, ViewError>> + Send + use<Q, K, V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let values = look_up(Arc::clone(&self.0), vec![(stable_hash(key), key.to_owned())]);
        async move { Ok(values.await?.pop().flatten()) }
    }

    /// What is told of each of some keys, in their order. Those of one instance are looked up
    /// between the same two records.
    ///
    /// # Errors
    ///
    /// As [`get`](StateView::get): all of them are answered, or none.
    ///
    /// ```
    /// # use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let flow = Dataflow::new("numbers");
    /// # let (input, numbers) = source::queue(16);
    /// # let numbers = flow.source("numbers", numbers);
    /// let digits = numbers.key_by(|n| n % 10);
    /// let (sums, view) = digits.running_fold(0, |sum, n| *sum += n).queryable();
    /// # let mut sums = sums.into_stream();
    /// # for n in [3, 5, 13] {
    /// #     let _ = input.offer(n);
    /// #     sums.try_next().await?;
    /// # }
    /// assert_eq!(view.get_all([3, 4, 5]).await?, [Some(16), None, Some(5)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_all<I: IntoIterator<Item = K>>(
        &self,
        keys: I,
    ) -> impl Future<Output = Result<Vec<Option<V>>, ViewError>> + Send + use<I, K, V>
    where
        K: Hash,
    {
        let keys = keys.into_iter().map(|key| (stable_hash(&key), key)).collect();
        look_up(Arc::clone(&self.0), keys)
    }

    /// Every key with what is told of it, in no particular order: of each instance as it was
    /// between two records.
    ///
    /// # Errors
    ///
    /// As [`get`](StateView::get).
    ///
    /// ```
    /// # use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let flow = Dataflow::new("numbers");
    /// # let (input, numbers) = source::queue(16);
    /// # let numbers = flow.source("numbers", numbers);
    /// let (counts, view) = numbers.key_by(|n| n % 10).running_count().queryable();
    /// # let mut counts = counts.into_stream();
    /// # for n in [3, 5, 13] {
    /// #     let _ = input.offer(n);
    /// #     counts.try_next().await?;
    /// # }
    /// let mut all = view.snapshot().await?;
    /// all.sort();
    /// assert_eq!(all, [(3, 2), (5, 1)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(
        &self,
    ) -> impl Future<Output = Result<Vec<(K, V)>, ViewError>> + Send + use<K, V>
    where
        K: Clone,
    {
        let all = self.of_each(|kept| {
            let mut all = Vec::with_capacity(kept.len());
            kept.each(&mut |key, value| all.push((key.clone(), value)));
            all
        });
        async move { Ok(all.await?.into_iter().flatten().collect()) }
    }

    /// Of how many keys something is kept.
    ///
    /// # Errors
    ///
    /// As [`get`](StateView::get).
    pub fn len(&self) -> impl Future<Output = Result<usize, ViewError>> + Send + use<K, V> {
        let lengths = self.of_each(Kept::len);
        async move { Ok(lengths.await?.into_iter().sum()) }
    }

    /// Whether nothing is kept of any key.
    ///
    /// # Errors
    ///
    /// As [`get`](StateView::get).
    pub fn is_empty(&self) -> impl Future<Output = Result<bool, ViewError>> + Send + use<K, V> {
        let length = self.len();
        async move { Ok(length.await? == 0) }
    }

    /// Asks every instance the same.
    fn of_each<A: Send + 'static>(
        &self,
        question: fn(&Kept<K, V>) -> A,
    ) -> impl Future<Output = Result<Vec<A>, ViewError>> + Send + use<A, K, V> {
        let counters = Arc::clone(&self.0);
        async move {
            try_join_all(counters.all()?.into_iter().map(|counter| counter.ask(question))).await
        }
    }
}

/// Asks each instance for the keys that it owns, which come with their hashes.
async fn look_up<K: Send + 'static, V: Send + 'static>(
    counters: Arc<Counters<K, V>>,
    keys: Vec<(u64, K)>,
) -> Result<Vec<Option<V>>, ViewError> {
    let counters = counters.all()?;
    let mut values = Vec::new();
    values.resize_with(keys.len(), || None);
    let mut of_each: Vec<_> = counters.iter().map(|_| Vec::new()).collect();
    for (place, (hash, key)) in keys.into_iter().enumerate() {
        if let Some(keys) = of_each.get_mut(owner(key_group(hash), counters.len())) {
            keys.push((place, hash, key));
        }
    }
    let asked = counters.into_iter().zip(of_each).filter(|(_, keys)| !keys.is_empty());
    let asked = asked.map(|(counter, keys)| {
        counter.ask(move |kept| {
            let found = keys.into_iter().map(|(place, hash, key)| (place, kept.value(hash, &key)));
            found.collect::<Vec<_>>()
        })
    });
    for (place, value) in try_join_all(asked).await?.into_iter().flatten() {
        if let Some(slot) = values.get_mut(place) {
            *slot = value;
        }
    }
    Ok(values)
}

impl<K, V> Clone for StateView<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for StateView<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateView").finish_non_exhaustive()
    }
}
