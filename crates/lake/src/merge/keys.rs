//! The keys of one merge: which rows they are of, and which files may hold them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
// Every row of a file is looked up: the hash of the standard library's map would be the dearest part of it.
use datafusion::common::HashMap;
use serde_json::Value;

use super::{KeyedRows, key_schema};
use crate::error::Result;
use crate::file::DataFile;
use crate::schema::to_storable;

/// Where a key of the merge comes from; both, when a key that went came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyOf {
    pub(super) row: Option<usize>,
    pub(super) removed: Option<usize>,
}

pub(super) struct KeySet {
    schema: SchemaRef,
    columns: Vec<String>,
    converter: RowConverter,
    keys: HashMap<Box<[u8]>, KeyOf>,
    bounds: Bounds,
}

impl KeySet {
    pub(super) fn new(table: &Schema, changes: &KeyedRows) -> Result<Self> {
        let schema = key_schema(table, &changes.key)?;
        let sort = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(sort.collect())?;
        let columns = changes.key.to_vec();
        let mut set = Self { schema, columns, converter, keys: HashMap::new(), bounds: Bounds::default() };
        set.add(&changes.removed, |key, index| key.removed = Some(index))?;
        set.add(&changes.rows, |key, index| key.row = Some(index))?;
        set.bounds.sort();
        Ok(set)
    }

    fn add(&mut self, batch: &RecordBatch, note: fn(&mut KeyOf, usize)) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = to_storable(batch, &self.schema)?;
        self.bounds.add(batch.column(0));
        let rows = self.converter.convert_columns(batch.columns())?;
        self.keys.reserve(batch.num_rows());
        for (index, row) in rows.iter().enumerate() {
            note(self.keys.entry(row.as_ref().into()).or_default(), index);
        }
        Ok(())
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// For each row of a batch the key of the merge it has, if it has one.
    pub(super) fn find(&self, batch: &RecordBatch) -> Result<Vec<Option<KeyOf>>> {
        let batch = to_storable(batch, &self.schema)?;
        let rows = self.converter.convert_columns(batch.columns())?;
        Ok(rows.iter().map(|row| self.keys.get(row.as_ref()).copied()).collect())
    }

    /// By the file's statistics of the key's first column.
    pub(super) fn may_be_in(&self, file: &DataFile) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let Some(name) = self.columns.first() else { return true };
        let stats = file.stats.as_deref().and_then(|stats| serde_json::from_str::<Value>(stats).ok());
        let bound = |kind: &str| stats.as_ref()?.get(kind)?.get(name).cloned();
        match (bound("minValues"), bound("maxValues")) {
            (Some(least), Some(greatest)) => self.bounds.overlap(&least, &greatest),
            _ => true,
        }
    }
}

/// Values of the key's first column, sorted, for types whose statistics are exact.
#[derive(Default)]
struct Bounds {
    numbers: Vec<i64>,
    texts: Vec<String>,
    unknown: bool,
}

impl Bounds {
    fn add(&mut self, values: &ArrayRef) {
        if values.null_count() > 0 {
            self.unknown = true;
        }
        match values.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                match arrow::compute::cast(values, &DataType::Int64) {
                    Ok(values) => self.numbers.extend(values.as_primitive::<Int64Type>().iter().flatten()),
                    Err(_) => self.unknown = true,
                }
            }
            DataType::Utf8 => self.texts.extend(values.as_string::<i32>().iter().flatten().map(str::to_owned)),
            _ => self.unknown = true,
        }
    }

    fn sort(&mut self) {
        self.numbers.sort_unstable();
        self.texts.sort_unstable();
    }

    /// Whether a value lies between the bounds, these included.
    fn overlap(&self, least: &Value, greatest: &Value) -> bool {
        if self.unknown {
            return true;
        }
        if let (Some(least), Some(greatest)) = (least.as_i64(), greatest.as_i64()) {
            let first = self.numbers.partition_point(|value| *value < least);
            return self.numbers.get(first).is_some_and(|value| *value <= greatest);
        }
        if let (Some(least), Some(greatest)) = (least.as_str(), greatest.as_str()) {
            let first = self.texts.partition_point(|value| value.as_str() < least);
            return self.texts.get(first).is_some_and(|value| value.as_str() <= greatest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_a_candidate_when_a_key_lies_within_its_bounds() {
        let bounds = Bounds { numbers: vec![5, 10], texts: vec![String::from("b")], unknown: false };
        for (least, greatest, expected) in [(0, 4, false), (0, 5, true), (6, 9, false), (6, 10, true), (11, 20, false)]
        {
            assert_eq!(bounds.overlap(&json!(least), &json!(greatest)), expected, "{least} to {greatest}");
        }
        assert!(bounds.overlap(&json!("a"), &json!("c")));
        assert!(!bounds.overlap(&json!("c"), &json!("d")));
        assert!(bounds.overlap(&json!(1.5), &json!(1.6)));
        assert!(Bounds { unknown: true, ..Bounds::default() }.overlap(&json!(1), &json!(2)));
    }
}
