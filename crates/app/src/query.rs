//! Reading: SQL, tables, dashboards.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use headwater_engine::{Parameter as BoundValue, QueryStream as EngineStream, Relation};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Kind};

use crate::instance::{Instance, parse_table_name};
use crate::view::{ColumnSummary, TableSummary};

pub use headwater_engine::Parameter;

/// A running query.
pub struct QueryStream {
    pub schema: SchemaRef,
    inner: Rows,
}

enum Rows {
    Engine(EngineStream),
    Worker(Box<crate::worker::WorkerStream>),
}

impl QueryStream {
    pub(crate) fn from_engine(stream: EngineStream) -> Self {
        Self { schema: Arc::clone(&stream.schema), inner: Rows::Engine(stream) }
    }

    pub(crate) fn from_worker(schema: SchemaRef, stream: crate::worker::WorkerStream) -> Self {
        Self { schema, inner: Rows::Worker(Box::new(stream)) }
    }

    /// The next batch; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        match &mut self.inner {
            Rows::Engine(stream) => stream.next().await.map_err(|error| error.failure()),
            Rows::Worker(stream) => stream.next().await,
        }
    }

    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, Failure> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

impl Instance {
    /// Runs a reading statement of somebody who may use the whole process.
    pub async fn query(&self, sql: &str, parameters: Vec<(String, BoundValue)>) -> Result<QueryStream, Failure> {
        let session = self.session()?;
        let stream = session.query(sql, &parameters).await.map_err(|error| error.failure())?;
        Ok(QueryStream::from_engine(stream))
    }

    /// Every table and view, by name. One that is refused does not keep the others from being listed; a store that does not
    /// answer does.
    pub async fn tables(&self) -> Result<Vec<TableSummary>, Failure> {
        let session = self.session()?;
        let mut summaries = Vec::new();
        for name in session.catalog().names().await.map_err(|error| error.failure())? {
            match summary(&session, &name).await {
                Ok(summary) => summaries.extend(summary),
                Err(failure) if failure.kind == Kind::User => {
                    let (name, failure) = (name.to_string(), Some(failure));
                    summaries.push(TableSummary { name, failure, ..TableSummary::default() });
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(summaries)
    }

    /// One table or view.
    pub async fn table(&self, name: &str) -> Result<TableSummary, Failure> {
        let session = self.session()?;
        let default_schema = &self.project().default_schema;
        let name = parse_table_name(name).unwrap_or_else(|| TableName::new(default_schema.clone(), name));
        let missing = || headwater_engine::EngineError::NoSuchTable(name.to_string(), None).failure();
        summary(&session, &name).await?.ok_or_else(missing)
    }
}

async fn summary(session: &headwater_engine::Session, name: &TableName) -> Result<Option<TableSummary>, Failure> {
    let relation = session.catalog().relation(name).await.map_err(|error| error.failure())?;
    Ok(match relation {
        None => None,
        Some(Relation::Table(table)) => {
            let table = table.table();
            Some(TableSummary {
                name: name.to_string(),
                is_view: false,
                version: table.version(),
                rows: table.rows(),
                bytes: table.bytes(),
                files: table.files().len() as u64,
                columns: columns(table.schema()),
                partition_columns: table.partition_columns().to_vec(),
                failure: None,
            })
        }
        Some(Relation::View { sql }) => {
            let (schema, _) = session.describe(&sql).await.map_err(|error| error.failure())?;
            Some(TableSummary {
                name: name.to_string(),
                is_view: true,
                columns: columns(&schema),
                ..TableSummary::default()
            })
        }
    })
}

fn columns(schema: &SchemaRef) -> Vec<ColumnSummary> {
    let column = |field: &Arc<arrow::datatypes::Field>| ColumnSummary {
        name: field.name().clone(),
        data_type: headwater_engine::sql_type_name(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}
