//! What an operator keeps for itself and not for keys, written by instance and part by part.
//!
//! A part that is the user's is written by the codec that came with the `uid`; the rest is the
//! operator's own: counts, flags and times.

use std::collections::VecDeque;

use millstream_engine::Record;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use super::{Codec, State};

/// For operators that keep nothing of the user's, and so need no `uid` to know how to write it.
pub(crate) const PLAIN: Option<Codec<()>> = Some(Codec::new());

/// A part of an operator's state, where the user's values are `T`.
pub(crate) trait Part<T> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError>;

    /// Takes over what was written. A list, and a latest time, add it to what is there.
    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError>;
}

/// Writes the parts of an operator's state, one behind the other.
pub(crate) fn write_parts<T>(
    codec: Option<Codec<T>>,
    state: &mut StateWriter,
    parts: &[&dyn Part<T>],
) -> Result<(), StateError> {
    let codec = codec.ok_or_else(without_uid)?;
    let mut bytes = Vec::new();
    parts.iter().try_for_each(|part| part.write(codec, &mut bytes))?;
    state.write(bytes);
    Ok(())
}

/// Takes over what [`write_parts`] wrote for this instance, if it was there.
pub(crate) fn read_parts<T>(
    codec: Option<Codec<T>>,
    state: &StateReader<'_>,
    parts: &mut [&mut dyn Part<T>],
) -> Result<(), StateError> {
    let codec = codec.ok_or_else(without_uid)?;
    state.read().map_or(Ok(()), |bytes| read(codec, bytes, parts))
}

/// Takes over what [`write_parts`] wrote for this instance, and for such as are no more. For state
/// that adds up: lists of what may as well be elsewhere, and latest times.
pub(crate) fn gather_parts<T>(
    codec: Option<Codec<T>>,
    state: &StateReader<'_>,
    parts: &mut [&mut dyn Part<T>],
) -> Result<(), StateError> {
    let codec = codec.ok_or_else(without_uid)?;
    state.inherited().try_for_each(|bytes| read(codec, bytes, parts))
}

fn read<T>(
    codec: Codec<T>,
    bytes: &[u8],
    parts: &mut [&mut dyn Part<T>],
) -> Result<(), StateError> {
    let mut rest = bytes;
    parts.iter_mut().try_for_each(|part| part.read(codec, &mut rest))?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(StateError::new("there is more of it than this operator writes"))
    }
}

/// Whoever has state and no `uid` is asked for none of it.
pub(crate) fn without_uid() -> StateError {
    StateError::new("an operator without a uid writes no state")
}

/// Something of the operator's own, which says itself how it is written.
#[derive(Debug)]
pub(crate) struct Plain<S>(pub(crate) S);

impl<T, S: State> Part<T> for Plain<S> {
    fn write(&self, _codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        Codec::new().write(&self.0, bytes)
    }

    fn read(&mut self, _codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        self.0 = Codec::new().read(bytes)?;
        Ok(())
    }
}

/// The same, without a wrapper.
macro_rules! plain {
    ($($kind:ty),+) => {$(
        impl<T> Part<T> for $kind {
            fn write(&self, _codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
                Codec::new().write(self, bytes)
            }

            fn read(&mut self, _codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
                *self = Codec::new().read(bytes)?;
                Ok(())
            }
        }
    )+};
}

plain!(bool, u64, usize);

impl<T> Part<T> for Timestamp {
    fn write(&self, _codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        Codec::new().write(&self.as_millis(), bytes)
    }

    fn read(&mut self, _codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        *self = Self::from_millis(Codec::new().read(bytes)?);
        Ok(())
    }
}

/// What lists and options hold: the user's values, and records of them.
pub(crate) trait Item<T>: Sized {
    fn write_item(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError>;
    fn read_item(codec: Codec<T>, bytes: &mut &[u8]) -> Result<Self, StateError>;
}

impl<T> Item<T> for T {
    fn write_item(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        codec.write(self, bytes)
    }

    fn read_item(codec: Codec<T>, bytes: &mut &[u8]) -> Result<T, StateError> {
        codec.read(bytes)
    }
}

impl<T> Item<T> for Record<T> {
    fn write_item(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        Codec::new().write(&self.time.as_millis(), bytes)?;
        codec.write(&self.value, bytes)
    }

