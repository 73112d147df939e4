//! Dashboards and the answers of their tiles.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use headwater_app::view;
use headwater_project::Failure;
use serde::Serialize;
use serde_json::Value;

use super::Error;
use crate::rows::Cells;

#[derive(Debug, Serialize)]
pub struct Dashboard {
    pub name: String,
    pub title: String,
}

impl From<(String, String)> for Dashboard {
    fn from((name, title): (String, String)) -> Self {
        Self { name, title }
    }
}

/// Name and Arrow type of a column of an answer.
#[derive(Debug, Serialize)]
pub struct RowColumn {
    pub name: String,
    pub r#type: String,
}

pub fn columns(schema: &Schema) -> Vec<RowColumn> {
    let column = |field: &arrow::datatypes::FieldRef| RowColumn {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
    };
    schema.fields().iter().map(column).collect()
}

/// Either `result` or `error` is there.
#[derive(Debug, Serialize)]
pub struct Tile {
    pub dashboard: String,
    pub dashboard_title: String,
    pub tile: String,
    pub title: String,
    pub kind: String,
    pub unit: Option<String>,
    pub seconds: f64,
    pub result: Option<TileRows>,
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub struct TileRows {
    pub columns: Vec<RowColumn>,
    /// Cells as the SQL endpoint writes them.
    pub rows: Vec<Vec<Value>>,
}

impl TryFrom<&view::TileAnswer> for Tile {
    type Error = Failure;

    fn try_from(answer: &view::TileAnswer) -> Result<Self, Failure> {
        let (result, error) = match &answer.result {
            Ok(rows) => (Some(TileRows::try_from(rows)?), None),
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

impl TryFrom<&view::TileRows> for TileRows {
    type Error = Failure;

    fn try_from(answer: &view::TileRows) -> Result<Self, Failure> {
        let failed = |error: ArrowError| {
            Failure::internal("the tile's rows cannot be written as JSON").with_detail(error.to_string())
        };
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let columns: Vec<_> = batch.columns().iter().map(Cells::new).collect::<Result<_, _>>().map_err(failed)?;
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|cells| json_cell(cells, row)).collect::<Result<_, _>>().map_err(failed)?);
            }
        }
        Ok(Self { columns: columns(&answer.schema), rows })
    }
}

fn json_cell(cells: &Cells, row: usize) -> Result<Value, ArrowError> {
    let mut text = Vec::new();
    cells.write_json(row, &mut text)?;
    serde_json::from_slice(&text).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}
