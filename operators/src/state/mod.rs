//! What operators keep, and how it is written down: by `uid`, in a self-describing code.

mod codec;
mod uid;

pub use codec::State;
pub use uid::Checkpointed;

pub(crate) use codec::{Bytes, Codec};
