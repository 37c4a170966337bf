//! `Highest`: every record with the highest rank.

use millstream::prelude::*;

/// The records for which a closure gives the most: `RANK() OVER (ORDER BY … DESC) = 1`. Among
/// equals the first come stand first.
#[derive(Clone, Copy)]
pub(crate) struct Highest<F> {
    rank: F,
}

impl<F> Highest<F> {
    pub(crate) const fn of<T, R>(rank: F) -> Self
    where
        F: Fn(&T) -> R + Clone + Send + 'static,
    {
        Self { rank }
    }
}

impl<T, R, F> Aggregate<T> for Highest<F>
where
    T: Clone + Send + 'static,
    R: Ord + Send + 'static,
    F: Fn(&T) -> R + Clone + Send + 'static,
{
    type Accumulator = Vec<T>;
    type Out = Vec<T>;
    const NAME: &'static str = "highest";

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    fn add(&self, highest: &mut Vec<T>, value: &T) {
        let rank = (self.rank)(value);
        let best = highest.first().map(&self.rank);
        if best.as_ref().is_some_and(|best| *best > rank) {
            return;
        }
        if best.is_some_and(|best| best < rank) {
            highest.clear();
        }
        highest.push(value.clone());
    }

    fn merge(&self, highest: &mut Vec<T>, others: &Vec<T>) {
        others.iter().for_each(|other| self.add(highest, other));
    }

    fn result(&self, highest: &Vec<T>) -> Vec<T> {
        highest.clone()
    }

    fn finish(&self, highest: Vec<T>) -> Vec<T> {
        highest
    }
}
