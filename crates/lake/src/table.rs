//! Tables of a lake and their versions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::kernel::{Action, StructField};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use headwater_project::{Clock, Entropy, Timestamp, fault};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::commit::{Change, Operation};
use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::name::TableName;
use crate::pipeline::records_id;
use crate::recover;
use crate::schema::{from_text, storable_schema, to_delta};
use crate::stage::{Stage, StageOptions};
use crate::store::Storage;

/// All tables below one root. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    storage: Storage,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Lake {
    pub fn new(storage: Storage, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { storage, clock, entropy }
    }

    /// The store whose `/` is the root of the lake.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.storage.lake)
    }

    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn log_store(&self, name: &TableName) -> Result<LogStoreRef> {
        let relative = name.path();
        let url: Url = self
            .storage
            .url
            .join(&format!("{relative}/"))
            .map_err(|error| LakeError::Internal(format!("table {name} has no address: {error}")))?;
        let absolute = Path::from_iter(self.storage.prefix.parts().chain(relative.parts()));
        let table_store = Arc::new(PrefixStore::new(Arc::clone(&self.storage.root), absolute));
        Ok(default_logstore(table_store, Arc::clone(&self.storage.root), &url, &StorageConfig::default()))
    }

    /// Names of all tables, in order.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        let mut names = BTreeSet::new();
        for schema in self.folders(&Path::from("tables")).await? {
            for table in self.folders(&schema).await? {
                let log = Path::from_iter(table.parts().chain(Path::from("_delta_log").parts()));
                let has_log = self.storage.lake.list(Some(&log)).try_next().await?.is_some();
                if let (true, Some(schema), Some(name)) = (has_log, schema.filename(), table.filename()) {
                    names.insert(TableName::new(schema, name));
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    async fn folders(&self, path: &Path) -> Result<Vec<Path>> {
        match self.storage.lake.list_with_delimiter(Some(path)).await {
            Ok(listed) => Ok(listed.common_prefixes),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The newest version of a table; `None` when there is no such table. A damaged checkpoint or a never acknowledged
    /// newest commit is set aside and told in the log of the process.
    pub async fn load(&self, name: &TableName) -> Result<Option<TableVersion>> {
        if !recover::set_aside_unfinished_commit(self, name).await? {
            return Ok(None);
        }
        let log_store = self.log_store(name)?;
        match load_delta(&log_store, None).await {
            Ok(table) => TableVersion::from_delta(name.clone(), table).map(Some),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(error) if !log_store.is_delta_table_location().await.unwrap_or(true) => {
                tracing::debug!(table = %name, %error, "no table here");
                Ok(None)
            }
            Err(error) => {
                let table = self.load_without_checkpoints(name, &log_store, error).await?;
                TableVersion::from_delta(name.clone(), table).map(Some)
            }
        }
    }

    /// The newest version of a table that did not load, once checkpoints that it can do without are set aside. Whatever
    /// else was the reason (a store that refuses, a feature nobody knows) leaves the table as it is.
    async fn load_without_checkpoints(
        &self,
        name: &TableName,
        log_store: &LogStoreRef,
        mut error: DeltaTableError,
    ) -> Result<DeltaTable> {
        if let Some(feature) = unsupported(&error) {
            return Err(LakeError::UnsupportedFeature { table: name.to_string(), feature });
        }
        let mut has_set_aside = false;
        while recover::set_aside_checkpoint(self, name, &error).await? {
            has_set_aside = true;
            match load_delta(log_store, None).await {
                Ok(table) => return Ok(table),
                Err(next) => error = next,
            }
        }
        if has_set_aside {
            return Err(LakeError::Damaged { table: name.to_string(), source: Box::new(error) });
        }
        Err(error.into())
    }

    /// A table that must be there.
    pub async fn require(&self, name: &TableName) -> Result<TableVersion> {
        self.load(name).await?.ok_or_else(|| LakeError::NoSuchTable(name.to_string()))
    }

    /// An earlier version of a table.
    pub async fn load_at(&self, name: &TableName, version: u64) -> Result<TableVersion> {
        let log_store = self.log_store(name)?;
        let table = load_delta(&log_store, Some(version)).await.map_err(|error| {
            tracing::debug!(table = %name, version, %error, "version did not load");
            LakeError::NoSuchVersion { table: name.to_string(), version }
        })?;
        TableVersion::from_delta(name.clone(), table)
    }

    /// Creates an empty table, or loads the one another writer created first.
    pub async fn create(
        &self,
        name: &TableName,
        schema: &Schema,
        partition_columns: &[String],
    ) -> Result<TableVersion> {
        match self.create_filled(name, schema, partition_columns, Change::new(Operation::Append)).await {
            Ok(table) => Ok(table),
            // Unknown outcome, or another writer was first: what the store holds decides.
            Err(error) => self.load(name).await?.ok_or(error),
        }
    }

    /// Creates a table with its first files (those that `first` adds), in one commit. An `Err` is an unknown outcome: the
    /// table may be there now, with these files or with those of another writer.
    pub async fn create_filled(
        &self,
        name: &TableName,
        schema: &Schema,
        partition_columns: &[String],
        first: Change,
    ) -> Result<TableVersion> {
        let schema = to_delta(&*storable_schema(schema)?)?;
        let table = CreateBuilder::new()
            .with_log_store(self.log_store(name)?)
            .with_table_name(name.to_string())
            .with_columns(schema.fields().cloned().collect::<Vec<StructField>>())
            .with_partition_columns(partition_columns.to_vec())
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_actions(first.add.iter().map(|file| Action::Add(file.add(true))))
            .with_commit_properties(first.properties(Vec::new()))
            .await?;
        fault::point("dl.commit_done_before_hooks")?;
        TableVersion::from_delta(name.clone(), table)
    }

    /// A place to write data files for a table. `schema` is the table's, partition columns included.
    pub fn stage(
        &self,
        name: &TableName,
        schema: SchemaRef,
        partition_columns: &[String],
        options: StageOptions,
    ) -> Result<Stage> {
        Stage::new(
            Arc::clone(&self.storage.lake),
            name.path(),
            schema,
            partition_columns.to_vec(),
            options,
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        )
    }

    /// Removes a table's folder with everything in it.
    pub async fn drop_table(&self, name: &TableName) -> Result<()> {
        let paths: Vec<Path> =
            self.storage.lake.list(Some(&name.path())).map_ok(|meta| meta.location).try_collect().await?;
        for path in paths {
            self.storage.lake.delete(&path).await?;
        }
        Ok(())
    }
}

async fn load_delta(log_store: &LogStoreRef, version: Option<u64>) -> std::result::Result<DeltaTable, DeltaTableError> {
    let mut table = DeltaTable::new(Arc::clone(log_store));
    match version {
        Some(version) => table.load_version(version).await?,
        None => table.load().await?,
    }
    Ok(table)
}

/// One version of a table: its schema and files. Immutable; cheap to clone.
#[derive(Clone)]
pub struct TableVersion {
    name: TableName,
    version: u64,
    schema: SchemaRef,
    partition_columns: Arc<[String]>,
    files: Arc<[DataFile]>,
    delta: DeltaTable,
}

impl fmt::Debug for TableVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{} ({} files)", self.name, self.version, self.files.len())
    }
}

impl TableVersion {
    pub(crate) fn from_delta(name: TableName, delta: DeltaTable) -> Result<Self> {
        let state = delta.snapshot()?.clone();
        refuse_foreign_features(&name, &state)?;
        let schema: Schema = state.schema().as_ref().try_into_arrow()?;
        let files = state.log_data().iter().map(|view| DataFile::from_view(&view)).collect();
        Ok(Self {
            version: state.version(),
            schema: Arc::new(schema),
            partition_columns: state.metadata().partition_columns().to_vec().into(),
            files,
            name,
            delta,
        })
    }

    pub fn name(&self) -> &TableName {
        &self.name
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Columns in order, partition columns included.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of the records that rows of a pipeline were made of, where they are not simply the rows'.
    pub fn records(&self, pipeline: &str) -> Result<Option<SchemaRef>> {
        self.property(&records_id(pipeline)).map(|text| from_text(&text)).transpose()
    }

    /// What the table knows about itself under this name.
    pub fn property(&self, name: &str) -> Option<String> {
        self.delta.snapshot().ok()?.metadata().configuration().get(name).cloned()
    }

    pub fn partition_columns(&self) -> &[String] {
        &self.partition_columns
    }

    pub fn files(&self) -> &Arc<[DataFile]> {
        &self.files
    }

    /// Rows over all files; `None` when a file does not say.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The same table taken to have other columns, to read files that were staged and not committed yet.
    #[must_use]
    pub fn with_schema(&self, schema: SchemaRef) -> Self {
        Self { schema, ..self.clone() }
    }

    pub(crate) fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// The version an application id has reached in this version of the table.
    pub async fn transaction(&self, id: &str) -> Result<Option<i64>> {
        let state = self.delta.snapshot()?;
        Ok(state.transaction_version(self.delta.log_store().as_ref(), id).await?)
    }
}

/// What a table needs that is not known here, when that is why it did not load. The kernel's errors are no types of ours
/// to match on; its words are.
fn unsupported(error: &DeltaTableError) -> Option<String> {
    let DeltaTableError::KernelError(error) = error else { return None };
    let text = error.to_string();
    let reason = text.lines().next()?.strip_prefix("Unsupported: ")?;
    let named = reason.split_once('\'').and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name);
    Some(named.or_else(|| reason.strip_prefix("Unsupported minimum ")).unwrap_or(reason).to_owned())
}

/// Reading a table while ignoring a feature that changes what its rows are would show wrong rows.
fn refuse_foreign_features(name: &TableName, state: &deltalake_core::table::state::DeltaTableState) -> Result<()> {
    let unsupported = |feature: String| Err(LakeError::UnsupportedFeature { table: name.to_string(), feature });
    for feature in state.protocol().reader_features().unwrap_or_default() {
        let feature = feature.to_string();
        if !matches!(feature.as_str(), "timestampNtz" | "v2Checkpoint" | "vacuumProtocolCheck") {
            return unsupported(feature);
        }
    }
    match state.metadata().configuration().get("delta.columnMapping.mode").map(String::as_str) {
        None | Some("none") => Ok(()),
        Some(mode) => unsupported(format!("column mapping by {mode}")),
    }
}
