//! How far each split of a source has been read, as one position.

/// How far a split has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is known, and nothing has been read that would not be read again.
    Found,
    /// To this position, as its reader says.
    At(Vec<u8>),
    Ended,
}

/// A position that this source has not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the position is not one of a source with splits")]
pub(super) struct ForeignPosition;

pub(super) fn encode<'a>(splits: impl Iterator<Item = (&'a String, &'a Progress)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, progress) in splits {
        write(&mut bytes, id.as_bytes());
        match progress {
            Progress::Found => bytes.push(0),
            Progress::At(position) => {
                bytes.push(1);
                write(&mut bytes, position);
            }
            Progress::Ended => bytes.push(2),
        }
    }
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<(String, Progress)>> {
    let mut splits = Vec::new();
    while !bytes.is_empty() {
        let id = String::from_utf8(read(&mut bytes)?.to_vec()).ok()?;
        let (tag, rest) = bytes.split_first()?;
        bytes = rest;
        let progress = match tag {
            0 => Progress::Found,
            1 => Progress::At(read(&mut bytes)?.to_vec()),
            2 => Progress::Ended,
            _ => return None,
        };
        splits.push((id, progress));
    }
    Some(splits)
}

fn write(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u64).to_be_bytes());
    bytes.extend(part);
}

fn read<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_positions_are_read_as_they_were_written() {
        let splits = [
            ("a".to_owned(), Progress::Found),
            (String::new(), Progress::At(vec![1, 2])),
            ("c".to_owned(), Progress::Ended),
            ("d".to_owned(), Progress::At(Vec::new())),
        ];
        let bytes = encode(splits.iter().map(|(id, progress)| (id, progress)));
        assert_eq!(decode(&bytes).unwrap(), splits);
        for cut in 1..bytes.len() {
            // A cut between two splits can't be told; every other one is.
            if let Some(some) = decode(&bytes[..cut]) {
                assert_eq!(some, splits[..some.len()]);
            }
        }
        assert_eq!(decode(&[0xff; 40]), None);
    }
}
