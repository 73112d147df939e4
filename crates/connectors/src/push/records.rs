//! Records of a body, in one piece of memory.

use std::ops::Range;

use headwater_ingest::sink::{Origin, Rejected};

/// Records of one request.
pub(super) const MAX_RECORDS: usize = 1_000_000;

/// What a set-aside record begins with. No JSON text does, so that what is set aside can never be read as a record.
const ASIDE: u8 = 0;

/// Records as they go into the topic, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Records {
    /// The lines that are not blank, as they are.
    pub(super) fn lines(bytes: Vec<u8>) -> Self {
        let (mut places, mut start) = (Vec::new(), 0);
        for line in bytes.split(|byte| *byte == b'\n') {
            let kept = line.strip_suffix(b"\r").unwrap_or(line);
            if !kept.iter().all(u8::is_ascii_whitespace) {
                places.push(start..start + kept.len());
            }
            start += line.len() + 1;
        }
        Self { bytes, places }
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.write(|out| {
            out.extend_from_slice(record);
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap_or_default();
    }

    /// Adds what is written, or nothing when that fails.
    pub(super) fn write<E>(&mut self, record: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        let written = record(&mut self.bytes);
        match written {
            Ok(()) => self.places.push(start..self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// Adds something that is no record, with the reason: it goes through the log as records do, and to quarantine.
    pub(super) fn set_aside(&mut self, reason: &str, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.push(ASIDE);
        self.bytes.extend(reason.bytes().filter(|byte| *byte != ASIDE));
        self.bytes.push(ASIDE);
        self.bytes.extend_from_slice(bytes);
        self.places.push(start..self.bytes.len());
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.places.iter().map(Range::len).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().filter_map(|place| self.bytes.get(place.clone()))
    }
}

/// Reason and bytes of what was set aside; nothing for a record.
pub(super) fn aside(payload: &[u8]) -> Option<(String, &[u8])> {
    let rest = payload.strip_prefix(&[ASIDE])?;
    let end = rest.iter().position(|byte| *byte == ASIDE)?;
    let (reason, bytes) = rest.split_at_checked(end)?;
    Some((String::from_utf8_lossy(reason).into_owned(), bytes.get(1..).unwrap_or_default()))
}

/// A record that was set aside, for quarantine.
pub(super) fn rejected(record: headwater_ingest::record::Record<'_>, origin: &Origin) -> Option<Rejected> {
    let (reason, payload) = aside(record.payload)?;
    Some(Rejected::new(headwater_ingest::record::Record { payload, ..record }, reason, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_told_from_records() {
        let mut records = Records::default();
        records.push(b"{}");
        records.set_aside("line 2: no\0 good", b"a\0b");
        let refused: Result<(), &str> = records.write(|out| {
            out.extend_from_slice(b"half");
            Err("broken")
        });
        assert!(refused.is_err());
        let found: Vec<_> = records.iter().map(aside).collect();
        assert_eq!(found, [None, Some((String::from("line 2: no good"), &b"a\0b"[..]))]);
        assert_eq!(aside(b"\0without an end"), None);
    }
}
