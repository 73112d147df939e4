//! Keys and what became of them as rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
    UInt64Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use chrono::{DateTime, SecondsFormat};
use headwater_ingest::codec::{Codec, Decoder};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_ingest::schema::{DriftPolicy, Provenance};
use headwater_ingest::sink::Origin;
use headwater_project::Timestamp;
use serde_json::Value;

use super::answers::KeyTexts;
use super::config::LookupConfig;

pub const STATUS_COLUMN: &str = "_status";
pub const ATTEMPTS_COLUMN: &str = "_attempts";
pub const FETCHED_AT_COLUMN: &str = "_fetched_at";
const ERROR_COLUMN: &str = "_error";

/// Columns of every table of lookups, beside the key and what answers hold.
pub(super) const STATUS_COLUMNS: [&str; 4] = [STATUS_COLUMN, ATTEMPTS_COLUMN, FETCHED_AT_COLUMN, ERROR_COLUMN];

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was not asked for yet.
    Pending,
    Ok,
    /// The service knows nothing of it.
    NotFound,
    /// It is asked for again, later.
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
        }
    }
}

/// A row in the making.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Row of the keys it is about.
    pub(super) key: usize,
    pub(super) status: Status,
    pub(super) attempts: i64,
    /// When the service was asked last.
    pub(super) asked_at: Option<Timestamp>,
    pub(super) error: Option<String>,
    pub(super) record: Option<Value>,
}

/// Makes rows; the columns for answers follow what answers hold.
pub(super) struct Rows {
    decoder: Decoder,
    origin: Origin,
    key_schema: SchemaRef,
}

impl Rows {
    /// `table` is the columns the table has, if it is there.
    pub(super) fn new(config: &LookupConfig, table: Option<&SchemaRef>, address: &str) -> Result<Self> {
        let key_schema = config.key_schema();
        let is_answer = |field: &&FieldRef| {
            key_schema.index_of(field.name()).is_err()
                && !STATUS_COLUMNS.contains(&field.name().as_str())
                && !headwater_ingest::schema::is_reserved(field.name())
        };
        let of_table = |table: &SchemaRef| -> SchemaRef {
            Arc::new(Schema::new(table.fields().iter().filter(is_answer).cloned().collect::<Vec<_>>()))
        };
        let known = config.answer_schema().or_else(|| table.map(of_table));
        let decoder = Decoder::new(Codec::Json, DriftPolicy::default(), Provenance::None, known)?;
        Ok(Self { decoder, origin: Origin::File { path: address.into() }, key_schema })
    }

