//! One atomic change of one table, and what to do when its outcome is unknown.
//!
//! delta-rs checks a commit against what was committed after the snapshot it was prepared on: two commits with the same
//! application id, or two removals of one file, conflict. It does not check what lies *before* the snapshot. So the caller
//! checks positions and epoch on the very snapshot that is then passed here, and an `Err` never means "not committed": the
//! caller loads the table again and lets the stored positions decide.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError};
use deltalake_core::kernel::{Action, Metadata, MetadataExt, Transaction};
use deltalake_core::protocol::{DeltaOperation, OutputMode, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use headwater_project::fault;

use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::schema::to_delta;
use crate::table::{Lake, TableVersion};

/// Attempts delta-rs makes when other commits got in between and do not conflict.
const COMMIT_ATTEMPTS: usize = 15;

/// Carried by every commit that takes files away, so that two of them conflict. delta-rs alone lets a commit pass that removes
/// a file which a compaction removed before: the compacted rows would stay beside their replacement.
const LAYOUT: &str = "layout";

/// What kind of change a commit is; decides which concurrent commits it conflicts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds rows; goes well with anything but a change of schema.
    Append,
    /// Replaces what was read; conflicts with every other change of data.
    Replace,
    /// Merges files without changing rows.
    Compact,
    /// Only moves positions or epochs.
    Positions,
}

/// A change of a table.
#[derive(Clone, Debug)]
pub struct Change {
    pub operation: Operation,
    pub add: Vec<DataFile>,
    pub remove: Vec<DataFile>,
    /// The new schema, when it changes.
    pub schema: Option<SchemaRef>,
    /// The new partition columns, when they change; goes with a schema and replaces all files.
    pub partition_columns: Option<Vec<String>>,
    /// What the table shall know about itself from now on, by name; what it knows else stays.
    pub properties: Vec<(String, String)>,
    /// Application transactions: (id, version).
    pub transactions: Vec<(String, i64)>,
    /// Kept in the log entry, for people.
    pub info: serde_json::Map<String, serde_json::Value>,
}

impl Change {
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            add: Vec::new(),
            remove: Vec::new(),
            schema: None,
            partition_columns: None,
            properties: Vec::new(),
            transactions: Vec::new(),
            info: serde_json::Map::new(),
        }
    }

    /// What goes into the log beside the actions. Checkpoints and old log files are maintenance's.
    pub(crate) fn properties(&self, transactions: Vec<Transaction>) -> CommitProperties {
        CommitProperties::default()
            .with_application_transactions(transactions)
            .with_metadata(self.info.clone().into_iter().collect::<HashMap<_, _>>())
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_max_retries(COMMIT_ATTEMPTS)
    }

    /// The table's metadata as they are after this change.
    fn metadata(&self, mut metadata: Metadata) -> Result<Metadata> {
        if let Some(schema) = &self.schema {
            metadata = metadata.with_schema(&to_delta(schema)?).map_err(DeltaTableError::from)?;
            metadata = partitioned(metadata, self.partition_columns.as_deref())?;
        }
        for (name, value) in &self.properties {
            metadata = metadata.add_config_key(name.clone(), value.clone()).map_err(DeltaTableError::from)?;
        }
        Ok(metadata)
    }

    fn delta_operation(&self, base: &TableVersion) -> DeltaOperation {
        match self.operation {
            Operation::Append => DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(base.partition_columns().to_vec()),
                predicate: None,
            },
            Operation::Replace => DeltaOperation::Write {
                mode: SaveMode::Overwrite,
                partition_by: Some(base.partition_columns().to_vec()),
                predicate: None,
            },
            Operation::Compact => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            Operation::Positions => DeltaOperation::StreamingUpdate {
                output_mode: OutputMode::Append,
                query_id: String::from("headwater"),
                epoch_id: 0,
            },
        }
    }
}

impl Lake {
    /// Commits `change` on top of `base`. On success the new version; an `Err` is an unknown outcome unless it is
    /// [`LakeError::Conflict`] from a change without transactions.
    pub async fn commit(&self, base: &TableVersion, change: Change) -> Result<TableVersion> {
        let operation = change.delta_operation(base);
        let now = self.clock().now().as_millis();
        let data_change = change.operation != Operation::Compact;
        let snapshot = base.delta().snapshot().map_err(LakeError::from)?.snapshot().clone();
        let mut actions = Vec::with_capacity(change.add.len() + change.remove.len() + 1);
        if change.schema.is_some() || !change.properties.is_empty() {
            actions.push(Action::Metadata(change.metadata(snapshot.metadata().clone())?));
        }
        actions.extend(change.remove.iter().map(|file| Action::Remove(file.remove(data_change, now))));
        actions.extend(change.add.iter().map(|file| Action::Add(file.add(data_change))));
        let mut transactions: Vec<Transaction> =
            change.transactions.iter().map(|(id, version)| Transaction::new(id, *version)).collect();
        if !change.remove.is_empty() {
            let next = base.version().saturating_add(1);
            transactions.push(Transaction::new(LAYOUT, i64::try_from(next).unwrap_or(i64::MAX)));
        }
        let committed = CommitBuilder::from(change.properties(transactions))
            .with_actions(actions)
            .build(Some(&snapshot as &dyn TableReference), base.delta().log_store(), operation)
            .await
            .map_err(classified)?;
        fault::point("dl.commit_done_before_hooks")?;
        let mut table = DeltaTable::new(base.delta().log_store());
        table.state = Some(committed.snapshot());
        TableVersion::from_delta(base.name().clone(), table)
    }
}

/// delta-rs has no way to change partition columns of a metadata action, but its JSON form does.
fn partitioned(metadata: Metadata, columns: Option<&[String]>) -> Result<Metadata> {
    let Some(columns) = columns else { return Ok(metadata) };
    let internal = |error: serde_json::Error| LakeError::Internal(error.to_string());
    let mut json = serde_json::to_value(&metadata).map_err(internal)?;
    if let Some(object) = json.as_object_mut() {
        object.insert(String::from("partitionColumns"), serde_json::json!(columns));
    }
    serde_json::from_value(json).map_err(internal)
}

fn classified(error: DeltaTableError) -> LakeError {
    match error {
        DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) }
        | DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) }
        | DeltaTableError::Transaction { source: TransactionError::VersionAlreadyExists(_) } => {
            LakeError::Conflict(Box::new(error))
        }
        other => other.into(),
    }
}
