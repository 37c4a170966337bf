//! Streams that part and meet: other instances, several branches, several inputs.

mod parallel;
