//! How a file is recognised.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// SHA-256 of the first and the last 64 KiB, in hexadecimal.
    pub sample: String,
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
        Ok(Self { size, modified, sample })
    }

    /// Whether the content is the same, as far as can be told; being touched does not count.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.size == other.size && self.sample == other.sample
    }
}
