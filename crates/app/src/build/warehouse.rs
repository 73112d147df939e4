//! The engine as templates see it while they render.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_engine::{EngineError, Executed, QueryStream, Relation, Session, sql_type_name};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_transform::{
    Cell, ColumnInfo, QueryTable, RelationInfo, RelationKind, RelationName, Warehouse, WarehouseError,
};
use tokio::runtime::Handle;

/// Rows a template may fetch: more than this belongs into SQL.
const MAX_ROWS: usize = 100_000;

/// Answers on the thread that renders, which must be a blocking one.
#[derive(Debug)]
pub(crate) struct SessionWarehouse {
    session: Session,
    runtime: Handle,
    writes: Option<Arc<Writes>>,
    /// Whether what is compiled is to be run, and not only shown.
    translates: bool,
}

/// What statements of a run's templates and hooks changed.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Kept in the log entries of their commits.
    pub(crate) info: serde_json::Value,
    changed: Mutex<BTreeSet<TableName>>,
}

impl Writes {
    pub(crate) fn new(info: serde_json::Value) -> Self {
        Self { info, changed: Mutex::default() }
    }

    pub(crate) fn note(&self, name: TableName) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    pub(crate) fn changed(&self) -> BTreeSet<TableName> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SessionWarehouse {
    /// Call from within the runtime.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, runtime: Handle::current(), writes: None, translates: true }
    }

    /// As [`SessionWarehouse::new`], for templates that may change tables.
    pub(crate) fn writing(session: Session, writes: Arc<Writes>) -> Self {
        Self { writes: Some(writes), ..Self::new(session) }
    }

    /// As [`SessionWarehouse::new`], for templates whose SQL stays as the project wrote it.
    pub(crate) fn as_written(session: Session) -> Self {
        Self { translates: false, ..Self::new(session) }
    }

    /// Runs statements; the rows of the last one that reads are the answer.
    async fn run(&self, sql: &str) -> Result<QueryTable, Failure> {
        let sql = &*self.session.translate(sql).map_err(|error| error.failure())?;
        let Some(writes) = &self.writes else { return self.fetch(sql).await };
        let mut table = QueryTable::default();
        for done in self.session.execute(sql, &writes.info).await.map_err(|error| error.failure())? {
            match done {
                Executed::Rows(stream) => table = read(stream).await?,
                Executed::Changed { name, .. } => writes.note(name),
                Executed::Nothing => {}
            }
        }
        Ok(table)
    }

    async fn fetch(&self, sql: &str) -> Result<QueryTable, Failure> {
        read(self.session.query(sql, &[]).await.map_err(|error| error.failure())?).await
    }

    async fn describe(&self, name: &RelationName) -> Result<Option<RelationInfo>, Failure> {
        let table = TableName::new(name.schema.clone(), name.identifier.clone());
        if self.session.is_external(&table) {
            let sql = format!("SELECT * FROM {}", crate::asset::quoted(&table));
            let (schema, _) = self.session.describe(&sql).await.map_err(|error| error.failure())?;
            return Ok(Some(relation_info(RelationKind::Table, &schema)));
        }
        let relation = self.session.catalog().relation(&table).await.map_err(|error| error.failure())?;
        let (kind, schema) = match relation {
            None => match self.session.outlined(&table) {
                Some(columns) => (RelationKind::Table, std::sync::Arc::clone(columns)),
                None => return Ok(None),
            },
            Some(Relation::Table(table)) => (RelationKind::Table, std::sync::Arc::clone(table.table().schema())),
            Some(Relation::View { sql }) => {
                (RelationKind::View, self.session.describe(&sql).await.map_err(|error| error.failure())?.0)
            }
        };
        Ok(Some(relation_info(kind, &schema)))
    }
}

fn relation_info(kind: RelationKind, schema: &Schema) -> RelationInfo {
    let columns = schema.fields().iter().map(|field| column_info(field.name(), field.data_type())).collect();
    RelationInfo { kind, columns }
}

