//! The format on disk: what a segment, a record in it, and the ledger look like.
//!
//! Every number is little-endian. A segment begins with a header: magic, version, its own number,
//! the sequence number of its first record, checksum. Frames follow: checksum, length of the
//! payload, kind, sequence number, event time, payload. The checksum of a frame covers the number
//! of its segment too, so that a block of another file is none of this one. The ledger is magic,
//! version, what is read for good, what is on disk for sure, the number of the next segment,
//! checksum.

use crc32fast::Hasher;

/// The length of a segment's header.
pub(super) const HEADER: usize = 32;
/// The length of a frame without its payload.
pub(super) const FRAME: usize = 25;
/// The length of the ledger.
pub(super) const LEDGER: usize = 40;

const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"MSTREAMB";
const LEDGER_MAGIC: [u8; 8] = *b"MSTREAML";

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) enum Kind {
    /// A value and its event time.
    Record,
    /// A watermark. Its sequence number is that of the record behind it.
    Watermark,
}

/// A frame that has been found whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) time: i64,
    pub(super) payload: &'a [u8],
}

/// What the bytes at some place of a segment are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A frame, of this length.
    Frame(Frame<'a>, usize),
    /// The beginning of one of this length, of which more has to be read.
    Part(usize),
    /// Nothing that was ever written here.
    Bad,
}

/// Why a header or ledger was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not what was written.
    Bad,
    /// It is whole, and of another version.
    Version(u32),
}

/// How far things have come, as the ledger keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Records before this one have been read for good.
    pub(super) acked: u64,
    /// Records before this one are on disk for sure.
    pub(super) synced: u64,
    /// No segment has had this number or a higher one.
    pub(super) next_segment: u64,
}

