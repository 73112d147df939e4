//! Rows of one file as rows of its table: with the table's types, and columns for where each came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use headwater_ingest::codec::path_columns::PathColumn;
use headwater_ingest::schema::{Provenance, SOURCE_FILE_COLUMN, with_provenance};

use super::content::{RowReader, Trouble};
use super::conversion::Conversion;

pub(crate) struct TypedFile {
    rows: Box<dyn RowReader>,
    conversion: Conversion,
    path: Arc<str>,
    path_columns: Vec<PathColumn>,
    schema: SchemaRef,
    /// Rows that were handed on.
    given: i64,
}

impl TypedFile {
    /// `known` are the columns the table has, without those of the rows' provenance.
    pub(crate) fn new(
        rows: Box<dyn RowReader>,
        path: &str,
        path_columns: Vec<PathColumn>,
        known: Option<&Schema>,
    ) -> Result<Self, String> {
        let conversion = Conversion::new(&rows.schema(), known)?;
        let is_of_path = |field: &&FieldRef| path_columns.iter().any(|column| column.name == *field.name());
        let mut fields: Vec<Field> = Vec::new();
        fields
            .extend(conversion.schema().fields().iter().filter(|field| !is_of_path(field)).map(|f| f.as_ref().clone()));
        for column in &path_columns {
            let held = known.and_then(|known| known.field_with_name(&column.name).ok()).cloned();
            fields.extend(held.or_else(|| column.field()));
        }
        let schema = with_provenance(&Schema::new(fields), Provenance::File);
        Ok(Self { rows, conversion, path: path.into(), path_columns, schema, given: 0 })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows, and columns whose nanoseconds were cut off; nothing at the end.
    pub(crate) fn next(&mut self, max_bytes: usize) -> Result<Option<(RecordBatch, Vec<String>)>, Trouble> {
        let Some(batch) = self.rows.next(max_bytes)? else { return Ok(None) };
        let rows = self.conversion.rows(&batch)?;
        let whole = self.with_origin(&rows)?;
        Ok(Some((whole, self.conversion.take_cut())))
    }

    fn with_origin(&mut self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        let count = rows.num_rows();
        let first = self.given + 1;
        self.given += i64::try_from(count).unwrap_or(i64::MAX);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let of_path = self.path_columns.iter().find(|column| column.name == *field.name());
            columns.push(match (of_path, rows.column_by_name(field.name())) {
                (Some(column), _) => column.array(field.data_type(), count)?,
                (None, Some(column)) => Arc::clone(column),
                (None, None) if field.name() == SOURCE_FILE_COLUMN => {
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&*self.path, count)))
                }
                (None, None) => Arc::new(Int64Array::from_iter_values(first..=self.given)),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let whole = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        whole.map_err(|error| error.to_string())
    }
}
