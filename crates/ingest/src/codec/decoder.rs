//! Batches of raw records into batches of rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};

use crate::codec::column::{Fieldset, Refusal};
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::{Codec, TEXT_COLUMN, as_text, delimited, json};
use crate::error::{Error, Result};
use crate::limits::MAX_REJECTED_BYTES;
use crate::record::{Record, RecordBuffer};
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
                    drift::evolve(&nothing, &infer::infer(self.codec, header, records), &unlimited),
                    self.provenance,
                )?
            }
        };
        let mut notes = Notes::default();
        let mut pass = self.pass(&mut target, UnknownFields::Note, records, header, &mut notes);
        if notes.unknown_field || notes.inexact_number && self.policy.widen_integers {
            let inferred = infer::infer(self.codec, header, records);
            let evolved = drift::evolve(&target.records, &inferred, &self.policy);
            if Arc::ptr_eq(&evolved, &target.records) {
                target.columns.truncate(0);
            } else {
                target = Target::new(evolved, self.provenance)?;
            }
            pass = self.pass(&mut target, UnknownFields::Refuse, records, header, &mut notes);
        }
        let decoded = finish(&mut target, records, pass, origin);
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
            let result = match self.codec {
                Codec::Json => json::decode(record.payload, unknown_fields, columns, notes),
                Codec::Delimited(marks) => {
                    delimited::decode(record.payload, marks, header, unknown_fields, columns, notes)
                }
                Codec::Text => decode_text(record.payload, columns),
            };
            match result {
                Ok(()) => pass.accepted.push(index),
                Err(reason) => pass.refused.push((index, reason)),
            }
        }
        pass
    }
}

#[derive(Debug, Default)]
struct Pass {
    accepted: Vec<usize>,
    refused: Vec<(usize, Refusal)>,
}

fn decode_text(record: &[u8], columns: &mut Fieldset) -> Result<(), Refusal> {
    let text = as_text(record)?;
    let Some(column) = columns.find(TEXT_COLUMN, 0).and_then(|index| columns.columns.get_mut(index)) else {
        return Err(format!("table has no column `{TEXT_COLUMN}`"));
    };
    column.push_text(text)?;
    columns.finish_row()
}

fn finish(target: &mut Target, records: &RecordBuffer, pass: Pass, origin: &Origin) -> Result<Decoded> {
    let rows = pass.accepted.len();
    if target.columns.rows() != rows {
        return Err(Error::Internal("the columns of a batch are not as long as its rows"));
    }
    let mut arrays = target.columns.take()?;
    arrays.extend(provenance_columns(records, &pass.accepted, origin));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&target.table), arrays, &options)?;
    let mut rejected = Vec::with_capacity(pass.refused.len());
    for (index, reason) in pass.refused {
        rejected.extend(records.record(index).map(|record| reject(record, reason, origin)));
    }
    Ok(Decoded { rows, rejected })
}

pub(crate) fn reject(record: Record<'_>, reason: String, origin: &Origin) -> Rejected {
    let kept = record.payload.get(..MAX_REJECTED_BYTES).unwrap_or(record.payload);
    Rejected {
        reason,
        bytes: kept.to_vec(),
        length: record.payload.len() as u64,
        origin: origin.clone(),
        offset: record.offset,
        timestamp: record.timestamp,
    }
}

fn provenance_columns(records: &RecordBuffer, accepted: &[usize], origin: &Origin) -> Vec<ArrayRef> {
    let pick = |values: &[i64]| accepted.iter().filter_map(|index| values.get(*index).copied()).collect::<Vec<_>>();
    let offsets: ArrayRef = Arc::new(Int64Array::from(pick(records.offsets())));
    match origin {
        Origin::Log { partition, .. } => {
            let micros: Vec<i64> = pick(records.timestamps()).into_iter().map(|ms| ms.saturating_mul(1_000)).collect();
            vec![
                Arc::new(Int32Array::from(vec![*partition; accepted.len()])),
                offsets,
                Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
            ]
        }
        Origin::File { path } => {
            let paths = std::iter::repeat_n(path.as_ref(), accepted.len());
            vec![Arc::new(StringArray::from_iter_values(paths)), offsets]
        }
    }
}
