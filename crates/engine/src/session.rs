//! Sessions: SQL over one fixed set of table versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::{ParamValues, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use headwater_lake::{ColumnCache, Credentials, Lake, Location, STORE_URL, Storage, TableName};
use url::Url;

use crate::catalog::{Catalog, PublishedRelation, Relation, TableCache};
use crate::dialect::{Dialect, LAMBDA, TypedPlanner};
use crate::error::{EngineError, Result};
use crate::external::External;
use crate::functions;
use crate::lateral;
use crate::parameter::{self, Parameter};
use crate::times;
use crate::trace;

/// Name of the one catalog.
pub(crate) const CATALOG: &str = "lake";

/// Views may stand on views this deep.
const VIEW_DEPTH: usize = 32;

/// The smaller side of a join is kept once for all tasks up to this size, as the planner sees it: spreading both sides over
/// the tasks by key costs a copy of the larger one, which is many times what a dimension of this size costs to look into.
const SHARED_BUILD_BYTES: usize = 64 << 20;
/// The same, where only rows are known.
const SHARED_BUILD_ROWS: usize = 1 << 20;

/// Consumers named in the message when memory runs out.
const NAMED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN;

/// Bounds of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes that sorts, joins and aggregates may hold together; above it they spill or fail.
    pub memory_bytes: usize,
    /// Bytes of decoded columns kept for [`Session::keeping_columns`], beside `memory_bytes`.
    pub column_cache_bytes: usize,
    /// Where spilled data goes; the system's temporary folder when not given.
    pub spill_folder: Option<PathBuf>,
    /// Parallel partitions of one query.
    pub partitions: usize,
    /// Schema of names written without one.
    pub default_schema: String,
    /// What the project's SQL is written in; the engine's own when none.
    pub dialect: Option<Dialect>,
}

/// Plans and runs SQL over one lake. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    lake: Lake,
    base: SessionState,
    cache: Arc<TableCache>,
    columns: Arc<ColumnCache>,
    default_schema: String,
    dialect: Option<Dialect>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("lake", &self.lake).finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(lake: Lake, options: &EngineOptions) -> Result<Self> {
        let runtime = runtime(&lake, options)?;
        let mut config = SessionConfig::new()
            .with_target_partitions(options.partitions)
            .with_default_catalog_and_schema(CATALOG, &options.default_schema)
            .with_create_default_catalog_and_schema(true)
            .with_information_schema(true);
        let optimizer = &mut config.options_mut().optimizer;
        optimizer.hash_join_single_partition_threshold = SHARED_BUILD_BYTES;
        optimizer.hash_join_single_partition_threshold_rows = SHARED_BUILD_ROWS;
        let mut builder = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
        if let Some(dialect) = options.dialect {
            // It is asked before the engine's own, which come with the default features.
            builder = builder.with_expr_planners(vec![Arc::new(TypedPlanner::new(dialect))]);
        }
        let mut base = builder.with_default_features().build();
        functions::register(&mut base)?;
        if options.dialect.is_some() {
            functions::register_checked_sum(&mut base)?;
        }
        let default_schema = options.default_schema.clone();
        let columns = Arc::new(ColumnCache::new(options.column_cache_bytes));
        Ok(Self { lake, base, cache: Arc::default(), columns, default_schema, dialect: options.dialect })
    }

    /// Files in this bucket can be read from now on.
    pub fn reach(&self, bucket: &str, credentials: &Credentials) -> Result<()> {
        let location = Location::S3 { bucket: bucket.to_owned(), prefix: String::new() };
        let store = Storage::open(&location, credentials)?.objects();
        let url = Url::parse(&format!("s3://{bucket}")).map_err(|error| EngineError::Internal(error.to_string()))?;
        self.base.runtime_env().register_object_store(&url, store);
        Ok(())
    }

    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Names of the functions a statement may call, in order.
    pub fn function_names(&self) -> Vec<String> {
        let scalar = self.base.scalar_functions().keys();
        let names = scalar.chain(self.base.aggregate_functions().keys()).chain(self.base.window_functions().keys());
        let names: BTreeSet<String> = names.cloned().collect();
        names.into_iter().collect()
    }

    /// What the project's SQL is written in; the engine's own when none.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// What every session starts from.
    pub(crate) fn base(&self) -> &SessionState {
        &self.base
    }

    /// Parallel partitions of one query.
    pub(crate) fn partitions(&self) -> usize {
        self.base.config().target_partitions()
    }

    /// A context with our functions, memory and store, and no tables.
    pub(crate) fn bare_context(&self) -> SessionContext {
        let state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
            .build();
        let context = SessionContext::new_with_state(state);
        let catalog = MemoryCatalogProvider::new();
        // A catalog made here takes any schema; the only error is a provider that cannot register.
        if let Err(error) = catalog.register_schema(&self.default_schema, Arc::new(MemorySchemaProvider::new())) {
            tracing::error!(%error, "the default schema could not be registered");
        }
        context.register_catalog(CATALOG, Arc::new(catalog));
        context
    }

    /// A session that sees `published` names at their published version and all others at the newest.
    /// Of the `built` names only published ones exist.
    pub fn session(&self, published: BTreeMap<TableName, PublishedRelation>, built: BTreeSet<TableName>) -> Session {
        let catalog = Catalog::new(self.lake.clone(), Arc::clone(&self.cache), published, built);
        let (outlines, externals) = (Arc::default(), Arc::default());
        Session { engine: self.clone(), catalog: Arc::new(catalog), outlines, externals }
    }
}

