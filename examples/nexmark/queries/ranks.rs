//! Three ranks of prices, which queries 15, 16 and 17 tell apart.

use millstream::aggregate::Aggregate;

use crate::model::Bid;

/// What `aggregate` tells of all bids, of those below 10,000, of those below 1,000,000 that are
/// not, and of the others.
pub(crate) fn by_rank<A: Aggregate<Bid>>(
    aggregate: A,
) -> impl Aggregate<Bid, Out = (A::Out, A::Out, A::Out, A::Out)> {
    (
        aggregate.clone(),
        aggregate.clone().filtered(|bid: &Bid| bid.price < 10_000),
        aggregate.clone().filtered(|bid: &Bid| (10_000..1_000_000).contains(&bid.price)),
        aggregate.filtered(|bid: &Bid| bid.price >= 1_000_000),
    )
}
