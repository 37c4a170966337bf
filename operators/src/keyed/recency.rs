//! Which keys of a table have been used lately: a bit a bucket, and a hand that goes round.

use hashbrown::HashTable;

/// The order in which keys are given up, by second chance: the hand goes round the buckets of a
/// table, spares what has been used since it last came by, and takes the first that has not. To
/// have come in is no use yet: keys that are seen once do not push out those in use.
///
/// A bucket is marked, and a key is found to give up, in constant time on the average: to spare
/// `n` keys on one round, `n` have to have been used. Marks are carried over when the table moves
/// its keys, which takes about as many insertions as it has keys.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    used: Vec<u64>,
    hand: usize,
}

impl Recency {
    /// Notes that what is in a bucket is used.
    #[inline]
    pub(crate) fn touch(&mut self, bucket: usize) {
        let word = bucket / 64;
        if word >= self.used.len() {
            self.used.resize(word + 1, 0);
        }
        if let Some(word) = self.used.get_mut(word) {
            *word |= 1 << (bucket % 64);
        }
    }

    /// The bucket of a key that has just come in.
    pub(crate) fn enter(&mut self, bucket: usize) {
        self.pass(bucket);
    }

    /// Lets the table make room for another key now, if it has to.
    #[inline]
    pub(crate) fn make_room<S>(&mut self, table: &mut HashTable<S>, hash: impl Fn(&S) -> u64) {
        if table.len() == table.capacity() {
            self.across(table, &hash, |table| table.reserve(1, &hash));
        }
    }

    /// Carries the marks over a change that moves the keys.
    pub(crate) fn across<S>(
        &mut self,
        table: &mut HashTable<S>,
        hash: impl Fn(&S) -> u64,
        change: impl FnOnce(&mut HashTable<S>),
    ) {
        let mut used: HashTable<u64> = HashTable::new();
        for bucket in 0..table.num_buckets() {
            if self.pass(bucket)
                && let Some(slot) = table.get_bucket(bucket)
            {
                used.insert_unique(hash(slot), hash(slot), |hash| *hash);
            }
        }
        change(table);
        for bucket in 0..table.num_buckets() {
            if let Some(hash) = table.get_bucket(bucket).map(&hash)
                && used.find(hash, |other| *other == hash).is_some()
            {
                self.touch(bucket);
            }
        }
    }

    /// Whether it was noted since the hand last came by, which it does now.
    fn pass(&mut self, bucket: usize) -> bool {
        let Some(word) = self.used.get_mut(bucket / 64) else {
            return false;
        };
        let bit = 1 << (bucket % 64);
        let used = *word & bit != 0;
        *word &= !bit;
        used
    }

    /// The bucket of what is to be given up next, unless the table is empty.
    pub(crate) fn oldest<S>(&mut self, table: &HashTable<S>) -> Option<usize> {
        let buckets = table.num_buckets();
        self.used.truncate(buckets.div_ceil(64));
        if table.is_empty() {
            return None;
        }
        // On the second round, nothing is marked any more.
        for _ in 0..=2 * buckets {
            let bucket = self.hand;
            self.hand = if bucket + 1 < buckets { bucket + 1 } else { 0 };
            if table.get_bucket(bucket).is_some() && !self.pass(bucket) {
                return Some(bucket);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_used_since_the_hand_came_by_is_spared() {
        let mut table = HashTable::new();
        let mut recency = Recency::default();
        let insert = |table: &mut HashTable<u64>, recency: &mut Recency, key: u64| {
            let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let entry =
                table.insert_unique(hash, key, |key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            recency.enter(entry.bucket_index());
        };
        assert_eq!(recency.oldest(&table), None);
        for key in 0..100 {
            insert(&mut table, &mut recency, key);
        }
        let all = |table: &HashTable<u64>| (0..table.num_buckets()).collect::<Vec<_>>();
        let first = recency.oldest(&table).expect("the hand comes round");
        table.get_bucket_entry(first).expect("a key").remove();
        let spared: Vec<_> = all(&table)
            .into_iter()
            .filter(|bucket| table.get_bucket(*bucket).is_some_and(|key| *key < 50))
            .collect();
        spared.iter().for_each(|bucket| recency.touch(*bucket));
        let hash = |key: &u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        recency.across(&mut table, hash, |table| table.reserve(5_000, hash));
        for _ in 0..table.len() - spared.len() {
            let bucket = recency.oldest(&table).expect("a key is left");
            let (key, _) = table.get_bucket_entry(bucket).expect("a key").remove();
            assert!(key >= 50, "{key} has just been used");
        }
        assert_eq!(table.len(), spared.len());
    }
}
