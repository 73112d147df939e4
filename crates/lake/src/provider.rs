//! A table version as DataFusion reads it.
//!
//! Files are left out by their partition values and statistics before anything is opened; row groups and pages are left out
//! by the Parquet reader. Row counts and bounds from the log go to the planner, so that `count(*)` opens no file. A session
//! with a [`ColumnCache`] reads small tables through it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::column_cache::ColumnCache;
use crate::file::DataFile;
use crate::stats::{self, FileStatistics};
use crate::table::TableVersion;

/// Under this address a session must know [`crate::Lake::object_store`].
pub const STORE_URL: &str = "headwater-lake://lake/";

/// Name of the optional column that tells which file a row came from.
pub const FILE_COLUMN: &str = "__headwater_file";

/// A version of a table, or a subset of its files, as a relation.
pub struct LakeTable {
    table: TableVersion,
    files: Arc<[DataFile]>,
    with_file_column: bool,
    table_schema: TableSchema,
    statistics: OnceLock<Vec<FileStatistics>>,
}

impl fmt::Debug for LakeTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LakeTable({:?})", self.table)
    }
}

impl LakeTable {
    pub fn new(table: TableVersion) -> Self {
        let files = Arc::clone(table.files());
        Self::of(table, files, false)
    }

    /// Only `files` (also ones not committed yet), with [`FILE_COLUMN`] when asked for.
    pub fn over(table: TableVersion, files: Vec<DataFile>, with_file_column: bool) -> Self {
        Self::of(table, files.into(), with_file_column)
    }

    fn of(table: TableVersion, files: Arc<[DataFile]>, with_file_column: bool) -> Self {
        let table_schema = table_schema(&table, with_file_column);
        Self { table, files, with_file_column, table_schema, statistics: OnceLock::new() }
    }

    pub fn table(&self) -> &TableVersion {
        &self.table
    }

    fn statistics_of_files(&self) -> &[FileStatistics] {
        self.statistics.get_or_init(|| {
            let schema = self.table_schema.table_schema();
            self.files.iter().map(|file| stats::of_file(file, schema)).collect()
        })
    }

    /// Indexes of the files that can hold rows for which `filters` are true.
    fn relevant_files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all = || (0..self.files.len()).collect();
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all()) };
        let schema = self.table_schema.table_schema();
        let predicate = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(schema))?)?;
        // A long list of days or keys is worth checking one by one: it decides which files are opened.
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).with_max_in_list_size(1_000);
        let Some(predicate) = builder.build(predicate) else { return Ok(all()) };
        let containers = self.statistics_of_files().iter().map(|file| Arc::new(file.pruning.clone())).collect();
        let kept = predicate.prune(&PrunableStatistics::new(containers, Arc::clone(schema)))?;
        Ok(kept.iter().enumerate().filter(|(_, keep)| **keep).map(|(index, _)| index).collect())
    }

    /// From the lake's root.
    fn path_of(&self, index: usize) -> String {
        format!("{}/{}", self.table.name().path(), self.files[index].path)
    }

    fn partitioned_file(&self, index: usize) -> Result<PartitionedFile> {
        let file = &self.files[index];
        let path = self.path_of(index);
        let mut values = Vec::with_capacity(self.table.partition_columns().len() + 1);
        for column in self.table.partition_columns() {
            let data_type = self.table.schema().field_with_name(column)?.data_type();
            let text = file.partition.get(column).and_then(Option::as_deref);
            values.push(stats::partition_scalar(text, data_type)?);
        }
        if self.with_file_column {
            values.push(ScalarValue::Utf8(Some(file.path.clone())));
        }
        let mut planning = self.statistics_of_files()[index].planning.clone();
        // The reader adds the constants' own statistics behind those of the file's columns.
        planning.column_statistics.truncate(self.table_schema.file_schema().fields().len());
        Ok(PartitionedFile::new(path, file.size).with_partition_values(values).with_statistics(Arc::new(planning)))
    }

    fn total_statistics(&self, files: &[usize]) -> Result<Statistics> {
        let schema = self.table_schema.table_schema();
        let each = self.statistics_of_files();
        Statistics::try_merge_iter(files.iter().map(|index| &each[*index].planning), schema)
    }

    fn file_scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        groups: Vec<FileGroup>,
        statistics: Statistics,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let store = state.runtime_env().object_store(&url)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let parquet = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(parquet)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, cache)));
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn goes_through(&self, cache: &ColumnCache, files: &[usize]) -> bool {
        !self.with_file_column && cache.takes(files.iter().map(|index| self.files[*index].size).sum())
    }

    /// The same rows from memory; what is not there yet is read whole and kept.
    async fn kept_scan(
        &self,
        cache: &ColumnCache,
        state: &dyn Session,
        projection: &Vec<usize>,
        files: &[usize],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(self.schema().project(projection)?);
        let (mut kept, mut missing) = (Vec::with_capacity(files.len()), Vec::new());
        for index in files {
            match cache.get(&self.path_of(*index), &schema)? {
                Some(batch) => kept.push(batch),
                None => missing.push(*index),
            }
        }
        if !missing.is_empty() {
            kept.extend(self.load_columns(cache, state, projection, &missing).await?);
        }
        let groups = grouped(kept, state.config().target_partitions(), |batch| batch.num_rows() as u64);
        let rows = state.config().batch_size();
        let sliced = groups.into_iter().map(|group| group.iter().flat_map(|batch| slices(batch, rows)).collect());
        let source = MemorySourceConfig::try_new(&sliced.collect::<Vec<_>>(), schema, None)?.with_limit(limit);
        Ok(DataSourceExec::from_data_source(source))
    }

    async fn load_columns(
        &self,
        cache: &ColumnCache,
        state: &dyn Session,
        projection: &Vec<usize>,
        files: &[usize],
    ) -> Result<Vec<RecordBatch>> {
        let mut plans = Vec::with_capacity(files.len());
        for index in files {
            let group = FileGroup::new(vec![self.partitioned_file(*index)?]);
            let statistics = self.total_statistics(&[*index])?;
            plans.push((self.path_of(*index), self.file_scan(state, Some(projection), vec![group], statistics, None)?));
        }
        cache.load(plans, state.task_ctx()).await
    }
}

