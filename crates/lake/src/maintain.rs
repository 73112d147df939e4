//! Looking after tables: compaction, verified checkpoints, removal of what no version needs.
//!
//! Everything here may run beside writers and readers, may be killed at any point, and may be run again.

mod checkpoint;
mod compact;
mod manifest;
mod vacuum;

use std::time::Duration;

use crate::error::Result;
use crate::name::TableName;
use crate::recover;
use crate::table::Lake;

pub use checkpoint::Checkpointed;
pub(crate) use checkpoint::checkpoint_version;
pub use compact::Compacted;
pub use manifest::Listed;
pub use vacuum::Vacuumed;

/// When and how far to clean up.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Files below this size are merged, up to about this size.
    pub target_file_bytes: u64,
    /// A table is compacted once it has this many small files.
    pub small_files: usize,
    /// A checkpoint is written after this many commits.
    pub checkpoint_every: u64,
    /// Files that left the table longer ago than this are deleted. What never was in it stays a week at least: it may be
    /// about to be committed.
    pub retention: Duration,
    /// Keep lists of the data files of this version, for engines that do not read the log.
    pub manifests: Option<Listed>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            target_file_bytes: 128 << 20,
            small_files: 16,
            checkpoint_every: 50,
            retention: Duration::from_secs(7 * 24 * 3600),
            manifests: None,
        }
    }
}

/// What one look at one table did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    pub compacted: Option<Compacted>,
    pub checkpointed: Option<Checkpointed>,
    /// Lists of data files that were written or removed.
    pub manifests: usize,
    pub vacuumed: Vacuumed,
}

impl Lake {
    /// One round of maintenance. `keep` are versions somebody still reads: published, pinned.
    pub async fn maintain(&self, name: &TableName, policy: Policy, keep: &[u64]) -> Result<Maintained> {
        let compacted = compact::compact(self, name, policy).await?;
        let checkpointed = checkpoint::checkpoint(self, name, policy, keep).await?;
        // Before files go that an older list names.
        let manifests = match policy.manifests {
            Some(listed) => manifest::write(self, name, listed).await?,
            None => 0,
        };
        let vacuumed = vacuum::vacuum(self, name, policy, keep).await?;
        Ok(Maintained { compacted, checkpointed, manifests, vacuumed })
    }

    /// A checkpoint, if one is due. `keep` are versions somebody still reads.
    pub async fn checkpoint(&self, name: &TableName, policy: Policy, keep: &[u64]) -> Result<Option<Checkpointed>> {
        checkpoint::checkpoint(self, name, policy, keep).await
    }

    /// Log objects that were set aside because they did not read.
    pub async fn quarantined(&self, name: &TableName) -> Result<Vec<String>> {
        recover::quarantined(self, name).await
    }
}
