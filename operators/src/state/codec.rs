//! How a value that an operator keeps becomes bytes, and a value again.
//!
//! MessagePack with named fields: it describes itself, so that a struct which has got a field more
//! (with `#[serde(default)]`) still reads what was written before, and one that does not fit is
//! found out rather than misread.

use std::fmt;

use millstream_engine::state::StateError;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Serialize};

/// How deep values may be nested. What is deeper, in bytes that nobody honest wrote, is refused
/// before it exhausts the stack.
const DEPTH_MAX: usize = 128;

/// What can be written down as state, which is everything that serde knows how to write and to read
/// without borrowing: derive `Serialize` and `Deserialize` for a type of your own.
pub trait State: Serialize + DeserializeOwned + Send + 'static {}

impl<S: Serialize + DeserializeOwned + Send + 'static> State for S {}

/// The way from `S` to bytes and back, for an operator that is generic over what can't be written:
/// it is given one where it gets its `uid`, which is where `S` has to be [`State`].
pub(crate) struct Codec<S> {
    write: fn(&S, &mut Vec<u8>) -> Result<(), StateError>,
    read: fn(&mut &[u8]) -> Result<S, StateError>,
}

impl<S: State> Codec<S> {
    pub(crate) const fn new() -> Self {
        Self { write: write::<S>, read: read::<S> }
    }
}

impl<S> Codec<S> {
    /// Writes a value behind what is already there.
    pub(crate) fn write(&self, value: &S, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        (self.write)(value, bytes)
    }

    /// Reads the next value, and leaves what comes behind it.
    pub(crate) fn read(&self, bytes: &mut &[u8]) -> Result<S, StateError> {
        (self.read)(bytes)
    }
}

impl<S> Clone for Codec<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Codec<S> {}

impl<S> fmt::Debug for Codec<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// Bytes that are written as such, and not one by one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Whole)
    }
}

fn write<S: State>(value: &S, bytes: &mut Vec<u8>) -> Result<(), StateError> {
    let mut serializer = rmp_serde::Serializer::new(bytes).with_struct_map();
    let why = |error| StateError::new(format!("it can't be written: {error}"));
    value.serialize(&mut serializer).map_err(why)
}

fn read<S: State>(bytes: &mut &[u8]) -> Result<S, StateError> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    let why = |error| StateError::new(format!("it can't be read: {error}"));
    S::deserialize(&mut deserializer).map_err(why)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn round_trip<S: State + PartialEq + fmt::Debug>(values: &[S]) {
        let codec = Codec::<S>::new();
        let mut bytes = Vec::new();
        values.iter().for_each(|value| codec.write(value, &mut bytes).unwrap());
        let mut rest = bytes.as_slice();
        for value in values {
            assert_eq!(codec.read(&mut rest).as_ref(), Ok(value));
        }
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            let read = values.iter().try_for_each(|_| codec.read(&mut rest).map(drop));
            assert!(read.is_err(), "cut at {cut}");
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Nothing,
        Point(f64, f64),
        Named { name: String, sides: u8 },
    }

    #[test]
    fn values_of_every_kind_come_back_and_leave_what_is_behind_them() {
        round_trip(&[0_u64, 1, u64::MAX]);
        round_trip(&[i64::MIN, -1, i64::MAX]);
        round_trip(&[0_u128, u128::MAX]);
        round_trip(&["".to_owned(), "größer".to_owned()]);
        round_trip(&[Some('x'), None]);
        round_trip(&[Bytes(vec![]), Bytes((0..=255).collect())]);
        round_trip(&[(1_u8, "a".to_owned(), vec![1.5_f64, f64::INFINITY])]);
        round_trip(&[BTreeMap::from([((1_u32, 'a'), vec![Some(2_i8)])])]);
        round_trip(&[HashMap::from([("a".to_owned(), 1_u8)])]);
        let named = Shape::Named { name: "square".to_owned(), sides: 4 };
        round_trip(&[Shape::Nothing, Shape::Point(1.0, -2.0), named]);
    }

    #[test]
    fn t7_a_struct_with_a_field_more_reads_what_was_written_before() {
        #[derive(Serialize, Deserialize)]
        struct Before {
            count: u64,
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct After {
            #[serde(default)]
            latest: Option<String>,
            count: u64,
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Other {
            sum: u64,
        }
        let mut bytes = Vec::new();
        Codec::new().write(&Before { count: 7 }, &mut bytes).unwrap();
        let after = Codec::<After>::new().read(&mut bytes.as_slice());
        assert_eq!(after, Ok(After { latest: None, count: 7 }));
        assert!(Codec::<Other>::new().read(&mut bytes.as_slice()).is_err());
        assert!(Codec::<String>::new().read(&mut bytes.as_slice()).is_err());
    }

    #[test]
    fn hostile_bytes_neither_exhaust_memory_nor_the_stack() {
        // An array, a text and a map of four thousand million parts.
        for claim in [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdb, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Codec::<Vec<String>>::new().read(&mut claim.as_slice()).is_err());
            assert!(Codec::<String>::new().read(&mut claim.as_slice()).is_err());
        }
        #[derive(Serialize, Deserialize)]
        struct Nested(Vec<Nested>);
        let deep = vec![0x91; 1_000_000];
        assert!(Codec::<Nested>::new().read(&mut deep.as_slice()).is_err());
    }
}