fn runtime(lake: &Lake, options: &EngineOptions) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), NAMED_CONSUMERS);
    let mut builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool));
    if let Some(folder) = &options.spill_folder {
        let mode = datafusion::execution::disk_manager::DiskManagerMode::Directories(vec![folder.clone()]);
        builder = builder.with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode));
    }
    let runtime = builder.build_arc()?;
    let url = Url::parse(STORE_URL).map_err(|error| EngineError::Internal(error.to_string()))?;
    runtime.register_object_store(&url, lake.object_store());
    Ok(runtime)
}

/// SQL over one fixed set of table versions. Cheap to clone; clones share the set.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) engine: Engine,
    catalog: Arc<Catalog>,
    /// Relations of which only the columns are known.
    pub(crate) outlines: Arc<BTreeMap<TableName, SchemaRef>>,
    /// Names that stand for files.
    externals: Arc<BTreeMap<TableName, External>>,
}

/// A running query: batches as they come, and which versions it reads.
pub struct QueryStream {
    pub schema: SchemaRef,
    /// Version of every table read.
    pub inputs: BTreeMap<TableName, u64>,
    stream: SendableRecordBatchStream,
}

impl QueryStream {
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.stream.try_next().await?)
    }

    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// A planned statement in the context that can run it.
pub(crate) struct Planned {
    pub(crate) context: SessionContext,
    pub(crate) plan: LogicalPlan,
    pub(crate) inputs: BTreeMap<TableName, u64>,
}

impl Planned {
    pub(crate) fn frame(self) -> DataFrame {
        DataFrame::new(self.context.state(), self.plan)
    }
}

impl Session {
    /// The same session for those who ask the same small tables again and again: their columns stay in memory, decoded, as
    /// far as [`EngineOptions::column_cache_bytes`] goes.
    #[must_use]
    pub fn keeping_columns(self) -> Self {
        let columns = Arc::clone(&self.engine.columns);
        self.with_config(|config| config.set_extension(columns))
    }

    /// The same session, in which these names stand for files and not for tables of the lake.
    #[must_use]
    pub fn with_externals(mut self, externals: Arc<BTreeMap<TableName, External>>) -> Self {
        self.externals = externals;
        self
    }

    pub fn is_external(&self, name: &TableName) -> bool {
        self.externals.contains_key(name)
    }

