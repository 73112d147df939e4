//! What was read from a topic, as it came, in files any engine can read.
//!
//! ```text
//! raw/<topic>/date=<YYYY-MM-DD HH>:00:00+00/<partition>-<start offset>.jsonl.gz
//! ```
//!
//! One file holds the records of one partition that one commit of the table covers, bad ones included, one per line; line
//! ends inside a record become spaces, which means the same in JSON. The hour is that of the first record.
//!
//! Exactly once: a file is put before the commit that covers it. If the commit never happens, the next attempt begins at the
//! same committed position, so its first record and hence its path are the same and the file is overwritten, however far the
//! new one reaches. If it happened, the next file begins after it. So at any time the files up to the committed positions
//! hold every record once, and at most one file per partition reaches beyond them, to be overwritten.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::temporal_conversions::timestamp_ms_to_datetime;
use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use headwater_project::Failure;

use crate::error::{Error, Result};
use crate::record::RecordBuffer;
use crate::sink::Origin;

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

/// The files of the commit under way, compressed in memory.
#[derive(Debug, Default)]
pub struct RawFiles {
    open: BTreeMap<(Arc<str>, i32), Open>,
}

#[derive(Debug)]
struct Open {
    path: String,
    encoder: GzEncoder<Vec<u8>>,
}

impl RawFiles {
    /// Adds records of a partition; those of a file are not copied, for they are in a file already.
    pub fn add(&mut self, origin: &Origin, records: &RecordBuffer) -> Result<()> {
        let Origin::Log { topic, partition } = origin else { return Ok(()) };
        let Some(first) = records.record(0) else { return Ok(()) };
        let open = self.open.entry((Arc::clone(topic), *partition)).or_insert_with(|| Open {
            path: path(topic, *partition, first.offset, first.timestamp),
            encoder: GzEncoder::new(Vec::new(), Compression::fast()),
        });
        for record in records.iter() {
            let written = write_line(&mut open.encoder, record.payload);
            written.map_err(|source| Error::io("compress", &open.path, source))?;
        }
        Ok(())
    }

    /// Compressed bytes held.
    pub fn bytes(&self) -> usize {
        self.open.values().map(|open| open.encoder.get_ref().len()).sum()
    }

    /// Ends the files; the next record begins new ones.
    pub fn finish(&mut self) -> Result<Vec<RawFile>> {
        let mut files = Vec::with_capacity(self.open.len());
        for Open { path, encoder } in std::mem::take(&mut self.open).into_values() {
            let bytes = encoder.finish().map_err(|source| Error::io("compress", &path, source))?;
            files.push(RawFile { path, bytes: bytes.into() });
        }
        Ok(files)
    }
}

fn path(topic: &str, partition: i32, offset: i64, timestamp: i64) -> String {
    let hour = timestamp_ms_to_datetime(timestamp).unwrap_or_default().format("%Y-%m-%d %H");
    format!("raw/{topic}/date={hour}:00:00+00/{partition}-{offset}.jsonl.gz")
}

fn write_line(out: &mut impl Write, payload: &[u8]) -> std::io::Result<()> {
    let mut rest = payload;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        out.write_all(rest.get(..end).unwrap_or_default())?;
        out.write_all(b" ")?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.write_all(rest)?;
    out.write_all(b"\n")
}
