//! Values at numbers that are used again.

use crate::waste::is_wasteful;

/// Values, each at a number that it keeps until it is taken out.
#[derive(Debug)]
pub(super) struct Slab<V> {
    values: Vec<Option<V>>,
    free: Vec<usize>,
}

impl<V> Slab<V> {
    pub(super) const fn new() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// Whether it holds a lot more room than values.
    pub(super) const fn is_sparse(&self) -> bool {
        is_wasteful(self.values.len(), self.len())
    }

    pub(super) fn insert(&mut self, value: V) -> usize {
        let Some(number) = self.free.pop() else {
            self.values.push(Some(value));
            return self.values.len() - 1;
        };
        if let Some(place) = self.values.get_mut(number) {
            *place = Some(value);
        }
        number
    }

    pub(super) fn get(&self, number: usize) -> Option<&V> {
        self.values.get(number)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut V> {
        self.values.get_mut(number)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<V> {
        let value = self.values.get_mut(number)?.take()?;
        self.free.push(number);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn numbers_are_kept_and_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<_> = (0..100).map(|value| slab.insert(value)).collect();
        assert_eq!(numbers.iter().filter_map(|number| slab.remove(*number)).sum::<i32>(), 4_950);
        assert_eq!((slab.len(), slab.get(7)), (0, None));
        assert_eq!(slab.remove(7), None);
        assert!(slab.is_sparse());
        let again: Vec<_> = (0..100).map(|value| slab.insert(value)).collect();
        assert!(again.iter().all(|number| *number < 100) && !slab.is_sparse());
        assert_eq!(slab.get_mut(again[3]).map(|value| *value), Some(3));
    }
}
