//! Which requests came already, by their `Idempotency-Key`.
//!
//! Every record of a request with a key carries a mark as its key in the log: how many records the request has (4 bytes), the
//! number of this one (4 bytes, from 0), a hash of the body (16 bytes), and the key. The index is read from the log, so it can
//! never disagree with it: of a request whose records were cut off by a crash, only those that are missing are added when it
//! comes again.

use std::collections::HashMap;
use std::time::Duration;

use headwater_project::Timestamp;
use sha2::{Digest, Sha256};

const FIXED: usize = 24;
/// Between two looks at every key there is.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Longer keys are refused.
pub const MAX_KEY: usize = 256;

/// A request that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub hash: [u8; 16],
    pub total: u32,
    /// Records of it in the log.
    pub have: u32,
    pub first_offset: i64,
    pub at: Timestamp,
    /// Being written now.
    pub pending: bool,
}

/// How a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its records from this one on are to be written.
    From(u32),
    /// It is there, with its first offset.
    Done { first_offset: i64, total: u32 },
    /// It is being written by somebody else.
    Busy,
    /// The key stands for another body.
    Other,
}

#[derive(Debug, Default)]
pub struct PushIndex {
    known: HashMap<Box<str>, Known>,
    swept: Timestamp,
}

/// The mark of a record of a body with this hash.
pub fn mark(key: &str, hash: [u8; 16], total: u32, number: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED + key.len());
    bytes.extend(total.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend(hash);
    bytes.extend(key.as_bytes());
    bytes
}

/// What tells bodies apart. Taken once for a body, whatever the number of its records.
pub fn body_hash(body: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    *digest.first_chunk().unwrap_or(&[0; 16])
}

impl PushIndex {
    /// Takes in a record of the log; one without a mark is of a request without a key.
    pub fn read(&mut self, mark: &[u8], offset: i64, at: Timestamp) {
        let Some((fixed, key)) = mark.split_first_chunk::<FIXED>() else { return };
        let (Ok(key), Some(total), Some(number), Some(hash)) =
            (std::str::from_utf8(key), fixed.get(..4), fixed.get(4..8), fixed.get(8..))
        else {
            return;
        };
        let number_of = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_be_bytes);
        let (total, number) = (number_of(total), number_of(number));
        let hash = hash.try_into().unwrap_or_default();
        let entry = self.known.entry(key.into()).or_insert(Known {
            hash,
            total,
            have: 0,
            first_offset: offset,
            at,
            pending: false,
        });
        if number == 0 {
            entry.first_offset = offset;
        }
        entry.have = entry.have.max(number + 1);
        entry.at = at;
    }

    /// Whether a request's records are to be written; if so, it is being written until [`PushIndex::end`].
    pub fn begin(&mut self, key: &str, hash: [u8; 16], total: u32, now: Timestamp) -> Begun {
        let Some(known) = self.known.get_mut(key) else {
            self.known.insert(key.into(), Known { hash, total, have: 0, first_offset: 0, at: now, pending: true });
            return Begun::From(0);
        };
        if known.hash != hash {
            return Begun::Other;
        }
        if known.pending {
            return Begun::Busy;
        }
        if known.have >= known.total {
            return Begun::Done { first_offset: known.first_offset, total: known.total };
        }
        known.pending = true;
        Begun::From(known.have)
    }

    /// The records from `from` on were written at `offset`, or (nothing) were not.
    pub fn end(&mut self, key: &str, from: u32, offset: Option<i64>) {
        let Some(known) = self.known.get_mut(key) else { return };
        known.pending = false;
        match offset {
            Some(offset) => {
                if from == 0 {
                    known.first_offset = offset;
                }
                known.have = known.total;
            }
            None if known.have == 0 => drop(self.known.remove(key)),
            None => {}
        }
    }

    /// As [`PushIndex::forget`], but now and then only: it looks at every key.
    pub fn forget_in_passing(&mut self, before: Timestamp) {
        if before.since(self.swept) >= SWEEP_EVERY {
            self.swept = before;
            self.forget(before);
        }
    }

    /// Forgets keys last seen before.
    pub fn forget(&mut self, before: Timestamp) {
        self.known.retain(|_, known| known.pending || known.at >= before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn a_request_is_written_once_and_answered_again() {
        let mut index = PushIndex::default();
        assert_eq!(index.begin("k", body_hash(b"body"), 2, NOW), Begun::From(0));
        assert_eq!(index.begin("k", body_hash(b"body"), 2, NOW), Begun::Busy);
        assert_eq!(index.begin("k", body_hash(b"other"), 2, NOW), Begun::Other);
        index.end("k", 0, Some(7));
        assert_eq!(index.begin("k", body_hash(b"body"), 2, NOW), Begun::Done { first_offset: 7, total: 2 });
        index.forget(Timestamp(2_000));
        assert_eq!(index.begin("k", body_hash(b"other"), 1, NOW), Begun::From(0));
    }

    #[test]
    fn a_request_that_failed_may_come_again() {
        let mut index = PushIndex::default();
        index.begin("k", body_hash(b"body"), 2, NOW);
        index.end("k", 0, None);
        assert_eq!(index.begin("k", body_hash(b"body"), 2, NOW), Begun::From(0));
    }

    #[test]
    fn after_a_crash_only_what_is_missing_is_written() {
        let mut index = PushIndex::default();
        for (number, offset) in [(0, 10), (1, 11)] {
            index.read(&mark("k", body_hash(b"body"), 3, number), offset, NOW);
        }
        index.read(b"", 12, NOW);
        assert_eq!(index.begin("k", body_hash(b"body"), 3, NOW), Begun::From(2));
        index.end("k", 2, Some(13));
        assert_eq!(index.begin("k", body_hash(b"body"), 3, NOW), Begun::Done { first_offset: 10, total: 3 });
    }
}
