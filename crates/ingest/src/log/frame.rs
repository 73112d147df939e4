//! The unit of writing in a segment file: many records under one checksum.
//!
//! Integers are little-endian.
//!
//! ```text
//!  0  magic         u32  "HWL1"; also the version of the format
//!  4  length        u32  bytes that follow the checksum
//!  8  crc32c        u32  of those bytes
//! 12  base offset   i64  offset of the first record; the others follow without holes
//! 20  durable       u64  bytes of this segment file that were known to be synced when the frame was written
//! 28  count         u32  records, at least 1
//! 32  key bytes     u32
//! 36  timestamps    count x i64   milliseconds since 1970
//!     payload ends  count x u32   where each payload ends, counted from the first payload byte
//!     key ends      count x u32
//!     keys, then payloads
//! ```
//!
//! Invariants: ends never decrease; the last payload end and `key bytes` agree with `length`; a record is addressed by
//! base offset + index. `durable` tells a torn tail from damage: if a frame cannot be read and an intact frame after it says
//! that more than the broken place was already synced, acknowledged records were lost and the segment must not be used; if no
//! later frame says so, nothing from the broken place on was ever acknowledged and it can be cut off.

use crate::limits::{FRAME_MAX_RECORDS, FRAME_TARGET_BYTES, MAX_RECORD_BYTES};
use crate::record::{Record, RecordBuffer};

pub(super) const MAGIC: [u8; 4] = *b"HWL1";
/// Magic, length and checksum.
pub(super) const PREAMBLE: usize = 12;
const FIXED: usize = 24;
const PER_RECORD: usize = 16;
/// No intact frame has a greater `length`.
const MAX_LENGTH: usize = FIXED + PER_RECORD * FRAME_MAX_RECORDS + 2 * (FRAME_TARGET_BYTES + MAX_RECORD_BYTES);

/// How many records from `start` on make the next frame.
pub(super) fn frame_len(records: &RecordBuffer, start: usize) -> usize {
    let mut bytes = 0;
    let mut index = start;
    while index < records.len() && index - start < FRAME_MAX_RECORDS && bytes < FRAME_TARGET_BYTES {
        bytes += records.payload(index).len() + records.key(index).len();
        index += 1;
    }
    index - start
}

/// Replaces `out` by the frame of `count` records from `start` on.
pub(super) fn encode(
    records: &RecordBuffer,
    start: usize,
    count: usize,
    base_offset: i64,
    durable: u64,
    out: &mut Vec<u8>,
) {
    out.clear();
    let range = start..start + count;
    let key_bytes: usize = range.clone().map(|index| records.key(index).len()).sum();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&base_offset.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&as_u32(count).to_le_bytes());
    out.extend_from_slice(&as_u32(key_bytes).to_le_bytes());
    for timestamp in records.timestamps().iter().skip(start).take(count) {
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
    encode_ends(range.clone().map(|index| records.payload(index).len()), out);
    encode_ends(range.clone().map(|index| records.key(index).len()), out);
    for index in range.clone() {
        out.extend_from_slice(records.key(index));
    }
    for index in range {
        out.extend_from_slice(records.payload(index));
    }
    seal(out);
}

fn encode_ends(lengths: impl Iterator<Item = usize>, out: &mut Vec<u8>) {
    let mut end = 0;
    for length in lengths {
        end += length;
        out.extend_from_slice(&as_u32(end).to_le_bytes());
    }
}

fn seal(out: &mut [u8]) {
    let Some((preamble, body)) = out.split_at_mut_checked(PREAMBLE) else { return };
    let (length, checksum) = (as_u32(body.len()), crc32c::crc32c(body));
    if let Some(field) = preamble.get_mut(4..8) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    if let Some(field) = preamble.get_mut(8..12) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Saturates; the limits on records and frames keep every length far below.
fn as_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preamble {
    pub(super) length: usize,
    checksum: u32,
}

impl Preamble {
    /// Nothing if this cannot be the start of a frame.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let length = read_u32(bytes, 4)? as usize;
        let valid = bytes.get(..4)? == MAGIC && (FIXED + PER_RECORD..=MAX_LENGTH).contains(&length);
        valid.then_some(Self { length, checksum: read_u32(bytes, 8)? })
    }

    /// The frame behind this preamble, if its checksum and structure are right.
    pub(super) fn open<'a>(&self, body: &'a [u8]) -> Option<Frame<'a>> {
        if crc32c::crc32c(body) != self.checksum {
            return None;
        }
        Frame::parse(body)
    }
}

/// A checked frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) base_offset: i64,
    pub(super) durable: u64,
    pub(super) count: usize,
    timestamps: &'a [u8],
    payload_ends: &'a [u8],
    key_ends: &'a [u8],
    keys: &'a [u8],
    payloads: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let base_offset = i64::from_le_bytes(body.get(..8)?.try_into().ok()?);
        let durable = u64::from_le_bytes(body.get(8..16)?.try_into().ok()?);
        let count = read_u32(body, 16)? as usize;
        let key_bytes = read_u32(body, 20)? as usize;
        let (timestamps, rest) = body.get(FIXED..)?.split_at_checked(count.checked_mul(8)?)?;
        let (payload_ends, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (key_ends, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (keys, payloads) = rest.split_at_checked(key_bytes)?;
        let frame = Self { base_offset, durable, count, timestamps, payload_ends, key_ends, keys, payloads };
        let whole = count > 0
            && ends_fit(payload_ends, payloads.len())
            && ends_fit(key_ends, keys.len())
            && base_offset.checked_add(i64::try_from(count).ok()?).is_some();
        whole.then_some(frame)
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::try_from(self.count).unwrap_or(i64::MAX))
    }

    pub(super) fn first_timestamp(&self) -> Option<i64> {
        read_i64(self.timestamps, 0)
    }

    /// Adds the records from `from_offset` on until `into` holds about `until_bytes`; returns the offset to read on at.
    pub(super) fn read_into(&self, from_offset: i64, until_bytes: usize, into: &mut RecordBuffer) -> Option<i64> {
        let skip = usize::try_from(from_offset.saturating_sub(self.base_offset)).unwrap_or(0);
        for index in skip..self.count {
            if index > skip && into.bytes() >= until_bytes {
                return Some(self.base_offset + i64::try_from(index).ok()?);
            }
            into.push(self.record(index)?);
        }
        Some(self.end_offset())
    }

    fn record(&self, index: usize) -> Option<Record<'a>> {
        Some(Record {
            offset: self.base_offset + i64::try_from(index).ok()?,
            timestamp: read_i64(self.timestamps, index * 8)?,
            key: slice_at(self.keys, self.key_ends, index)?,
            payload: slice_at(self.payloads, self.payload_ends, index)?,
        })
    }
}

fn slice_at<'a>(bytes: &'a [u8], ends: &[u8], index: usize) -> Option<&'a [u8]> {
    let start = if index == 0 { 0 } else { read_u32(ends, (index - 1) * 4)? as usize };
    bytes.get(start..read_u32(ends, index * 4)? as usize)
}

fn ends_fit(ends: &[u8], length: usize) -> bool {
    let mut last = 0;
    for end in ends.chunks_exact(4).filter_map(|bytes| read_u32(bytes, 0)) {
        if end < last {
            return false;
        }
        last = end;
    }
    last as usize == length
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read_i64(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
