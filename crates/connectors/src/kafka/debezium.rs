//! Changes of a database, as Debezium wraps them, into what becomes of a table.
//!
//! An envelope has the row before and after, and `op`: `c`, `r` and `u` put the row after in the place of its key, `d` takes the
//! row before away. Values written with their schema (`{"schema": ..., "payload": ...}`) are looked into. The messages without
//! a value that follow deletes for the sake of compaction say nothing new and are passed over.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use headwater_ingest::Positions;
use headwater_ingest::codec::{Codec, Decoder};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::{DriftPolicy, OFFSET_COLUMN, Provenance, is_reserved};
use headwater_ingest::sink::{Origin, Rejected};
use headwater_ingest::source::{Effect, Next, RawBatch, ReadLimits, RowBatch, Source};

/// A source of envelopes as a source of changes by key.
pub struct Unwrapped<S> {
    inner: S,
    key: Arc<[String]>,
    decoder: Option<Decoder>,
}

impl<S: Source> Unwrapped<S> {
    pub fn new(inner: S, key: &[String]) -> Self {
        Self { inner, key: key.into(), decoder: None }
    }

    fn unwrap(&mut self, batch: RawBatch) -> Result<RowBatch> {
        let RawBatch { records, header, origin, mut rejected, positions, boundary, info, .. } = batch;
        let decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => {
                let codec = self.inner.codec().ok_or(Error::Internal("envelopes come from a source of typed rows"))?;
                Decoder::new(codec, DriftPolicy::default(), self.inner.provenance(), None)?
            }
        };
        let decoder = self.decoder.insert(decoder);
        let mut decoded = decoder.decode(&records, &header, &origin)?;
        rejected.append(&mut decoded.rejected);
        let bytes = records.bytes() as u64;
        let changes = changes(&decoded.rows, &self.key)?;
        rejected.extend(refuse(&changes.refused, &decoded.rows, &records, &origin));
        let effect = match changes.rows.num_rows() + changes.removed.num_rows() {
            0 => Effect::Append,
            _ => Effect::Merge { key: Arc::clone(&self.key), removed: changes.removed },
        };
        Ok(RowBatch { rows: changes.rows, effect, rejected, bytes, positions, boundary, info })
    }
}

impl<S: Source> Source for Unwrapped<S> {
    fn codec(&self) -> Option<Codec> {
        None
    }

    fn provenance(&self) -> Provenance {
        Provenance::None
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        self.inner.resume(committed)
    }

    fn next_batch(&mut self, limits: &ReadLimits, buffer: RecordBuffer) -> Result<Next> {
        match self.inner.next_batch(limits, buffer)? {
            Next::Batch(batch) => Ok(Next::Rows(Box::new(self.unwrap(*batch)?))),
            other => Ok(other),
        }
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        self.inner.committed(positions)
    }

    fn lag(&self) -> Option<u64> {
        self.inner.lag()
    }
}

/// What a batch of envelopes does.
struct Changes {
    rows: RecordBatch,
    /// Keys alone.
    removed: RecordBatch,
    /// Rows of the batch that say nothing one can do, with the reason.
    refused: Vec<(usize, String)>,
}

/// The columns of an envelope.
struct Wrapped<'a> {
    operation: &'a StringArray,
    before: Option<&'a StructArray>,
    after: Option<&'a StructArray>,
}

impl<'a> Wrapped<'a> {
    /// Nothing when no record of the batch was an envelope.
    fn of(rows: &'a RecordBatch) -> Option<Self> {
        let find = |name: &str| rows.column_by_name(name);
        let payload = find("payload").and_then(|column| column.as_struct_opt());
        let inside = |name: &str| match payload {
            Some(payload) => payload.column_by_name(name),
            None => find(name),
        };
        let structure = |name: &str| inside(name).and_then(|column| column.as_struct_opt());
        let operation = inside("op")?.as_string_opt::<i32>()?;
        Some(Self { operation, before: structure("before"), after: structure("after") })
    }

    /// The image of a row that its operation speaks of, and whether it goes; nothing for what changes no row.
    fn image(&self, row: usize) -> Result<Option<(&'a StructArray, bool)>, String> {
        if self.operation.is_null(row) {
            return Ok(None);
        }
        let (image, removes) = match self.operation.value(row) {
            "c" | "r" | "u" => (self.after, false),
            "d" => (self.before, true),
            "m" => return Ok(None),
            other => return Err(format!("operation `{other}` of an envelope is not one of c, r, u and d")),
        };
        match image.filter(|image| image.is_valid(row)) {
            Some(image) => Ok(Some((image, removes))),
            None if removes => Err("envelope of a delete lacks the row before".to_owned()),
            None => Err("envelope lacks the row after".to_owned()),
        }
    }
}

