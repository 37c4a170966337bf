//! What a random graph has to give, as far as it is known.

use std::collections::BTreeMap;

/// How much is known about a stream. Each knows what those before it know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sure {
    /// That its books balance.
    Nothing,
    /// How many records it has.
    Count,
    /// Which they are.
    Bag,
    /// In which order they come.
    Order,
}

/// The records of a stream. Where less than all is known of them, the list is as long as the stream
/// may be.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) values: Vec<u64>,
    pub(crate) sure: Sure,
    /// It holds only as long as nobody in the graph has enough before the end.
    pub(crate) uncut: bool,
}

impl Model {
    pub(crate) const fn of(values: Vec<u64>) -> Self {
        Self { values, sure: Sure::Order, uncut: false }
    }

    pub(crate) fn at_most(mut self, sure: Sure) -> Self {
        self.sure = self.sure.min(sure);
        self
    }

    pub(crate) fn unless_cut(mut self) -> Self {
        self.uncut = true;
        self
    }

    /// Behind a word that treats each record alike, wherever it stands.
    pub(crate) fn each<I: IntoIterator<Item = u64>>(mut self, f: impl FnMut(u64) -> I) -> Self {
        self.values = self.values.into_iter().flat_map(f).collect();
        if self.sure == Sure::Count { self.at_most(Sure::Nothing) } else { self }
    }

    /// The same, of one that gives one record for each.
    pub(crate) fn map(mut self, f: impl FnMut(u64) -> u64) -> Self {
        self.values = self.values.into_iter().map(f).collect();
        self
    }

    /// Behind a word that gives one record for each, which depends on those before and behind it.
    pub(crate) fn same_count(self, f: impl FnOnce(Vec<u64>) -> Vec<u64>) -> Self {
        let sure = if self.sure == Sure::Order { Sure::Order } else { self.sure.min(Sure::Count) };
        Self { values: f(self.values), sure, uncut: self.uncut }
    }

    /// Behind a word that gives as many as there are in front of it, whatever these are.
    pub(crate) fn counted(self, single: bool, f: impl FnOnce(Vec<u64>) -> Vec<u64>) -> Self {
        let sure = if single { Sure::Order } else { Sure::Nothing };
        self.same_count(f).at_most(sure)
    }

    /// Behind a word whose results depend on the order, and so does their number.
    pub(crate) fn ordered(self, f: impl FnOnce(Vec<u64>) -> Vec<u64>) -> Self {
        let known = self.sure == Sure::Order;
        if known { self.same_count(f) } else { self.at_most(Sure::Nothing) }
    }

    /// Behind a word of one instance that has seen all records before it gives any.
    pub(crate) fn gathered(
        self,
        single: bool,
        gives: Sure,
        f: impl FnOnce(Vec<u64>) -> Vec<u64>,
    ) -> Self {
        let known = single && self.sure >= Sure::Bag;
        let sure = if known { gives } else { Sure::Nothing };
        Self { values: f(self.values), sure, uncut: self.uncut }
    }

    /// Two streams as one.
    pub(crate) fn and(self, other: Self, sure: Sure) -> Self {
        Self {
            values: [self.values, other.values].concat(),
            sure: sure.min(self.sure).min(other.sure),
            uncut: self.uncut || other.uncut,
        }
    }

    /// Each value as often as it finds itself in the other stream, and else once; and those of the
    /// other that find nothing.
    pub(crate) fn equal(self, other: &Self) -> Self {
        let of = |values: &[u64], n: u64| values.iter().filter(|value| **value == n).count();
        let pairs = |n: &u64| std::iter::repeat_n(*n, of(&other.values, *n).max(1));
        let alone = |n: &u64| of(&self.values, *n) == 0;
        let mut values: Vec<_> = self.values.iter().flat_map(pairs).collect();
        values.extend(other.values.iter().copied().filter(alone));
        let least = self.sure.min(other.sure);
        let sure = if least >= Sure::Bag { Sure::Bag } else { Sure::Nothing };
        Self { values, sure, uncut: self.uncut || other.uncut }
    }

    /// Compares with what has come out.
    pub(crate) fn compare(mut self, mut values: Vec<u64>, cut: bool) {
        if self.uncut && cut {
            return;
        }
        match self.sure {
            Sure::Nothing => {}
            Sure::Count => assert_eq!(values.len(), self.values.len(), "{values:?}"),
            Sure::Bag => {
                values.sort_unstable();
                self.values.sort_unstable();
                assert_eq!(values, self.values);
            }
            Sure::Order => assert_eq!(values, self.values),
        }
    }

    /// The sum of each key's records.
    pub(crate) fn sums(self, keys: u64) -> Self {
        let sure = self.sure;
        let mut sums = BTreeMap::new();
        for n in &self.values {
            *sums.entry(n % keys).or_insert(0) += n;
        }
        let values = sums.into_values().map(|sum| sum % 1000).collect();
        let sure = if sure >= Sure::Bag { Sure::Bag } else { Sure::Nothing };
        Self { values, sure, uncut: self.uncut }
    }
}
