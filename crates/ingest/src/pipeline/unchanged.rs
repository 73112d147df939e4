//! Cells that keep the value of the row before, on their way through the project's transform.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::error::Result;
use crate::rows::{RowProgram, Shaped};
use crate::sink::Unchanged;

/// The same cells among the rows that came out. A row of which something is made that nobody can know without such a cell is
/// refused.
pub(super) fn carried(
    program: &dyn RowProgram,
    rows: &RecordBatch,
    unchanged: Vec<Unchanged>,
    shaped: &mut Shaped,
) -> Result<Vec<Unchanged>> {
    if unchanged.is_empty() {
        return Ok(unchanged);
    }
    let schema = rows.schema();
    let (mut known, mut unknown) = (Vec::new(), BTreeMap::new());
    for cells in unchanged {
        let names = cells.columns.iter().filter_map(|column| schema.fields().get(*column)).map(|field| field.name());
        match columns(program, names) {
            Ok(columns) => known.push(Unchanged { columns, ..cells }),
            Err(name) => {
                unknown.insert(cells.row, format!("`{name}` was not sent, and the row cannot be made without it"));
            }
        }
    }
    let places = refuse(shaped, rows.num_rows(), unknown)?;
    let place = |cells: Unchanged| Some(Unchanged { row: places.binary_search(&cells.row).ok()?, ..cells });
    Ok(known.into_iter().filter(|cells| !cells.columns.is_empty()).filter_map(place).collect())
}

/// Columns that come out of these; the name of one of which more is made.
fn columns<'a>(program: &dyn RowProgram, names: impl Iterator<Item = &'a String>) -> Result<Vec<usize>, &'a str> {
    let mut all = Vec::new();
    for name in names {
        all.extend(program.made_of(name).ok_or(name.as_str())?);
    }
    Ok(all)
}

/// Takes rows out of what was made of a batch. Returns the places that the rows left had in the batch.
fn refuse(shaped: &mut Shaped, count: usize, unknown: BTreeMap<usize, String>) -> Result<Vec<usize>> {
    let gone: BTreeSet<usize> =
        shaped.left_out.iter().copied().chain(shaped.refused.iter().map(|(place, _)| *place)).collect();
    let mut places: Vec<usize> = (0..count).filter(|place| !gone.contains(place)).collect();
    if unknown.is_empty() {
        return Ok(places);
    }
    let stays: BooleanArray = places.iter().map(|place| Some(!unknown.contains_key(place))).collect();
    shaped.rows = filter_record_batch(&shaped.rows, &stays)?;
    places.retain(|place| !unknown.contains_key(place));
    shaped.left_out.retain(|place| !unknown.contains_key(place));
    shaped.refused.retain(|(place, _)| !unknown.contains_key(place));
    shaped.refused.extend(unknown);
    shaped.refused.sort_by_key(|(place, _)| *place);
    Ok(places)
}

/// The places the columns have now. One that the table has not is among the rest of its row, as nothing.
pub(super) fn follow(unchanged: &mut Vec<Unchanged>, came: &SchemaRef, now: &Schema) {
    let place = |column: usize| Some(now.column_with_name(came.fields().get(column)?.name())?.0);
    for cells in unchanged.iter_mut() {
        cells.columns = cells.columns.iter().filter_map(|column| place(*column)).collect();
    }
    unchanged.retain(|cells| !cells.columns.is_empty());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;
    use arrow::datatypes::{DataType, Field};
    use headwater_project::Failure;

    use super::*;

    /// Columns `a`, `b` and `c` become `c` and `a`; `b` decides about rows.
    #[derive(Debug)]
    struct Turned(SchemaRef);

    impl RowProgram for Turned {
        fn schema(&self) -> &SchemaRef {
            &self.0
        }

        fn passes(&self, _: &str) -> bool {
            true
        }

        fn made_of(&self, column: &str) -> Option<Vec<usize>> {
            match column {
                "a" => Some(vec![1]),
                "c" => Some(vec![0]),
                _ => None,
            }
        }

        fn apply(&self, _: &RecordBatch) -> Result<Shaped, Failure> {
            Err(Failure::internal("not asked for"))
        }
    }

    fn rows(names: &[&str], count: i32) -> RecordBatch {
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Int32, true)).collect();
        let column = || Arc::new((0..count).collect::<Int32Array>()) as arrow::array::ArrayRef;
        let columns = names.iter().map(|_| column()).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn cells(row: usize, columns: &[usize]) -> Unchanged {
        Unchanged { row, columns: columns.to_vec(), before: None, required: false }
    }

    #[test]
    fn cells_follow_their_columns_and_rows_and_take_rows_with_them_that_need_them() {
        let came = rows(&["a", "b", "c"], 6);
        let made = rows(&["c", "a"], 4);
        let program = Turned(made.schema());
        // Of six rows the first was left out and the third refused.
        let mut shaped = Shaped { rows: made, left_out: vec![0], refused: vec![(2, "no".to_owned())] };
        let given = vec![cells(0, &[0]), cells(1, &[0, 2]), cells(3, &[1]), cells(5, &[2])];
        let kept = carried(&program, &came, given, &mut shaped).unwrap();
        assert_eq!(kept, [cells(0, &[1, 0]), cells(2, &[0])]);
        assert_eq!(shaped.rows.num_rows(), 3);
        assert_eq!(shaped.left_out, [0]);
        assert_eq!(shaped.refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [2, 3]);
        assert!(shaped.refused[1].1.contains("`b` was not sent"), "{:?}", shaped.refused);
    }

    #[test]
    fn cells_of_a_column_the_table_has_not_are_dropped() {
        let mut given = vec![cells(0, &[0, 2]), cells(1, &[1])];
        follow(&mut given, &rows(&["a", "b", "c"], 0).schema(), &rows(&["c", "a"], 0).schema());
        assert_eq!(given, [cells(0, &[1, 0])]);
    }
}
