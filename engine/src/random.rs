//! The randomness seam: everything the engine leaves to chance comes from the job's seed.

/// A small, fast, seeded generator (SplitMix64; Steele, Lea and Flood, OOPSLA 2014). For jitter and
/// fair choices, never for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with the given seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one instance of one operator of a job.
    #[must_use]
    pub fn fork(seed: u64, operator: usize, instance: usize) -> Self {
        let mut mixer = Self(seed);
        let first = mixer.next_u64() ^ operator as u64;
        let mut mixer = Self(first);
        Self(mixer.next_u64() ^ instance as u64)
    }

    /// What it will say next: a generator with this for a seed goes on as this one does.
    #[must_use]
    pub const fn state(&self) -> u64 {
        self.0
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// A number between 0 and 1, 1 excluded.
    pub fn ratio(&mut self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let numerator = (self.next_u64() >> 11) as f64;
        numerator / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_forks_differ() {
        let numbers = |mut random: Random| [random.next_u64(), random.next_u64()];
        assert_eq!(numbers(Random::new(7)), numbers(Random::new(7)));
        assert_ne!(numbers(Random::fork(7, 0, 1)), numbers(Random::fork(7, 1, 0)));
        let mut random = Random::new(1);
        random.next_u64();
        assert_eq!(numbers(Random::new(random.state())), numbers(random.clone()));
        assert!((0..1000).all(|_| random.below(10) < 10 && random.ratio() < 1.0));
        assert_eq!(random.below(0), 0);
    }
}
