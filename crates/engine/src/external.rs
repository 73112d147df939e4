//! Files read in place, as if they were a table: Parquet, CSV, JSON lines and Arrow, compressed or not, in folders that may
//! carry columns in their names (`day=2024-01-01`).
//!
//! A column with a declared type is read as it is written and cast by SQL, so that `007` stays `007` for VARCHAR; others are
//! inferred from the files.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::object_store::ObjectMeta;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use headwater_project::config::suggest;
use serde::{Deserialize, Serialize};

use crate::csv::quoted;
use crate::error::{EngineError, Result};
use crate::session::Engine;

/// Files that stand for a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// An absolute path or an `s3://` address: a file, a folder with `/` at its end, or a pattern with `*`.
    pub location: String,
    pub format: ExternalFormat,
    /// Declared columns in order, with their SQL types where these are declared too.
    pub columns: Vec<(String, Option<String>)>,
    /// Columns in the names of folders; found by looking when none is declared.
    pub partitions: Vec<(String, Option<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExternalFormat {
    Parquet,
    Arrow,
    /// One document a line.
    Json,
    Csv {
        delimiter: u8,
        /// Whether the first line names the columns; found by looking when it is not said.
        has_header: Option<bool>,
    },
}

impl External {
    /// The bucket it lies in; none for a folder.
    pub fn bucket(&self) -> Option<&str> {
        self.location.strip_prefix("s3://")?.split('/').next()
    }

    /// A table over the files there are now.
    pub(crate) async fn provider(&self, engine: &Engine, context: &SessionContext) -> Result<Arc<dyn TableProvider>> {
        let state = context.state();
        let url = self.url()?;
        let first = self.files(&state, &url).await?.into_iter().next().ok_or_else(|| self.none())?;
        let compression = compression(first.location.filename().unwrap_or_default());
        let (format, schema) = self.look(&state, &url, compression).await?;
        let partitions = self.partitions.iter().map(|(name, _)| (name.clone(), DataType::Utf8)).collect();
        let options = ListingOptions::new(format).with_file_extension("").with_table_partition_cols(partitions);
        let config = ListingTableConfig::new(url).with_listing_options(options);
        let config = if self.partitions.is_empty() { config.infer_partitions_from_path(&state).await? } else { config };
        let files = ListingTable::try_new(config.with_schema(schema))?;
        self.with_declared_types(engine, context, Arc::new(files))
    }

    /// Changes whenever a file is added, removed or replaced.
    pub(crate) async fn version(&self, context: &SessionContext) -> Result<u64> {
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        for file in self.files(&context.state(), &self.url()?).await? {
            let words = format!("{} {} {}", file.location, file.size, file.last_modified.timestamp_micros());
            for byte in words.bytes() {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        Ok(digest >> 1)
    }

    fn url(&self) -> Result<ListingTableUrl> {
        let Some((scheme, rest)) = self.location.split_once("://") else {
            return Ok(ListingTableUrl::parse(&self.location)?);
        };
        let mut segments: Vec<&str> = rest.split('/').collect();
        let Some(at) = segments.iter().position(|segment| segment.contains(['*', '?', '['])) else {
            return Ok(ListingTableUrl::parse(&self.location)?);
        };
        let pattern = segments.split_off(at).join("/");
        Ok(ListingTableUrl::parse(format!("{scheme}://{}/", segments.join("/")))?.with_glob(&pattern)?)
    }

    async fn files(&self, state: &SessionState, url: &ListingTableUrl) -> Result<Vec<ObjectMeta>> {
        let store = state.runtime_env().object_store(url).map_err(|error| EngineError::ExternalStore {
            location: self.location.clone(),
            reason: error.to_string(),
        })?;
        let listed = url.list_all_files(state, store.as_ref(), "").await?;
        let mut files: Vec<ObjectMeta> = listed.try_collect().await?;
        files
            .retain(|file| file.size > 0 && !file.location.filename().is_some_and(|name| name.starts_with(['.', '_'])));
        files.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(files)
    }

    fn none(&self) -> EngineError {
        EngineError::NoFiles(self.location.clone())
    }

    /// The format, with the columns of the files as they are to be read.
    async fn look(
        &self,
        state: &SessionState,
        url: &ListingTableUrl,
        compression: FileCompressionType,
    ) -> Result<(Arc<dyn FileFormat>, SchemaRef)> {
        let (format, found): (Arc<dyn FileFormat>, SchemaRef) = match self.format {
            ExternalFormat::Csv { delimiter, has_header } => {
                let format = |has_header: bool| -> Arc<dyn FileFormat> {
                    let format = CsvFormat::default().with_delimiter(delimiter).with_has_header(has_header);
                    Arc::new(format.with_newlines_in_values(true).with_file_compression_type(compression))
                };
                let named = inferred(state, url, format(true)).await?;
                let is_named = |(name, _): &(String, Option<String>)| position(&named, name).is_some();
                if has_header.unwrap_or_else(|| self.columns.is_empty() || self.columns.iter().any(is_named)) {
                    (format(true), named)
                } else {
                    let unnamed = inferred(state, url, format(false)).await?;
                    (format(false), self.by_place(&unnamed)?)
                }
            }
            ExternalFormat::Json => {
                let format: Arc<dyn FileFormat> =
                    Arc::new(JsonFormat::default().with_file_compression_type(compression));
                let found = inferred(state, url, Arc::clone(&format)).await?;
                // A document says itself what is text.
                return Ok((format, as_text(&self.with_missing(&found), |_| false)));
            }
            ExternalFormat::Parquet => {
                let format: Arc<dyn FileFormat> = Arc::new(ParquetFormat::default());
                let found = inferred(state, url, Arc::clone(&format)).await?;
                return Ok((format, found));
            }
            ExternalFormat::Arrow => {
                let format: Arc<dyn FileFormat> = Arc::new(ArrowFormat);
                let found = inferred(state, url, Arc::clone(&format)).await?;
                return Ok((format, found));
            }
        };
        let is_declared = |name: &str| {
            self.columns.iter().any(|(column, data_type)| data_type.is_some() && column.eq_ignore_ascii_case(name))
        };
        Ok((format, as_text(&found, is_declared)))
    }

    /// Columns of a file without a header are the declared ones, in their order.
    fn by_place(&self, found: &Schema) -> Result<SchemaRef> {
        if self.columns.is_empty() {
            return Ok(Arc::new(found.clone()));
        }
        if self.columns.len() != found.fields().len() {
            return Err(EngineError::NotAllowed(format!(
                "{} has {} columns in a line, and {} are declared",
                self.location,
                found.fields().len(),
                self.columns.len()
            )));
        }
        let named = self.columns.iter().zip(found.fields());
        let fields = named.map(|((name, _), field)| Field::new(name, field.data_type().clone(), true));
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// A document may leave out what is null.
    fn with_missing(&self, found: &Schema) -> SchemaRef {
        let missing = self.columns.iter().filter(|(name, _)| position(found, name).is_none());
        let missing = missing.map(|(name, _)| Arc::new(Field::new(name, DataType::Utf8, true)));
        Arc::new(Schema::new(found.fields().iter().cloned().chain(missing).collect::<Vec<_>>()))
    }

    /// Declared columns under their declared names and types, then the others, then those of the folders.
    fn with_declared_types(
        &self,
        engine: &Engine,
        context: &SessionContext,
        files: Arc<dyn TableProvider>,
    ) -> Result<Arc<dyn TableProvider>> {
        let frame = context.read_table(files)?;
        let schema = frame.schema().as_arrow().clone();
        let mut taken = vec![false; schema.fields().len()];
        let mut columns: Vec<Expr> = Vec::new();
        for (name, data_type) in self.columns.iter().chain(&self.partitions) {
            let index = position(&schema, name).ok_or_else(|| self.no_column(name, &schema))?;
            if std::mem::replace(&mut taken[index], true) {
                continue;
            }
            let stored = schema.field(index);
            let value = match data_type {
                Some(data_type) => engine.cast(&quoted(stored.name()), data_type)?,
                None => plain(stored),
            };
            columns.push(frame.parse_sql_expr(&value)?.alias(name));
        }
        for (_, field) in taken.iter().zip(schema.fields()).filter(|(taken, _)| !**taken) {
            columns.push(frame.parse_sql_expr(&plain(field))?.alias(field.name()));
        }
        Ok(frame.select(columns)?.into_view())
    }

    fn no_column(&self, name: &str, schema: &Schema) -> EngineError {
        let known: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let near = suggest(name, known.iter().map(String::as_str)).map(str::to_owned);
        EngineError::ExternalColumn { location: self.location.clone(), column: name.to_owned(), near, known }
    }
}

/// Columns that are read as they are written: those asked for, and those of which nothing is known but nulls.
fn as_text(found: &Schema, is_asked: impl Fn(&str) -> bool) -> SchemaRef {
    let fields = found.fields().iter().map(|field| {
        let text = is_asked(field.name()) || field.data_type().is_null();
        Arc::new(Field::new(field.name(), if text { DataType::Utf8 } else { field.data_type().clone() }, true))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

async fn inferred(state: &SessionState, url: &ListingTableUrl, format: Arc<dyn FileFormat>) -> Result<SchemaRef> {
    Ok(ListingOptions::new(format).with_file_extension("").infer_schema(state, url).await?)
}

fn position(schema: &Schema, name: &str) -> Option<usize> {
    schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name))
}

/// A column as it was found. Names of folders come as a dictionary of texts.
fn plain(field: &Field) -> String {
    let name = quoted(field.name());
    if matches!(field.data_type(), DataType::Dictionary(_, _)) { format!("CAST({name} AS VARCHAR)") } else { name }
}

fn compression(name: &str) -> FileCompressionType {
    match name.rsplit('.').next() {
        Some("gz" | "gzip") => FileCompressionType::GZIP,
        Some("bz2") => FileCompressionType::BZIP2,
        Some("xz") => FileCompressionType::XZ,
        Some("zst" | "zstd") => FileCompressionType::ZSTD,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}
