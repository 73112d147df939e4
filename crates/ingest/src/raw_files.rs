//! What was read from a topic, as it came, in files any engine can read.
//!
//! ```text
//! raw/<topic>/date=<YYYY-MM-DD HH>:00:00+00/<partition>-<start offset>.jsonl.gz
//! ```
//!
//! is the layout unless another is given (see [`Layout`]). One file holds the records of one partition that one commit of
//! the table covers, bad ones included, one per line; line ends inside a record become spaces, which means the same in JSON.
//! The hour is that of the first record. Other layouts may split by time or by number of records.
//!
//! Exactly once: a file is put before the commit that covers it. If the commit never happens, the next attempt begins at the
//! same committed position, so its first record and hence its path are the same and the file is overwritten, however far the
//! new one reaches. If it happened, the next file begins after it. So at any time the files up to the committed positions
//! hold every record once, and at most one file per partition (and hour, where files are split by it) reaches beyond them,
//! to be overwritten. This holds for paths of records' own times: where the time of writing is in the path, a file that was
//! put before a crash may stay under another hour.

mod layout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use headwater_project::Failure;

use crate::codec::base64;
use crate::error::{Error, Result};
use crate::record::RecordBuffer;
use crate::sink::Origin;

pub use layout::{Format, Layout, PathError, PathTemplate, TimeOf};

/// Where raw files go. `put` replaces what is there, at once, and returns when it is durable. Called by one task at a time for one path.
#[async_trait]
pub trait RawStore: Send + Sync {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<(), Failure>;
}

#[derive(Debug)]
pub struct RawFile {
    pub path: String,
    pub bytes: Bytes,
}

/// Topic, partition and, where files are split by it, time.
type Key = (Arc<str>, i32, i64);

/// The files of the commit under way, packed in memory.
#[derive(Debug)]
pub struct RawFiles {
    layout: Layout,
    open: BTreeMap<Key, Open>,
    full: Vec<RawFile>,
}

#[derive(Debug)]
struct Open {
    path: String,
    records: u64,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Plain(Vec<u8>),
}

impl RawFiles {
    pub fn new(layout: Layout) -> Self {
        Self { layout, open: BTreeMap::new(), full: Vec::new() }
    }

    /// Adds records of a partition, but for those without a value; those of a file are not copied, for they are in a file
    /// already. `now` is in milliseconds since 1970.
    pub fn add(&mut self, origin: &Origin, records: &RecordBuffer, now: i64) -> Result<()> {
        let Origin::Log { topic, partition } = origin else { return Ok(()) };
        // The file of the record before: most records share it.
        let mut current: Option<(Key, Open)> = None;
        let present = records.iter().enumerate().filter(|(place, _)| !records.is_absent(*place));
        for (_, record) in present {
            let time = if self.layout.time == TimeOf::Record { record.timestamp } else { now };
            let slot = if self.layout.split_by_time { self.layout.slot(time) } else { 0 };
            let (key, mut open) = match current.take() {
                Some((key, open)) if key.2 == slot => (key, open),
                other => {
                    self.open.extend(other);
                    let key = (Arc::clone(topic), *partition, slot);
                    let open = self.open.remove(&key).unwrap_or_else(|| self.begin(&key, record.offset, time));
                    (key, open)
                }
            };
            open.records += 1;
            let written = open.packed.write(self.layout.format, record.payload);
            written.map_err(|source| Error::io("compress", &open.path, source))?;
            if self.layout.records.is_some_and(|most| open.records >= most) {
                self.full.push(open.finish()?);
            } else {
                current = Some((key, open));
            }
        }
        self.open.extend(current);
        Ok(())
    }

    fn begin(&self, (topic, partition, _): &Key, offset: i64, time: i64) -> Open {
        let path = self.layout.path.render(topic, *partition, offset, self.layout.slot(time));
        Open { path, records: 0, packed: Packed::new(self.layout.gzip) }
    }

    /// Packed bytes held.
    pub fn bytes(&self) -> usize {
        let open: usize = self.open.values().map(|open| open.packed.bytes()).sum();
        open + self.full.iter().map(|file| file.bytes.len()).sum::<usize>()
    }

    /// Ends the files; the next record begins new ones.
    pub fn finish(&mut self) -> Result<Vec<RawFile>> {
        let mut files = std::mem::take(&mut self.full);
        for open in std::mem::take(&mut self.open).into_values() {
            files.push(open.finish()?);
        }
        Ok(files)
    }
}

impl Open {
    fn finish(self) -> Result<RawFile> {
        let Self { path, packed, .. } = self;
        let bytes = match packed {
            Packed::Gzip(encoder) => encoder.finish().map_err(|source| Error::io("compress", &path, source))?,
            Packed::Plain(bytes) => bytes,
        };
        Ok(RawFile { path, bytes: bytes.into() })
    }
}

impl Packed {
    fn new(gzip: bool) -> Self {
        match gzip {
            true => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            false => Self::Plain(Vec::new()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Plain(bytes) => bytes.len(),
        }
    }

    fn write(&mut self, format: Format, payload: &[u8]) -> std::io::Result<()> {
        let out: &mut dyn Write = match self {
            Self::Gzip(encoder) => &mut **encoder,
            Self::Plain(bytes) => bytes,
        };
        match format {
            Format::JsonLines => return write_line(out, payload),
            Format::Bytes => out.write_all(payload)?,
            Format::Base64Lines => {
                let mut text = String::with_capacity(payload.len() / 3 * 4 + 4);
                base64::encode(payload, &mut text);
                out.write_all(text.as_bytes())?;
            }
        }
        out.write_all(b"\n")
    }
}

fn write_line(out: &mut dyn Write, payload: &[u8]) -> std::io::Result<()> {
    let mut rest = payload;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        out.write_all(rest.get(..end).unwrap_or_default())?;
        out.write_all(b" ")?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.write_all(rest)?;
    out.write_all(b"\n")
}
