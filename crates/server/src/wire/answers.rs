//! Rows of queries as JSON, and the answers `headwater dashboards --json` prints.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use headwater_app::view;
use headwater_project::Failure;
use serde::Serialize;
use serde_json::Value;

use super::{Error, RowColumn, Rows};
use crate::rows::Cells;

pub fn columns(schema: &Schema) -> Vec<RowColumn> {
    let column = |field: &arrow::datatypes::FieldRef| RowColumn {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
    };
    schema.fields().iter().map(column).collect()
}

impl TryFrom<&view::TileRows> for Rows {
    type Error = Failure;

    fn try_from(answer: &view::TileRows) -> Result<Self, Failure> {
        let failed =
            |error: ArrowError| Failure::internal("the rows cannot be written as JSON").with_detail(error.to_string());
        let mut rows = Vec::new();
        for batch in &answer.batches {
            rows.extend(json_rows(batch).map_err(failed)?);
        }
        let row_count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        Ok(Self { columns: columns(&answer.schema), rows, row_count, truncated: answer.truncated })
    }
}

fn json_rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, ArrowError> {
    let columns: Vec<_> = batch.columns().iter().map(Cells::new).collect::<Result<_, _>>()?;
    let row = |row: usize| columns.iter().map(|cells| json_cell(cells, row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn json_cell(cells: &Cells, row: usize) -> Result<Value, ArrowError> {
    let mut text = Vec::new();
    cells.write_json(row, &mut text)?;
    serde_json::from_slice(&text).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// One tile answered with the filters' defaults. Either `result` or `error` is there.
#[derive(Debug, Serialize)]
pub struct DashboardAnswer {
    pub dashboard: String,
    pub dashboard_title: String,
    pub tile: String,
    pub title: String,
    pub kind: String,
    pub unit: Option<String>,
    pub seconds: f64,
    pub result: Option<Rows>,
    pub error: Option<Error>,
}

impl TryFrom<&view::TileAnswer> for DashboardAnswer {
    type Error = Failure;

    fn try_from(answer: &view::TileAnswer) -> Result<Self, Failure> {
        let (result, error) = match &answer.result {
            Ok(rows) => (Some(Rows::try_from(rows)?), None),
            Err(failure) => (None, Some(Error::from(failure))),
        };
        Ok(Self {
            dashboard: answer.dashboard.clone(),
            dashboard_title: answer.dashboard_title.clone(),
            tile: answer.tile.clone(),
            title: answer.title.clone(),
            kind: answer.kind.clone(),
            unit: answer.unit.clone(),
            seconds: answer.seconds,
            result,
            error,
        })
    }
}