    /// What the files behind a name are now; none when it does not stand for files.
    pub async fn external_version(&self, name: &TableName) -> Result<Option<u64>> {
        match self.externals.get(name) {
            Some(external) => external.version(&self.engine.bare_context()).await.map(Some),
            None => Ok(None),
        }
    }

    #[must_use]
    pub(crate) fn with_config(mut self, change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config = self.engine.base.config().clone();
        change(&mut config);
        self.engine.base = SessionStateBuilder::new_from_existing(self.engine.base).with_config(config).build();
        self
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Starts a reading statement. `$name` in the text is bound to the parameter of that name.
    pub async fn query(&self, sql: &str, parameters: &[(String, Parameter)]) -> Result<QueryStream> {
        let planned = self.plan(sql, parameters).await?;
        let inputs = planned.inputs.clone();
        let stream = Box::pin(planned.frame().execute_stream()).await?;
        Ok(QueryStream { schema: stream.schema(), inputs, stream })
    }

    /// Starts a query for its first rows, in its own order, which a query around it would be free to change; all of
    /// them without a limit.
    pub async fn first_rows(&self, sql: &str, limit: Option<usize>) -> Result<QueryStream> {
        let planned = self.plan(sql, &[]).await?;
        let inputs = planned.inputs.clone();
        let frame = planned.frame().limit(0, limit)?;
        let stream = Box::pin(frame.execute_stream()).await?;
        Ok(QueryStream { schema: stream.schema(), inputs, stream })
    }

    /// Columns of a statement's result, and the versions it would read.
    pub async fn describe(&self, sql: &str) -> Result<(SchemaRef, BTreeMap<TableName, u64>)> {
        self.describe_with(sql, &[]).await
    }

    /// The same for a statement with parameters, bound as [`Session::query`] binds them.
    pub async fn describe_with(
        &self,
        sql: &str,
        parameters: &[(String, Parameter)],
    ) -> Result<(SchemaRef, BTreeMap<TableName, u64>)> {
        let planned = self.plan(sql, parameters).await?;
        Ok((Arc::clone(planned.plan.schema().inner()), planned.inputs))
    }

    /// A column that is not there is looked for a second time, with the places of names kept, to tell where.
    pub(crate) async fn plan(&self, sql: &str, parameters: &[(String, Parameter)]) -> Result<Planned> {
        match self.planned(sql, parameters).await {
            Err(error @ EngineError::UnknownColumn { position: None, .. }) => {
                let placed = self.clone().with_config(|config| config.options_mut().sql_parser.collect_spans = true);
                Err(placed.planned(sql, parameters).await.err().unwrap_or(error))
            }
            planned => planned,
        }
    }

    async fn planned(&self, sql: &str, parameters: &[(String, Parameter)]) -> Result<Planned> {
        let mut scope = Scope::new(self);
        let statement = scope.parse(sql)?;
        scope.load(&statement, 0).await?;
        let plan = scope.context.state().statement_to_plan(statement).await?;
        let plan = lateral::beside_their_rows(sql, plan)?;
        read_only().verify_plan(&plan)?;
        let plan = if parameters.is_empty() {
            plan
        } else {
            plan.with_param_values(ParamValues::Map(parameter::bound(parameters)))?
        };
        Ok(Planned { context: scope.context, plan, inputs: scope.inputs })
    }

    /// The table behind a name written as in SQL: one, two or three parts.
    pub fn table_name(&self, reference: &TableReference) -> TableName {
        let schema = reference.schema().unwrap_or(&self.engine.default_schema);
        TableName::new(schema, reference.table())
    }
}

fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// One statement's context: only the relations it names, each looked up once.
struct Scope<'a> {
    session: &'a Session,
    context: SessionContext,
    inputs: BTreeMap<TableName, u64>,
    seen: BTreeSet<String>,
}

impl<'a> Scope<'a> {
    fn new(session: &'a Session) -> Self {
        let context = session.engine.bare_context();
        Self { session, context, inputs: BTreeMap::new(), seen: BTreeSet::new() }
    }

