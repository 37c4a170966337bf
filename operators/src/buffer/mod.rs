//! Edges that are more than a boundary: with a policy for when they are full, in an order of their
//! own, or merging what waits.

pub mod conflate;
pub mod edge;
pub mod ordered;
pub mod when_full;