fn changes(rows: &RecordBatch, key: &[String]) -> Result<Changes> {
    let nothing = || RecordBatch::new_empty(Arc::new(Schema::empty()));
    let Some(wrapped) = Wrapped::of(rows) else {
        let refused = (0..rows.num_rows()).filter(|row| !is_tombstone(rows, *row));
        let refused = refused.map(|row| (row, "record is no envelope of a change".to_owned())).collect();
        return Ok(Changes { rows: nothing(), removed: nothing(), refused });
    };
    let (mut upserts, mut deletes, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        match wrapped.image(row) {
            Ok(Some((_, true))) => deletes.push(index(row)),
            Ok(Some((_, false))) => upserts.push(index(row)),
            Ok(None) if wrapped.operation.is_null(row) && !is_tombstone(rows, row) => {
                refused.push((row, "record is no envelope of a change".to_owned()));
            }
            Ok(None) => {}
            Err(reason) => refused.push((row, reason)),
        }
    }
    let (upserts, deletes) = last_of_each_key(&wrapped, key, &upserts, &deletes)?;
    // Both images have the same columns; a batch may have but one of them.
    let (Some(image), Some(gone)) = (wrapped.after.or(wrapped.before), wrapped.before.or(wrapped.after)) else {
        return Ok(Changes { rows: nothing(), removed: nothing(), refused });
    };
    Ok(Changes { rows: upserted(rows, image, &upserts)?, removed: project(gone, key, &deletes)?, refused })
}

fn is_tombstone(rows: &RecordBatch, row: usize) -> bool {
    let column = rows.column_by_name(headwater_ingest::schema::TOMBSTONE_COLUMN);
    column.and_then(|column| column.as_boolean_opt()).is_some_and(|column| column.value(row))
}

/// A batch has far fewer rows than that.
fn index(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// Of the changes of one key only the last counts.
fn last_of_each_key(
    wrapped: &Wrapped<'_>,
    key: &[String],
    upserts: &[u32],
    deletes: &[u32],
) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut last: HashMap<Vec<u8>, (u32, bool)> = HashMap::new();
    let mut note = |rows: &[u32], keys: Option<Rows>, removes| {
        for (row, key) in rows.iter().zip(keys.iter().flatten()) {
            let newest = last.entry(key.as_ref().to_vec()).or_insert((*row, removes));
            if newest.0 <= *row {
                *newest = (*row, removes);
            }
        }
    };
    let keys = |image: Option<&StructArray>, rows: &[u32]| -> Result<Option<Rows>> {
        let Some(image) = image.filter(|_| !rows.is_empty()) else { return Ok(None) };
        let keys = project(image, key, rows)?;
        let fields = keys.columns().iter().map(|column| SortField::new(column.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Some(converter.convert_columns(keys.columns())?))
    };
    note(upserts, keys(wrapped.after, upserts)?, false);
    note(deletes, keys(wrapped.before, deletes)?, true);
    let pick = |removes: bool| {
        let mut rows: Vec<u32> = last.values().filter(|(_, goes)| *goes == removes).map(|(row, _)| *row).collect();
        rows.sort_unstable();
        rows
    };
    Ok((pick(false), pick(true)))
}

/// Some columns of an image, at some rows.
fn project(image: &StructArray, names: &[String], rows: &[u32]) -> Result<RecordBatch> {
    let rows = UInt32Array::from(rows.to_vec());
    let mut columns: Vec<(FieldRef, ArrayRef)> = Vec::with_capacity(names.len());
    for name in names {
        let found =
            image.fields().find(name).and_then(|(at, field)| Some((Arc::clone(field), image.columns().get(at)?)));
        let (field, column) =
            found.ok_or_else(|| Error::Schema { reason: format!("rows have no key column `{name}`") })?;
        columns.push((field, take(column, &rows, None)?));
    }
    batch(columns)
}

/// The rows after, whole, and where they came from.
fn upserted(rows: &RecordBatch, after: &StructArray, chosen: &[u32]) -> Result<RecordBatch> {
    let chosen = UInt32Array::from(chosen.to_vec());
    let mut columns: Vec<(FieldRef, ArrayRef)> = Vec::new();
    for (field, column) in after.fields().iter().zip(after.columns()) {
        columns.push((Arc::clone(field), take(column, &chosen, None)?));
    }
    let kept = |name: &str| is_reserved(name) && name != headwater_ingest::schema::TOMBSTONE_COLUMN;
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()).filter(|(field, _)| kept(field.name())) {
        columns.push((Arc::clone(field), take(column, &chosen, None)?));
    }
    batch(columns)
}

