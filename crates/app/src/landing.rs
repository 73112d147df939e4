//! What a source's file says about the way into its table: how columns follow the records, and what becomes of rows.

mod mask;
mod masked_sink;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headwater_engine::{RowExpressions, Session};
use headwater_ingest::rows::{RowProgram, RowTransform, Shaped};
use headwater_ingest::schema::{self, DriftPolicy, is_reserved};
use headwater_lake::TableName;
use headwater_project::config::Secret;
use headwater_project::{Classify, Diagnostic, Failure};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::instance::Instance;
use mask::Mask;
pub(crate) use masked_sink::Masks;

/// How the table's columns follow the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SchemaConfig {
    /// What becomes of a field that has no column.
    pub(crate) new_fields: NewFields,
    /// An integer column becomes a float column when a number with a fraction comes.
    pub(crate) widen_integers: bool,
    /// Columns that are known beforehand, with their SQL types: `{id: bigint, amount: "decimal(12, 2)"}`.
    pub(crate) columns: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NewFields {
    /// The table gets a column for it.
    #[default]
    Evolve,
    /// Its record goes to the quarantine. A source whose rows have types of their own stops.
    Freeze,
    /// It is kept as JSON in the column `_overflow`.
    Discard,
    /// The source stops.
    Fail,
}

/// What becomes of rows on their way into the table.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RowsConfig {
    /// Columns and SQL expressions: `["*", "lower(email) AS email"]`. Everything, when it is left out.
    pub(crate) select: Vec<String>,
    /// SQL condition on the records: those for which it is not true are left out, and counted.
    #[serde(rename = "where")]
    pub(crate) condition: Option<String>,
    /// Columns that do not get into the table.
    pub(crate) exclude: BTreeSet<String>,
    /// Columns whose values do not get into the table as they are.
    pub(crate) mask: BTreeMap<String, Mask>,
    /// Secret without which nobody can try which value a hash stands for. Needed for `hash`.
    pub(crate) mask_key: Option<Secret>,
}

impl RowsConfig {
    fn is_empty(&self) -> bool {
        self.select.is_empty() && self.condition.is_none() && self.exclude.is_empty() && self.mask.is_empty()
    }
}

/// What is wrong with either, as far as it shows without records. A captured table has to be what its source is, but for
/// masks: changes are told by it.
pub(crate) fn check(source: &str, schema: &SchemaConfig, rows: &RowsConfig, is_captured: bool) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let shaped = !rows.select.is_empty() || rows.condition.is_some() || !rows.exclude.is_empty();
    if is_captured && (shaped || *schema != SchemaConfig::default()) {
        let message = format!("source `{source}` captures changes, and its tables are what the database has");
        found.push(Diagnostic::error(message).hint(
            "Only `rows.mask` goes with it. Leave columns out with `exclude` of the table; choose and compute in a model.",
        ));
    }
    if rows.mask_key.is_none() && rows.mask.values().any(|mask| *mask == Mask::Hash) {
        let message = format!("source `{source}` hashes columns without a key");
        found.push(Diagnostic::error(message).hint("Set `rows.mask_key: \"${NAME}\"` and NAME in the environment."));
    }
    let own = rows.mask.keys().chain(&rows.exclude).filter(|column| is_reserved(column));
    found.extend(own.map(|column| {
        Diagnostic::error(format!("source `{source}` changes `{column}`, which tells where a row came from"))
            .hint("Only columns of the records can be masked or left out.")
    }));
    found
}

/// Both, ready for a pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Landing {
    pub(crate) drift: DriftPolicy,
    pub(crate) declared: Option<SchemaRef>,
    pub(crate) transform: Option<Arc<dyn RowTransform>>,
    /// For tables that are written past the transform.
    pub(crate) masks: Arc<Masks>,
}

impl Landing {
    pub(crate) async fn of(instance: &Instance, of: &SchemaConfig, rows: &RowsConfig) -> Result<Self, Failure> {
        let new_fields = match of.new_fields {
            NewFields::Evolve => schema::NewFields::Evolve,
            NewFields::Freeze => schema::NewFields::Freeze,
            NewFields::Discard => schema::NewFields::Discard,
            NewFields::Fail => schema::NewFields::Fail,
        };
        let drift = DriftPolicy { new_fields, widen_integers: of.widen_integers, ..DriftPolicy::default() };
        let session = instance.session()?;
        let columns: Vec<(String, String)> = of.columns.clone().into_iter().collect();
        let declared = match columns.is_empty() {
            true => None,
            false => Some(readable(&*session.declared_columns(&columns).await.map_err(|error| undeclared(&error))?)),
        };
        let transform = (!rows.is_empty()).then(|| -> Arc<dyn RowTransform> {
            Arc::new(Rows { config: rows.clone(), session, runtime: Handle::current() })
        });
        let key = rows.mask_key.as_ref().map(|key| key.reveal().as_bytes().to_vec()).unwrap_or_default();
        let masks = Arc::new(Masks { masks: rows.mask.clone(), key });
        Ok(Self { drift, declared, transform, masks })
    }
}

fn undeclared(error: &headwater_engine::EngineError) -> Failure {
    let failure = error.failure();
    let detail = failure.detail.unwrap_or(failure.message);
    Failure::user("a column under `schema.columns` has no type that is known")
        .with_detail(detail)
        .with_hint("Types are written as in SQL: bigint, double, varchar, boolean, date, timestamp, decimal(12, 2).")
}