    fn read_item(codec: Codec<T>, bytes: &mut &[u8]) -> Result<Self, StateError> {
        let time = Timestamp::from_millis(Codec::new().read(bytes)?);
        Ok(Self::at(codec.read(bytes)?, time))
    }
}

/// The user's value itself.
#[derive(Clone, Debug)]
pub(crate) struct Value<T>(pub(crate) T);

impl<T> Part<T> for Value<T> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        codec.write(&self.0, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        self.0 = codec.read(bytes)?;
        Ok(())
    }
}

impl<T, I: Item<T>> Part<T> for Option<I> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        write_list(self.iter(), codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        *self = None;
        read_list(codec, bytes, |item| *self = Some(item))
    }
}

impl<T, I: Item<T>> Part<T> for Vec<I> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        write_list(self.iter(), codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        read_list(codec, bytes, |item| self.push(item))
    }
}

impl<T, I: Item<T>> Part<T> for VecDeque<I> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        write_list(self.iter(), codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        read_list(codec, bytes, |item| self.push_back(item))
    }
}

/// Writes how many there are, and each of them.
pub(crate) fn write_list<'a, T, I: Item<T> + 'a>(
    items: impl ExactSizeIterator<Item = &'a I>,
    codec: Codec<T>,
    bytes: &mut Vec<u8>,
) -> Result<(), StateError> {
    Codec::new().write(&items.len(), bytes)?;
    let mut items = items;
    items.try_for_each(|item| item.write_item(codec, bytes))
}

/// Reads what [`write_list`] wrote, and believes no length.
pub(crate) fn read_list<T, I: Item<T>>(
    codec: Codec<T>,
    bytes: &mut &[u8],
    mut take: impl FnMut(I),
) -> Result<(), StateError> {
    let count: usize = Codec::new().read(bytes)?;
    (0..count).try_for_each(|_| I::read_item(codec, bytes).map(&mut take))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (u64, bool, Option<Record<String>>, Vec<String>, VecDeque<Record<String>>);

    fn some() -> Parts {
        let record = |value: &str| Record::at(value.to_owned(), Timestamp::from_millis(-7));
        let records = [record("d"), record("e")].into();
        (7, true, Some(record("a")), vec!["b".to_owned(), "c".to_owned()], records)
    }

    fn written(parts: &Parts, instance: usize) -> StateWriter {
        let mut state = StateWriter::new(instance);
        let (a, b, c, d, e) = parts;
        write_parts(Some(Codec::new()), &mut state, &[a, b, c, d, e]).unwrap();
        state
    }

    #[test]
    fn parts_come_back_and_neither_less_nor_more_is_believed() {
        let entries = written(&some(), 0).into_entries();
        let reader = StateReader::new(0, 1, &entries);
        let (mut a, mut b, mut c, mut d, mut e) = Parts::default();
        let codec = Some(Codec::new());
        read_parts(codec, &reader, &mut [&mut a, &mut b, &mut c, &mut d, &mut e]).unwrap();
        assert_eq!((a, b, c, d, e), some());

        let bytes = reader.read().unwrap();
        for length in (0..=bytes.len() + 1).filter(|length| *length != bytes.len()) {
            let mut other = bytes.to_vec();
            other.resize(length, 0);
            let (mut a, mut b, mut c, mut d, mut e) = Parts::default();
            let parts: &mut [&mut dyn Part<String>] = &mut [&mut a, &mut b, &mut c, &mut d, &mut e];
            assert!(read(Codec::new(), &other, parts).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_adds_up_is_gathered_from_instances_that_are_no_more() {
        let mut entries = std::collections::BTreeMap::new();
        for instance in 0..5 {
            let mut state = StateWriter::new(instance);
            write_parts(Some(Codec::new()), &mut state, &[&vec![instance]]).unwrap();
            entries.extend(state.into_entries());
        }
        let gathered = |instance| {
            let mut all = Vec::<usize>::new();
            let reader = StateReader::new(instance, 2, &entries);
            gather_parts(Some(Codec::new()), &reader, &mut [&mut all]).unwrap();
            all
        };
        assert_eq!(gathered(0), [0, 2, 4]);
        assert_eq!(gathered(1), [1, 3]);
    }

    #[test]
    fn who_has_no_uid_writes_nothing() {
        let mut state = StateWriter::new(0);
        let none = None::<Codec<String>>;
        assert!(write_parts(none, &mut state, &[&true]).is_err());
        assert!(state.into_entries().is_empty());
    }
}
