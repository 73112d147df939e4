//! Messages of one partition that are handed on together.

use headwater_ingest::record::{Record, RecordBuffer};
use headwater_ingest::sink::Rejected;
use headwater_ingest::source::ReadLimits;

/// Records in one batch, however small they are.
const BATCH_RECORDS: usize = 64 << 10;
/// Bytes up to which a batch waits a little for more.
const SMALL_BATCH: usize = 512 << 10;

/// A batch in the making.
pub(super) struct Batch {
    pub(super) cursor: usize,
    pub(super) records: RecordBuffer,
    pub(super) rejected: Vec<Rejected>,
    last: Last,
    /// Messages, those that were passed over too.
    pub(super) taken: usize,
}

/// The last message of a batch as it came, for its fingerprint, where it is not the last of the records.
#[derive(Default)]
struct Last {
    is_record: bool,
    offset: i64,
    timestamp: i64,
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Last {
    fn note(&mut self, record: Record<'_>) {
        self.is_record = false;
        (self.offset, self.timestamp) = (record.offset, record.timestamp);
        self.key.clear();
        self.key.extend_from_slice(record.key);
        self.payload.clear();
        self.payload.extend_from_slice(record.payload);
    }
}

impl Batch {
    pub(super) fn new(cursor: usize, records: RecordBuffer) -> Self {
        Self { cursor, records, rejected: Vec::new(), last: Last::default(), taken: 0 }
    }

    pub(super) fn is_full(&self, limits: &ReadLimits) -> bool {
        self.records.bytes() >= limits.max_bytes || self.taken >= BATCH_RECORDS
    }

    pub(super) fn is_small(&self) -> bool {
        self.records.bytes() < SMALL_BATCH && self.taken < BATCH_RECORDS / 16
    }

    /// Remembers a message that was taken, whatever became of it. Most are records as they came and need not be kept a second
    /// time.
    pub(super) fn note(&mut self, record: Record<'_>) {
        let place = self.records.len().saturating_sub(1);
        let is_last = self.records.offsets().last() == Some(&record.offset);
        if is_last && self.records.payload(place).len() == record.payload.len() {
            self.last.is_record = true;
        } else {
            self.last.note(record);
        }
    }

    /// The last message as it came.
    pub(super) fn last(&self) -> Record<'_> {
        let Last { is_record, offset, timestamp, key, payload } = &self.last;
        let record = self.records.record(self.records.len().saturating_sub(1)).filter(|_| *is_record);
        record.unwrap_or(Record { offset: *offset, timestamp: *timestamp, key, payload })
    }
}
