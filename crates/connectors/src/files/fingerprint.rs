//! How a file is recognised.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::discover::Found;

/// Bytes at each end of a file that are part of its fingerprint.
const SAMPLE_BYTES: u64 = 64 << 10;

/// A file whose rows are in the table. Stored as JSON with the commit that added them, so that the list of files taken can be
/// rebuilt from the table alone; where that is lost, the paths in `_source_file` still say which files not to take again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    /// Inside the folder, with `/`.
    pub path: String,
    /// Missing when only the path is known; then the file is taken to be unchanged.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified: i64,
    /// SHA-256 of the first and the last 64 KiB, in hexadecimal; the checksum of a file in an archive; empty for objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sample: String,
    /// What an object's store says tells its versions apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl Fingerprint {
    pub(crate) fn of(file: &mut File, size: u64, modified: i64) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut bytes = Vec::new();
        for start in [0, size.saturating_sub(SAMPLE_BYTES)] {
            file.seek(SeekFrom::Start(start))?;
            bytes.clear();
            Read::take(&mut *file, SAMPLE_BYTES).read_to_end(&mut bytes)?;
            hash.update(&bytes);
        }
        file.seek(SeekFrom::Start(0))?;
        let sample = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { size, modified, sample, etag: None })
    }

    /// Of an object, which is never read for it.
    pub(crate) fn of_object(found: &Found) -> Self {
        let Found { size, modified, etag, .. } = found;
        Self { size: *size, modified: *modified, sample: String::new(), etag: etag.clone() }
    }

    /// Whether a listing says that nothing changed.
    pub(crate) fn is_listed_as(&self, found: &Found) -> bool {
        match (&self.etag, &found.etag) {
            (Some(ours), Some(theirs)) => ours == theirs && self.size == found.size,
            _ => (self.size, self.modified) == (found.size, found.modified),
        }
    }

    /// Whether the content is the same, as far as can be told; being touched does not count.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(ours), Some(theirs)) => self.size == other.size && ours == theirs,
            _ if self.sample.is_empty() => (self.size, self.modified) == (other.size, other.modified),
            _ => self.size == other.size && self.sample == other.sample,
        }
    }
}
