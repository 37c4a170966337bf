//! Streams that meet by key: how they come together, and what is made of those that belong together.

mod connect;

pub use connect::EitherKey;
