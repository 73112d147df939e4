//! Batches of raw records into batches of rows.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use crate::codec::column::{Fieldset, Refusal};
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::{BYTES_COLUMN, Codec, TEXT_COLUMN, as_text, avro, delimited, json, provenance};
use crate::error::{Error, Result};
use crate::record::RecordBuffer;
use crate::schema::{DriftPolicy, Provenance, drift, infer, with_provenance};
use crate::sink::{Origin, Rejected};

#[derive(Debug)]
pub struct Decoded {
    /// The rows with the columns of their provenance.
    pub rows: RecordBatch,
    pub rejected: Vec<Rejected>,
}

/// Decodes batch after batch and lets the schema follow the records.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    policy: DriftPolicy,
    provenance: Provenance,
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
    fn new(records: SchemaRef, provenance: Provenance) -> Result<Self> {
        let (table, columns) = (with_provenance(&records, provenance), Fieldset::new(records.fields())?);
        Ok(Self { records, table, columns })
    }
}

impl Decoder {
    /// `schema` is the shape of the records, without provenance; without it the first batch decides.
    pub fn new(codec: Codec, policy: DriftPolicy, provenance: Provenance, schema: Option<SchemaRef>) -> Result<Self> {
        let target = schema.map(|schema| Target::new(schema, provenance)).transpose()?;
        Ok(Self { codec, policy, provenance, target })
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
                let unlimited = DriftPolicy { add_columns: true, ..self.policy };
                Target::new(
                    drift::evolve(&nothing, &infer::infer(&self.codec, header, records), &unlimited),
                    self.provenance,
                )?
            }
        };
        let mut notes = Notes::default();
        let mut pass = self.pass(&mut target, UnknownFields::Note, records, header, &mut notes);
        if notes.unknown_field || notes.inexact_number && self.policy.widen_integers {
            let inferred = infer::infer(&self.codec, header, records);
            let evolved = drift::evolve(&target.records, &inferred, &self.policy);
            if Arc::ptr_eq(&evolved, &target.records) {
                target.columns.truncate(0);
            } else {
                target = Target::new(evolved, self.provenance)?;
            }
            pass = self.pass(&mut target, UnknownFields::Refuse, records, header, &mut notes);
        }
        let decoded = finish(&mut target, records, pass, origin, self.provenance);
        self.target = Some(target);
        decoded
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
        for (index, record) in records.iter().enumerate() {
            let result = match provenance::check_key(record.key, self.provenance) {
                Ok(()) if records.is_absent(index) => decode_absent(columns),
                Ok(()) => self.decode_record(record.payload, unknown_fields, header, columns, notes),
                Err(reason) => Err(reason),
            };
            match result {
                Ok(()) => pass.accepted.push(index),
                Err(reason) => pass.refused.push((index, reason)),
            }
        }
        pass
    }

    fn decode_record(
        &self,
        payload: &[u8],
        unknown_fields: UnknownFields,
        header: &[String],
        columns: &mut Fieldset,
        notes: &mut Notes,
    ) -> Result<(), Refusal> {
        match &self.codec {
            Codec::Json => json::decode(payload, unknown_fields, columns, notes),
            Codec::Delimited(marks) => delimited::decode(payload, *marks, header, unknown_fields, columns, notes),
            Codec::Text => decode_text(payload, columns),
            Codec::Bytes => decode_bytes(payload, columns),
            Codec::Avro(schemas) => avro::decode(payload, schemas, unknown_fields, columns, notes),
        }
    }
}

#[derive(Debug, Default)]
struct Pass {
    accepted: Vec<usize>,
    refused: Vec<(usize, Refusal)>,
}

/// A row of nulls, or nothing where a column must not be null.
fn decode_absent(columns: &mut Fieldset) -> Result<(), Refusal> {
    let rows = columns.rows();
    let result = columns.finish_row();
    if result.is_err() {
        columns.truncate(rows);
    }
    result
}

fn decode_text(record: &[u8], columns: &mut Fieldset) -> Result<(), Refusal> {
    let text = as_text(record)?;
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

fn finish(
    target: &mut Target,
    records: &RecordBuffer,
    pass: Pass,
    origin: &Origin,
    provenance: Provenance,
) -> Result<Decoded> {
    let rows = pass.accepted.len();
    if target.columns.rows() != rows {
        return Err(Error::Internal("the columns of a batch are not as long as its rows"));
    }
    let mut arrays = target.columns.take()?;
    arrays.extend(provenance::columns(provenance, records, &pass.accepted, origin)?);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&target.table), arrays, &options)?;
    let mut rejected = Vec::with_capacity(pass.refused.len());
    for (index, reason) in pass.refused {
        rejected.extend(records.record(index).map(|record| Rejected::new(record, reason, origin)));
    }
    Ok(Decoded { rows, rejected })
}
