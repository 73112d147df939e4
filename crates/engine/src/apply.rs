//! Making a table from a query: the write strategies behind materialisations.
//!
//! A write is planned against the *base* version, the one readers see, and committed over the newest. When the two differ,
//! because an earlier build was committed and never published, the commit also takes back what that build did. So a build
//! always continues from what was published, whatever failed in between.

mod by_key;
mod staging;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::prelude::DataFrame;
use headwater_lake::{Change, DataFile, Operation, TableName, TableVersion, storable_schema};
use headwater_project::fault;

use crate::error::{EngineError, Result};
use crate::session::Session;

/// Times a commit of unknown outcome is looked up and tried again before the run is told.
const COMMIT_TRIES: u32 = 4;

/// How the result of a query changes a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The table becomes the result.
    Replace { partition_by: Vec<String> },
    /// Rows are added.
    Append,
    /// Partitions that appear in the result are replaced by it.
    ReplacePartitions { partition_by: Vec<String> },
    /// Rows whose key appears in the result are replaced by it, others added.
    ReplaceByKey {
        unique_key: Vec<String>,
        update: Update,
        /// Whether a key may appear several times in the result.
        allow_duplicates: bool,
        /// Only rows of the table that meet all of these are replaced. `DBT_INTERNAL_DEST` and `DBT_INTERNAL_SOURCE` are
        /// the table and the result; a column without either is the table's.
        predicates: Vec<String>,
    },
    /// Rows that meet the condition are replaced by the result.
    ReplaceWhere { condition: String },
}

/// Columns taken over from the result for rows that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    All,
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Update {
    fn takes(&self, column: &str) -> bool {
        let is = |name: &String| name.eq_ignore_ascii_case(column);
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(is),
            Self::AllBut(names) => !names.iter().any(is),
        }
    }
}

impl Write {
    fn partition_by(&self) -> &[String] {
        match self {
            Self::Replace { partition_by } | Self::ReplacePartitions { partition_by } => partition_by,
            Self::Append | Self::ReplaceByKey { .. } | Self::ReplaceWhere { .. } => &[],
        }
    }
}

/// What happens when the result has other columns than the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnSchemaChange {
    /// The table's columns stay; new ones are left out.
    #[default]
    Ignore,
    Fail,
    /// New columns are added to the table.
    Append,
    /// The table gets exactly the result's columns.
    Sync,
}

/// The table a query makes.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: TableName,
    /// The version readers see; `None` builds on the newest.
    pub base: Option<u64>,
    pub write: Write,
    pub on_schema_change: OnSchemaChange,
    /// Kept in the log entry of the commit: run, code, inputs.
    pub info: serde_json::Value,
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Applied {
    pub version: u64,
    /// Rows the query gave.
    pub rows: u64,
    pub inputs: BTreeMap<TableName, u64>,
}

/// What a query gave, in files that belong to no version of the table yet.
#[derive(Debug)]
pub struct Staged {
    target: Target,
    /// The version to commit over; none for a table that is not there.
    newest: Option<TableVersion>,
    schema: SchemaRef,
    partition_by: Vec<String>,
    /// Those the table shall have.
    files: Vec<DataFile>,
    rows: u64,
    inputs: BTreeMap<TableName, u64>,
}

impl Session {
    /// Runs `sql` and writes its result to a table, in one commit.
    pub async fn apply(&self, sql: &str, target: &Target) -> Result<Applied> {
        let staged = self.stage(sql, target).await?;
        self.commit(staged).await
    }

    /// The first half of [`Session::apply`], which computes: runs `sql` and writes files. Nobody sees them before
    /// [`Session::commit`].
    pub async fn stage(&self, sql: &str, target: &Target) -> Result<Staged> {
        let planned = self.plan(sql, &[]).await?;
        let inputs = planned.inputs.clone();
        let frame = staging::with_plain_names(planned.frame())?;
        self.stage_frame(frame, target, inputs).await
    }

    /// The second half, which waits for the disk or the network: makes the staged files the table's newest version.
    pub async fn commit(&self, staged: Staged) -> Result<Applied> {
        let version = match &staged.newest {
            None => self.create(&staged).await?,
            Some(newest) => self.commit_over(newest, &staged).await?,
        };
        Ok(Applied { version, rows: staged.rows, inputs: staged.inputs })
    }

