//! Opening a table whose log was damaged.
//!
//! Two kinds of damage are mended, both by moving the bad object to `_delta_log/quarantine/`, never by deleting it:
//! - A newest commit of zero length or half a line: it was never acknowledged, because a commit is acknowledged only when
//!   it is durable. delta-rs would open such a table silently one batch short.
//! - A checkpoint that does not read while the log before or after it tells the table without: delta-rs would refuse it.

use std::collections::BTreeSet;

use deltalake_core::DeltaTableError;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::error::Result;
use crate::name::TableName;
use crate::table::Lake;

const QUARANTINE: &str = "quarantine";

fn log_path(name: &TableName, parts: &[&str]) -> Path {
    Path::from_iter(
        name.path()
            .parts()
            .map(|part| part.as_ref().to_owned())
            .chain(["_delta_log"].iter().chain(parts).map(|part| (*part).to_owned())),
    )
}

pub(crate) async fn log_objects(lake: &Lake, name: &TableName) -> Result<Vec<ObjectMeta>> {
    let store = lake.object_store();
    let mut objects: Vec<ObjectMeta> = store.list_with_delimiter(Some(&log_path(name, &[]))).await?.objects;
    objects.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(objects)
}

/// `Some(version)` for `00000000000000000012.json`.
pub(crate) fn commit_version(path: &Path) -> Option<u64> {
    let stem = path.filename()?.strip_suffix(".json")?;
    (stem.len() == 20).then(|| stem.parse().ok())?
}

/// Looks at the newest commit. `false` when there is no log, and so no table.
pub(crate) async fn set_aside_unfinished_commit(lake: &Lake, name: &TableName) -> Result<bool> {
    let objects = match log_objects(lake, name).await {
        Err(crate::error::LakeError::Store(object_store::Error::NotFound { .. })) => return Ok(false),
        listed => listed?,
    };
    let Some(newest) = objects.iter().rev().find(|object| commit_version(&object.location).is_some()) else {
        return Ok(!objects.is_empty());
    };
    if newest.size > 0 && is_complete(lake, newest).await? {
        return Ok(true);
    }
    tracing::error!(table = %name, commit = %newest.location, "the newest commit is unfinished and was set aside");
    quarantine(lake, name, &newest.location).await?;
    Ok(objects.len() > 1)
}

/// A commit ends with a newline or a closing brace, and its last line is a whole JSON value.
async fn is_complete(lake: &Lake, object: &ObjectMeta) -> Result<bool> {
    const TAIL: u64 = 64 << 10;
    let store = lake.object_store();
    let start = object.size.saturating_sub(TAIL);
    let tail = store.get_range(&object.location, start..object.size).await?;
    let text = String::from_utf8_lossy(&tail);
    let Some(last) = text.trim_end().rsplit('\n').next() else { return Ok(false) };
    if start > 0 && !text.trim_end().contains('\n') {
        // One line longer than the tail: whole if it ends as JSON objects do.
        return Ok(last.ends_with('}'));
    }
    Ok(serde_json::from_str::<serde_json::Value>(last).is_ok())
}

/// Sets the newest checkpoint aside, and the pointer to it, if the table opens from what is left: an older checkpoint or
/// the first commit, and every commit since. Otherwise nothing is touched, and the answer is `false`.
pub(crate) async fn set_aside_checkpoint(lake: &Lake, name: &TableName, error: &DeltaTableError) -> Result<bool> {
    let objects = log_objects(lake, name).await?;
    let newest = objects.iter().filter_map(|object| version_of_checkpoint(&object.location)).max();
    let is_bad = |object: &&ObjectMeta| {
        let version = version_of_checkpoint(&object.location);
        version.map_or(object.location.filename() == Some("_last_checkpoint"), |version| Some(version) == newest)
    };
    let (bad, left): (Vec<&ObjectMeta>, Vec<&ObjectMeta>) = objects.iter().partition(is_bad);
    if bad.is_empty() || !is_whole(&left) {
        return Ok(false);
    }
    for object in bad {
        tracing::error!(table = %name, checkpoint = %object.location, %error, "a checkpoint does not read and was set aside");
        quarantine(lake, name, &object.location).await?;
    }
    Ok(true)
}

/// The version of any kind of checkpoint, of one file or of several.
fn version_of_checkpoint(path: &Path) -> Option<u64> {
    let file = path.filename()?;
    file.contains(".checkpoint.").then(|| file.get(..20)?.parse().ok())?
}

/// Whether these objects tell a table: every commit since the newest checkpoint, or since the first.
fn is_whole(objects: &[&ObjectMeta]) -> bool {
    let commits: BTreeSet<u64> = objects.iter().filter_map(|object| commit_version(&object.location)).collect();
    let checkpoint = objects.iter().filter_map(|object| version_of_checkpoint(&object.location)).max();
    let first = checkpoint.map_or(0, |version| version + 1);
    let last = commits.last().copied();
    last.map_or(checkpoint.is_some(), |last| (first..=last).all(|version| commits.contains(&version)))
}

async fn quarantine(lake: &Lake, name: &TableName, path: &Path) -> Result<()> {
    let store = lake.object_store();
    let file = path.filename().unwrap_or_default();
    let target = log_path(name, &[QUARANTINE, &format!("{}-{file}", lake.now().as_micros())]);
    store.copy(path, &target).await?;
    store.delete(path).await?;
    Ok(())
}

/// Everything set aside for a table so far, for `headwater doctor`.
pub(crate) async fn quarantined(lake: &Lake, name: &TableName) -> Result<Vec<String>> {
    let store = lake.object_store();
    let objects: Vec<ObjectMeta> = store.list(Some(&log_path(name, &[QUARANTINE]))).try_collect().await?;
    Ok(objects.into_iter().map(|object| object.location.to_string()).collect())
}
