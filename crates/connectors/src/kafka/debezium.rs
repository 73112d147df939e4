//! Changes of a database, as Debezium wraps them, into what becomes of a table.
//!
//! An envelope has the row before and after, and `op`: `c`, `r` and `u` put the row after in the place of its key, `d` takes the
//! row before away; so does a `u` whose row before had another key. Values written with their schema
//! (`{"schema": ..., "payload": ...}`) are looked into. The messages without a value that follow deletes for the sake of
//! compaction say nothing new and are passed over. A `t` empties the table where all comes in one order, from one partition;
//! of several nobody could tell which rows came before it. On request every change is also a row of a log.

mod images;
mod log;
#[cfg(test)]
mod tests;
mod unsent;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use headwater_ingest::Positions;
use headwater_ingest::codec::{Codec, Decoded, Decoder};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::log_key;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::{DriftPolicy, OFFSET_COLUMN, Provenance, is_reserved, without_provenance};
use headwater_ingest::sink::{Origin, Rejected, Unchanged};
use headwater_ingest::source::{Effect, Next, RawBatch, ReadLimits, RowBatch, Source};

use self::unsent::{Filling, Unsent};

/// A source of envelopes as a source of changes by key.
pub struct Unwrapped<S> {
    inner: S,
    key: Arc<[String]>,
    /// What stands for a long value that was not sent.
    placeholder: String,
    /// The name of the pipeline in the positions of its log of changes, if there is one.
    log: Option<String>,
    /// Columns of the table, as long as no envelope says more.
    known: Option<SchemaRef>,
    decoder: Option<Decoder>,
}

impl<S: Source> Unwrapped<S> {
    pub fn new(inner: S, key: &[String], placeholder: &str) -> Self {
        Self { inner, key: key.into(), placeholder: placeholder.to_owned(), log: None, known: None, decoder: None }
    }

    /// Also yield rows for a log of changes, with positions of this pipeline.
    #[must_use]
    pub fn logged(mut self, pipeline: &str) -> Self {
        self.log = Some(pipeline.to_owned());
        self
    }

    /// Read values as these columns of a table have them, which a first batch alone may not show.
    #[must_use]
    pub fn with_columns(mut self, table: Option<SchemaRef>) -> Self {
        self.known = table.map(|table| without_provenance(&table));
        self
    }

    fn unwrap(&mut self, batch: RawBatch) -> Result<RowBatch> {
        let RawBatch { records, header, origin, mut rejected, positions, boundary, info, .. } = batch;
        let mut decoded = self.decode(&records, &header, &origin)?;
        rejected.append(&mut decoded.rejected);
        let bytes = records.bytes() as u64;
        let truncates = self.inner.partitions() == Some(1);
        let changes = changes(&decoded.rows, &self.key, &self.placeholder, truncates)?;
        rejected.extend(refuse(&changes.refused, &decoded.rows, &records, &origin));
        let logged = match (&self.log, &origin) {
            (Some(pipeline), Origin::Log { topic, partition }) => {
                let position = log_key(pipeline, topic, *partition);
                log::rows(&decoded.rows, &self.key, &self.placeholder, position, truncates)?
            }
            _ => None,
        };
        let Changes { removed, unchanged, .. } = changes;
        let effect = if changes.truncated {
            Effect::Replace { log: logged }
        } else {
            Effect::Merge { key: Arc::clone(&self.key), removed, unchanged, log: logged }
        };
        Ok(RowBatch { rows: changes.rows, effect, rejected, bytes, positions, boundary, info })
    }

    /// Rows before and after get the same columns, whichever of them a batch shows more of.
    fn decode(&mut self, records: &RecordBuffer, header: &[String], origin: &Origin) -> Result<Decoded> {
        let codec = self.inner.codec().ok_or(Error::Internal("envelopes come from a source of typed rows"))?;
        let make = |shape: SchemaRef| {
            Decoder::new(codec.clone(), DriftPolicy::default(), self.inner.provenance(), Some(shape))
        };
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => make(images::envelope(self.known.as_ref()))?,
        };
        let mut decoded = decoder.decode(records, header, origin)?;
        let shape = decoder.table_schema().map(|table| without_provenance(&table));
        if let Some(shape) = shape.and_then(|shape| images::unified(&shape)) {
            decoder = make(shape)?;
            decoded = decoder.decode(records, header, origin)?;
        }
        self.decoder = Some(decoder);
        Ok(decoded)
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

    fn partitions(&self) -> Option<usize> {
        self.inner.partitions()
    }

    fn lag(&self) -> Option<u64> {
        self.inner.lag()
    }
}

/// What a batch of envelopes does.
struct Changes {
    /// What the table held goes first.
    truncated: bool,
    rows: RecordBatch,
    /// Keys alone.
    removed: RecordBatch,
    /// Cells of the rows that the table has.
    unchanged: Vec<Unchanged>,
    /// Rows of the batch that say nothing one can do, with the reason.
    refused: Vec<(usize, String)>,
}

