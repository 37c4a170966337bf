//! Interval joins: what belongs together, and when it is told of.
