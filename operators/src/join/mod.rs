//! Streams that meet by key, and what is made of the records that belong together.

mod connect;

pub use connect::EitherKey;
