//! A generator's state on disk, so that a restart need not make the whole past again.
//!
//! ```text
//! <source>.snapshot :=  "HWGS" version:u32 topics:u32 partitions:u32
//!                       records:u64 x (topics * partitions)      records made so far, by topic, then partition
//!                       state:bytes                              as the generator wrote it
//!                       crc32c:u32 of everything before
//! ```
//! Integers are little-endian. Invariant: a snapshot is written only after the log is synced, so its counts never exceed the
//! ends of the partitions. From it the generator runs again; records the log already has are skipped by counting. A
//! missing, damaged or too new snapshot costs time, not data: the generator then starts from its beginning.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use headwater_project::fault;
use headwater_sim::Generator;

const MAGIC: &[u8; 4] = b"HWGS";
const VERSION: u32 = 1;

/// Records made so far: one row per topic, one number per partition.
pub(crate) type Counts = Vec<Vec<u64>>;

pub(crate) fn path(folder: &Path, source: &str) -> PathBuf {
    folder.join(format!("{source}.snapshot"))
}

pub(crate) fn write(path: &Path, counts: &Counts, generator: &dyn Generator) -> io::Result<()> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    for number in [VERSION, width(counts.len()), width(counts.first().map_or(0, Vec::len))] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for count in counts.iter().flatten() {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    generator.snapshot(&mut bytes)?;
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    write_durably(path, &bytes)?;
    fault::point("gen.after_snapshot").map_err(io::Error::other)
}

fn width(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The counts and the generator's state; `None` when there is no usable snapshot.
pub(crate) fn read(path: &Path, topics: usize, partitions: usize) -> Option<(Counts, Vec<u8>)> {
    let bytes = std::fs::read(path).ok()?;
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(crc.try_into().ok()?) {
        tracing::warn!(snapshot = %path.display(), "the snapshot is damaged; the generator starts from its beginning");
        return None;
    }
    let mut body = body.strip_prefix(MAGIC)?;
    let mut number = || {
        let (head, rest) = body.split_at_checked(4)?;
        body = rest;
        Some(u32::from_le_bytes(head.try_into().ok()?))
    };
    let header = (number()?, number()? as usize, number()? as usize);
    if header != (VERSION, topics, partitions) {
        return None;
    }
    let mut counts = vec![vec![0; partitions]; topics];
    for count in counts.iter_mut().flatten() {
        let (head, rest) = body.split_at_checked(8)?;
        *count = u64::from_le_bytes(head.try_into().ok()?);
        body = rest;
    }
    Some((counts, body.to_vec()))
}

/// Replaces a file so that after a power cut either the old or the new one is there, whole.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let staged = path.with_extension("staged");
    let mut file = File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fault::point("gen.before_snapshot_rename").map_err(io::Error::other)?;
    std::fs::rename(&staged, path)?;
    File::open(folder)?.sync_all()
}
