//! What the log still tells of a table's commits.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use futures::{StreamExt, TryStreamExt};
use headwater_project::Timestamp;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use crate::error::Result;
use crate::name::TableName;
use crate::pipeline::Progress;
use crate::recover::{commit_version, log_objects};
use crate::table::{Lake, TableVersion};

/// One commit that is still in a table's log.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitNote {
    pub version: u64,
    pub at: Option<Timestamp>,
    /// The whole `commitInfo`: operation, metrics, and under `headwater` what our writers note.
    pub info: Value,
}

/// The columns a table got with one commit that is still in its log.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaNote {
    pub version: u64,
    pub at: Option<Timestamp>,
    pub schema: SchemaRef,
}

/// Log entries read at once.
const AT_ONCE: usize = 16;

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

    /// How far a version of a table says that the keys which begin so were taken.
    pub async fn positions(&self, table: &TableVersion, beginning: &str) -> Result<Progress> {
        let all = crate::transactions::of(self, table).await?.into_iter();
        Ok(all.filter(|(key, _)| key.starts_with(beginning)).collect())
    }

    /// How far each commit that is still in the log moved the keys that begin so, oldest first.
    pub async fn position_history(&self, name: &TableName, beginning: &str) -> Result<Vec<(u64, Progress)>> {
        let store = self.object_store();
        let mut history = Vec::new();
        for object in log_objects(self, name).await? {
            let Some(version) = commit_version(&object.location) else { continue };
            let bytes = store.get(&object.location).await?.bytes().await?;
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"txn\""));
            let moved = lines.filter_map(|line| {
                let action = serde_json::from_slice::<Value>(line).ok()?;
                let id = action.pointer("/txn/appId")?.as_str().filter(|id| id.starts_with(beginning))?;
                Some((id.to_owned(), action.pointer("/txn/version")?.as_i64()?))
            });
            let moved: Progress = moved.collect();
            if !moved.is_empty() {
                history.push((version, moved));
            }
        }
        history.sort_by_key(|(version, _)| *version);
        Ok(history)
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

    /// Every set of columns that the newest commits in the log gave the table, oldest first. What was before them is gone, as
    /// with [`Lake::commit_infos`].
    pub async fn schemas(&self, name: &TableName, newest: usize) -> Result<Vec<SchemaNote>> {
        let objects = log_objects(self, name).await?;
        let mut commits: Vec<(u64, Path)> = objects
            .into_iter()
            .filter_map(|object| Some((commit_version(&object.location)?, object.location)))
            .collect();
        commits.drain(..commits.len().saturating_sub(newest));
        let store = self.object_store();
        let reads = commits.into_iter().map(|(version, location)| {
            let store = Arc::clone(&store);
            async move {
                let bytes = store.get(&location).await?.bytes().await?;
                Ok::<_, crate::error::LakeError>(schema_note(version, &bytes))
            }
        });
        let notes: Vec<Option<SchemaNote>> = futures::stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        Ok(notes.into_iter().flatten().collect())
    }

    /// The version each application id has reached, positions among them; nothing when there is no table.
    pub async fn progress(&self, name: &TableName) -> Result<Progress> {
        match self.load(name).await? {
            Some(table) => crate::transactions::of(self, &table).await,
            None => Ok(Progress::new()),
        }
    }
}

/// Nothing for a commit that changes no columns, or describes them in a way we do not read.
fn schema_note(version: u64, bytes: &[u8]) -> Option<SchemaNote> {
    let line = |beginning: &[u8]| {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let found = lines.find(|line| line.starts_with(beginning))?;
        serde_json::from_slice::<Value>(found).ok()
    };
    let metadata = line(b"{\"metaData\"")?;
    let text = metadata.pointer("/metaData/schemaString")?.as_str()?;
    let columns: StructType = serde_json::from_str(text).ok()?;
    let schema: Schema = (&columns).try_into_arrow().ok()?;
    let at = line(b"{\"commitInfo\"").and_then(|info| info.pointer("/commitInfo/timestamp")?.as_i64());
    Some(SchemaNote { version, at: at.map(Timestamp::from_millis), schema: Arc::new(schema) })
}