async fn read(mut stream: QueryStream) -> Result<QueryTable, Failure> {
    let columns = stream.schema.fields().iter().map(|field| column_info(field.name(), field.data_type())).collect();
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await.map_err(|error: EngineError| error.failure())? {
        rows.extend(cells(&batch).map_err(|error| Failure::internal(error.to_string()))?);
        if rows.len() > MAX_ROWS {
            return Err(Failure::user(format!("a query of a template returned more than {MAX_ROWS} rows"))
                .with_hint("Aggregate in SQL, or limit the query."));
        }
    }
    Ok(QueryTable { columns, rows })
}

impl Warehouse for SessionWarehouse {
    fn query(&self, sql: &str) -> Result<QueryTable, WarehouseError> {
        self.runtime.block_on(self.run(sql)).map_err(WarehouseError::from)
    }

    fn query_own(&self, sql: &str) -> Result<QueryTable, WarehouseError> {
        self.runtime.block_on(self.fetch(sql)).map_err(WarehouseError::from)
    }

    fn translate(&self, sql: &str) -> Result<String, WarehouseError> {
        if !self.translates {
            return Ok(sql.to_owned());
        }
        let translated = self.session.translate(sql).map_err(|error| WarehouseError::from(error.failure()))?;
        Ok(translated.into_owned())
    }

    fn translate_expression(&self, sql: &str) -> Result<String, WarehouseError> {
        if !self.translates {
            return Ok(sql.to_owned());
        }
        let translated =
            self.session.translate_expression(sql).map_err(|error| WarehouseError::from(error.failure()))?;
        Ok(translated.into_owned())
    }

    fn relation(&self, relation: &RelationName) -> Result<Option<RelationInfo>, WarehouseError> {
        self.runtime.block_on(self.describe(relation)).map_err(WarehouseError::from)
    }
}

fn column_info(name: &str, data_type: &DataType) -> ColumnInfo {
    ColumnInfo { name: name.to_owned(), data_type: sql_type_name(data_type) }
}

fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, arrow::error::ArrowError> {
    let columns: Result<Vec<Vec<Cell>>, _> = batch.columns().iter().map(|column| column_cells(column)).collect();
    let mut columns: Vec<std::vec::IntoIter<Cell>> = columns?.into_iter().map(Vec::into_iter).collect();
    let row = |_| columns.iter_mut().map(|column| column.next().unwrap_or(Cell::Null)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

fn column_cells(column: &dyn Array) -> Result<Vec<Cell>, arrow::error::ArrowError> {
    let rows = 0..column.len();
    let data_type = column.data_type();
    if data_type.is_integer() && !matches!(data_type, DataType::UInt64) {
        let wide = arrow::compute::cast(column, &DataType::Int64)?;
        let wide = wide.as_primitive::<Int64Type>();
        return Ok(rows
            .map(|row| if wide.is_null(row) { Cell::Null } else { Cell::Integer(wide.value(row)) })
            .collect());
    }
    if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        return Ok(rows
            .map(|row| if values.is_null(row) { Cell::Null } else { Cell::Float(values.value(row)) })
            .collect());
    }
    if let Some(values) = column.as_primitive_opt::<Float32Type>() {
        let value = |row| if values.is_null(row) { Cell::Null } else { Cell::Float(f64::from(values.value(row))) };
        return Ok(rows.map(value).collect());
    }
    if let Some(values) = column.as_boolean_opt() {
        return Ok(rows
            .map(|row| if values.is_null(row) { Cell::Null } else { Cell::Bool(values.value(row)) })
            .collect());
    }
    // Decimals, dates and times keep their exact text.
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let text = |row| if column.is_null(row) { Cell::Null } else { Cell::Text(formatter.value(row).to_string()) };
    Ok(rows.map(text).collect())
}
