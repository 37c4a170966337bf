//! `AVG` of a `BIGINT`.

use millstream::prelude::*;

/// The mean of whole numbers as a whole number: what is behind the point is cut off. Of no values
/// it is zero.
pub(crate) fn whole_mean<T>(
    number: impl Fn(&T) -> u64 + Clone + Send + 'static,
) -> impl Aggregate<T, Out = u64> {
    (Count, Sum::of(number)).map_result(|(count, sum): (u64, u128)| {
        u64::try_from(sum / u128::from(count.max(1))).unwrap_or(u64::MAX)
    })
}