/// Records are read into the wider of two types that hold the same.
fn readable(declared: &Schema) -> SchemaRef {
    let wider = |of: &DataType| match of {
        DataType::Int8 | DataType::Int16 => DataType::Int32,
        DataType::Float32 => DataType::Float64,
        other => other.clone(),
    };
    let fields = declared.fields().iter().map(|field| Field::new(field.name(), wider(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows of a project, as far as it says anything about them.
struct Rows {
    config: RowsConfig,
    session: Session,
    /// Planning is asynchronous, and asked for by a thread that is not.
    runtime: Handle,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rows").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the records are called in the project's expressions.
const RECORDS: &str = "records";

impl RowTransform for Rows {
    fn compile(&self, rows: &SchemaRef) -> Result<Arc<dyn RowProgram>, Failure> {
        let config = &self.config;
        let expressions = match config.select.is_empty() && config.condition.is_none() {
            true => None,
            false => Some(self.runtime.block_on(self.expressions(rows))?),
        };
        let made = expressions.as_ref().map_or(rows, RowExpressions::schema);
        let lacking = config.mask.keys().chain(&config.exclude).find(|name| made.column_with_name(name).is_none());
        if let Some(column) = lacking {
            tracing::warn!(%column, "a column that is to be masked or left out is not among those of the records");
        }
        let kept: Vec<usize> =
            (0..made.fields().len()).filter(|place| !config.exclude.contains(made.field(*place).name())).collect();
        let masks = kept.iter().map(|place| config.mask.get(made.field(*place).name()).copied()).collect::<Vec<_>>();
        let field = |(place, mask): (&usize, &Option<Mask>)| match mask {
            Some(_) => Field::new(made.field(*place).name(), DataType::Utf8, true),
            None => made.field(*place).clone(),
        };
        let schema = Arc::new(Schema::new(kept.iter().zip(&masks).map(field).collect::<Vec<_>>()));
        let key = config.mask_key.as_ref().map(|key| key.reveal().as_bytes().to_vec()).unwrap_or_default();
        Ok(Arc::new(Program { expressions, kept, masks, key, schema }))
    }
}

impl Rows {
    /// The project's statement. What tells where a row came from goes along, whether it is asked for or not.
    async fn expressions(&self, rows: &SchemaRef) -> Result<RowExpressions, Failure> {
        let relation = TableName::new(self.session.table_name(&RECORDS.into()).schema, RECORDS);
        let condition = self.config.condition.as_ref().map_or_else(String::new, |text| format!(" WHERE ({text})"));
        let mut select =
            if self.config.select.is_empty() { vec![String::from("*")] } else { self.config.select.clone() };
        let statement = |select: &[String]| format!("SELECT {} FROM {RECORDS}{condition}", select.join(", "));
        let planned =
            self.session.row_expressions(&statement(&select), &relation, rows).await.map_err(|e| misread(&e))?;
        let missing = rows.fields().iter().map(|field| field.name());
        let missing = missing.filter(|name| is_reserved(name) && planned.schema().column_with_name(name).is_none());
        let before = select.len();
        select.extend(missing.map(|name| format!("\"{name}\"")));
        if select.len() == before {
            return Ok(planned);
        }
        self.session.row_expressions(&statement(&select), &relation, rows).await.map_err(|error| misread(&error))
    }
}

fn misread(error: &headwater_engine::EngineError) -> Failure {
    let failure = error.failure();
    let detail =
        failure.detail.map_or_else(|| failure.message.clone(), |detail| format!("{} {detail}", failure.message));
    let hint =
        failure.hint.unwrap_or_else(|| String::from("Expressions see one record at a time, by its fields' names."));
    Failure::user("`rows` of the source asks for what its records do not have")
        .with_detail(detail)
        .with_hint(format!("{hint} A field that not every record has can be declared under `schema.columns`."))
}

#[derive(Debug)]
struct Program {
    expressions: Option<RowExpressions>,
    /// Places of the columns that come out, among those of the expressions.
    kept: Vec<usize>,
    /// One for each of them.
    masks: Vec<Option<Mask>>,
    key: Vec<u8>,
    schema: SchemaRef,
}

impl RowProgram for Program {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn passes(&self, column: &str) -> bool {
        let Some((place, _)) = self.schema.column_with_name(column) else { return false };
        self.masks.get(place).is_some_and(Option::is_none)
            && self.expressions.as_ref().is_none_or(|expressions| expressions.passes(column))
    }

    fn made_of(&self, column: &str) -> Option<Vec<usize>> {
        let Some(expressions) = &self.expressions else {
            return Some(self.schema.column_with_name(column).map(|(place, _)| place).into_iter().collect());
        };
        let made = expressions.made_of(column)?;
        Some(self.kept.iter().enumerate().filter(|(_, place)| made.contains(place)).map(|(place, _)| place).collect())
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Shaped, Failure> {
        let Some(expressions) = &self.expressions else {
            return Ok(Shaped { rows: self.masked(rows)?, left_out: Vec::new(), refused: Vec::new() });
        };
        let applied = expressions.apply(rows).map_err(|error| error.failure())?;
        Ok(Shaped { rows: self.masked(&applied.rows)?, left_out: applied.left_out, refused: applied.refused })
    }
}

impl Program {
    fn masked(&self, rows: &RecordBatch) -> Result<RecordBatch, Failure> {
        let wrong = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
        let rows = rows.project(&self.kept).map_err(wrong)?;
        let column = |(column, mask): (&arrow::array::ArrayRef, &Option<Mask>)| match mask {
            Some(mask) => mask.apply(column, &self.key).map_err(wrong),
            None => Ok(Arc::clone(column)),
        };
        let columns = rows.columns().iter().zip(&self.masks).map(column).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(wrong)
    }
}
