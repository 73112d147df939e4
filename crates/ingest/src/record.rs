//! Raw records in columns: one allocation for all payloads, so that a million records cost a million copies, not a million
//! allocations.

use std::ops::Range;

/// One record as a view into a [`RecordBuffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset in its partition, or line number in its file (from 1).
    pub offset: i64,
    /// Milliseconds since 1970; for files, when the file was last modified.
    pub timestamp: i64,
    /// Empty when the record has no key.
    pub key: &'a [u8],
    pub payload: &'a [u8],
}

/// Raw records of one partition or file, in order. Cleared and filled again without giving its memory back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBuffer {
    payloads: Vec<u8>,
    payload_ends: Vec<usize>,
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    /// Records without any payload, which is not the same as an empty one: their places, ascending.
    absent: Vec<usize>,
    /// Names and values of headers, each after its length.
    headers: Vec<u8>,
    /// For each record that has headers its place, and where in `headers` they end.
    header_ends: Vec<(usize, usize)>,
}

/// A length that stands for a header without a value.
const NO_VALUE: u32 = u32::MAX;

impl RecordBuffer {
    pub fn push(&mut self, record: Record<'_>) {
        self.payloads.extend_from_slice(record.payload);
        self.payload_ends.push(self.payloads.len());
        self.keys.extend_from_slice(record.key);
        self.key_ends.push(self.keys.len());
        self.offsets.push(record.offset);
        self.timestamps.push(record.timestamp);
    }

    /// A record to append to a log: the log assigns its offset.
    pub fn push_payload(&mut self, timestamp: i64, key: &[u8], payload: &[u8]) {
        let offset = i64::try_from(self.len()).unwrap_or(i64::MAX);
        self.push(Record { offset, timestamp, key, payload });
    }

    /// A record that has no payload, as a topic's key is deleted.
    pub fn push_absent(&mut self, record: Record<'_>) {
        self.absent.push(self.len());
        self.push(Record { payload: &[], ..record });
    }

    /// Adds a header to the record pushed last.
    pub fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(last) = self.len().checked_sub(1) else { return };
        // Neither is longer than a record, which is bounded far below.
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NO_VALUE - 1).to_le_bytes();
        self.headers.extend_from_slice(&length(name.as_bytes()));
        self.headers.extend_from_slice(name.as_bytes());
        self.headers.extend_from_slice(&value.map_or(NO_VALUE.to_le_bytes(), length));
        self.headers.extend_from_slice(value.unwrap_or_default());
        match self.header_ends.last_mut() {
            Some((index, end)) if *index == last => *end = self.headers.len(),
            _ => self.header_ends.push((last, self.headers.len())),
        }
    }

    /// Whether the record has no payload at all.
    pub fn is_absent(&self, index: usize) -> bool {
        !self.absent.is_empty() && self.absent.binary_search(&index).is_ok()
    }

    /// Whether any record has no payload at all.
    pub(crate) fn has_absent(&self) -> bool {
        !self.absent.is_empty()
    }

    /// Names and values of a record's headers, in order.
    pub fn headers(&self, index: usize) -> Headers<'_> {
        let place = self.header_ends.binary_search_by_key(&index, |(index, _)| *index).ok();
        let range = place.and_then(|place| {
            let start = place.checked_sub(1).and_then(|before| self.header_ends.get(before)).map_or(0, |(_, end)| *end);
            self.headers.get(start..self.header_ends.get(place)?.1)
        });
        Headers(range.unwrap_or_default())
    }

    pub fn clear(&mut self) {
        self.absent.clear();
        self.headers.clear();
        self.header_ends.clear();
        self.payloads.clear();
        self.payload_ends.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.offsets.clear();
        self.timestamps.clear();
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of payloads, keys and headers held.
    pub fn bytes(&self) -> usize {
        self.payloads.len() + self.keys.len() + self.headers.len()
    }

    /// Bytes of memory reserved, used or not.
    pub fn capacity_bytes(&self) -> usize {
        self.payloads.capacity() + self.keys.capacity() + self.headers.capacity() + 32 * self.offsets.capacity()
    }

    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// Milliseconds since 1970.
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    pub fn payload(&self, index: usize) -> &[u8] {
        slice_of(&self.payloads, &self.payload_ends, index)
    }

    /// Where a record's payload is in [`RecordBuffer::text`].
    pub(crate) fn payload_range(&self, index: usize) -> Range<usize> {
        range_of(&self.payload_ends, index)
    }

    /// All payloads one after the other, if that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payloads).ok()
    }

    pub fn key(&self, index: usize) -> &[u8] {
        slice_of(&self.keys, &self.key_ends, index)
    }

    pub fn record(&self, index: usize) -> Option<Record<'_>> {
        let (offset, timestamp) = (*self.offsets.get(index)?, *self.timestamps.get(index)?);
        Some(Record { offset, timestamp, key: self.key(index), payload: self.payload(index) })
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).filter_map(|index| self.record(index))
    }
}

/// The index-th slice of concatenated bytes; empty past the end.
fn slice_of<'a>(bytes: &'a [u8], ends: &[usize], index: usize) -> &'a [u8] {
    bytes.get(range_of(ends, index)).unwrap_or(&[])
}

fn range_of(ends: &[usize], index: usize) -> Range<usize> {
    let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    start..ends.get(index).copied().unwrap_or(start)
}

/// Headers of one record.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    fn length(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let length = self.length()?;
        let name = std::str::from_utf8(self.bytes(length)?).ok()?;
        let value = match self.length()? {
            NO_VALUE => None,
            length => Some(self.bytes(length)?),
        };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_absence_belong_to_their_record() {
        let mut buffer = RecordBuffer::default();
        let record = |offset| Record { offset, timestamp: 0, key: b"k", payload: b"p" };
        buffer.push(record(0));
        buffer.push(record(1));
        buffer.push_header("a", Some(b"1"));
        buffer.push_header("a", None);
        buffer.push_absent(record(2));
        buffer.push_header("", Some(b""));
        let found: Vec<Vec<_>> = (0..3).map(|index| buffer.headers(index).collect()).collect();
        assert_eq!(found, [vec![], vec![("a", Some(&b"1"[..])), ("a", None)], vec![("", Some(&b""[..]))]]);
        assert_eq!((0..3).map(|index| buffer.is_absent(index)).collect::<Vec<_>>(), [false, false, true]);
        buffer.clear();
        buffer.push(record(0));
        assert!(buffer.headers(0).next().is_none() && !buffer.is_absent(0));
    }
}
