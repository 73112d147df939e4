//! Rows counted and summed up, part by part, so that two sides can be compared without keeping either.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use headwater_ingest::schema::{LINE_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, SOURCE_FILE_COLUMN, TOPIC_COLUMN};
use headwater_ingest::sink::{Origin, Rejected};
use headwater_lake::to_storable;
use headwater_project::{Classify, Failure};

/// A part of a source whose records have places: a partition, a file, or all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    #[default]
    Whole,
    Partition(i32),
    TopicPartition(String, i32),
    File(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => formatter.write_str("all"),
            Self::Partition(partition) => write!(formatter, "partition {partition}"),
            Self::TopicPartition(topic, partition) => write!(formatter, "{topic} partition {partition}"),
            Self::File(path) => formatter.write_str(path),
        }
    }
}

/// What is known of a part's rows: equal rows, in whatever order, give equal sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    /// Sum of the hashes of the rows, over their values in the types of the table.
    pub(crate) hashes: u64,
    pub(crate) quarantined: u64,
    /// Least place met.
    pub(crate) first: Option<i64>,
}

/// Which places count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// Sums of rows that have the columns of one table.
pub(crate) struct Tally {
    schema: SchemaRef,
    converter: RowConverter,
    parts: BTreeMap<Part, Sum>,
    /// Parts that are not named count whole.
    bounds: BTreeMap<Part, Bounds>,
    /// For rows that replace each other: what stands under the hash of each key. The only part that grows with the rows.
    keyed: BTreeMap<u64, (Part, u64)>,
}

impl Tally {
    /// `schema` is the table's, without what it adds to rows by itself.
    pub(crate) fn new(schema: SchemaRef, bounds: BTreeMap<Part, Bounds>) -> Result<Self, Failure> {
        let sort = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(sort.collect()).map_err(internal)?;
        Ok(Self { schema, converter, parts: BTreeMap::new(), bounds, keyed: BTreeMap::new() })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn parts(mut self) -> BTreeMap<Part, Sum> {
        for (part, hash) in std::mem::take(&mut self.keyed).into_values() {
            let sum = self.parts.entry(part).or_default();
            sum.rows += 1;
            sum.hashes = sum.hashes.wrapping_add(hash);
        }
        self.parts
    }

    /// Nothing of what was added counts.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.keyed.clear();
    }

    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        let hashes = self.hashes(rows)?;
        let places = Places::of(rows);
        let (mut part, mut sum) = (places.part(0), Sum::default());
        for (row, hash) in hashes.into_iter().enumerate() {
            if !places.is_of(&part, row) {
                self.note(std::mem::replace(&mut part, places.part(row)), std::mem::take(&mut sum));
            }
            let place = places.place(row);
            if self.counts(&part, place) {
                sum.rows += 1;
                sum.hashes = sum.hashes.wrapping_add(hash);
            }
            sum.first = least(sum.first, place);
        }
        self.note(part, sum);
        Ok(())
    }

    /// Rows that replace those of their key, and keys whose rows go.
    pub(crate) fn merge(&mut self, key: &[String], rows: &RecordBatch, removed: &RecordBatch) -> Result<(), Failure> {
        for gone in key_hashes(key, removed)? {
            self.keyed.remove(&gone);
        }
        for (row, (key, hash)) in key_hashes(key, rows)?.into_iter().zip(self.hashes(rows)?).enumerate() {
            let part = Places::of(rows).part(row);
            self.keyed.insert(key, (if matches!(part, Part::File(_)) { part } else { Part::Whole }, hash));
        }
        Ok(())
    }

    pub(crate) fn reject(&mut self, records: &[Rejected]) {
        for record in records {
            let part = match &record.origin {
                Origin::Log { topic, partition } => self.partition_of(topic, *partition),
                Origin::File { path } => Part::File(path.to_string()),
            };
            self.quarantine(part, record.offset);
        }
    }

    pub(crate) fn quarantine(&mut self, part: Part, place: i64) {
        let counts = self.counts(&part, Some(place));
        let sum = self.parts.entry(part).or_default();
        sum.quarantined += u64::from(counts);
        sum.first = least(sum.first, Some(place));
    }

    /// How rows of this partition are told in this table: by the topic only where there are several.
    pub(crate) fn partition_of(&self, topic: &str, partition: i32) -> Part {
        match self.schema.column_with_name(TOPIC_COLUMN) {
            Some(_) => Part::TopicPartition(topic.to_owned(), partition),
            None => Part::Partition(partition),
        }
    }

    fn counts(&self, part: &Part, place: Option<i64>) -> bool {
        match (self.bounds.get(part), place) {
            (Some(bounds), Some(place)) => (bounds.first..=bounds.last).contains(&place),
            _ => true,
        }
    }

    fn note(&mut self, part: Part, more: Sum) {
        if more == Sum::default() {
            return;
        }
        let sum = self.parts.entry(part).or_default();
        sum.rows += more.rows;
        sum.hashes = sum.hashes.wrapping_add(more.hashes);
        sum.first = least(sum.first, more.first);
    }

    fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u64>, Failure> {
        let stored = to_storable(rows, &self.schema).map_err(|error| error.failure())?;
        let rows = self.converter.convert_columns(stored.columns()).map_err(internal)?;
        Ok(rows.iter().map(|row| hash(row.as_ref())).collect())
    }
}

fn least(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn key_hashes(key: &[String], rows: &RecordBatch) -> Result<Vec<u64>, Failure> {
    let columns = key.iter().filter_map(|name| rows.column_by_name(name)).cloned().collect::<Vec<_>>();
    let sort = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(sort.collect()).map_err(internal)?;
    Ok(converter.convert_columns(&columns).map_err(internal)?.iter().map(|row| hash(row.as_ref())).collect())
}

/// The same for the same bytes within a process, which is where sides are compared.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn internal(error: arrow::error::ArrowError) -> Failure {
    Failure::internal(error.to_string())
}

