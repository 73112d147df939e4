//! Cells that a change leaves as they are: their values come from the row the table has.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{cast, interleave};

use super::keys::KeyOf;
use super::{KeyedRows, Unchanged};
use crate::error::{LakeError, Result};
use crate::name::TableName;

pub(super) struct KeptCells {
    /// Entries of `unchanged` by the row, or the removed key, whose old row they want.
    by_row: HashMap<usize, Vec<usize>>,
    by_removed: HashMap<usize, Vec<usize>>,
    /// For each entry of `unchanged` the row of the table it is filled from, once seen.
    found: Vec<Option<RecordBatch>>,
}

impl KeptCells {
    pub(super) fn new(changes: &KeyedRows) -> Self {
        let (mut by_row, mut by_removed): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
        for (index, entry) in changes.unchanged.iter().enumerate() {
            match entry.before {
                Some(removed) => by_removed.entry(removed).or_default().push(index),
                None => by_row.entry(entry.row).or_default().push(index),
            }
        }
        Self { by_row, by_removed, found: vec![None; changes.unchanged.len()] }
    }

    /// Takes a copy of those rows of a batch that cells are filled from.
    pub(super) fn note(&mut self, batch: &RecordBatch, found: &[Option<KeyOf>]) {
        if self.found.is_empty() {
            return;
        }
        for (row, key) in found.iter().enumerate() {
            let Some(key) = key else { continue };
            let of_row = key.row.and_then(|row| self.by_row.get(&row));
            let of_removed = key.removed.and_then(|removed| self.by_removed.get(&removed));
            for index in of_row.into_iter().chain(of_removed).flatten() {
                if let Some(slot) = self.found.get_mut(*index) {
                    *slot = Some(batch.slice(row, 1));
                }
            }
        }
    }

    /// The new rows with every cell in place.
    pub(super) fn filled(&self, changes: &KeyedRows, table: &TableName) -> Result<RecordBatch> {
        let rows = &changes.rows;
        if changes.unchanged.is_empty() {
            return Ok(rows.clone());
        }
        let mut entries = changes.unchanged.iter().zip(&self.found);
        if let Some((missing, _)) = entries.find(|(entry, found)| entry.required && found.is_none()) {
            return Err(LakeError::NothingToKeep { table: table.to_string(), columns: names(rows, missing) });
        }
        let columns: Result<Vec<ArrayRef>> =
            (0..rows.num_columns()).map(|column| self.column(changes, column)).collect();
        Ok(RecordBatch::try_new(rows.schema(), columns?)?)
    }

    fn column(&self, changes: &KeyedRows, column: usize) -> Result<ArrayRef> {
        let given = changes.rows.column(column);
        let schema = changes.rows.schema();
        let mut sources: Vec<ArrayRef> = vec![Arc::clone(given)];
        let mut picks: Vec<(usize, usize)> = (0..given.len()).map(|row| (0, row)).collect();
        for (entry, found) in changes.unchanged.iter().zip(&self.found) {
            let Some(found) = found.as_ref().filter(|_| entry.columns.contains(&column)) else { continue };
            let Some(old) = found.column_by_name(schema.field(column).name()) else { continue };
            if let Some(pick) = picks.get_mut(entry.row) {
                *pick = (sources.len(), 0);
                sources.push(cast(old, given.data_type())?);
            }
        }
        if sources.len() == 1 {
            return Ok(Arc::clone(given));
        }
        let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
        Ok(interleave(&sources, &picks)?)
    }
}

fn names(rows: &RecordBatch, entry: &Unchanged) -> String {
    let schema = rows.schema();
    let names =
        entry.columns.iter().filter_map(|column| schema.fields().get(*column).map(|field| field.name().clone()));
    names.collect::<Vec<_>>().join(", ")
}
