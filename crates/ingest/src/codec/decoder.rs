//! Batches of raw records into batches of rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use headwater_project::Failure;

use crate::codec::block::{self, Blocks};
use crate::codec::column::{Fieldset, Refusal};
use crate::codec::header::Header;
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::path_columns::{self, PathColumn};
use crate::codec::{
    BYTES_COLUMN, Codec, Payload, TEXT_COLUMN, avro, cells, delimited, json, pattern, protobuf, provenance,
};
use crate::error::{Error, Result};
use crate::record::RecordBuffer;
use crate::schema::{
    DriftPolicy, NewFields, OVERFLOW_COLUMN, Provenance, drift, infer, with_overflow, with_provenance,
};
use crate::sink::{Origin, Rejected};

#[derive(Debug)]
pub struct Decoded {
    /// The rows with the columns of their provenance.
    pub rows: RecordBatch,
    pub rejected: Vec<Rejected>,
    /// For each row the place of its record in the batch, ascending.
    pub accepted: Vec<usize>,
}

/// Decodes batch after batch and lets the schema follow the records.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    policy: DriftPolicy,
    provenance: Provenance,
    /// Whether folders such as `date=2024-01-01` in the path of a file are columns.
    path_columns: bool,
    /// Nothing until the first batch, for a table that does not exist and was not declared.
    target: Option<Target>,
}

#[derive(Debug)]
struct Target {
    records: SchemaRef,
    table: SchemaRef,
    columns: Fieldset,
}

impl Target {
    fn new(records: SchemaRef, policy: &DriftPolicy, provenance: Provenance) -> Result<Self> {
        let columns = Fieldset::new(records.fields())?;
        let table = match policy.new_fields {
            NewFields::Discard => with_provenance(&with_overflow(&records), provenance),
            NewFields::Evolve | NewFields::Freeze | NewFields::Fail => with_provenance(&records, provenance),
        };
        Ok(Self { records, table, columns })
    }
}

impl NewFields {
    /// How records are read at first.
    fn at_first(self) -> UnknownFields {
        match self {
            Self::Evolve | Self::Fail => UnknownFields::Note,
            Self::Freeze => UnknownFields::Refuse,
            Self::Discard => UnknownFields::Keep,
        }
    }

    /// How they are read again once the schema is what it can be.
    fn again(self) -> UnknownFields {
        match self {
            Self::Discard => UnknownFields::Keep,
            Self::Evolve | Self::Freeze | Self::Fail => UnknownFields::Refuse,
        }
    }
}

fn unexpected(field: &str) -> Error {
    let failure = Failure::user(format!("the records have a field `{field}` that the table has no column for"));
    Error::Failed(failure.with_hint(
        "Add it to `schema.columns` of the source, or let the table follow with `new_fields: evolve`, or keep such fields \
         apart with `new_fields: discard`.",
    ))
}

impl Decoder {
    /// `schema` is the shape of the records, without provenance; without it the first batch decides.
    pub fn new(codec: Codec, policy: DriftPolicy, provenance: Provenance, schema: Option<SchemaRef>) -> Result<Self> {
        let target = schema.map(|schema| Target::new(schema, &policy, provenance)).transpose()?;
        Ok(Self { codec, policy, provenance, path_columns: false, target })
    }

    /// Makes columns of what the path of a file says.
    #[must_use]
    pub fn with_path_columns(mut self, path_columns: bool) -> Self {
        self.path_columns = path_columns;
        self
    }

    /// The columns of the table as they must be for the last batch decoded.
    pub fn table_schema(&self) -> Option<SchemaRef> {
        self.target.as_ref().map(|target| Arc::clone(&target.table))
    }