/// Where the rows of a batch came from.
enum Places {
    Nowhere,
    Partitions { topics: Option<arrow::array::StringArray>, partitions: Vec<i32>, offsets: Vec<i64> },
    Files { paths: arrow::array::StringArray, lines: Vec<i64> },
}

impl Places {
    fn of(rows: &RecordBatch) -> Self {
        let text = |name: &str| {
            let column = arrow::compute::cast(rows.column_by_name(name)?, &DataType::Utf8).ok()?;
            Some(column.as_string::<i32>().clone())
        };
        let numbers = |name: &str| Some(rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.values().to_vec());
        if let (Some(paths), Some(lines)) = (text(SOURCE_FILE_COLUMN), numbers(LINE_COLUMN)) {
            return Self::Files { paths, lines };
        }
        let partitions =
            rows.column_by_name(PARTITION_COLUMN).and_then(|column| column.as_primitive_opt::<Int32Type>());
        match (partitions, numbers(OFFSET_COLUMN)) {
            (Some(partitions), Some(offsets)) => {
                Self::Partitions { topics: text(TOPIC_COLUMN), partitions: partitions.values().to_vec(), offsets }
            }
            _ => Self::Nowhere,
        }
    }

    fn part(&self, row: usize) -> Part {
        match self {
            Self::Files { paths, .. } if row < paths.len() => Part::File(paths.value(row).to_owned()),
            Self::Partitions { topics, partitions, .. } => match (partitions.get(row), topics) {
                (Some(partition), Some(topics)) => Part::TopicPartition(topics.value(row).to_owned(), *partition),
                (Some(partition), None) => Part::Partition(*partition),
                (None, _) => Part::Whole,
            },
            Self::Nowhere | Self::Files { .. } => Part::Whole,
        }
    }

    /// Without making a part for each row.
    fn is_of(&self, part: &Part, row: usize) -> bool {
        match (self, part) {
            (Self::Files { paths, .. }, Part::File(path)) => paths.value(row) == path,
            (Self::Partitions { partitions, .. }, Part::Partition(partition)) => partitions.get(row) == Some(partition),
            (Self::Partitions { topics: Some(topics), partitions, .. }, Part::TopicPartition(topic, partition)) => {
                partitions.get(row) == Some(partition) && topics.value(row) == topic
            }
            (Self::Nowhere, Part::Whole) => true,
            _ => false,
        }
    }

    fn place(&self, row: usize) -> Option<i64> {
        match self {
            Self::Nowhere => None,
            Self::Partitions { offsets, .. } => offsets.get(row).copied(),
            Self::Files { lines, .. } => lines.get(row).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn rows(records: &[(i32, i64, &str)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new(PARTITION_COLUMN, DataType::Int32, true),
            Field::new(OFFSET_COLUMN, DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(records.iter().map(|record| record.0))),
            Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.1))),
            Arc::new(StringArray::from_iter_values(records.iter().map(|record| record.2))),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn tally(batches: &[&[(i32, i64, &str)]], bounds: &[(i32, i64, i64)]) -> BTreeMap<Part, Sum> {
        let bounds =
            bounds.iter().map(|(part, first, last)| (Part::Partition(*part), Bounds { first: *first, last: *last }));
        let mut tally = Tally::new(rows(&[]).schema(), bounds.collect()).unwrap();
        batches.iter().for_each(|batch| tally.add(&rows(batch)).unwrap());
        tally.parts()
    }

    #[test]
    fn sums_do_not_depend_on_order_or_batches_and_tell_any_other_difference() {
        let one = tally(&[&[(0, 1, "a"), (1, 1, "b"), (0, 2, "c")]], &[]);
        assert_eq!(one, tally(&[&[(0, 2, "c")], &[(0, 1, "a"), (1, 1, "b")]], &[]));
        assert_ne!(one, tally(&[&[(0, 1, "a"), (1, 1, "b"), (0, 2, "d")]], &[]));
        assert_ne!(one, tally(&[&[(0, 1, "a"), (1, 1, "b"), (0, 2, "c"), (0, 2, "c")]], &[]));
        assert_eq!(one[&Part::Partition(0)].rows, 2);
    }

    #[test]
    fn what_lies_outside_the_bounds_does_not_count() {
        let all: &[(i32, i64, &str)] = &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (1, 9, "d")];
        let within = tally(&[all], &[(0, 2, 2)]);
        let alone = tally(&[&[(0, 2, "b"), (1, 9, "d")]], &[]);
        let sums = |parts: &BTreeMap<Part, Sum>| parts.values().map(|sum| (sum.rows, sum.hashes)).collect::<Vec<_>>();
        assert_eq!(sums(&within), sums(&alone));
        assert_eq!(within[&Part::Partition(0)].first, Some(1));
    }

    #[test]
    fn of_rows_with_a_key_the_last_one_stands() {
        let mut tally = Tally::new(rows(&[]).schema(), BTreeMap::new()).unwrap();
        let key = [String::from("name")];
        let none = rows(&[]);
        tally.merge(&key, &rows(&[(0, 1, "a"), (0, 2, "b")]), &none).unwrap();
        tally.merge(&key, &rows(&[(0, 3, "a")]), &rows(&[(0, 0, "b")])).unwrap();
        let parts = tally.parts();
        assert_eq!(parts.values().map(|sum| sum.rows).collect::<Vec<_>>(), [1]);
    }
}
