//! What the log still tells of a table's commits.

use object_store::ObjectStoreExt;
use serde_json::Value;

use crate::error::Result;
use crate::name::TableName;
use crate::recover::{commit_version, log_objects};
use crate::table::Lake;

impl Lake {
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
