//! Compaction, checkpoints and clean-up in the background.

use headwater_lake::maintain::{Listed, Policy};
use headwater_lake::{LakeError, TableName};
use headwater_project::unwind::caught;
use headwater_project::{Classify, Failure};
use tokio_util::sync::CancellationToken;

use crate::ingest::{changes_of, quarantine_of};
use crate::instance::Instance;

/// The shortest time files of older versions are kept, unless a project says otherwise.
const SHORTEST_RETENTION: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

fn policy(instance: &Instance) -> Policy {
    let config = &instance.project().config.lake.maintenance;
    let retention =
        if config.allow_short_retention { config.retention.0 } else { config.retention.0.max(SHORTEST_RETENTION) };
    Policy { target_file_bytes: config.target_file_size.0, retention, ..Policy::default() }
}

/// Looks after every table again and again until the stop.
pub(super) async fn run(instance: &Instance, stop: CancellationToken) {
    let every = instance.project().config.lake.maintenance.every.0;
    while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
        if let Err(failure) = caught(instance.maintain()).await.flatten() {
            tracing::warn!(detail = failure.detail.as_deref(), "maintenance failed: {failure}");
        }
    }
}

impl Instance {
    /// One round over all tables; returns what was done, a line each.
    pub async fn maintain(&self) -> Result<Vec<String>, Failure> {
        self.require_writer()?;
        let policy = policy(self);
        let mut done = Vec::new();
        for name in self.lake.tables().await.map_err(|error| error.failure())? {
            match self.maintain_table(&name, policy).await {
                Ok(lines) => done.extend(lines),
                // The table went away or another writer was faster; there is a next round.
                Err(LakeError::Conflict(_) | LakeError::NoSuchTable(_)) => {}
                Err(error) => return Err(error.failure()),
            }
        }
        Ok(done)
    }

    async fn maintain_table(&self, name: &TableName, policy: Policy) -> Result<Vec<String>, LakeError> {
        let published = self.published().unwrap_or_default();
        let published_version = match published.get(name) {
            Some(headwater_engine::PublishedRelation::Version(version)) => Some(*version),
            _ => None,
        };
        let keep = self.still_read(name, published_version);
        // A built table is replaced by its builds; merging its files would only move its version away from readers.
        let policy = if published.contains_key(name) || self.built_names().contains(name) {
            Policy { small_files: usize::MAX, ..policy }
        } else {
            policy
        };
        let policy = Policy { manifests: self.listed(name, published_version), ..policy };
        let maintained = self.lake.maintain(name, policy, &keep).await?;
        let mut lines = Vec::new();
        if let Some(compacted) = maintained.compacted {
            lines.push(format!("{name}: {} files merged into {}", compacted.files_before, compacted.files_after));
        }
        if let Some(checkpointed) = maintained.checkpointed {
            lines.push(format!("{name}: checkpoint of version {}", checkpointed.version));
        }
        if maintained.manifests > 0 {
            lines.push(format!("{name}: {} manifests brought up to date", maintained.manifests));
        }
        if maintained.vacuumed.files > 0 {
            lines.push(format!("{name}: {} files deleted", maintained.vacuumed.files));
        }
        Ok(lines)
    }

    fn still_read(&self, name: &TableName, published: Option<u64>) -> Vec<u64> {
        published.into_iter().chain(self.pinned().get(name).copied()).collect()
    }

    /// Checkpoints of the tables that sources have filled, and of those beside them. A project that only ever ingests has no
    /// process that looks after it, and each start would read all commits there ever were. That it fails is no reason for
    /// rows that are there to count as missing.
    pub(crate) async fn checkpoint_filled(&self, tables: impl Iterator<Item = TableName>) {
        let policy = policy(self);
        for name in tables.flat_map(|table| [quarantine_of(&table), changes_of(&table), table]) {
            match self.lake.checkpoint(&name, policy, &self.still_read(&name, None)).await {
                Ok(_) | Err(LakeError::NoSuchTable(_)) => {}
                Err(error) => {
                    let failure = error.failure();
                    tracing::warn!(table = %name, detail = failure.detail.as_deref(), "no checkpoint was made: {failure}");
                }
            }
        }
    }

    /// Which version of a table the project wants listed: what readers see of a built table, the newest of any other.
    fn listed(&self, name: &TableName, published: Option<u64>) -> Option<Listed> {
        let wanted = &self.project().config.lake.symlink_manifests.0;
        if !wanted.contains(&name.to_string()) {
            return None;
        }
        match published {
            Some(version) => Some(Listed::Version(version)),
            None if self.built_names().contains(name) => None,
            None => Some(Listed::Latest),
        }
    }
}