fn checksum(segment: u64, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Cuts `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// What comes between magic and checksum, if these are right.
fn sealed<const LENGTH: usize>(bytes: &[u8], magic: [u8; 8]) -> Result<(u32, &[u8]), Unreadable> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Bad)?;
    let whole = bytes.len() == LENGTH && checksum(0, body) == u32::from_le_bytes(*sum);
    let mut rest = body;
    if !whole || take(&mut rest) != Some(magic) {
        return Err(Unreadable::Bad);
    }
    let version = take(&mut rest).map(u32::from_le_bytes).ok_or(Unreadable::Bad)?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    Ok((version, rest))
}

fn seal(into: &mut Vec<u8>, magic: [u8; 8], numbers: &[u64]) {
    let start = into.len();
    into.extend(magic);
    into.extend(VERSION.to_le_bytes());
    for number in numbers {
        into.extend(number.to_le_bytes());
    }
    let sum = checksum(0, into.get(start..).unwrap_or_default());
    into.extend(sum.to_le_bytes());
}

pub(super) fn write_header(into: &mut Vec<u8>, segment: u64, first: u64) {
    seal(into, SEGMENT_MAGIC, &[segment, first]);
}

/// The sequence number of the first record of a segment.
pub(super) fn read_header(bytes: &[u8], segment: u64) -> Result<u64, Unreadable> {
    let (_, mut rest) = sealed::<HEADER>(bytes, SEGMENT_MAGIC)?;
    if take(&mut rest).map(u64::from_le_bytes) != Some(segment) {
        return Err(Unreadable::Bad);
    }
    take(&mut rest).map(u64::from_le_bytes).ok_or(Unreadable::Bad)
}

impl Ledger {
    pub(super) fn write(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEDGER);
        seal(&mut bytes, LEDGER_MAGIC, &[self.acked, self.synced, self.next_segment]);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (_, mut rest) = sealed::<LEDGER>(bytes, LEDGER_MAGIC)?;
        let mut number = || take(&mut rest).map(u64::from_le_bytes).ok_or(Unreadable::Bad);
        Ok(Self { acked: number()?, synced: number()?, next_segment: number()? })
    }
}

pub(super) fn write_frame(into: &mut Vec<u8>, segment: u64, frame: &Frame<'_>) {
    let mut body = Vec::with_capacity(FRAME + frame.payload.len());
    // Whoever writes has seen to it that it fits.
    let length = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
    body.extend(length.to_le_bytes());
    body.push(match frame.kind {
        Kind::Record => 1,
        Kind::Watermark => 2,
    });
    body.extend(frame.sequence.to_le_bytes());
    body.extend(frame.time.to_le_bytes());
    body.extend(frame.payload);
    into.extend(checksum(segment, &body).to_le_bytes());
    into.append(&mut body);
}

/// Looks for a frame at the beginning of `bytes`, where `left` bytes of the segment are left.
pub(super) fn read_frame(bytes: &[u8], segment: u64, left: u64) -> Found<'_> {
    if left < FRAME as u64 {
        return Found::Bad;
    }
    let parsed = || {
        let mut rest = bytes;
        let sum = take(&mut rest).map(u32::from_le_bytes)?;
        let body = rest;
        let length = take(&mut rest).map(u32::from_le_bytes)?;
        let [kind] = take(&mut rest)?;
        let sequence = take(&mut rest).map(u64::from_le_bytes)?;
        let time = take(&mut rest).map(i64::from_le_bytes)?;
        Some((sum, body, length, kind, sequence, time, rest))
    };
    let Some((sum, body, length, kind, sequence, time, rest)) = parsed() else {
        return Found::Part(FRAME);
    };
    let whole = FRAME as u64 + u64::from(length);
    // Believed only where it can be true, so that a bad length makes nobody allocate.
    if whole > left {
        return Found::Bad;
    }
    let (length, whole) = (length as usize, FRAME + length as usize);
    let (Some(body), Some(payload)) = (body.get(..whole - 4), rest.get(..length)) else {
        return Found::Part(whole);
    };
    let kind = match kind {
        1 => Kind::Record,
        2 => Kind::Watermark,
        _ => return Found::Bad,
    };
    if checksum(segment, body) != sum {
        return Found::Bad;
    }
    Found::Frame(Frame { kind, sequence, time, payload }, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame<'static> {
        Frame { kind: Kind::Record, sequence: 3, time: -2, payload: b"\"a\"" }
    }

    /// What is on somebody's disk is read by every later release.
    #[test]
    fn d8_the_format_on_disk_never_changes() {
        let mut bytes = Vec::new();
        write_header(&mut bytes, 7, 3);
        write_frame(&mut bytes, 7, &frame());
        let ledger = Ledger { acked: 3, synced: 4, next_segment: 8 };
        bytes.extend(ledger.write());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "4d53545245414d420100000007000000000000000300000000000000aa81f11b";
        let frame = "216b9a9a03000000010300000000000000feffffffffffffff226122";
        let ledger = "4d53545245414d4c01000000030000000000000004000000000000000800000000000000\
                      e0c197c1";
        assert_eq!(hex, [header, frame, ledger].concat());
    }

    #[test]
    fn d8_every_flipped_bit_and_every_cut_is_found() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 7, &frame());
        let left = bytes.len() as u64;
        assert_eq!(read_frame(&bytes, 7, left), Found::Frame(frame(), bytes.len()));
        assert_eq!(read_frame(&bytes, 8, left), Found::Bad, "of another segment");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = read_frame(&flipped, 7, left);
            assert!(!matches!(found, Found::Frame(..)), "bit {bit}: {found:?}");
        }
        for end in 0..bytes.len() {
            assert_eq!(read_frame(&bytes[..end], 7, end as u64), Found::Bad, "cut at {end}");
            assert!(matches!(read_frame(&bytes[..end], 7, left), Found::Part(_)), "read to {end}");
        }
        let mut header = Vec::new();
        write_header(&mut header, 7, 3);
        assert_eq!(read_header(&header, 7), Ok(3));
        assert_eq!(read_header(&header, 6), Err(Unreadable::Bad));
        let ledger = Ledger { acked: 1, synced: 2, next_segment: 3 };
        assert_eq!(Ledger::read(&ledger.write()), Ok(ledger));
        for (bytes, is_header) in [(header, true), (ledger.write(), false)] {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let refused = if is_header {
                    read_header(&flipped, 7).is_err()
                } else {
                    Ledger::read(&flipped).is_err()
                };
                assert!(refused, "bit {bit}");
            }
        }
    }
}
