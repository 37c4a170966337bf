//! Words with one input and one output that neither wait nor, but for
//! [`elapsed`], need to know the time: each is fused into the loop of its stage.

pub mod chunk_by;
pub mod chunks;
pub mod chunks_sliding;
pub mod chunks_weighted;
pub mod dedup;
pub mod default_if_empty;
mod dimap;
pub mod distinct;
pub mod elapsed;
pub mod filter;
pub mod flat_map_iter;
pub mod flatten;
pub mod inspect;
pub mod intersperse;
pub mod limit;
pub mod log;
pub mod map;
pub mod map_batches;
pub mod map_with_resource;
pub mod materialize;
mod pipe;
pub mod sample_every;
pub mod scan;
pub mod skip;
pub mod sort;
pub mod stateful_map;
pub mod take;
pub mod zip_with;
