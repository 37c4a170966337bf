//! What operators keep, and how it is written down: by `uid`, in a self-describing code.

mod by_group;
mod codec;
mod parts;
mod time;
mod uid;

pub use codec::State;
pub use uid::Checkpointed;

pub(crate) use by_group::{ByGroup, check_group};
pub(crate) use codec::{Bytes, Codec};
pub(crate) use parts::{
    PLAIN, Part, Plain, Value, gather_parts, read_list, read_parts, without_uid, write_list,
    write_parts,
};
pub(crate) use time::{read_time, time_bytes};
