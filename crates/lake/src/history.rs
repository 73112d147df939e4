//! What the log still tells of a table's commits.

use headwater_project::Timestamp;
use object_store::ObjectStoreExt;
use serde_json::Value;

use crate::error::Result;
use crate::name::TableName;
use crate::recover::{commit_version, log_objects};
use crate::table::Lake;

/// One commit that is still in a table's log.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitNote {
    pub version: u64,
    pub at: Option<Timestamp>,
    /// The whole `commitInfo`: operation, metrics, and under `headwater` what our writers note.
    pub info: Value,
}

impl Lake {
    /// The newest commits that are still in the log, newest first. As with [`Lake::commit_infos`], older ones are gone.
    pub async fn commits(&self, name: &TableName, limit: usize) -> Result<Vec<CommitNote>> {
        let store = self.object_store();
        let mut objects: Vec<_> = log_objects(self, name)
            .await?
            .into_iter()
            .filter_map(|object| Some((commit_version(&object.location)?, object.location)))
            .collect();
        objects.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let mut notes = Vec::new();
        for (version, location) in objects.into_iter().take(limit) {
            let bytes = store.get(&location).await?.bytes().await?;
            let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"commitInfo\""));
            let info = lines.next().and_then(|line| serde_json::from_slice::<Value>(line).ok());
            let info = info.and_then(|info| info.get("commitInfo").cloned()).unwrap_or_default();
            let at = info.get("timestamp").and_then(Value::as_i64).map(Timestamp::from_millis);
            notes.push(CommitNote { version, at, info });
        }
        Ok(notes)
    }

    /// What writers noted with the commits that are still in the log, oldest first. Entries older than the last checkpoints
    /// are gone: nothing may depend on this alone.
    pub async fn commit_infos(&self, name: &TableName) -> Result<Vec<Value>> {
        let store = self.object_store();
        let mut infos = Vec::new();
        for object in log_objects(self, name).await? {
            if commit_version(&object.location).is_none() {
                continue;
            }
            let bytes = store.get(&object.location).await?.bytes().await?;
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"commitInfo\""));
            let notes = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            infos.extend(notes.filter_map(|note| note.pointer("/commitInfo/headwater").cloned()));
        }
        Ok(infos)
    }
}
