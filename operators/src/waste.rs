//! When memory that is kept for reuse is to be given back.

/// Below this many nothing is tidied up, nor memory given back.
pub(crate) const FEW: usize = 64;

/// Whether most of a room for `capacity` is unused.
pub(crate) const fn is_wasteful(capacity: usize, len: usize) -> bool {
    capacity > FEW && len < capacity / 8
}
