//! Streams that part and meet: other instances, several branches, several inputs.

pub mod also_to;
pub mod balance;
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
pub mod rebatch;
pub mod routes;
pub mod side_output;
pub mod tee;
pub mod unzip;
pub mod wire_tap;

pub use side_output::{SidePort, SideTag};
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

/// Sends another stream into the edge that [`meet`] has made. One of another dataflow is a mistake,
/// whichever of the two is run.
fn join<T: Send + 'static, C: Chain<Item = T>>(
    stream: DataStream<T, C>,
    edge: EdgeId,
    flow: &Dataflow,
) {
    flow.blueprint().meet(edge, stream.flow().blueprint());
    stream.forward(edge);
}

/// Ends a stream in an operator with `count` outputs, and gives the stream behind each.
fn branches<T, C, R>(
    stream: DataStream<T, C>,
    count: usize,
    kind: &'static str,
    options: EdgeOptions,
    router: R,
) -> Vec<DataStream<T>>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    R: Router<T> + Clone + 'static,
    R::Out: 'static,
{
    let (flow, chain, mut draft) = stream.into_parts();
    let instances = draft.parallelism;
    draft.operators.push(flow.blueprint().add_operator(Role::Operator, kind, None));
    let edges: Vec<_> = (0..count).map(|_| flow.blueprint().add_edge::<T>(kind, options)).collect();
    DataStream::from_parts(flow.clone(), chain, draft).route(&edges, router);
    let behind = |edge| DataStream::behind(flow.clone(), edge, instances, "branch");
    edges.into_iter().map(behind).collect()
}

/// As many branches as the caller asks for.
fn array<const N: usize, T>(branches: Vec<DataStream<T>>) -> [DataStream<T>; N] {
    branches.try_into().expect("as many branches as were made")
}

/// What becomes of a fan-out when one of its branches has had enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCancel {
    /// That branch drops out. When all have, the input is cancelled.
    #[default]
    Continue,
    /// It is over for all: the other branches end behind what they were given, and the input is
    /// cancelled.
    CancelAll,
}
