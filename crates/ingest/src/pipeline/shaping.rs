//! How what was read becomes rows of the table: decoded or typed already, and then through the project's transform.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use headwater_project::Failure;

use crate::codec::{Decoded, Decoder};
use crate::error::{Error, Result};
use crate::pipeline::unchanged;
use crate::record::RecordBuffer;
use crate::rows::{self, RowProgram, RowTransform, Shaped};
use crate::schema::without_provenance;
use crate::sink::{Origin, Rejected};
use crate::source::Effect;

/// How the table's columns are known.
pub(super) enum Shape {
    Decoded(Decoder),
    /// From the rows themselves, once there are any.
    Typed(Option<SchemaRef>),
}

/// The project's transform, and what it comes to for rows of the schema they have now.
pub(super) struct Shaping {
    transform: Arc<dyn RowTransform>,
    program: Option<(SchemaRef, Arc<dyn RowProgram>)>,
}

impl Shaping {
    pub(super) fn new(transform: Arc<dyn RowTransform>) -> Self {
        Self { transform, program: None }
    }

    pub(super) fn apply(&mut self, rows: &RecordBatch) -> Result<Shaped> {
        Ok(self.program(&rows.schema())?.apply(rows)?)
    }

    pub(super) fn program(&mut self, rows: &SchemaRef) -> Result<Arc<dyn RowProgram>> {
        match &self.program {
            Some((schema, program)) if Arc::ptr_eq(schema, rows) || schema == rows => Ok(Arc::clone(program)),
            _ => {
                let program = self.transform.compile(rows)?;
                self.program = Some((Arc::clone(rows), Arc::clone(&program)));
                Ok(program)
            }
        }
    }

    /// Shapes rows that came typed; a row that goes and one that comes are told apart by their key.
    pub(super) fn apply_typed(&mut self, rows: &RecordBatch, mut effect: Effect) -> Result<Typed> {
        if rows.num_columns() == 0 {
            let rows = rows.clone();
            return Ok(Typed { rows, effect, left_out: 0, rejected: Vec::new() });
        }
        let program = self.program(&rows.schema())?;
        require_key(&*program, &effect)?;
        let mut shaped = program.apply(rows)?;
        if let Effect::Merge { unchanged, .. } = &mut effect {
            *unchanged = unchanged::carried(&*program, rows, std::mem::take(unchanged), &mut shaped)?;
        }
        let Shaped { rows: shaped, left_out, refused } = shaped;
        let rejected = refused.into_iter().map(|(row, reason)| {
            let failed = || Failure::user("a row has no place in the table").with_detail(reason.clone());
            rows::rejected(rows, row, reason.clone())?.ok_or_else(|| Error::Failed(failed()))
        });
        let rejected = rejected.collect::<Result<_>>()?;
        Ok(Typed { rows: shaped, effect: without(effect, rows, &left_out)?, left_out: left_out.len(), rejected })
    }
}

/// Rows that came typed, shaped.
pub(super) struct Typed {
    pub(super) rows: RecordBatch,
    pub(super) effect: Effect,
    pub(super) left_out: usize,
    pub(super) rejected: Vec<Rejected>,
}

/// What became of a batch of records: each is in `rows`, left out, or rejected.
pub(super) struct Made {
    pub(super) rows: RecordBatch,
    /// The columns of the records, when rows are made of them by a transform.
    pub(super) records: Option<SchemaRef>,
    pub(super) rejected: Vec<Rejected>,
    /// Places of the records that fit the columns, ascending.
    decoded: Vec<usize>,
    /// Places in `decoded` of rows that are not wanted, ascending, and of rows an expression has no value for.
    left_out: Vec<usize>,
    refused: Vec<usize>,
}

impl Made {
    pub(super) fn count_left_out(&self) -> u64 {
        self.left_out.len() as u64
    }

    /// Places of records of which rows were made that the project does not want.
    pub(super) fn left_out(&self) -> Vec<usize> {
        self.left_out.iter().filter_map(|row| self.decoded.get(*row).copied()).collect()
    }

    /// Places of the records that are in `rows`.
    pub(super) fn taken(&self) -> Vec<usize> {
        let is_gone = |row: &usize| self.left_out.binary_search(row).is_ok() || self.refused.binary_search(row).is_ok();
        let kept = self.decoded.iter().enumerate().filter(|(row, _)| !is_gone(row));
        kept.map(|(_, place)| *place).collect()
    }
}

/// Makes rows of records.
pub(super) fn make(
    decoder: &mut Decoder,
    shaping: Option<&mut Shaping>,
    records: &RecordBuffer,
    header: &[String],
    origin: &Origin,
) -> Result<Made> {
    let Decoded { rows, rejected, accepted } = decoder.decode(records, header, origin)?;
    let mut made = Made { rows, records: None, rejected, decoded: accepted, left_out: Vec::new(), refused: Vec::new() };
    let Some(shaping) = shaping else { return Ok(made) };
    made.records = Some(without_provenance(&made.rows.schema()));
    let Shaped { rows, left_out, refused } = shaping.apply(&made.rows)?;
    for (row, reason) in refused {
        let record = made.decoded.get(row).and_then(|place| records.record(*place));
        made.rejected.extend(record.map(|record| Rejected::new(record, reason, origin)));
        made.refused.push(row);
    }
    Ok(Made { rows, left_out, ..made })
}

/// The columns of the table as they must be for what was decoded so far.
pub(super) fn table_schema(decoder: &Decoder, shaping: Option<&mut Shaping>) -> Result<Option<SchemaRef>> {
    match (decoder.table_schema(), shaping) {
        (Some(rows), Some(shaping)) => Ok(Some(Arc::clone(shaping.program(&rows)?.schema()))),
        (schema, _) => Ok(schema),
    }
}

/// Rows are told apart by their key: it has to arrive as it is.
fn require_key(program: &dyn RowProgram, effect: &Effect) -> Result<()> {
    let Effect::Merge { key, .. } = effect else { return Ok(()) };
    match key.iter().find(|column| !program.passes(column)) {
        None => Ok(()),
        Some(column) => Err(Error::Failed(
            Failure::user(format!("`{column}` is part of the key and must come through unchanged"))
                .with_hint("Keep it in `rows.select`, and neither compute nor mask it."),
        )),
    }
}

/// A row that is no longer wanted goes, if the table has it.
fn without(effect: Effect, rows: &RecordBatch, left_out: &[usize]) -> Result<Effect> {
    match effect {
        Effect::Merge { key, removed, unchanged, log } if !left_out.is_empty() => {
            let places = UInt64Array::from_iter_values(left_out.iter().map(|place| *place as u64));
            let keys = rows::only(rows, |name| key.iter().any(|column| column == name))?;
            let keys = rows::like(&take_record_batch(&keys, &places)?, &removed.schema())?;
            let removed = concat_batches(&removed.schema(), [&removed, &keys])?;
            Ok(Effect::Merge { key, removed, unchanged, log })
        }
        other => Ok(other),
    }
}
