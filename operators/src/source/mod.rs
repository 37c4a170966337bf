//! Where records enter: the sources to give to [`Dataflow::source`](crate::Dataflow::source).

mod from_iter;

pub use from_iter::{FromIter, from_iter};
