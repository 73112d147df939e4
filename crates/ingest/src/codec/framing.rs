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
        // What came before is completed line by line; all after it is cut where it lies.
        while !self.pending.is_empty() {
            let end = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |end| end + 1);
            let (line, rest) = chunk.split_at_checked(end).unwrap_or((chunk, &[]));
            self.pending.extend_from_slice(line);
            self.split_pending(timestamp, into);
            chunk = rest;
            if chunk.is_empty() {
                return;
            }
        }
        let start = self.split(chunk, 0, timestamp, into);
        self.keep(chunk.get(start..).unwrap_or_default());
        self.give_up_long(timestamp, into);
    }

    /// The stream is over: a last line without an end is a record too.
    pub fn finish(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        while self.quoted {
            self.give_up_line("quote is never closed");
            self.split_pending(timestamp, into);
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

    /// What is left is the beginning of a record, searched to its end.
    fn keep(&mut self, rest: &[u8]) {
        self.pending.extend_from_slice(rest);
        self.searched = self.pending.len();
    }

    fn split_pending(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        let mut pending = std::mem::take(&mut self.pending);
        let searched = std::mem::take(&mut self.searched);
        let start = self.split(&pending, searched, timestamp, into);
        pending.drain(..start);
        self.searched = pending.len();
        self.pending = pending;
        self.give_up_long(timestamp, into);
    }

    fn give_up_long(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        if self.pending.len() > self.limit {
            self.give_up_line(if self.quoted { "quote is never closed" } else { "record is too long" });
            self.split_pending(timestamp, into);
        }
    }

    /// Adds the records that end in `bytes`, of which so many were searched before; where the next one begins.
    fn split(&mut self, bytes: &[u8], searched: usize, timestamp: i64, into: &mut RecordBuffer) -> usize {
        let (mut start, mut at) = (0, searched);
        while let Some(length) = memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()) {
            let end = at + length;
            self.pass_quotes(bytes.get(at..end).unwrap_or_default());
            if self.quoted {
                self.inside += 1;
            } else {
                self.end_record(bytes.get(start..end), timestamp, into);
                start = end + 1;
            }
            at = end + 1;
        }
        self.pass_quotes(bytes.get(at..).unwrap_or_default());
        start
    }

    /// After an odd number of quotes a line ends inside of them. To count takes less than to look at each.
    fn pass_quotes(&mut self, line: &[u8]) {
        if let Framing::Rows { quote } = self.framing {
            self.quoted ^= memchr::memchr_iter(quote, line).count() % 2 == 1;
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