    /// Decodes a batch. Records that have no place in the schema change it, if the policy allows, and are refused if not.
    /// Every record ends up in a row or among the rejected, never in both.
    pub fn decode(&mut self, records: &RecordBuffer, header: &[String], origin: &Origin) -> Result<Decoded> {
        let mut target = match self.target.take() {
            Some(target) => target,
            None => {
                let nothing = Arc::new(Schema::empty());
                let adding = DriftPolicy { new_fields: NewFields::Evolve, ..self.policy };
                let inferred = drift::evolve(&nothing, &infer::infer(&self.codec, header, records), &adding);
                Target::new(inferred, &self.policy, self.provenance)?
            }
        };
        let path_columns = self.path_columns_of(origin);
        target = self.with_columns(target, &path_columns)?;
        let mut notes = Notes::default();
        let new_fields = self.policy.new_fields;
        let mut pass = self.pass(&mut target, new_fields.at_first(), records, header, &mut notes);
        if let (NewFields::Fail, Some(field)) = (new_fields, &notes.unknown_field) {
            return Err(unexpected(field));
        }
        if notes.unknown_field.is_some() || notes.inexact_number && self.policy.widen_integers {
            let inferred = infer::infer(&self.codec, header, records);
            let evolved = drift::evolve(&target.records, &inferred, &self.policy);
            if Arc::ptr_eq(&evolved, &target.records) {
                target.columns.truncate(0);
            } else {
                target = Target::new(evolved, &self.policy, self.provenance)?;
            }
            pass = self.pass(&mut target, new_fields.again(), records, header, &mut notes);
        }
        let decoded = finish(&mut target, records, pass, origin, self.provenance, &path_columns);
        self.target = Some(target);
        decoded
    }

    fn path_columns_of(&self, origin: &Origin) -> Vec<PathColumn> {
        match origin {
            Origin::File { path } if self.path_columns => path_columns::of(path),
            _ => Vec::new(),
        }
    }

    /// The target with columns for what a path says, as far as the policy allows.
    fn with_columns(&self, target: Target, path_columns: &[PathColumn]) -> Result<Target> {
        let fields: Vec<_> = path_columns.iter().filter_map(PathColumn::field).collect();
        let evolved = drift::evolve(&target.records, &Schema::new(fields), &self.policy);
        match Arc::ptr_eq(&evolved, &target.records) {
            true => Ok(target),
            false => Target::new(evolved, &self.policy, self.provenance),
        }
    }

    fn pass(
        &self,
        target: &mut Target,
        unknown_fields: UnknownFields,
        records: &RecordBuffer,
        header: &[String],
        notes: &mut Notes,
    ) -> Pass {
        let columns = &mut target.columns;
        let mut pass = Pass::default();
        let header = Header::new(header, columns);
        let text = if self.codec.is_text() { records.text() } else { None };
        let mut blocks = text.and_then(|text| self.blocks(records, text, &header));
        let mut next = 0;
        while next < records.len() {
            let rows = next..(next + block::ROWS).min(records.len());
            next = rows.end;
            if blocks.as_mut().is_some_and(|blocks| blocks.decode(records, rows.clone(), columns)) {
                pass.accept(rows, self.policy, None);
                continue;
            }
            for index in rows {
                let payload = Payload::new(records.payload(index), text, records.payload_range(index));
                let result = match provenance::check_key(records.key(index), self.provenance) {
                    Ok(()) if records.is_absent(index) => columns.finish_row(),
                    Ok(()) => self.decode_record(payload, unknown_fields, &header, columns, notes),
                    Err(reason) => Err(reason),
                };
                let overflow = notes.overflow.take();
                match result {
                    Ok(()) => pass.accept(index..index + 1, self.policy, overflow),
                    Err(reason) => {
                        // Half a row may be there by now.
                        columns.truncate(pass.accepted.len());
                        pass.refused.push((index, reason));
                    }
                }
            }
        }
        pass
    }

    /// Delimited rows whose records say nothing but what is in them.
    fn blocks<'a>(&self, records: &RecordBuffer, text: &'a str, header: &Header<'_>) -> Option<Blocks<'a>> {
        let marks = match &self.codec {
            Codec::Delimited(marks) => *marks,
            Codec::Detected(dialect) => dialect.get(),
            _ => return None,
        };
        let has_more = matches!(self.provenance, Provenance::Message(_));
        if has_more { None } else { Blocks::new(records, text, marks, header) }
    }

