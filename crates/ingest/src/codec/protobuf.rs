//! Protobuf records, each after the number of the schema it was written with and the place of its message there, into columns.
//!
//! The schema says names and types; the bytes are read here, straight into the columns. As with Avro, a record is read by
//! its own writer's schema and its fields find their columns by name. Protobuf lets fields come in any order and more than
//! once (of scalars the last counts, messages are merged, lists grow), so the places of a message's fields are noted first
//! and then taken column by column. What bytes claim is held against what is there: a message that does not add up is refused
//! whole. Fields that the schema does not have are passed over.

mod builtin;
mod scalar;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod wire;

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::datatypes::SchemaRef;

use crate::codec::column::{Column, Fieldset, Refusal, Values};
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::schemas::{self, framed};
use crate::record::RecordBuffer;
use crate::schema::is_reserved;

use scalar::{Scalar, cell};
pub use schema::Schema;
use schema::{Absent, Field, Message, Type, symbol};
use wire::{Raw, Wire, last_of};

/// Writers' schemas by their number.
pub type Schemas = crate::codec::schemas::Schemas<Schema>;

/// Most messages inside each other whose place a record may name.
const MAX_PATH: usize = 16;

/// Most values that one record unfolds to in lists: two bytes of a list can be an item of a thousand columns.
const MAX_LIST_VALUES: usize = 4 << 20;

/// The place of a message in its file.
#[derive(Clone, Copy)]
struct Path {
    places: [u32; MAX_PATH],
    length: usize,
}

impl Path {
    /// A list of places, or a zero in the place of its length for the first message; and the bytes behind.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        let mut wire = Wire::new(bytes);
        let length = wire.signed_varint()?;
        let mut path = Self { places: [0; MAX_PATH], length: 1 };
        if length != 0 {
            path.length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= MAX_PATH)
                .ok_or_else(|| format!("record says that its message is inside of {length} others"))?;
        }
        for place in path.places.iter_mut().take(usize::try_from(length).unwrap_or(0)) {
            let found = wire.signed_varint()?;
            *place = u32::try_from(found).map_err(|_| format!("record names message {found} of its schema"))?;
        }
        Ok((path, wire.rest()))
    }

    fn places(&self) -> &[u32] {
        self.places.get(..self.length).unwrap_or_default()
    }
}

/// Columns for the records' schemas, those of later numbers after those of earlier ones.
pub(crate) fn columns(schemas: &Schemas, records: &RecordBuffer) -> SchemaRef {
    let mut seen: BTreeSet<(u32, Vec<u32>)> = BTreeSet::new();
    let mut last: Option<(u32, Path)> = None;
    for record in records.iter() {
        let Ok((id, rest)) = framed(record.payload) else { continue };
        let Ok((path, _)) = Path::read(rest) else { continue };
        if last.is_none_or(|(before, other)| before != id || other.places() != path.places()) {
            seen.insert((id, path.places().to_vec()));
            last = Some((id, path));
        }
    }
    let known = seen.iter().filter_map(|(id, path)| schemas.get(*id).ok()?.message(path).ok());
    schemas::columns(
        known.map(|message| {
            message.fields.iter().filter(|field| !is_reserved(&field.name)).map(Field::column).collect()
        }),
    )
}

/// Adds one record as a row.
pub(crate) fn decode(
    record: &[u8],
    schemas: &Schemas,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let (id, rest) = framed(record)?;
    let schema = schemas.get(id)?;
    let (path, body) = Path::read(rest)?;
    let message = schema.message(path.places())?;
    let entries = Vec::with_capacity(message.fields.len());
    let mut reader = Reader { entries, unknown_fields, notes, list_values: 0 };
    reader.message(&message, body, columns, 0)
}

/// A value, and the place of its field in its message.
struct Entry<'a> {
    field: usize,
    value: Raw<'a>,
}

struct Reader<'a, 'n> {
    /// Of the messages that are being read, the innermost last.
    entries: Vec<Entry<'a>>,
    unknown_fields: UnknownFields,
    notes: &'n mut Notes,
    list_values: usize,
}