    fn parse(&self, sql: &str) -> Result<Statement> {
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        // What is before the first word stays: places of errors are counted from there.
        let mut statement = state.sql_to_statement(sql.trim_end().trim_end_matches(';'), &dialect)?;
        times::in_microseconds(&mut statement);
        if sql.contains(LAMBDA) {
            lateral::with_lambdas(&mut statement);
        }
        Ok(statement)
    }

    /// Makes every relation the statement names known to the context, views after what they stand on.
    fn load<'b>(&'b mut self, statement: &'b Statement, depth: usize) -> BoxFuture<'b, Result<()>> {
        Box::pin(async move {
            if depth > VIEW_DEPTH {
                return Err(EngineError::ViewDepth(VIEW_DEPTH));
            }
            for reference in self.context.state().resolve_table_references(statement)? {
                if reference.schema() == Some("information_schema") {
                    self.load_everything(depth).await?;
                } else {
                    self.load_reference(&reference, depth).await?;
                }
            }
            Ok(())
        })
    }

    async fn load_everything(&mut self, depth: usize) -> Result<()> {
        for name in self.session.catalog.names().await? {
            let reference = TableReference::partial(name.schema, name.table);
            self.load_reference(&reference, depth).await?;
        }
        Ok(())
    }

    async fn load_reference(&mut self, reference: &TableReference, depth: usize) -> Result<()> {
        if !self.seen.insert(reference.to_string()) {
            return Ok(());
        }
        let name = self.session.table_name(reference);
        if let Some(columns) = self.session.outlines.get(&name) {
            return self.register(reference, &name, trace::outlined(columns));
        }
        if let Some(external) = self.session.externals.get(&name) {
            let provider = external.provider(&self.session.engine, &self.context).await?;
            self.inputs.insert(name.clone(), external.version(&self.context).await?);
            return self.register(reference, &name, provider);
        }
        let Some(relation) = self.session.catalog.relation(&name).await? else {
            // `from generate_series(1, 3)` names a function as if it were a table.
            if reference.schema().is_none() && self.context.state().table_functions().contains_key(reference.table()) {
                return Ok(());
            }
            return Err(self.missing(&name).await);
        };
        let provider: Arc<dyn TableProvider> = match relation {
            Relation::Table(table) => {
                self.inputs.insert(name.clone(), table.table().version());
                table
            }
            Relation::View { sql } => {
                let statement = self.parse(&sql)?;
                self.load(&statement, depth + 1).await?;
                let plan = self.context.state().statement_to_plan(statement).await?;
                let plan = lateral::beside_their_rows(&sql, plan)?;
                read_only().verify_plan(&plan)?;
                Arc::new(ViewTable::new(plan, Some(sql)))
            }
        };
        self.register(reference, &name, provider)
    }

    fn register(&self, reference: &TableReference, name: &TableName, provider: Arc<dyn TableProvider>) -> Result<()> {
        let catalog_name = reference.catalog().unwrap_or(CATALOG);
        let catalog: Arc<dyn CatalogProvider> = self.context.catalog(catalog_name).unwrap_or_else(|| {
            let catalog = Arc::new(MemoryCatalogProvider::new());
            self.context.register_catalog(catalog_name, Arc::clone(&catalog) as Arc<dyn CatalogProvider>);
            catalog
        });
        let schema: Arc<dyn SchemaProvider> = match catalog.schema(&name.schema) {
            Some(schema) => schema,
            None => {
                let schema = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(&name.schema, Arc::clone(&schema) as Arc<dyn SchemaProvider>)?;
                schema
            }
        };
        if !schema.table_exist(&name.table) {
            schema.register_table(name.table.clone(), provider)?;
        }
        Ok(())
    }

    async fn missing(&self, name: &TableName) -> EngineError {
        let known = self.session.catalog.names().await.unwrap_or_default();
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let near = headwater_project::config::suggest(&name.to_string(), known.iter().map(String::as_str));
        EngineError::NoSuchTable(name.to_string(), near.map(str::to_owned))
    }
}
