//! Cutting a stream of bytes into records: lines, or rows whose quotes may hold line ends.
//!
//! A record over the limit is cut short and reported, and the rest of it skipped, so memory stays bounded whatever comes. A
//! quote that is not closed by the end of the stream, or within the limit, costs its own line: reading goes on with the next.

use crate::record::{Record, RecordBuffer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Lines,
    /// Line ends between quotes belong to the row.
    Rows {
        quote: u8,
    },
}

/// A record that never made it into a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unframed {
    pub line: i64,
    pub reason: &'static str,
    /// As much of it as was kept.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    limit: usize,
    /// The beginning of a record whose end has not come.
    pending: Vec<u8>,
    /// How much of `pending` was searched, and whether that leaves off inside quotes.
    searched: usize,
    quoted: bool,
    /// Line ends between the quotes of the record that `pending` begins with.
    inside: i64,
    /// The rest of the current line belongs to a record that was too long.
    skipping: bool,
    /// Line the next record begins on, from 1.
    line: i64,
    blank: u64,
    unframed: Vec<Unframed>,
}

impl Splitter {
    pub fn new(framing: Framing, limit: usize) -> Self {
        let (pending, unframed) = (Vec::new(), Vec::new());
        let (searched, inside, blank) = (0, 0, 0);
        Self { framing, limit, pending, searched, quoted: false, inside, skipping: false, line: 1, blank, unframed }
    }

    /// Adds every record that `chunk` completes to `into`. Lines with nothing but white space are counted, not added.
    pub fn feed(&mut self, chunk: &[u8], timestamp: i64, into: &mut RecordBuffer) {
        let mut chunk = chunk;
        if self.skipping {
            let Some(end) = memchr::memchr(b'\n', chunk) else { return };
            chunk = chunk.get(end + 1..).unwrap_or_default();
            self.skipping = false;
            self.line += 1;
        }
        self.pending.extend_from_slice(chunk);
        self.split(timestamp, into);
    }

    /// The stream is over: a last line without an end is a record too.
    pub fn finish(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        while self.quoted {
            self.give_up_line("quote is never closed");
            self.split(timestamp, into);
        }
        let last = std::mem::take(&mut self.pending);
        self.searched = 0;
        if !last.is_empty() {
            self.emit(&last, timestamp, into);
        }
    }

    /// Lines that held nothing.
    pub fn blank_lines(&self) -> u64 {
        self.blank
    }

    pub fn take_unframed(&mut self) -> Vec<Unframed> {
        std::mem::take(&mut self.unframed)
    }

    fn split(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        let pending = std::mem::take(&mut self.pending);
        let from = std::mem::take(&mut self.searched);
        let unsearched = pending.get(from..).unwrap_or_default();
        let mut start = 0;
        match self.framing {
            Framing::Lines => {
                for at in memchr::memchr_iter(b'\n', unsearched) {
                    self.end_record(pending.get(start..from + at), timestamp, into);
                    start = from + at + 1;
                }
            }
            Framing::Rows { quote } => {
                for at in memchr::memchr2_iter(b'\n', quote, unsearched) {
                    if unsearched.get(at) == Some(&quote) {
                        self.quoted = !self.quoted;
                    } else if self.quoted {
                        self.inside += 1;
                    } else {
                        self.end_record(pending.get(start..from + at), timestamp, into);
                        start = from + at + 1;
                    }
                }
            }
        }
        self.pending = pending;
        self.pending.drain(..start);
        self.searched = self.pending.len();
        if self.pending.len() > self.limit {
            self.give_up_line(if self.quoted { "quote is never closed" } else { "record is too long" });
            self.split(timestamp, into);
        }
    }

    fn end_record(&mut self, record: Option<&[u8]>, timestamp: i64, into: &mut RecordBuffer) {
        self.emit(record.unwrap_or_default(), timestamp, into);
        self.line += 1 + std::mem::take(&mut self.inside);
    }

    /// Reports the first line of what is pending and goes on after it.
    fn give_up_line(&mut self, reason: &'static str) {
        let end = memchr::memchr(b'\n', &self.pending);
        let kept = end.unwrap_or(self.pending.len()).min(crate::limits::MAX_REJECTED_BYTES);
        let bytes = self.pending.get(..kept).unwrap_or_default().to_vec();
        self.unframed.push(Unframed { line: self.line, reason, bytes });
        match end {
            Some(end) => {
                self.pending.drain(..=end);
                self.line += 1;
            }
            None => {
                self.pending.clear();
                self.skipping = true;
            }
        }
        self.searched = 0;
        self.quoted = false;
        self.inside = 0;
    }

    fn emit(&mut self, record: &[u8], timestamp: i64, into: &mut RecordBuffer) {
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        if record.iter().all(u8::is_ascii_whitespace) {
            self.blank += 1;
            return;
        }
        if record.len() > self.limit {
            let bytes = record.get(..crate::limits::MAX_REJECTED_BYTES.min(record.len())).unwrap_or_default().to_vec();
            self.unframed.push(Unframed { line: self.line, reason: "record is too long", bytes });
            return;
        }
        into.push(Record { offset: self.line, timestamp, key: &[], payload: record });
    }
}
