//! Words with one input and one output that neither wait nor need to know the time: each is fused
//! into the loop of its stage.

pub mod chunks;
pub mod chunks_sliding;
pub mod dedup;
pub mod filter;
pub mod flat_map_iter;
pub mod inspect;
pub mod log;
pub mod map;
mod pipe;
pub mod scan;
pub mod skip;
pub mod stateful_map;
pub mod take;
