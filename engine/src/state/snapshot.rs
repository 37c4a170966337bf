//! The state of a job's operators at one barrier, and the bytes it is written as.
//!
//! # Format
//!
//! All numbers are little-endian; a text or a piece of state is its length, as a `u64`, and its
//! bytes.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `MSTATE` |
//! | format version | `u16`, 1 |
//! | number of operators | `u32` |
//! | each operator: `uid`, kind, version of its state | text, text, `u32` |
//! | … number of its entries | `u32` |
//! | … each entry: scope (0 key group, 1 instance), its number, the state | `u8`, `u32`, bytes |
//! | checksum of all before it (CRC-32) | `u32` |
//!
//! What is not exactly that is refused, and nothing is taken from it: an unknown version, a wrong
//! checksum, bytes left over. Lengths are checked against what is there before anything is
//! reserved.

use std::collections::BTreeMap;

use super::{StateError, StateScope};
use crate::key::KEY_GROUPS;

const MAGIC: &[u8] = b"MSTATE";
const FORMAT: u16 = 1;

/// What one operator wrote, all of its instances together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorState {
    /// The kind of operator that wrote it, as its method is called.
    pub kind: String,
    /// The [version](crate::operator::Operator::STATE_VERSION) of how it wrote it.
    pub version: u32,
    /// What it wrote.
    pub entries: BTreeMap<StateScope, Vec<u8>>,
}

/// The state of a job's operators at one barrier, by their `uid`s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    operators: BTreeMap<String, OperatorState>,
}

impl Snapshot {
    /// The state of the operator with this `uid`.
    #[must_use]
    pub fn operator(&self, uid: &str) -> Option<&OperatorState> {
        self.operators.get(uid)
    }

    /// The operators that have state in it.
    pub fn operators(&self) -> impl Iterator<Item = (&str, &OperatorState)> {
        self.operators.iter().map(|(uid, state)| (uid.as_str(), state))
    }

    /// Leaves out the state of an operator that a later version of the program no longer has. Tells
    /// whether there was any.
    pub fn forget(&mut self, uid: &str) -> bool {
        self.operators.remove(uid).is_some()
    }

    /// Adds what one instance of an operator wrote.
    pub(crate) fn add(
        &mut self,
        uid: &str,
        kind: &str,
        version: u32,
        entries: BTreeMap<StateScope, Vec<u8>>,
    ) {
        let fresh = || OperatorState { kind: kind.to_owned(), version, entries: BTreeMap::new() };
        self.operators.entry(uid.to_owned()).or_insert_with(fresh).entries.extend(entries);
    }

    /// Everything, as bytes with a version and a checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        write_count(&mut bytes, self.operators.len());
        for (uid, state) in &self.operators {
            write_piece(&mut bytes, uid.as_bytes());
            write_piece(&mut bytes, state.kind.as_bytes());
            bytes.extend(state.version.to_le_bytes());
            write_count(&mut bytes, state.entries.len());
            for (scope, entry) in &state.entries {
                let (kind, number) = match scope {
                    StateScope::KeyGroup(group) => (0, usize::from(*group)),
                    StateScope::Instance(instance) => (1, *instance),
                };
                bytes.push(kind);
                write_count(&mut bytes, number);
                write_piece(&mut bytes, entry);
            }
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// What [`to_bytes`](Snapshot::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let broken = || StateError::new("a snapshot that is cut off");
        let (content, checksum) = bytes.split_last_chunk().ok_or_else(broken)?;
        let mut rest = content.strip_prefix(MAGIC).ok_or_else(|| {
            StateError::new("not a snapshot: it does not begin with the letters MSTATE")
        })?;
        let format = u16::from_le_bytes(take(&mut rest)?);
        if format != FORMAT {
            let why = format!("a snapshot of format {format}: this version reads format {FORMAT}");
            return Err(StateError::new(why));
        }
        if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return Err(StateError::new("a snapshot whose checksum is wrong: it has been damaged"));
        }
        let mut snapshot = Self::default();
        for _ in 0..take_count(&mut rest)? {
            let uid = take_text(&mut rest)?;
            let (kind, version) = (take_text(&mut rest)?, u32::from_le_bytes(take(&mut rest)?));
            let mut entries = BTreeMap::new();
            for _ in 0..take_count(&mut rest)? {
                let [scope] = take(&mut rest)?;
                let number = take_count(&mut rest)?;
                let scope = match (scope, u8::try_from(number)) {
                    (0, Ok(group)) if usize::from(group) < KEY_GROUPS => {
                        StateScope::KeyGroup(group)
                    }
                    (1, _) => StateScope::Instance(number),
                    _ => return Err(StateError::new("a snapshot with an unknown kind of state")),
                };
                entries.insert(scope, take_piece(&mut rest)?.to_vec());
            }
            if snapshot.operators.contains_key(&uid) {
                return Err(StateError::new(format!("a snapshot with two operators `{uid}`")));
            }
            snapshot.operators.insert(uid, OperatorState { kind, version, entries });
        }
        if rest.is_empty() { Ok(snapshot) } else { Err(broken()) }
    }
}