    /// One row for each, in their order. A record that does not fit its columns is a failure of its key.
    pub(super) fn build(&mut self, keys: &RecordBatch, mut rows: Vec<Row>) -> Result<RecordBatch> {
        let (answers, places) = self.decode(&mut rows)?;
        let index: UInt32Array = rows.iter().map(|row| u32::try_from(row.key).ok()).collect();
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for field in self.key_schema.fields() {
            let column = keys.column_by_name(field.name()).ok_or(Error::Internal("a key lacks a column"))?;
            columns.push(take(column, &index, None)?);
            fields.push(Arc::clone(field));
        }
        for (name, column) in STATUS_COLUMNS.into_iter().zip(status_columns(&rows)) {
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
            columns.push(column);
        }
        let schema = answers.as_ref().map(RecordBatch::schema).or_else(|| self.decoder.table_schema());
        for (place, field) in schema.iter().flat_map(|schema| schema.fields().iter().enumerate()) {
            columns.push(match &answers {
                Some(answers) => take(answers.column(place), &places, None)?,
                None => new_null_array(field.data_type(), rows.len()),
            });
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The records among the rows in columns, and which of them is whose.
    fn decode(&mut self, rows: &mut [Row]) -> Result<(Option<RecordBatch>, UInt64Array)> {
        let mut records = RecordBuffer::default();
        for (offset, row) in (0_i64..).zip(rows.iter()) {
            if let Some(record) = &row.record {
                let payload = record.to_string();
                records.push(Record { offset, timestamp: 0, key: &[], payload: payload.as_bytes() });
            }
        }
        if records.is_empty() {
            return Ok((None, UInt64Array::new_null(rows.len())));
        }
        let decoded = self.decoder.decode(&records, &[], &self.origin)?;
        for bad in decoded.rejected {
            if let Some(row) = usize::try_from(bad.offset).ok().and_then(|index| rows.get_mut(index)) {
                (row.status, row.error, row.record) = (Status::Failed, Some(bad.reason), None);
            }
        }
        let mut next = 0_u64..;
        let places = rows.iter().map(|row| row.record.as_ref().and_then(|_| next.next())).collect();
        Ok((Some(decoded.rows), places))
    }
}

fn status_columns(rows: &[Row]) -> [ArrayRef; 4] {
    let status: StringArray = rows.iter().map(|row| Some(row.status.as_str())).collect();
    let attempts: Int64Array = rows.iter().map(|row| Some(row.attempts)).collect();
    let asked: TimestampMicrosecondArray = rows.iter().map(|row| row.asked_at.map(Timestamp::as_micros)).collect();
    let error: StringArray = rows.iter().map(|row| row.error.as_deref()).collect();
    [Arc::new(status), Arc::new(attempts), Arc::new(asked.with_timezone("UTC")), Arc::new(error)]
}

/// The values of every key as they are sent.
pub(super) fn key_texts(keys: &RecordBatch, schema: &Schema) -> Result<Vec<KeyTexts>> {
    let mut texts = vec![KeyTexts::new(); keys.num_rows()];
    for field in schema.fields() {
        let column = keys.column_by_name(field.name()).ok_or(Error::Internal("a key lacks a column"))?;
        for (row, key) in texts.iter_mut().enumerate() {
            key.push(text(column, row)?);
        }
    }
    Ok(texts)
}

/// A value as services know it.
fn text(column: &ArrayRef, row: usize) -> Result<String> {
    Ok(match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Date32 => {
            column.as_primitive::<Date32Type>().value_as_date(row).map(|date| date.to_string()).unwrap_or_default()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let time = DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row));
            time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
        }
        _ => cast(&column.slice(row, 1), &DataType::Utf8)?.as_string::<i32>().value(0).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use arrow::util::pretty::pretty_format_batches;
    use serde_json::json;

    use super::*;

    fn row(key: usize, status: Status, record: Option<Value>) -> Row {
        Row { key, status, attempts: 1, asked_at: Some(Timestamp(1_000_000)), error: None, record }
    }

    fn keys() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.5, 3.0]));
        RecordBatch::try_from_iter([("id", ids)]).unwrap()
    }

    fn config(more: &str) -> LookupConfig {
        serde_json::from_str(&format!(r#"{{"keys": "k", "key": {{"id": "number"}}{more}}}"#)).unwrap()
    }

    #[test]
    fn each_key_has_a_row_and_what_was_answered_in_it() {
        let mut rows = Rows::new(&config(""), None, "http://h/x").unwrap();
        let pending = rows.build(&keys(), vec![row(2, Status::Pending, None)]).unwrap();
        assert_eq!((pending.num_rows(), pending.num_columns()), (1, 5));
        let built = rows.build(
            &keys(),
            vec![
                row(2, Status::Ok, Some(json!({"t": 1.5, "w": "calm"}))),
                row(0, Status::NotFound, None),
                row(1, Status::Ok, Some(json!({"t": "warm"}))),
                row(0, Status::Ok, Some(json!({"t": 2.5}))),
            ],
        );
        let expected = "\
+-----+-----------+-----------+----------------------+---------------------------------------+-----+------+
| id  | _status   | _attempts | _fetched_at          | _error                                | t   | w    |
+-----+-----------+-----------+----------------------+---------------------------------------+-----+------+
| 3.0 | ok        | 1         | 1970-01-01T00:00:01Z |                                       | 1.5 | calm |
| 1.0 | not_found | 1         | 1970-01-01T00:00:01Z |                                       |     |      |
| 2.5 | failed    | 1         | 1970-01-01T00:00:01Z | field `t` holds numbers, found text   |     |      |
| 1.0 | ok        | 1         | 1970-01-01T00:00:01Z |                                       | 2.5 |      |
+-----+-----------+-----------+----------------------+---------------------------------------+-----+------+";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = pretty_format_batches(&[built.unwrap()]).unwrap().to_string();
        let lines = |text: &str| text.lines().filter(|line| line.starts_with('|')).map(squeezed).collect::<Vec<_>>();
        assert_eq!(lines(&found), lines(expected));
    }

    #[test]
    fn declared_columns_are_there_before_any_answer() {
        let config = config(r#", "fields": {"t": {"type": "number"}, "day": {"type": "date"}}"#);
        let mut rows = Rows::new(&config, None, "http://h/x").unwrap();
        let empty = rows.build(&keys(), Vec::new()).unwrap();
        let names: Vec<&str> = empty.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "_status", "_attempts", "_fetched_at", "_error", "day", "t"]);
        let built = rows.build(&keys(), vec![row(0, Status::Ok, Some(json!({"t": 3, "day": "2024-05-01"})))]).unwrap();
        assert_eq!(built.schema(), empty.schema());
        assert_eq!(built.column_by_name("t").unwrap().as_primitive::<Float64Type>().value(0), 3.0);
    }

    #[test]
    fn keys_are_sent_as_services_know_them() {
        let moments = TimestampMicrosecondArray::from(vec![1_714_564_800_000_000]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Float64Array::from(vec![59.0]))),
            ("b", Arc::new(Int64Array::from(vec![-7]))),
            ("c", Arc::new(moments)),
            ("d", Arc::new(arrow::array::Date32Array::from(vec![19_844]))),
            ("e", Arc::new(StringArray::from(vec!["ü/x"]))),
            ("f", Arc::new(arrow::array::BooleanArray::from(vec![true]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let texts = key_texts(&batch, batch.schema_ref()).unwrap();
        assert_eq!(texts, [["59", "-7", "2024-05-01T12:00:00Z", "2024-05-01", "ü/x", "true"]]);
    }
}