/// The columns of an envelope.
struct Wrapped<'a> {
    operation: &'a StringArray,
    before: Option<&'a StructArray>,
    after: Option<&'a StructArray>,
    /// Where in the database the change was, as its connector says it.
    source: Option<&'a StructArray>,
}

impl<'a> Wrapped<'a> {
    /// Nothing when no record of the batch was an envelope.
    fn of(rows: &'a RecordBatch) -> Option<Self> {
        let find = |name: &str| rows.column_by_name(name);
        // The column may be there from other batches.
        let payload = find("payload").and_then(|column| column.as_struct_opt());
        let payload = payload.filter(|payload| payload.null_count() < payload.len());
        let inside = |name: &str| match payload {
            Some(payload) => payload.column_by_name(name),
            None => find(name),
        };
        let structure = |name: &str| inside(name).and_then(|column| column.as_struct_opt());
        let operation = inside("op")?.as_string_opt::<i32>()?;
        let (before, after) = (structure("before"), structure("after"));
        Some(Self { operation, before, after, source: structure("source") })
    }

    fn is_truncation(&self, row: usize) -> bool {
        self.operation.is_valid(row) && self.operation.value(row) == "t"
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

/// What becomes of the table; `truncates` says whether a truncation is to be done.
fn changes(rows: &RecordBatch, key: &[String], placeholder: &str, truncates: bool) -> Result<Changes> {
    let nothing = || RecordBatch::new_empty(Arc::new(Schema::empty()));
    let unchanged = Vec::new();
    let Some(wrapped) = Wrapped::of(rows) else {
        let refused = (0..rows.num_rows()).filter(|row| !is_tombstone(rows, *row));
        let refused = refused.map(|row| (row, "record is no envelope of a change".to_owned())).collect();
        return Ok(Changes { truncated: false, rows: nothing(), removed: nothing(), unchanged, refused });
    };
    let truncated = (0..rows.num_rows()).rev().find(|row| truncates && wrapped.is_truncation(*row));
    let (mut upserts, mut deletes, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let moved = images::moved(&wrapped, key)?;
    for row in 0..rows.num_rows() {
        match wrapped.image(row) {
            // Whatever it was, it is gone.
            Ok(Some(_)) if truncated.is_some_and(|last| row < last) => {}
            Err(_) if truncates && wrapped.is_truncation(row) => {}
            Ok(Some((_, true))) => deletes.push(index(row)),
            Ok(Some((_, false))) => {
                upserts.push(index(row));
                if moved.get(row).is_some_and(|moved| *moved) {
                    deletes.push(index(row));
                }
            }
            Ok(None) if wrapped.operation.is_null(row) && !is_tombstone(rows, row) => {
                refused.push((row, "record is no envelope of a change".to_owned()));
            }
            Ok(None) => {}
            Err(reason) => refused.push((row, reason)),
        }
    }
    let (chosen, gone) = last_of_each_key(&wrapped, key, &upserts, &deletes)?;
    // Both images have the same columns; a batch may have but one of them.
    let truncated = truncated.is_some();
    let (Some(image), Some(before)) = (wrapped.after.or(wrapped.before), wrapped.before.or(wrapped.after)) else {
        return Ok(Changes { truncated, rows: nothing(), removed: nothing(), unchanged, refused });
    };
    let unsent = Unsent::of(wrapped.after, placeholder);
    let filling = Filling::of(&unsent, &wrapped, key, (&upserts, &deletes), (&chosen, &gone))?;
    let (rows, removed) = (upserted(rows, image, &chosen, &filling)?, project(before, key, &gone)?);
    // An emptied table has nothing to keep.
    let unchanged = if truncated { unchanged } else { filling.unchanged };
    Ok(Changes { truncated, rows, removed, unchanged, refused })
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
    note(upserts, keys_of(wrapped.after, key, upserts)?, false);
    note(deletes, keys_of(wrapped.before, key, deletes)?, true);
    let pick = |removes: bool| {
        let mut rows: Vec<u32> = last.values().filter(|(_, goes)| *goes == removes).map(|(row, _)| *row).collect();
        rows.sort_unstable();
        rows
    };
    Ok((pick(false), pick(true)))
}

/// Keys of some rows of an image, as bytes that are equal when the keys are.
fn keys_of(image: Option<&StructArray>, key: &[String], rows: &[u32]) -> Result<Option<Rows>> {
    let Some(image) = image.filter(|_| !rows.is_empty()) else { return Ok(None) };
    let keys = project(image, key, rows)?;
    let fields = keys.columns().iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    Ok(Some(converter.convert_columns(keys.columns())?))
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
fn upserted(rows: &RecordBatch, after: &StructArray, chosen: &[u32], filling: &Filling) -> Result<RecordBatch> {
    let chosen = UInt32Array::from(chosen.to_vec());
    let mut columns: Vec<(FieldRef, ArrayRef)> = Vec::new();
    for (place, (field, column)) in after.fields().iter().zip(after.columns()).enumerate() {
        columns.push((Arc::clone(field), filling.take(place, column, &chosen)?));
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
