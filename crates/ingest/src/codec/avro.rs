//! Avro records, each after the number of the schema it was written with (a zero byte and four bytes, as schema registries
//! have it), into columns.
//!
//! A record is read by its own writer's schema and its fields find their columns by name, so that records of several
//! versions of a schema share a table: what a version lacks is null, what one adds becomes a column. Nothing is resolved
//! against a reader's schema: the table is the reader.

mod bytes;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::codec::column::{Column, Fieldset, Refusal, Values};
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::schemas;
pub use crate::codec::schemas::framed;
use crate::record::RecordBuffer;
use crate::schema::is_reserved;

use bytes::Bytes;
pub use schema::{Schema, Type};

/// Writers' schemas by their number.
pub type Schemas = crate::codec::schemas::Schemas<Schema>;

/// Bytes of the record at the beginning of `bytes`, which may hold more behind it.
pub fn record_length(schema: &Schema, bytes: &[u8]) -> Result<usize, String> {
    let mut notes = Notes::default();
    let mut reader = Reader { bytes: Bytes::new(bytes), unknown_fields: UnknownFields::Note, notes: &mut notes };
    for field in schema.fields.iter() {
        reader.skip(&field.of)?;
    }
    Ok(bytes.len() - reader.bytes.len())
}

/// Columns for the records' schemas, those of later numbers after those of earlier ones.
pub(crate) fn columns(schemas: &Schemas, records: &RecordBuffer) -> SchemaRef {
    let ids: BTreeSet<u32> = records.iter().filter_map(|record| Some(framed(record.payload).ok()?.0)).collect();
    let known = ids.into_iter().filter_map(|id| schemas.get(id).ok());
    schemas::columns(known.map(|schema| {
        let fields = schema.fields.iter().filter(|field| !is_reserved(&field.name));
        fields.filter_map(|field| Some(Field::new(&field.name, field.of.arrow()?, true))).collect()
    }))
}

/// Adds one record as a row.
pub(crate) fn decode(
    record: &[u8],
    schemas: &Schemas,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let (id, body) = framed(record)?;
    let schema = schemas.get(id)?;
    let mut reader = Reader { bytes: Bytes::new(body), unknown_fields, notes };
    reader.record(&schema.fields, columns, 0)?;
    match reader.bytes.len() {
        0 => Ok(()),
        surplus => Err(format!("{surplus} bytes after the record")),
    }
}

