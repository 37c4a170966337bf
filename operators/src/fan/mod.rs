//! Streams that part and meet: other instances, several branches, several inputs.

pub mod broadcast;
pub mod capacity;
mod choose;
pub mod concat;
mod concat_eager;
mod connect;
mod either;
mod interleave;
pub mod merge;
mod merge_latest;
mod merge_preferred;
mod merge_sorted;
mod merge_until;
pub mod parallel;
pub mod partition;
mod race;
mod with_latest_from;
mod zip;
mod zip_all;
mod zip_latest;

pub use choose::MergeEnd;
pub use connect::{ConnectedStreams, KeyedPair, Met};
pub use either::Either;

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Router};
use millstream_engine::graph::{EdgeId, EdgeOptions, Role};

use crate::{DataStream, Dataflow};

/// Makes the edge in which streams meet.
fn meet<T: Send + 'static, C: Chain<Item = T>>(
    stream: &DataStream<T, C>,
    discipline: Discipline,
    kind: &'static str,
) -> (EdgeId, Dataflow) {
    let flow = stream.flow().clone();
    let options = EdgeOptions { discipline, ..EdgeOptions::default() };
    (flow.blueprint().add_edge::<T>(kind, options), flow)
}

/// Ends a stream in an operator with `N` outputs, and gives the stream behind each.
fn branches<const N: usize, T, C, R>(
    stream: DataStream<T, C>,
    kind: &'static str,
    router: R,
) -> [DataStream<T>; N]
where
    T: Send + 'static,
    C: Chain<Item = T>,
    R: Router<T> + Clone + 'static,
    R::Out: 'static,
{
    let (flow, chain, mut draft) = stream.into_parts();
    let instances = draft.parallelism;
    draft.operators.push(flow.blueprint().add_operator(Role::Operator, kind, None));
    let edges = [(); N].map(|()| flow.blueprint().add_edge::<T>(kind, EdgeOptions::default()));
    DataStream::from_parts(flow.clone(), chain, draft).route(&edges, router);
    edges.map(|edge| DataStream::behind(flow.clone(), edge, instances, "branch"))
}
