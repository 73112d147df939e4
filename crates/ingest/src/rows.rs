//! What happens to rows on their way into a table: columns chosen, computed and masked, rows left out.
//!
//! The seam only: who evaluates the project's expressions supplies a [`RowTransform`]. It sees rows with the columns of
//! their provenance, and must pass those on, so that a row can still be told from where it came.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::json::LineDelimitedWriter;
use headwater_project::Failure;

use crate::error::{Error, Result};
use crate::record::Record;
use crate::schema::{
    LINE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, SOURCE_FILE_COLUMN, TIMESTAMP_COLUMN, TOPIC_COLUMN, is_reserved,
};
use crate::sink::{Origin, Rejected};

/// What a project says about the rows of a source.
pub trait RowTransform: Debug + Send + Sync {
    /// What it comes to for rows of these columns. Fails, with `Kind::User`, when it names a column that is not there, or
    /// asks for what a row cannot say by itself. Called once for each schema, not for each batch.
    fn compile(&self, rows: &SchemaRef) -> Result<Arc<dyn RowProgram>, Failure>;
}

/// A transform for rows of one schema. The same rows give the same result, whenever they come: a batch that is read again
/// after a failure must not turn out otherwise.
pub trait RowProgram: Debug + Send + Sync {
    /// Columns of the rows that come out, those of provenance included.
    fn schema(&self) -> &SchemaRef;

    /// Whether a column comes out as it went in.
    fn passes(&self, column: &str) -> bool;

    /// Places of the columns that come out of this one and no other, so that each of them stays what it was when this one
    /// does. Nothing when rows are chosen by it, or a column is made of it and others.
    fn made_of(&self, column: &str) -> Option<Vec<usize>>;

    fn apply(&self, rows: &RecordBatch) -> Result<Shaped, Failure>;
}

/// What became of a batch: each of its rows is in `rows`, left out, or refused.
#[derive(Debug)]
pub struct Shaped {
    pub rows: RecordBatch,
    /// Places of rows that are not wanted, ascending.
    pub left_out: Vec<usize>,
    /// Places of rows that an expression has no value for, ascending, each with its reason.
    pub refused: Vec<(usize, String)>,
}

/// A row that came typed, as a rejected record: its values as JSON. Nothing when it does not say where it came from.
pub(crate) fn rejected(rows: &RecordBatch, row: usize, reason: String) -> Result<Option<Rejected>> {
    let Some((origin, offset)) = provenance(rows, row) else { return Ok(None) };
    let own = (0..rows.num_columns()).filter(|index| !is_reserved(rows.schema().field(*index).name()));
    let text = json_lines(&rows.project(&own.collect::<Vec<_>>())?.slice(row, 1))?;
    let timestamp = number::<TimestampMicrosecondType>(rows, TIMESTAMP_COLUMN, row).unwrap_or(0) / 1_000;
    let record = Record { offset, timestamp, key: &[], payload: text.trim_end().as_bytes() };
    Ok(Some(Rejected::new(record, reason, &origin)))
}

fn provenance(rows: &RecordBatch, row: usize) -> Option<(Origin, i64)> {
    let text = |name| rows.column_by_name(name)?.as_string_opt::<i32>().filter(|array| array.is_valid(row));
    if let Some(path) = text(SOURCE_FILE_COLUMN) {
        let line = number::<Int64Type>(rows, LINE_COLUMN, row)?;
        return Some((Origin::File { path: path.value(row).into() }, line));
    }
    let partition = number::<Int32Type>(rows, PARTITION_COLUMN, row)?;
    let topic = text(TOPIC_COLUMN).map_or("", |topics| topics.value(row));
    let offset = number::<Int64Type>(rows, OFFSET_COLUMN, row)?;
    Some((Origin::Log { topic: topic.into(), partition }, offset))
}

fn number<T: arrow::datatypes::ArrowPrimitiveType>(rows: &RecordBatch, name: &str, row: usize) -> Option<T::Native> {
    let array = rows.column_by_name(name)?.as_primitive_opt::<T>()?;
    array.is_valid(row).then(|| array.value(row))
}

/// One line of JSON for each row, without its NULLs.
fn json_lines(rows: &RecordBatch) -> Result<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    String::from_utf8(writer.into_inner()).map_err(|_| Error::Internal("JSON was written that is no text"))
}

/// These columns of each row as the text of one JSON object; NULL where all are.
pub(crate) fn as_overflow(columns: &RecordBatch) -> Result<ArrayRef> {
    let text = json_lines(columns)?;
    let objects = text.lines().map(|line| Some(line).filter(|line| *line != "{}"));
    Ok(Arc::new(objects.collect::<StringArray>()))
}

/// The columns of this schema, by name.
pub(crate) fn like(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let missing = Error::Internal("rows lack a column of their key");
    let columns: Option<Vec<ArrayRef>> =
        schema.fields().iter().map(|field| rows.column_by_name(field.name()).cloned()).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.ok_or(missing)?)?)
}

/// Rows with only those columns for which this says yes.
pub(crate) fn only(rows: &RecordBatch, wanted: impl Fn(&str) -> bool) -> Result<RecordBatch> {
    let schema = rows.schema();
    let places = schema.fields().iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(place, _)| place);
    Ok(rows.project(&places.collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn columns_without_a_place_become_one_object_a_row() {
        let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Utf8, true)]);
        let column = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let columns = vec![column([Some("x"), None, None]), column([Some("y"), Some("\"\n"), None])];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let objects = as_overflow(&rows).unwrap();
        let found: Vec<_> = objects.as_string::<i32>().iter().collect();
        assert_eq!(found, [Some(r#"{"a":"x","b":"y"}"#), Some(r#"{"b":"\"\n"}"#), None]);
    }
}