    pub(crate) async fn apply_frame(
        &self,
        frame: DataFrame,
        target: &Target,
        inputs: BTreeMap<TableName, u64>,
    ) -> Result<Applied> {
        let staged = self.stage_frame(frame, target, inputs).await?;
        self.commit(staged).await
    }

    async fn stage_frame(&self, frame: DataFrame, target: &Target, inputs: BTreeMap<TableName, u64>) -> Result<Staged> {
        let result = storable_schema(frame.schema().as_arrow())?;
        require_columns(&result, target.write.partition_by())?;
        let replaces = matches!(target.write, Write::Replace { .. });
        let lake = self.engine.lake();
        let newest = match lake.load(&target.name).await? {
            None if !replaces => Some(lake.create(&target.name, &result, target.write.partition_by()).await?),
            found => found,
        };
        let base = match &newest {
            Some(newest) if !replaces => Some(self.base(newest, target).await?),
            _ => None,
        };
        let (schema, partition_by) = match &base {
            Some(base) => (evolved(base, &result, target)?, base.partition_columns().to_vec()),
            None => (result, target.write.partition_by().to_vec()),
        };
        let staged = staging::stage(self, frame, &target.name, &schema, &partition_by).await?;
        fault::point("m.staged").map_err(headwater_lake::LakeError::from)?;
        let rows = staged.iter().filter_map(|file| file.rows).sum();
        let files = match &base {
            Some(base) => self.files_after(base, &schema, staged, target).await?,
            None => staged,
        };
        Ok(Staged { target: target.clone(), newest, schema, partition_by, files, rows, inputs })
    }

    /// The version readers see.
    async fn base(&self, newest: &TableVersion, target: &Target) -> Result<TableVersion> {
        match target.base {
            Some(version) if version != newest.version() => {
                Ok(self.catalog().at(&target.name, version).await?.table().clone())
            }
            _ => Ok(newest.clone()),
        }
    }

    /// A table that was not there: its schema and its rows in one commit.
    async fn create(&self, staged: &Staged) -> Result<u64> {
        let Staged { target, schema, partition_by, files, .. } = staged;
        let mut first = Change::new(Operation::Append);
        first.add.clone_from(files);
        first.info.insert(String::from("headwater"), target.info.clone());
        let lake = self.engine.lake();
        let error = match lake.create_filled(&target.name, schema, partition_by, first).await {
            Ok(table) => return self.committed(table),
            Err(error) => error,
        };
        // The outcome is unknown: what is there now decides, as after any other commit.
        tracing::warn!(table = %target.name, %error, "creation of unknown outcome, reading it back");
        let newest = lake.create(&target.name, schema, partition_by).await?;
        if paths(&newest) == wanted(files) { self.committed(newest) } else { self.commit_over(&newest, staged).await }
    }

    /// Notes what a commit made, so that who reads it next need not open it.
    fn committed(&self, table: TableVersion) -> Result<u64> {
        fault::point("m.committed_before_result_row").map_err(headwater_lake::LakeError::from)?;
        Ok(self.catalog().remember(table).table().version())
    }

    /// The files the table shall have, given those of its base and the staged ones.
    async fn files_after(
        &self,
        base: &TableVersion,
        schema: &SchemaRef,
        staged: Vec<DataFile>,
        target: &Target,
    ) -> Result<Vec<DataFile>> {
        match &target.write {
            Write::Replace { .. } => Ok(staged),
            Write::Append => Ok(base.files().iter().cloned().chain(staged).collect()),
            Write::ReplacePartitions { partition_by } => {
                if base.partition_columns() != partition_by.as_slice() {
                    return Err(EngineError::SchemaChanged {
                        added: partition_by.clone(),
                        removed: base.partition_columns().to_vec(),
                    });
                }
                let replaced: HashSet<_> = staged.iter().map(|file| file.partition.clone()).collect();
                let kept = base.files().iter().filter(|file| !replaced.contains(&file.partition)).cloned();
                Ok(kept.chain(staged).collect())
            }
            Write::ReplaceWhere { condition } => by_key::replace_where(self, base, schema, staged, condition).await,
            Write::ReplaceByKey { unique_key, update, allow_duplicates, predicates } => {
                let keys =
                    by_key::Keys { columns: unique_key, update, allow_duplicates: *allow_duplicates, predicates };
                by_key::replace(self, base, schema, staged, &keys).await
            }
        }
    }

