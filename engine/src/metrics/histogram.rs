//! How long things take, in buckets that grow with the time: memory is bounded, whatever is
//! measured.

use std::time::Duration;

use super::Counter;
use super::counters::UNCOUNTED;

/// Each doubling of the time is cut into this many buckets.
const PER_DOUBLING: usize = 4;
/// The last bucket begins at 2^42 nanoseconds, somewhat more than an hour.
const BUCKETS: usize = 42 * PER_DOUBLING;

/// The bucket of a time, and where a bucket begins.
fn bucket_of(nanos: u64) -> usize {
    // Below four nanoseconds, each has its own.
    if nanos < PER_DOUBLING as u64 {
        return usize::try_from(nanos).unwrap_or(0);
    }
    let doubling = 63 - nanos.leading_zeros() as usize;
    let within = usize::try_from(nanos >> (doubling - 2)).unwrap_or(0) - PER_DOUBLING;
    ((doubling - 1) * PER_DOUBLING + within).min(BUCKETS - 1)
}

fn begin_of(bucket: usize) -> u64 {
    if bucket < PER_DOUBLING {
        return bucket as u64;
    }
    let doubling = bucket / PER_DOUBLING + 1;
    ((PER_DOUBLING + bucket % PER_DOUBLING) as u64) << (doubling - 2)
}

fn nanos_of(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// Times of one kind. One task writes, anybody reads.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[Counter]>,
    nanos: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(Counter::default).take(BUCKETS).collect();
        Self { buckets, nanos: Counter::default() }
    }
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration, weight: u64) {
        self.add(nanos_of(took), weight);
    }

    /// So many times that took `all` together, each of them by their mean.
    pub(crate) fn record_mean(&self, all: Duration, times: u64) {
        if let Some(mean) = nanos_of(all).checked_div(times) {
            self.add(mean, times);
        }
    }

    fn add(&self, nanos: u64, weight: u64) {
        if UNCOUNTED {
            return;
        }
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.add(weight);
        }
        self.nanos.add(nanos.saturating_mul(weight));
    }

    /// Adds what is here to `all`.
    pub(crate) fn read(&self, all: &mut Latency) {
        all.nanos = all.nanos.wrapping_add(self.nanos.get());
        all.buckets.resize(BUCKETS, 0);
        for (total, bucket) in all.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
    }
}

/// How long something took, over and over: how often which time.
///
/// A time is known up to a quarter of itself. Of what was measured it shows the whole past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    buckets: Vec<u64>,
    nanos: u64,
}

impl Latency {
    /// Adds what another has measured.
    pub(crate) fn add(&mut self, other: &Self) {
        self.nanos = self.nanos.wrapping_add(other.nanos);
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (total, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *total += more;
        }
    }

    /// What was measured beyond what had been at `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = before.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = self.buckets.iter().zip(earlier).map(|(now, then)| now.saturating_sub(then));
        Self { buckets: buckets.collect(), nanos: self.nanos.wrapping_sub(before.nanos) }
    }

    /// How many times were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their mean; `None` if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.nanos.checked_div(self.count())?))
    }

    /// A time that the given share of them, between 0 and 1, does not exceed: at most a quarter
    /// more than the least such time. `None` if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a quantile is not exact"
        )]
        let wanted = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|records| {
            seen += records;
            seen >= wanted
        });
        Some(Duration::from_nanos(begin_of(reached? + 1)))
    }

    /// How often each time was measured: the middle of each bucket that is not empty.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let filled = self.buckets.iter().enumerate().filter(|(_, records)| **records > 0);
        filled.map(|(bucket, records)| {
            let middle = u64::midpoint(begin_of(bucket), begin_of(bucket + 1));
            (Duration::from_nanos(middle), *records)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m7_each_time_lies_in_its_bucket_and_none_is_wider_than_a_quarter() {
        for nanos in (0..5000).chain([1_u64 << 30, (1 << 41) - 1]) {
            let bucket = bucket_of(nanos);
            let (begin, end) = (begin_of(bucket), begin_of(bucket + 1));
            assert!(begin <= nanos && nanos < end, "{nanos} in {begin}..{end}");
            assert!(end - begin <= (begin / 4).max(1), "{begin}..{end}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn m7_a_quantile_is_at_most_a_quarter_too_much() {
        let histogram = Histogram::default();
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis), 2);
        }
        let mut latency = Latency::default();
        histogram.read(&mut latency);
        assert_eq!(latency.count(), 200);
        assert_eq!(latency.mean(), Some(Duration::from_micros(50_500)));
        for (share, exact) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
            let quantile = latency.quantile(share).unwrap();
            let exact = Duration::from_millis(exact);
            assert!(exact <= quantile && quantile <= exact * 5 / 4, "{share}: {quantile:?}");
        }
        assert_eq!(Latency::default().quantile(0.5), None);
    }
}
