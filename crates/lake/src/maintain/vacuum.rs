//! Deleting data files that no version anybody may read still needs.
//!
//! A file goes only when it is in none of the versions to keep, and either left the table before the horizon (its
//! tombstone says when) or never was in it and is older than [`ORPHAN_AGE`] and than the horizon: a file that no version
//! names may be one that a writer is about to commit, however short a time older versions are kept. The horizon is measured
//! against the store's own times and ours, whichever is earlier, so a clock that jumps deletes nothing early.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use deltalake_core::kernel::TombstoneView;
use futures::TryStreamExt;
use headwater_project::fault;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::Policy;
use crate::error::{LakeError, Result};
use crate::name::TableName;
use crate::table::{Lake, TableVersion};

/// Bound of the time from the first byte of a data file to the commit that names it, the longest build included.
const ORPHAN_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    pub files: usize,
    pub bytes: u64,
}

pub(super) async fn vacuum(lake: &Lake, name: &TableName, policy: Policy, keep: &[u64]) -> Result<Vacuumed> {
    let table = lake.require(name).await?;
    let mut needed: HashSet<String> = table.files().iter().map(|file| file.path.clone()).collect();
    for version in keep {
        needed.extend(lake.load_at(name, *version).await?.files().iter().map(|file| file.path.clone()));
    }
    let tombstones = tombstones(&table).await?;
    let objects: Vec<ObjectMeta> = lake.object_store().list(Some(&name.path())).try_collect().await?;
    let newest = objects.iter().map(|object| object.last_modified.timestamp_millis()).max().unwrap_or(i64::MIN);
    let now = lake.now().as_millis().min(newest);
    let before = |age: Duration| now - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let (horizon, orphan_horizon) = (before(policy.retention), before(policy.retention.max(ORPHAN_AGE)));
    let mut done = Vacuumed::default();
    for object in objects {
        let Some(path) = data_path(name, &object) else { continue };
        let written_at = object.last_modified.timestamp_millis();
        let is_kept = match tombstones.get(&path) {
            Some(left_at) => *left_at.max(&written_at) >= horizon,
            None => written_at >= orphan_horizon,
        };
        if is_kept || needed.contains(&path) {
            continue;
        }
        fault::point("mt.vacuum_mid_delete")?;
        lake.object_store().delete(&object.location).await?;
        done.files += 1;
        done.bytes += object.size;
    }
    done.files += sweep(lake, name, orphan_horizon).await?;
    Ok(done)
}

/// Removes what writes that were cut off left below a table, which no listing shows. Object stores keep none.
async fn sweep(lake: &Lake, name: &TableName, horizon: i64) -> Result<usize> {
    let url = &lake.storage().url;
    let Some(root) = (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten() else { return Ok(0) };
    let below = name.path();
    let folder = root.join::<&str>(below.as_ref());
    let swept = tokio::task::spawn_blocking(move || sweep_folder(&folder, horizon)).await;
    Ok(swept.map_err(|error| LakeError::Internal(error.to_string()))??)
}

fn sweep_folder(folder: &Path, horizon: i64) -> std::io::Result<usize> {
    let mut swept = 0;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            swept += sweep_folder(&entry.path(), horizon)?;
        } else if is_unfinished(&entry.file_name()) && written_at(&entry).is_ok_and(|at| at < horizon) {
            std::fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// A file in the making has a `#` and a number behind its name.
fn is_unfinished(file: &OsStr) -> bool {
    let number = file.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// An error when it was finished meanwhile.
fn written_at(entry: &DirEntry) -> std::io::Result<i64> {
    let since = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Path of a data file relative to its table; nothing for the log and foreign files.
fn data_path(name: &TableName, object: &ObjectMeta) -> Option<String> {
    let folder = format!("{}/", name.path());
    let path = object.location.as_ref().strip_prefix(&folder)?;
    (!path.starts_with("_delta_log/") && path.ends_with(".parquet")).then(|| path.to_owned())
}

async fn tombstones(table: &TableVersion) -> Result<HashMap<String, i64>> {
    let log_store = table.delta().log_store();
    let state = table.delta().snapshot()?;
    let removed: Vec<TombstoneView> = state.all_tombstones(log_store.as_ref()).try_collect().await?;
    Ok(removed
        .into_iter()
        .map(|file| (file.path().into_owned(), file.deletion_timestamp().unwrap_or(i64::MAX)))
        .collect())
}
