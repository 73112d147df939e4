//! A schema from a sample of records.
//!
//! A field gets the type most of its values have (integers with fractions among them are floats), and the records that
//! disagree are refused later, each with its reason. A field that is null, `[]` or `{}` throughout gets no column until it
//! says more. All columns may be null: a sample proves nothing about what comes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use crate::codec::{
    BYTES_COLUMN, Codec, Delimiters, LinePattern, TEXT_COLUMN, avro, cells, column, delimited, protobuf,
};
use crate::limits::{INFERENCE_SAMPLE_RECORDS, MAX_COLUMN_DEPTH, MAX_COLUMNS};
use crate::record::RecordBuffer;
use crate::schema::is_reserved;

/// The shape of the records, without columns for their provenance. Looks at a bounded number of them.
pub fn infer(codec: &Codec, header: &[String], records: &RecordBuffer) -> SchemaRef {
    let sample = records.iter().take(INFERENCE_SAMPLE_RECORDS).map(|record| record.payload);
    let mut seen = Fields::default();
    let mut budget = MAX_COLUMNS;
    match codec {
        Codec::Text => return Arc::new(Schema::new(vec![Field::new(TEXT_COLUMN, DataType::Utf8, true)])),
        Codec::Bytes => return Arc::new(Schema::new(vec![Field::new(BYTES_COLUMN, DataType::Binary, true)])),
        Codec::Avro(schemas) => return avro::columns(schemas, records),
        Codec::Protobuf(schemas) => return protobuf::columns(schemas, records),
        Codec::Json => {
            for payload in sample {
                let payload = payload.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(payload);
                if let Ok(Value::Object(object)) = serde_json::from_slice(payload) {
                    seen.note(&object, &mut budget);
                }
            }
        }
        Codec::Delimited(marks) => seen.note_rows(header, sample, *marks, &mut budget),
        Codec::Detected(dialect) => seen.note_rows(header, sample, dialect.get(), &mut budget),
        Codec::Pattern(pattern) => return groups(pattern, sample, budget),
        Codec::Cells => {
            let fields = cells::columns(header, records, INFERENCE_SAMPLE_RECORDS).into_iter().take(budget);
            return Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
    }
    let fields = seen.fields(0).into_iter().filter(|field| !is_reserved(field.name()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Columns for the groups of a pattern, in their order: those that have a type, and those whose values suggest one.
fn groups<'a>(pattern: &'a LinePattern, lines: impl Iterator<Item = &'a [u8]>, mut budget: usize) -> SchemaRef {
    let mut typed: HashMap<&str, DataType> = HashMap::new();
    let mut seen = Fields::default();
    pattern.note(
        lines,
        |name, of| drop(typed.insert(name, of)),
        |name, value| seen.entry(name, &mut budget).into_iter().for_each(|seen| seen.note_text(value, false)),
    );
    let suggested = |name: &str| seen.by_name.get(name).and_then(|index| seen.seen.get(*index))?.data_type(0);
    let field = |name: &str| Some(Field::new(name, typed.get(name).cloned().or_else(|| suggested(name))?, true));
    Arc::new(Schema::new(pattern.group_names().filter_map(field).collect::<Vec<_>>()))
}

#[derive(Debug, Default)]
struct Fields {
    names: Vec<String>,
    seen: Vec<Seen>,
    by_name: HashMap<String, usize>,
}

/// How often a field was of each kind.
#[derive(Debug, Default)]
struct Seen {
    booleans: u64,
    integers: u64,
    floats: u64,
    texts: u64,
    /// Delimited values with a leading zero, which a number would lose.
    codes: u64,
    objects: u64,
    lists: u64,
    fields: Fields,
    item: Option<Box<Seen>>,
}

impl Fields {
    fn entry(&mut self, name: &str, budget: &mut usize) -> Option<&mut Seen> {
        if let Some(index) = self.by_name.get(name) {
            return self.seen.get_mut(*index);
        }
        *budget = budget.checked_sub(1)?;
        self.by_name.insert(name.to_owned(), self.names.len());
        self.names.push(name.to_owned());
        self.seen.push(Seen::default());
        self.seen.last_mut()
    }

    fn note(&mut self, object: &serde_json::Map<String, Value>, budget: &mut usize) {
        for (name, value) in object {
            // A field that never says anything must not use up a column.
            if !value.is_null()
                && let Some(seen) = self.entry(name, budget)
            {
                seen.note(value, budget);
            }
        }
    }

    fn note_rows<'a>(
        &mut self,
        header: &[String],
        rows: impl Iterator<Item = &'a [u8]>,
        marks: Delimiters,
        budget: &mut usize,
    ) {
        for row in rows.filter_map(|payload| std::str::from_utf8(payload).ok()) {
            let Ok(fields) = delimited::fields(row, marks).collect::<Result<Vec<_>, _>>() else { continue };
            for (name, field) in header.iter().zip(&fields).filter(|_| fields.len() == header.len()) {
                self.entry(name, budget).into_iter().for_each(|seen| seen.note_text(&field.text, field.quoted));
            }
        }
    }

    fn fields(&self, depth: usize) -> Vec<Field> {
        let typed = self.names.iter().zip(&self.seen);
        typed.filter_map(|(name, seen)| Some(Field::new(name, seen.data_type(depth)?, true))).collect()
    }
}

impl Seen {
    fn note(&mut self, value: &Value, budget: &mut usize) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.booleans += 1,
            Value::Number(number) if number.is_i64() => self.integers += 1,
            Value::Number(_) => self.floats += 1,
            Value::String(_) => self.texts += 1,
            Value::Array(items) => {
                self.lists += 1;
                let item = self.item.get_or_insert_default();
                items.iter().for_each(|value| item.note(value, budget));
            }
            Value::Object(object) => {
                self.objects += 1;
                self.fields.note(object, budget);
            }
        }
    }

    /// Delimited text has no types of its own, and text is never wrong: one code makes the whole column text.
    fn note_text(&mut self, text: &str, quoted: bool) {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let code = delimited::is_code(text);
        self.codes += u64::from(code);
        let numeric = digits.starts_with(|first: char| first.is_ascii_digit()) && !code;
        if text.is_empty() && !quoted {
        } else if numeric && column::integer(text).is_some() && !text.contains(['.', 'e', 'E']) {
            self.integers += 1;
        } else if numeric && text.parse::<f64>().is_ok_and(f64::is_finite) {
            self.floats += 1;
        } else if matches!(text, "true" | "false" | "True" | "False" | "TRUE" | "FALSE") {
            self.booleans += 1;
        } else {
            self.texts += 1;
        }
    }

    fn data_type(&self, depth: usize) -> Option<DataType> {
        let numbers = self.integers + self.floats;
        let most =
            [self.booleans, numbers, self.texts, self.objects, self.lists].into_iter().max().filter(|n| *n > 0)?;
        if self.texts == most || self.codes > 0 {
            return Some(DataType::Utf8);
        }
        if numbers == most {
            return Some(if self.floats > 0 { DataType::Float64 } else { DataType::Int64 });
        }
        if self.booleans == most {
            return Some(DataType::Boolean);
        }
        if depth >= MAX_COLUMN_DEPTH {
            return Some(DataType::Utf8);
        }
        if self.objects == most {
            let fields = self.fields.fields(depth + 1);
            return (!fields.is_empty()).then(|| DataType::Struct(fields.into()));
        }
        let item = self.item.as_ref()?.data_type(depth + 1)?;
        Some(DataType::List(Arc::new(Field::new("element", item, true))))
    }
}