fn batch(columns: Vec<(FieldRef, ArrayRef)>) -> Result<RecordBatch> {
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error: ArrowError| error.into())
}

/// The records behind some rows, which the columns of their provenance name.
fn refuse(refused: &[(usize, String)], rows: &RecordBatch, records: &RecordBuffer, origin: &Origin) -> Vec<Rejected> {
    let offsets =
        rows.column_by_name(OFFSET_COLUMN).and_then(|column| column.as_primitive_opt::<arrow::datatypes::Int64Type>());
    let find = |(row, reason): &(usize, String)| {
        let offset = offsets?.values().get(*row)?;
        let record = records.record(records.offsets().binary_search(offset).ok()?)?;
        Some(Rejected::new(record, reason.clone(), origin))
    };
    refused.iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::json::LineDelimitedWriter;
    use headwater_ingest::schema::MessageColumns;

    fn lines(batch: &RecordBatch) -> Vec<String> {
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
    }

    fn check(records: &[Option<&str>], rows: &[&str], removed: &[&str], refused: &[&str]) {
        let provenance = Provenance::Message(MessageColumns::default());
        let mut decoder = Decoder::new(Codec::Json, DriftPolicy::default(), provenance, None).unwrap();
        let mut buffer = RecordBuffer::default();
        for (offset, record) in (0..).zip(records) {
            let payload = record.unwrap_or_default().as_bytes();
            let record_of = headwater_ingest::Record { offset, timestamp: 0, key: b"", payload };
            if record.is_some() { buffer.push(record_of) } else { buffer.push_absent(record_of) }
        }
        let origin = Origin::Log { topic: "t".into(), partition: 0 };
        let decoded = decoder.decode(&buffer, &[], &origin).unwrap();
        let found = changes(&decoded.rows, &["id".to_owned()]).unwrap();
        let fields = found.rows.schema().fields().iter().filter(|field| !is_reserved(field.name())).count();
        let shown = found.rows.project(&(0..fields).collect::<Vec<_>>()).unwrap();
        assert_eq!(lines(&shown), rows);
        assert_eq!(lines(&found.removed), removed);
        let reasons: Vec<_> = refuse(&found.refused, &decoded.rows, &buffer, &origin);
        assert_eq!(reasons.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), refused);
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        check(
            &[
                Some(r#"{"op": "r", "before": null, "after": {"id": 1, "name": "a"}}"#),
                Some(r#"{"op": "u", "before": {"id": 1, "name": "a"}, "after": {"id": 1, "name": "b"}}"#),
                Some(r#"{"op": "c", "before": null, "after": {"id": 2, "name": "c"}}"#),
                Some(r#"{"op": "d", "before": {"id": 2, "name": "c"}, "after": null}"#),
                None,
                Some(r#"{"op": "d", "before": {"id": 3, "name": "x"}, "after": null}"#),
                Some(r#"{"op": "c", "before": null, "after": {"id": 3, "name": "again"}}"#),
                Some(r#"{"op": "t"}"#),
                Some(r#"{"op": "d", "before": null, "after": null}"#),
            ],
            &[r#"{"id":1,"name":"b"}"#, r#"{"id":3,"name":"again"}"#],
            &[r#"{"id":2}"#],
            &["operation `t` of an envelope is not one of c, r, u and d", "envelope of a delete lacks the row before"],
        );
    }

    #[test]
    fn values_with_their_schema_are_looked_into_and_others_refused() {
        let wrapped = r#"{"schema": {"type": "struct"}, "payload": {"op": "c", "after": {"id": 1}}}"#;
        check(&[Some(wrapped)], &[r#"{"id":1}"#], &[], &[]);
        check(&[Some(r#"{"id": 1}"#)], &[], &[], &["record is no envelope of a change"]);
    }
}