/// File columns first, then constants of a file: that is the order the reader makes them in. Text is read as views, which
/// avoids copying it.
fn table_schema(table: &TableVersion, with_file_column: bool) -> TableSchema {
    let is_partition = |field: &&FieldRef| table.partition_columns().contains(field.name());
    let (constants, columns): (Vec<&FieldRef>, Vec<&FieldRef>) = table.schema().fields().iter().partition(is_partition);
    let columns: Vec<Field> = columns.into_iter().map(|field| viewed(field)).collect();
    let mut constants: Vec<FieldRef> = constants.into_iter().cloned().collect();
    if with_file_column {
        constants.push(Arc::new(Field::new(FILE_COLUMN, DataType::Utf8, false)));
    }
    TableSchema::builder(Arc::new(Schema::new(columns))).with_table_partition_cols(constants).build()
}

fn viewed(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// Spreads things over at most `groups` lists of about the same size.
fn grouped<T>(things: Vec<T>, groups: usize, size: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut lists: Vec<(u64, Vec<T>)> = (0..groups.clamp(1, things.len().max(1))).map(|_| (0, Vec::new())).collect();
    for thing in things {
        if let Some((total, list)) = lists.iter_mut().min_by_key(|(total, _)| *total) {
            *total += size(&thing);
            list.push(thing);
        }
    }
    lists.into_iter().map(|(_, list)| list).collect()
}

/// A batch as batches of at most `rows` rows, over the same memory.
fn slices(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows.max(1));
    starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let all: Vec<usize> = (0..self.files.len()).collect();
        self.total_statistics(&all).ok()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let relevant = self.relevant_files(state, filters)?;
        if relevant.is_empty() {
            let schema = self.schema();
            let projected = match projection {
                Some(indexes) => Arc::new(schema.project(indexes)?),
                None => schema,
            };
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        if let Some(cache) = state.config().get_extension::<ColumnCache>()
            && let Some(projection) = projection.filter(|columns| !columns.is_empty())
            && self.goes_through(&cache, &relevant)
        {
            return self.kept_scan(&cache, state, projection, &relevant, limit).await;
        }
        let files: Result<Vec<PartitionedFile>> = relevant.iter().map(|index| self.partitioned_file(*index)).collect();
        let groups = grouped(files?, state.config().target_partitions(), |file| file.object_meta.size);
        let groups = groups.into_iter().map(FileGroup::new).collect();
        self.file_scan(state, projection, groups, self.total_statistics(&relevant)?, limit)
    }
}