fn write_count(bytes: &mut Vec<u8>, count: usize) {
    // There are never as many operators, instances or groups.
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_piece(bytes: &mut Vec<u8>, piece: &[u8]) {
    bytes.extend((piece.len() as u64).to_le_bytes());
    bytes.extend(piece);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], StateError> {
    let (taken, left) =
        rest.split_first_chunk().ok_or_else(|| StateError::new("a snapshot that is cut off"))?;
    *rest = left;
    Ok(*taken)
}

fn take_count(rest: &mut &[u8]) -> Result<usize, StateError> {
    let too_many = |_| StateError::new("a snapshot with more parts than this machine can count");
    usize::try_from(u32::from_le_bytes(take(rest)?)).map_err(too_many)
}

fn take_piece<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], StateError> {
    let length = usize::try_from(u64::from_le_bytes(take(rest)?)).unwrap_or(usize::MAX);
    let (piece, left) = rest
        .split_at_checked(length)
        .ok_or_else(|| StateError::new("a snapshot that is cut off"))?;
    *rest = left;
    Ok(piece)
}

fn take_text(rest: &mut &[u8]) -> Result<String, StateError> {
    let no_text = |_| StateError::new("a snapshot with a name that is no text");
    String::from_utf8(take_piece(rest)?.to_vec()).map_err(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let of_keys = [(StateScope::KeyGroup(7), vec![1, 2, 3]), (StateScope::Instance(0), vec![])];
        snapshot.add("visits", "count", 1, of_keys.into());
        snapshot.add("visits", "count", 1, [(StateScope::Instance(1), vec![9])].into());
        snapshot.add("größe", "take", 3, [(StateScope::Instance(300), vec![0; 40])].into());
        snapshot
    }

    #[test]
    fn what_was_written_is_read_again() {
        let bytes = snapshot().to_bytes();
        let again = Snapshot::from_bytes(&bytes).unwrap();
        assert_eq!(again, snapshot());
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.operator("visits").unwrap().entries.len(), 3);
        assert_eq!(Snapshot::from_bytes(&Snapshot::default().to_bytes()), Ok(Snapshot::default()));
    }

    #[test]
    fn f4_every_flipped_byte_and_every_cut_is_found() {
        let bytes = snapshot().to_bytes();
        for place in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= flip;
                assert!(Snapshot::from_bytes(&damaged).is_err(), "byte {place} ^ {flip}");
            }
            assert!(Snapshot::from_bytes(&bytes[..place]).is_err(), "cut at {place}");
        }
        assert!(Snapshot::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    /// With a checksum that fits, what is inside is still not believed.
    #[test]
    fn hostile_bytes_are_refused_and_reserve_nothing() {
        let honest = snapshot().to_bytes();
        let body = &honest[..honest.len() - 4];
        for place in 0..body.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut hostile = body.to_vec();
                hostile[place] = byte;
                let checksum = crc32fast::hash(&hostile);
                hostile.extend(checksum.to_le_bytes());
                if let Ok(read) = Snapshot::from_bytes(&hostile) {
                    // A key group beyond the 128th, a changed name or a changed byte of state.
                    assert_eq!(Snapshot::from_bytes(&read.to_bytes()), Ok(read));
                }
            }
        }
    }
}
