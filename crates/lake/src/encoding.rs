//! How the columns of a data file are encoded: which are worth a dictionary, and which of the others follow themselves closely.
//!
//! A Parquet writer begins every column with a dictionary and gives it up once it has outgrown its page. For keys, measures and
//! free text all of that is work for nothing: their values are hashed, kept, and then written plainly. The first rows of a file
//! tell which columns those are.
//!
//! Numbers of lines and offsets, keys that are counted up, and times hardly differ from one row to the next. Written as differences
//! they take a bit or two instead of eight bytes, which are then not there to be compressed.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};

use crate::error::Result;

/// Bytes of a dictionary's page; what the writer takes when nothing else is said.
const PAGE_BYTES: f64 = (1 << 20) as f64;
/// Rows looked at.
const SAMPLE: usize = 8192;
/// Fewer rows tell too little, and cost little either way.
const FEW: usize = 2048;
/// Differences that need no more bits than this are written instead of the values, which have twice as many.
const CLOSE_BITS: u32 = 32;

/// Names of columns whose dictionary would be outgrown, as far as the rows of `first` are like the others.
pub(crate) fn outgrown(first: &RecordBatch) -> Result<Vec<String>> {
    let rows = first.num_rows().min(SAMPLE);
    let mut names = Vec::new();
    if rows < FEW {
        return Ok(names);
    }
    for (field, column) in first.schema_ref().fields().iter().zip(first.columns()) {
        if !field.data_type().is_nested() && is_outgrown(&column.slice(0, rows))? {
            names.push(field.name().clone());
        }
    }
    Ok(names)
}

fn is_outgrown(sample: &ArrayRef) -> Result<bool> {
    if matches!(sample.data_type(), DataType::Boolean | DataType::Null) {
        return Ok(false);
    }
    let converter = RowConverter::new(vec![SortField::new(sample.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(sample))?;
    let distinct: HashSet<&[u8]> = rows.iter().map(|row| row.data()).collect();
    let bytes: usize = distinct.iter().map(|value| value.len()).sum();
    let (distinct, count) = (distinct.len() as f64, sample.len() as f64);
    // So many values fill the page. A column of just as many, evenly spread, would show `expected` of them in the sample.
    let most = PAGE_BYTES / (bytes as f64 / distinct).max(1.0);
    let expected = most * -(-count / most).exp_m1();
    Ok(distinct > expected)
}

/// Whether the values of a column without a dictionary are better written as differences, as far as its first rows tell.
pub(crate) fn is_close(column: &ArrayRef) -> Result<bool> {
    use DataType::{Int64, Timestamp};
    let rows = column.len().min(SAMPLE);
    if rows < FEW || !matches!(column.data_type(), Int64 | Timestamp(_, _)) {
        return Ok(false);
    }
    let numbers = cast(&column.slice(0, rows), &Int64)?;
    let values: Vec<i128> = numbers.as_primitive::<Int64Type>().iter().flatten().map(i128::from).collect();
    let steps = || values.windows(2).map(|pair| pair.last().unwrap_or(&0) - pair.first().unwrap_or(&0));
    let (Some(least), Some(most)) = (steps().min(), steps().max()) else { return Ok(false) };
    Ok(i128::BITS - (most - least).leading_zeros() <= CLOSE_BITS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_written_as_differences() {
        let check = |values: &dyn Fn(i64) -> Option<i64>, rows: i64, expected: bool| {
            let column: ArrayRef = Arc::new((0..rows).map(values).collect::<Int64Array>());
            assert_eq!(is_close(&column).unwrap(), expected);
            let times = cast(&column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            assert_eq!(is_close(&times).unwrap(), expected);
        };
        check(&Some, 10_000, true);
        check(&|row| Some(1_700_000_000_000_000 - 250_000 * row), 10_000, true);
        check(&|row| (row % 3 > 0).then_some(row), 10_000, true);
        check(&|_| None, 10_000, false);
        check(&|row| Some(row.wrapping_mul(-7_046_029_254_386_353_131)), 10_000, false);
        check(&|row| Some(if row % 2 == 0 { i64::MIN } else { i64::MAX }), 10_000, false);
        // Too few to tell.
        check(&Some, 1_000, false);
        let texts: ArrayRef = Arc::new((0..10_000).map(|row| Some(row.to_string())).collect::<StringArray>());
        assert!(!is_close(&texts).unwrap());
    }

    #[test]
    fn only_columns_of_many_values_have_no_dictionary() {
        let check = |values: &dyn Fn(i64) -> i64, rows: i64, expected: bool| {
            let numbers: Int64Array = (0..rows).map(values).collect();
            let texts: StringArray = (0..rows).map(|row| Some(format!("value {}", values(row)))).collect();
            let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("t", Arc::new(texts))];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            let expected: &[&str] = if expected { &["n", "t"] } else { &[] };
            assert_eq!(outgrown(&batch).unwrap(), expected);
        };
        check(&|row| row, 10_000, true);
        check(&|row| row * 7919 % 1_000_003, 8192, true);
        check(&|row| row * 7919 % 5_003, 8192, false);
        check(&|row| row / 100, 8192, false);
        check(&|_| 1, 8192, false);
        // Too few to tell.
        check(&|row| row, 1_000, false);
    }
}