impl<'a> Reader<'a, '_> {
    fn message(
        &mut self,
        message: &Message,
        bytes: &'a [u8],
        columns: &mut Fieldset,
        depth: usize,
    ) -> Result<(), Refusal> {
        let first = self.entries.len();
        self.note(message, bytes)?;
        let (mut at, mut expected) = (first, 0);
        for (index, field) in message.fields.iter().enumerate() {
            let from = at;
            while self.entries.get(at).is_some_and(|entry| entry.field == index) {
                at += 1;
            }
            match columns.find(&field.name, expected) {
                Some(place) => {
                    expected = place + 1;
                    let Some(column) = columns.columns.get_mut(place) else { continue };
                    self.field(field, from..at, column, depth)?;
                }
                None => self.unknown(field, at > from, depth, columns)?,
            }
        }
        self.entries.truncate(first);
        columns.finish_row()
    }

    /// Notes where the values of a message are, field by field.
    fn note(&mut self, message: &Message, bytes: &'a [u8]) -> Result<(), Refusal> {
        let first = self.entries.len();
        let (mut wire, mut last, mut ordered) = (Wire::new(bytes), 0, true);
        while let Some((number, value)) = wire.field()? {
            let expected = if self.entries.len() > first { last + 1 } else { 0 };
            let Some(field) = message.find(number, expected) else { continue };
            ordered &= field >= last;
            last = field;
            self.entries.push(Entry { field, value });
        }
        if !ordered && let Some(entries) = self.entries.get_mut(first..) {
            entries.sort_by_key(|entry| entry.field);
        }
        Ok(())
    }

    /// A field without a column. What says nothing needs none: but a zero that the schema implies is a value.
    fn unknown(&mut self, field: &Field, is_there: bool, depth: usize, columns: &Fieldset) -> Result<(), Refusal> {
        if depth == 0 && is_reserved(&field.name) {
            return Err(format!("field name `{}` is reserved", field.name));
        }
        match self.unknown_fields {
            UnknownFields::Note if is_there || matches!(field.absent, Absent::Value(_)) => {
                self.notes.unknown(UnknownFields::Note, &field.name, "", columns)
            }
            // The bytes of a message are no JSON, which is what could be kept.
            UnknownFields::Refuse | UnknownFields::Keep if is_there => {
                self.notes.unknown(UnknownFields::Refuse, &field.name, "", columns)
            }
            UnknownFields::Note | UnknownFields::Refuse | UnknownFields::Keep => Ok(()),
        }
    }

    fn field(
        &mut self,
        field: &Field,
        entries: Range<usize>,
        column: &mut Column,
        depth: usize,
    ) -> Result<(), Refusal> {
        if field.repeated {
            return self.list(field, entries, column, depth);
        }
        let count = entries.len();
        let Some(last) = entries.clone().next_back().and_then(|place| self.entries.get(place)).map(|entry| entry.value)
        else {
            return match &field.absent {
                Absent::Null => column.push_null(),
                Absent::Value(value) => match cell(value) {
                    Some(cell) => cell.push(column),
                    None => column.push_null(),
                },
                Absent::Refused => Err(format!("field `{}` is required and not there", field.name)),
            };
        };
        if count > 1 && field.of.is_message() {
            let merged = self.merged(entries);
            let entries = Vec::new();
            let (unknown_fields, list_values) = (self.unknown_fields, self.list_values);
            let mut reader = Reader { entries, unknown_fields, notes: &mut *self.notes, list_values };
            reader.value(&field.of, Raw::Bytes(&merged), column, depth)?;
            self.list_values = reader.list_values;
            return Ok(());
        }
        self.value(&field.of, last, column, depth)
    }

    /// Several messages in one place are the one whose bytes are theirs in a row.
    fn merged(&self, entries: Range<usize>) -> Vec<u8> {
        let mut merged = Vec::new();
        for entry in self.entries.get(entries).unwrap_or_default() {
            if let Raw::Bytes(bytes) = entry.value {
                merged.extend_from_slice(bytes);
            }
        }
        merged
    }

    fn list(&mut self, field: &Field, entries: Range<usize>, column: &mut Column, depth: usize) -> Result<(), Refusal> {
        let Values::List { ends, item } = column.values() else { return Err(column.refuse("a list")) };
        for place in entries {
            let Some(value) = self.entries.get(place).map(|entry| entry.value) else { continue };
            let packed = match &field.of {
                Type::Scalar(scalar) if scalar.is_packed() => Some(*scalar),
                Type::Enum(_) => Some(Scalar::Int32),
                _ => None,
            };
            if let (Some(scalar), Raw::Bytes(bytes)) = (packed, value) {
                let mut wire = Wire::new(bytes);
                while !wire.is_empty() {
                    self.item(field)?;
                    self.value(&field.of, scalar.next(&mut wire)?, item, depth)?;
                }
            } else {
                self.item(field)?;
                self.value(&field.of, value, item, depth)?;
            }
        }
        ends.push(i32::try_from(item.len()).map_err(|_| "a batch holds too many list items".to_owned())?);
        column.mark_present();
        Ok(())
    }

    fn item(&mut self, field: &Field) -> Result<(), Refusal> {
        self.list_values += field.width;
        if self.list_values > MAX_LIST_VALUES {
            return Err(format!("the lists of the record unfold to more than {MAX_LIST_VALUES} values"));
        }
        Ok(())
    }

    fn value(&mut self, of: &Type, raw: Raw<'a>, column: &mut Column, depth: usize) -> Result<(), Refusal> {
        match (of, raw) {
            (Type::Scalar(scalar), raw) => match scalar.read(raw)? {
                Some(cell) => cell.push(column),
                None => Err(column.refuse(raw.name())),
            },
            #[expect(clippy::cast_possible_truncation, reason = "an enum is the lower half of its varint")]
            (Type::Enum(names), Raw::Varint(value)) => {
                let number = (value as u32).cast_signed();
                match names.binary_search_by_key(&number, |(number, _)| *number).ok().and_then(|at| names.get(at)) {
                    Some((_, name)) => column.push_text(name),
                    None => column.push_text(&symbol(names, number)),
                }
            }
            (Type::Message(message), Raw::Bytes(bytes)) => {
                match column.values() {
                    Values::Struct(members) => self.message(message, bytes, members, depth + 1)?,
                    _ => return Err(column.refuse("a message")),
                }
                column.mark_present();
                Ok(())
            }
            (Type::Timestamp, Raw::Bytes(bytes)) => column.push_integer(time::timestamp(bytes)?),
            (Type::Duration, Raw::Bytes(bytes)) => column.push_decimal(time::duration(bytes)?, 9),
            (Type::Wrapped(scalar), Raw::Bytes(bytes)) => match last_of(bytes, 1)? {
                None => scalar.zero().push(column),
                Some(raw) => match scalar.read(raw)? {
                    Some(cell) => cell.push(column),
                    None => Err(column.refuse(raw.name())),
                },
            },
            (Type::Json(message), Raw::Bytes(bytes)) => {
                let mut json = String::new();
                text::write(message, bytes, 0, &mut json)?;
                column.push_text(&json)
            }
            (Type::Present, Raw::Bytes(bytes)) => {
                let mut wire = Wire::new(bytes);
                while wire.field()?.is_some() {}
                column.push_bool(true)
            }
            (_, raw) => Err(column.refuse(raw.name())),
        }
    }
}
