//! Opening a table whose log was damaged.
//!
//! Two kinds of damage are mended, both by moving the bad object to `_delta_log/quarantine/`, never by deleting it:
//! - A newest commit of zero length or half a line: it was never acknowledged, because a commit is acknowledged only when
//!   it is durable. delta-rs would open such a table silently one batch short.
//! - A checkpoint that does not read while the JSON log is complete: delta-rs would refuse the table.

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

pub(crate) async fn set_aside_checkpoints(lake: &Lake, name: &TableName, error: &DeltaTableError) -> Result<()> {
    for object in log_objects(lake, name).await? {
        let file = object.location.filename().unwrap_or_default();
        if file == "_last_checkpoint" || file.contains(".checkpoint.") {
            tracing::error!(table = %name, checkpoint = file, %error, "a checkpoint does not read and was set aside");
            quarantine(lake, name, &object.location).await?;
        }
    }
    Ok(())
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
