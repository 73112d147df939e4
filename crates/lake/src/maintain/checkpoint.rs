//! Checkpoints that were proved to be right before anything depends on them.
//!
//! A checkpoint is written, the table opened from it, and its files, rows and application transactions compared with what
//! the log gave before. Only then may log entries go, and only those older than the checkpoint *before* this one, so that
//! one older verified checkpoint with all that follows it always remains. What a version somebody still reads is made from
//! remains as well.

use std::collections::{BTreeMap, BTreeSet};

use deltalake_core::protocol::checkpoints::create_checkpoint;
use headwater_project::fault;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::Policy;
use crate::error::{LakeError, Result};
use crate::name::TableName;
use crate::recover::{commit_version, log_objects};
use crate::table::{Lake, TableVersion};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    pub version: u64,
    /// Log entries removed because two verified checkpoints cover them.
    pub log_entries_removed: usize,
}

pub(super) async fn checkpoint(
    lake: &Lake,
    name: &TableName,
    policy: Policy,
    keep: &[u64],
) -> Result<Option<Checkpointed>> {
    let table = lake.require(name).await?;
    let objects = log_objects(lake, name).await?;
    let checkpoints: BTreeSet<u64> = objects.iter().filter_map(|object| checkpoint_version(&object.location)).collect();
    let newest = checkpoints.last().copied().unwrap_or(0);
    if table.version() < newest + policy.checkpoint_every {
        return Ok(None);
    }
    let ids = transaction_ids(lake, name).await?;
    let before = fingerprint(&table, &ids).await?;
    create_checkpoint(table.delta(), None).await?;
    let reopened = lake.load_at(name, table.version()).await?;
    if fingerprint(&reopened, &ids).await? != before {
        let bad = objects_of_checkpoint(lake, name, table.version()).await?;
        for path in bad {
            lake.object_store().delete(&path).await?;
        }
        return Err(LakeError::Internal(format!("the checkpoint of {name} differed from its log and was removed")));
    }
    let mut removed = 0;
    if let Some(floor) = oldest_needed(&checkpoints, keep) {
        for object in &objects {
            let obsolete = commit_version(&object.location).or(checkpoint_version(&object.location));
            if obsolete.is_some_and(|version| version < floor) {
                fault::point("dl.mid_log_cleanup")?;
                lake.object_store().delete(&object.location).await?;
                removed += 1;
            }
        }
    }
    Ok(Some(Checkpointed { version: table.version(), log_entries_removed: removed }))
}

/// The checkpoint before which no log entry is needed: the newest verified one, or an older one that a version to keep is
/// read from. `None` when all entries are needed.
fn oldest_needed(checkpoints: &BTreeSet<u64>, keep: &[u64]) -> Option<u64> {
    let oldest = keep.iter().copied().min().unwrap_or(u64::MAX);
    checkpoints.range(..=oldest).last().copied()
}

/// `Some(version)` for a single-file checkpoint.
pub(crate) fn checkpoint_version(path: &Path) -> Option<u64> {
    let stem = path.filename()?.strip_suffix(".checkpoint.parquet")?;
    (stem.len() == 20).then(|| stem.parse().ok())?
}

async fn objects_of_checkpoint(lake: &Lake, name: &TableName, version: u64) -> Result<Vec<Path>> {
    let objects = log_objects(lake, name).await?;
    Ok(objects
        .into_iter()
        .map(|object| object.location)
        .filter(|path| checkpoint_version(path) == Some(version) || path.filename() == Some("_last_checkpoint"))
        .collect())
}

/// What must be the same before and after.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    files: BTreeSet<(String, u64)>,
    rows: Option<u64>,
    transactions: BTreeMap<String, Option<i64>>,
    schema: String,
}

async fn fingerprint(table: &TableVersion, ids: &BTreeSet<String>) -> Result<Fingerprint> {
    let mut transactions = BTreeMap::new();
    for id in ids {
        transactions.insert(id.clone(), table.transaction(id).await?);
    }
    Ok(Fingerprint {
        files: table.files().iter().map(|file| (file.path.clone(), file.size)).collect(),
        rows: table.rows(),
        transactions,
        schema: format!("{:?}", table.schema()),
    })
}

/// Application ids in the log entries that are still there. Ids that stand only in the previous checkpoint were compared
/// when that one was written, and are carried over with it.
async fn transaction_ids(lake: &Lake, name: &TableName) -> Result<BTreeSet<String>> {
    let store = lake.object_store();
    let mut ids = BTreeSet::new();
    for object in log_objects(lake, name).await? {
        if commit_version(&object.location).is_none() {
            continue;
        }
        let bytes = store.get(&object.location).await?.bytes().await?;
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"txn\"")) {
            let action: serde_json::Value = serde_json::from_slice(line)
                .map_err(|error| LakeError::Internal(format!("a log entry of {name} does not read: {error}")))?;
            if let Some(id) = action.pointer("/txn/appId").and_then(serde_json::Value::as_str) {
                ids.insert(id.to_owned());
            }
        }
    }
    Ok(ids)
}
