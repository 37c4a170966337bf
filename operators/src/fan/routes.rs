//! `routes`: branches by predicate, each with a name, and one for what none of them wants.

use std::fmt;
use std::sync::Arc;

use millstream_engine::chain::Chain;
use millstream_engine::edge::PortRouter;
use millstream_engine::graph::{EdgeId, EdgeOptions, Role};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Begins to part the stream by predicates. Each record goes to the first branch whose
    /// predicate holds, and to the branch of [`otherwise`](Routes::otherwise) if none does, so that
    /// nothing is ever dropped for want of a place; without it the graph is refused.
    ///
    /// Backpressures when a branch that is full gets a record: the others wait with it, unless
    /// [`when_full`](DataStream::when_full) says otherwise of that branch. A branch that has had
    /// enough drops out, and what is for it is dropped and counted; when all have, the input is
    /// cancelled. Ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("by size");
    /// let mut sizes = flow.source("numbers", source::from_iter(0..100_u32)).routes();
    /// let small = sizes.when("small", |n| *n < 10).count();
    /// let large = sizes.when("large", |n| *n >= 90).count();
    /// let others = sizes.otherwise("others").count();
    ///
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(small), Some(10));
    /// assert_eq!(report.take(large), Some(10));
    /// assert_eq!(report.take(others), Some(80));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn routes(self) -> Routes<T, C> {
        Routes { stream: self, routes: Vec::new() }
    }
}

type Predicate<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// Branches in the making: see [`DataStream::routes`].
#[must_use = "the stream goes nowhere before `otherwise` has been said"]
pub struct Routes<T, C> {
    stream: DataStream<T, C>,
    routes: Vec<(EdgeId, Predicate<T>)>,
}

impl<T: Send + 'static, C: Chain<Item = T>> Routes<T, C> {
    /// The branch of the records for which `predicate` holds, and none of those before it.
    pub fn when(
        &mut self,
        name: &str,
        predicate: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> DataStream<T> {
        let (edge, branch) = self.branch(name);
        self.routes.push((edge, Arc::new(predicate)));
        branch
    }

    /// The branch of all other records.
    pub fn otherwise(self, name: &str) -> DataStream<T> {
        let (last, branch) = self.branch(name);
        let (flow, chain, mut draft) = self.stream.into_parts();
        draft.operators.push(flow.blueprint().add_operator(Role::Operator, "routes", None));
        let (edges, predicates): (Vec<_>, Vec<_>) = self.routes.into_iter().unzip();
        let edges: Vec<_> = edges.into_iter().chain([last]).collect();
        let choose = move |value: &T| {
            let mut holds = predicates.iter().map(|predicate| predicate(value));
            holds.position(|holds| holds).unwrap_or(predicates.len())
        };
        DataStream::from_parts(flow, chain, draft).route(&edges, PortRouter(choose));
        branch
    }

    fn branch(&self, name: &str) -> (EdgeId, DataStream<T>) {
        let (flow, instances) = (self.stream.flow().clone(), self.stream.parallelism());
        let edge = flow.blueprint().add_edge::<T>(name, EdgeOptions::default());
        (edge, DataStream::behind(flow, edge, instances, "route").named(name))
    }
}

impl<T, C> fmt::Debug for Routes<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
