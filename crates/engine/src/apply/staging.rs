//! Streaming a query's result into data files, all partitions of the plan at once.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, Partitioning};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use headwater_lake::{DataFile, Stage, StageOptions, TableName};
use tokio::task::JoinSet;

use crate::error::{EngineError, Result};
use crate::session::Session;

/// A table's columns have no qualifiers and no two have one name.
pub(super) fn with_plain_names(frame: DataFrame) -> Result<DataFrame> {
    let schema = frame.schema().clone();
    let mut seen = std::collections::HashSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name().to_lowercase()) {
            return Err(EngineError::NotAllowed(format!(
                "the model's result has two columns named `{}`; give one another name with AS",
                field.name()
            )));
        }
    }
    let columns: Vec<Expr> = schema
        .iter()
        .map(|(qualifier, field)| {
            Expr::Column(Column::new(qualifier.cloned(), field.name()))
                .alias_qualified(None::<TableReference>, field.name())
        })
        .collect();
    Ok(frame.select(columns)?)
}

/// Runs the query and writes its rows as data files of the table, not committed yet.
pub(super) async fn stage(
    session: &Session,
    frame: DataFrame,
    name: &TableName,
    schema: &SchemaRef,
    partition_by: &[String],
) -> Result<Vec<DataFile>> {
    let frame = if partition_by.is_empty() {
        frame
    } else {
        // Rows of one table partition meet in one task, so that each gets one file and not one per task.
        let keys = partition_by.iter().map(|column| Expr::Column(Column::new_unqualified(column))).collect();
        let tasks = session.engine.partitions();
        frame.repartition(Partitioning::Hash(keys, tasks))?
    };
    let streams = Box::pin(frame.execute_stream_partitioned()).await?;
    let options = options_for(streams.len());
    let mut tasks = JoinSet::new();
    for stream in streams {
        let stage = session.engine.lake().stage(name, Arc::clone(schema), partition_by, options)?;
        tasks.spawn(drain(stream, stage));
    }
    let mut files = Vec::new();
    while let Some(done) = tasks.join_next().await {
        files.extend(done.map_err(|error| EngineError::Internal(error.to_string()))??);
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The tasks of one query share the memory of one stage.
fn options_for(tasks: usize) -> StageOptions {
    let whole = StageOptions::default();
    StageOptions { buffered_bytes: (whole.buffered_bytes / tasks.max(1)).max(16 << 20), ..whole }
}

async fn drain(mut stream: SendableRecordBatchStream, mut stage: Stage) -> Result<Vec<DataFile>> {
    while let Some(batch) = stream.try_next().await? {
        stage.write(&batch).await?;
    }
    Ok(stage.finish().await?)
}