    fn decode_record(
        &self,
        payload: Payload<'_>,
        unknown_fields: UnknownFields,
        header: &Header<'_>,
        columns: &mut Fieldset,
        notes: &mut Notes,
    ) -> Result<(), Refusal> {
        match &self.codec {
            Codec::Json => json::decode(payload.text()?, unknown_fields, columns, notes),
            Codec::Delimited(marks) => {
                delimited::decode(payload.text()?, *marks, header, unknown_fields, columns, notes)
            }
            Codec::Detected(dialect) => {
                delimited::decode(payload.text()?, dialect.get(), header, unknown_fields, columns, notes)
            }
            Codec::Pattern(lines) => pattern::decode(payload.text()?, lines, unknown_fields, columns, notes),
            Codec::Cells => cells::decode(payload.bytes, header, unknown_fields, columns, notes),
            Codec::Text => decode_text(payload.text()?, columns),
            Codec::Bytes => decode_bytes(payload.bytes, columns),
            Codec::Avro(schemas) => avro::decode(payload.bytes, schemas, unknown_fields, columns, notes),
            Codec::Protobuf(schemas) => protobuf::decode(payload.bytes, schemas, unknown_fields, columns, notes),
        }
    }
}

#[derive(Debug, Default)]
struct Pass {
    accepted: Vec<usize>,
    refused: Vec<(usize, Refusal)>,
    /// One for each accepted record, where such are kept.
    overflow: Vec<Option<String>>,
}

impl Pass {
    /// `overflow` is that of a single record: those of a block have none.
    fn accept(&mut self, records: Range<usize>, policy: DriftPolicy, overflow: Option<String>) {
        self.accepted.extend(records);
        if policy.new_fields == NewFields::Discard {
            self.overflow.resize(self.accepted.len(), overflow);
        }
    }
}

fn decode_text(text: &str, columns: &mut Fieldset) -> Result<(), Refusal> {
    let Some(column) = columns.find(TEXT_COLUMN, 0).and_then(|index| columns.columns.get_mut(index)) else {
        return Err(format!("table has no column `{TEXT_COLUMN}`"));
    };
    column.push_text(text)?;
    columns.finish_row()
}

fn decode_bytes(record: &[u8], columns: &mut Fieldset) -> Result<(), Refusal> {
    let Some(column) = columns.find(BYTES_COLUMN, 0).and_then(|index| columns.columns.get_mut(index)) else {
        return Err(format!("table has no column `{BYTES_COLUMN}`"));
    };
    column.push_bytes(record)?;
    columns.finish_row()
}

/// Puts what the path says into the columns of these names.
fn put(path_columns: &[PathColumn], schema: &Schema, arrays: &mut [ArrayRef], rows: usize) -> Result<(), Refusal> {
    for column in path_columns {
        match schema.column_with_name(&column.name) {
            Some((index, field)) => {
                if let Some(array) = arrays.get_mut(index) {
                    *array = column.array(field.data_type(), rows)?;
                }
            }
            None if column.value.is_none() => {}
            None => return Err(format!("path names `{}`, which has no column and none can be added", column.name)),
        }
    }
    Ok(())
}

fn finish(
    target: &mut Target,
    records: &RecordBuffer,
    mut pass: Pass,
    origin: &Origin,
    provenance: Provenance,
    path_columns: &[PathColumn],
) -> Result<Decoded> {
    let mut rows = pass.accepted.len();
    if target.columns.rows() != rows {
        return Err(Error::Internal("the columns of a batch are not as long as its rows"));
    }
    let mut arrays = target.columns.take()?;
    if target.table.column_with_name(OVERFLOW_COLUMN).is_some() {
        arrays.push(Arc::new(StringArray::from(std::mem::take(&mut pass.overflow))));
    }
    if let Err(reason) = put(path_columns, &target.records, &mut arrays, rows) {
        pass.refused.extend(pass.accepted.drain(..).map(|index| (index, reason.clone())));
        pass.refused.sort_unstable_by_key(|(index, _)| *index);
        rows = 0;
        arrays = arrays.iter().map(|array| array.slice(0, 0)).collect();
    }
    arrays.extend(provenance::columns(provenance, records, &pass.accepted, origin)?);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&target.table), arrays, &options)?;
    let mut rejected = Vec::with_capacity(pass.refused.len());
    for (index, reason) in pass.refused {
        rejected.extend(records.record(index).map(|record| Rejected::new(record, reason, origin)));
    }
    Ok(Decoded { rows, rejected, accepted: pass.accepted })
}
