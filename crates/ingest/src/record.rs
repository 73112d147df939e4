//! Raw records in columns: one allocation for all payloads, so that a million records cost a million copies, not a million
//! allocations.

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
}

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

    pub fn clear(&mut self) {
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

    /// Bytes of payloads and keys held.
    pub fn bytes(&self) -> usize {
        self.payloads.len() + self.keys.len()
    }

    /// Bytes of memory reserved, used or not.
    pub fn capacity_bytes(&self) -> usize {
        self.payloads.capacity() + self.keys.capacity() + 32 * self.offsets.capacity()
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
    let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(index).copied().unwrap_or(start);
    bytes.get(start..end).unwrap_or(&[])
}
