//! Rows by the folder they belong into, named by values of theirs: `day=2024-05-01/country=NO`.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use headwater_ingest::error::Result;
use headwater_project::Failure;

/// The folder of rows that have no value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Which columns name folders, and which stay in the files.
pub(super) struct Partitioning {
    named: Vec<(String, usize)>,
    kept: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Partitioning {
    pub(super) fn new(schema: &SchemaRef, columns: &[String]) -> Result<Self> {
        let mut named = Vec::with_capacity(columns.len());
        for name in columns {
            let index = schema.index_of(name).map_err(|_| {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                Failure::user(format!("there is no column `{name}` to name folders by"))
                    .with_hint(format!("The columns are {}.", names.join(", ")))
            })?;
            if schema.field(index).data_type().is_nested() {
                return Err(Failure::user(format!("column `{name}` has parts and can name no folder")).into());
            }
            named.push((name.clone(), index));
        }
        let kept: Vec<usize> =
            (0..schema.fields().len()).filter(|index| !named.iter().any(|(_, taken)| taken == index)).collect();
        if kept.is_empty() {
            return Err(Failure::user("all columns name folders, and none is left for the files").into());
        }
        let schema = SchemaRef::new(schema.project(&kept)?);
        Ok(Self { named, kept, schema })
    }

    /// Rows by folder, in the order in which they came; the folder is empty without partition columns.
    pub(super) fn split(&self, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        let kept = rows.project(&self.kept)?;
        if self.named.is_empty() {
            return Ok(vec![(String::new(), kept)]);
        }
        let mut texts: Vec<(&str, StringArray)> = Vec::with_capacity(self.named.len());
        for (name, index) in &self.named {
            texts.push((name, cast(rows.column(*index), &DataType::Utf8)?.as_string::<i32>().clone()));
        }
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<(String, Vec<u32>)> = Vec::new();
        for row in 0..rows.num_rows() {
            let folder = folder(&texts, row);
            let next = groups.len();
            let place = *places.entry(folder).or_insert_with_key(|folder| {
                groups.push((folder.clone(), Vec::new()));
                next
            });
            if let Some((_, members)) = groups.get_mut(place) {
                members.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        let taken = |(folder, members): (String, Vec<u32>)| {
            Ok((folder, take_record_batch(&kept, &UInt32Array::from(members))?))
        };
        groups.into_iter().map(taken).collect()
    }
}

fn folder(texts: &[(&str, StringArray)], row: usize) -> String {
    let part = |(name, values): &(&str, StringArray)| {
        let value = if values.is_valid(row) { values.value(row) } else { NO_VALUE };
        // A name without letters would be read as no value at all.
        let value = if value.is_empty() { NO_VALUE } else { value };
        format!("{}={}", escaped(name), escaped(value))
    };
    texts.iter().map(part).collect::<Vec<_>>().join("/")
}

/// Bytes that mean something in a path or a pattern, as `%2F`.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ' ' | '+' | ',' | '@') {
            escaped.push(letter);
        } else {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| escaped.push_str(&format!("%{byte:02X}")));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;

    #[test]
    fn names_of_folders_cannot_leave_their_place() {
        for (text, expected) in
            [("2024-05-01", "2024-05-01"), ("../a", "..%2Fa"), ("a=b:c%", "a%3Db%3Ac%25"), ("Ærø\n", "Ærø%0A")]
        {
            assert_eq!(escaped(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_go_into_the_folder_of_their_values() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("a"), Some("")])),
            Arc::new(Date32Array::from(vec![0, 0, 0, 1])),
        ];
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("word", DataType::Utf8, true),
            Field::new("day", DataType::Date32, true),
        ]));
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let partitioning = Partitioning::new(&schema, &[String::from("day"), String::from("word")]).unwrap();
        let split = partitioning.split(&rows).unwrap();
        let found: Vec<(&str, &[i64])> = split
            .iter()
            .map(|(folder, rows)| (folder.as_str(), &**rows.column(0).as_primitive::<Int64Type>().values()))
            .collect();
        let none = "day=1970-01-01/word=__HIVE_DEFAULT_PARTITION__";
        let empty = "day=1970-01-02/word=__HIVE_DEFAULT_PARTITION__";
        assert_eq!(found, [("day=1970-01-01/word=a", &[1, 3][..]), (none, &[2]), (empty, &[4])]);
        assert_eq!(partitioning.schema.fields().len(), 1);
        assert!(Partitioning::new(&schema, &[String::from("none")]).is_err());
    }
}