    async fn commit_over(&self, newest: &TableVersion, staged: &Staged) -> Result<u64> {
        let Staged { target, schema, partition_by, files, .. } = staged;
        let (has, wants) = (paths(newest), wanted(files));
        let mut change = Change::new(Operation::Replace);
        change.remove = newest.files().iter().filter(|file| !wants.contains(file.path.as_str())).cloned().collect();
        change.add = files.iter().filter(|file| !has.contains(file.path.as_str())).cloned().collect();
        if schema != newest.schema() || partition_by != newest.partition_columns() {
            change.schema = Some(Arc::clone(schema));
            change.partition_columns = Some(partition_by.clone());
        }
        change.info.insert(String::from("headwater"), target.info.clone());
        let committed = self.commit_resolved(newest, change, &wants, schema).await?;
        self.committed(committed)
    }
}

impl Session {
    /// An error of a commit is an unknown outcome, so the table is read again. No two runs stage files of one name: a table
    /// that has exactly the wanted files has the commit. One with the files it had before lacks it, and it is tried again.
    async fn commit_resolved(
        &self,
        newest: &TableVersion,
        change: Change,
        wants: &HashSet<&str>,
        schema: &SchemaRef,
    ) -> Result<TableVersion> {
        let lake = self.engine.lake();
        let mut base = newest.clone();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match lake.commit(&base, change.clone()).await {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            tracing::warn!(table = %newest.name(), %error, tries, "commit outcome unknown, reading it back");
            base = lake.require(newest.name()).await?;
            if paths(&base) == *wants && base.schema() == schema {
                return Ok(base);
            }
            let is_unchanged = paths(&base) == paths(newest) && base.schema() == newest.schema();
            if !is_unchanged || tries == COMMIT_TRIES {
                return Err(error.into());
            }
        }
    }
}

fn paths(table: &TableVersion) -> HashSet<&str> {
    wanted(table.files())
}

fn wanted(files: &[DataFile]) -> HashSet<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn require_columns(schema: &Schema, columns: &[String]) -> Result<()> {
    for column in columns {
        if schema.field_with_name(column).is_err() {
            let known = schema.fields().iter().map(|field| field.name().clone()).collect();
            return Err(EngineError::NoSuchColumn { column: column.clone(), known });
        }
    }
    Ok(())
}

/// The table's columns after an incremental build.
fn evolved(base: &TableVersion, result: &SchemaRef, target: &Target) -> Result<SchemaRef> {
    let table = base.schema();
    let absent_from = |one: &Schema, other: &Schema| -> Vec<String> {
        let missing = one.fields().iter().filter(|field| other.field_with_name(field.name()).is_err());
        missing.map(|field| field.name().clone()).collect()
    };
    let added = absent_from(result, table);
    let removed = absent_from(table, result);
    if added.is_empty() && removed.is_empty() {
        return Ok(Arc::clone(table));
    }
    let with_added = || {
        let new = result.fields().iter().filter(|field| added.contains(field.name()));
        Schema::new(table.fields().iter().chain(new).cloned().collect::<Vec<_>>())
    };
    match target.on_schema_change {
        OnSchemaChange::Fail => Err(EngineError::SchemaChanged { added, removed }),
        OnSchemaChange::Ignore if removed.is_empty() => Ok(Arc::clone(table)),
        OnSchemaChange::Ignore => Err(EngineError::SchemaChanged { added, removed }),
        OnSchemaChange::Append => Ok(Arc::new(with_added())),
        OnSchemaChange::Sync => {
            let kept = with_added();
            let fields: Vec<_> =
                kept.fields().iter().filter(|field| !removed.contains(field.name())).cloned().collect();
            Ok(Arc::new(Schema::new(fields)))
        }
    }
}