struct Reader<'a> {
    bytes: Bytes<'a>,
    unknown_fields: UnknownFields,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    fn record(&mut self, fields: &[schema::Field], columns: &mut Fieldset, depth: usize) -> Result<(), Refusal> {
        let mut expected = 0;
        for field in fields {
            match columns.find(&field.name, expected) {
                Some(index) => {
                    expected = index + 1;
                    let Some(column) = columns.columns.get_mut(index) else { continue };
                    self.value(&field.of, column, depth)?;
                }
                None => self.unknown(field, depth, columns)?,
            }
        }
        columns.finish_row()
    }

    fn unknown(&mut self, field: &schema::Field, depth: usize, columns: &Fieldset) -> Result<(), Refusal> {
        if depth == 0 && is_reserved(&field.name) {
            return Err(format!("field name `{}` is reserved", field.name));
        }
        let said = self.skip(&field.of)?;
        if said && field.of.arrow().is_some() {
            // The bytes of an Avro value are no JSON, which is what could be kept.
            let unknown_fields = match self.unknown_fields {
                UnknownFields::Note => UnknownFields::Note,
                UnknownFields::Refuse | UnknownFields::Keep => UnknownFields::Refuse,
            };
            self.notes.unknown(unknown_fields, &field.name, "", columns)?;
        }
        Ok(())
    }

    fn value(&mut self, of: &Type, column: &mut Column, depth: usize) -> Result<(), Refusal> {
        match of {
            Type::Null => column.push_null(),
            Type::Boolean => column.push_bool(self.bytes.boolean()?),
            Type::Int | Type::Long | Type::Date | Type::Time | Type::TimestampMicros => {
                column.push_integer(self.bytes.long()?)
            }
            Type::TimestampMillis => column.push_integer(self.bytes.long()?.saturating_mul(1_000)),
            Type::TimestampNanos => column.push_integer(self.bytes.long()?.div_euclid(1_000)),
            Type::Float => column.push_float(f64::from(self.bytes.float()?)),
            Type::Double => column.push_float(self.bytes.double()?),
            Type::Bytes => column.push_bytes(self.bytes.bytes()?),
            Type::Fixed(length) => column.push_bytes(self.bytes.take(*length)?),
            Type::Text => column.push_text(self.bytes.text()?),
            Type::Decimal { scale, fixed, .. } => {
                let digits = match fixed {
                    Some(length) => self.bytes.take(*length)?,
                    None => self.bytes.bytes()?,
                };
                column.push_decimal(bytes::signed(digits)?, *scale)
            }
            Type::Enum(symbols) => {
                let index = usize::try_from(self.bytes.long()?).ok();
                let symbol = index.and_then(|index| symbols.get(index));
                column.push_text(symbol.ok_or("an enum has no such symbol")?)
            }
            Type::Record(fields) => {
                self.nested(column, "a record", |reader, members| reader.record(fields, members, depth + 1))
            }
            Type::Array(item) => self.list(column, |reader, items| reader.value(item, items, depth + 1)),
            Type::Map(item) => self.map(item, column, depth),
            Type::Union(branches) => self.union(branches, column, depth),
        }
    }

    fn nested(
        &mut self,
        column: &mut Column,
        found: &str,
        read: impl FnOnce(&mut Self, &mut Fieldset) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match column.values() {
            Values::Struct(members) => read(self, members)?,
            _ => return Err(column.refuse(found)),
        }
        column.mark_present();
        Ok(())
    }

    /// Items come in blocks, each after its number of items; a negative number is followed by the block's size.
    fn list(
        &mut self,
        column: &mut Column,
        mut each: impl FnMut(&mut Self, &mut Column) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match column.values() {
            Values::List { ends, item } => {
                while let Some(items) = self.bytes.block()? {
                    for _ in 0..items {
                        each(self, item)?;
                    }
                }
                ends.push(i32::try_from(item.len()).map_err(|_| "a batch holds too many array items".to_owned())?);
            }
            _ => return Err(column.refuse("an array")),
        }
        column.mark_present();
        Ok(())
    }

    fn map(&mut self, item: &Type, column: &mut Column, depth: usize) -> Result<(), Refusal> {
        self.list(column, |reader, entries| {
            reader.nested(entries, "a map's entry", |reader, entry| {
                let key = reader.bytes.text()?;
                if let Some(column) = entry.find("key", 0).and_then(|index| entry.columns.get_mut(index)) {
                    column.push_text(key)?;
                }
                match entry.find("value", 1).and_then(|index| entry.columns.get_mut(index)) {
                    Some(column) => reader.value(item, column, depth + 1)?,
                    None => reader.skip(item).map(|_| ())?,
                }
                entry.finish_row()
            })
        })
    }

    fn union(&mut self, branches: &[Type], column: &mut Column, depth: usize) -> Result<(), Refusal> {
        let branch = self.branch(branches)?;
        if matches!(branch, Type::Null) {
            return column.push_null();
        }
        if branches.iter().filter(|branch| !matches!(branch, Type::Null)).count() == 1 {
            return self.value(branch, column, depth);
        }
        let name = branch.name();
        self.nested(column, "one of several types", |reader, members| {
            match members.find(&name, 0).and_then(|index| members.columns.get_mut(index)) {
                Some(member) => reader.value(branch, member, depth + 1)?,
                None => return Err(format!("no member `{name}` for this type of a union")),
            }
            members.finish_row()
        })
    }

    fn branch<'t>(&mut self, branches: &'t [Type]) -> Result<&'t Type, Refusal> {
        let index = usize::try_from(self.bytes.long()?).ok();
        index.and_then(|index| branches.get(index)).ok_or_else(|| "a union has no such branch".to_owned())
    }

    /// Passes over a value; whether there was one that is not null.
    fn skip(&mut self, of: &Type) -> Result<bool, Refusal> {
        match of {
            Type::Null => return Ok(false),
            Type::Boolean => self.bytes.boolean().map(|_| ())?,
            Type::Int
            | Type::Long
            | Type::Date
            | Type::Time
            | Type::TimestampMillis
            | Type::TimestampMicros
            | Type::TimestampNanos
            | Type::Enum(_) => self.bytes.long().map(|_| ())?,
            Type::Float => self.bytes.take(4).map(|_| ())?,
            Type::Double => self.bytes.take(8).map(|_| ())?,
            Type::Fixed(length) | Type::Decimal { fixed: Some(length), .. } => self.bytes.take(*length).map(|_| ())?,
            Type::Bytes | Type::Text | Type::Decimal { fixed: None, .. } => self.bytes.bytes().map(|_| ())?,
            Type::Record(fields) => {
                for field in fields.iter() {
                    self.skip(&field.of)?;
                }
            }
            Type::Array(item) => {
                while let Some(items) = self.bytes.block()? {
                    for _ in 0..items {
                        self.skip(item)?;
                    }
                }
            }
            Type::Map(item) => {
                while let Some(items) = self.bytes.block()? {
                    for _ in 0..items {
                        self.bytes.bytes()?;
                        self.skip(item)?;
                    }
                }
            }
            Type::Union(branches) => {
                let branch = self.branch(branches)?;
                return self.skip(branch);
            }
        }
        Ok(true)
    }
}

/// The type of a map's entries.
fn entry(value: DataType) -> DataType {
    DataType::Struct(vec![Field::new("key", DataType::Utf8, true), Field::new("value", value, true)].into())
}
