//! Types of messages, from the texts of a registry.
//!
//! A message type becomes a tree, for columns are one: where a type comes again inside itself, and below the deepest column,
//! the message is kept as JSON text.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{DataType, Field as ArrowField, Fields, TimeUnit};
use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, Value};
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};

use super::builtin;
use super::scalar::Scalar;
use crate::limits::{MAX_COLUMN_DEPTH, MAX_COLUMNS};

/// Deepest nesting of braces in a text: its parser goes down one call for each.
const MAX_BRACES: usize = 64;

/// What the text of a record's own schema is called while it is compiled.
const OWN_NAME: &str = "headwater/value.proto";

/// The schema of records: every message of one file.
#[derive(Debug)]
pub struct Schema {
    file: FileDescriptor,
    /// By its place in the file; why not, where a message cannot become columns.
    messages: RwLock<HashMap<Vec<u32>, Built>>,
}

type Built = Result<Arc<Message>, String>;

#[derive(Debug)]
pub(super) struct Message {
    /// By their numbers, ascending.
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    number: u32,
    pub(super) name: String,
    pub(super) of: Type,
    pub(super) repeated: bool,
    pub(super) absent: Absent,
    /// Columns a value of it fills, nested ones counted.
    pub(super) width: usize,
}

/// What it means that a field that is not repeated is not there.
#[derive(Debug)]
pub(super) enum Absent {
    Null,
    Value(Value),
    Refused,
}

#[derive(Debug)]
pub(super) enum Type {
    Scalar(Scalar),
    /// Names by their numbers, ascending.
    Enum(Vec<(i32, String)>),
    Message(Arc<Message>),
    Timestamp,
    /// In seconds.
    Duration,
    /// A scalar in a message of its own, so that it may be absent.
    Wrapped(Scalar),
    /// A message that is kept as text.
    Json(MessageDescriptor),
    /// A message without fields, which says no more than that it is there.
    Present,
}

impl Schema {
    /// Compiles the text of a schema; `imports` are the files it imports, by the name it imports them by.
    pub fn compile(text: &str, imports: Vec<(String, String)>) -> Result<Self, String> {
        let all = imports.iter().map(|(_, text)| text.as_str()).chain([text]);
        if all.into_iter().any(|text| deepest(text) > MAX_BRACES) {
            return Err(format!("schema is nested deeper than {MAX_BRACES} levels"));
        }
        let mut texts: HashMap<String, String> = imports.into_iter().collect();
        texts.insert(OWN_NAME.to_owned(), text.to_owned());
        let mut compiler = Compiler::with_file_resolver(Texts(texts));
        compiler.open_file(OWN_NAME).map_err(|error| format!("schema does not compile: {error}"))?;
        let pool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(OWN_NAME).ok_or("schema does not compile")?;
        Ok(Self { file, messages: RwLock::default() })
    }

    /// The message at a place: among those of the file, then among those inside that one, and so on.
    pub(super) fn message(&self, path: &[u32]) -> Built {
        if let Some(known) = self.messages.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let found = self.find(path).ok_or_else(|| format!("schema has no message at {path:?}"))?;
        let message = Builder::default().message(&found);
        let mut messages = self.messages.write().unwrap_or_else(PoisonError::into_inner);
        messages.insert(path.to_vec(), message.clone());
        message
    }

    fn find(&self, path: &[u32]) -> Option<MessageDescriptor> {
        let (first, inner) = path.split_first()?;
        let mut found = self.file.messages().nth(usize::try_from(*first).ok()?)?;
        for place in inner {
            // Entries of maps are messages nobody wrote down.
            let next = found.child_messages().filter(|child| !child.is_map_entry()).nth(usize::try_from(*place).ok()?);
            found = next?;
        }
        Some(found)
    }
}

/// How deep braces are nested, those in comments and strings counted too.
fn deepest(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Files by name; those that come with Protobuf are always there.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match GoogleFileResolver::new().open_file(name) {
            Err(error) if error.is_file_not_found() => {}
            found => return found,
        }
        match self.0.get(name).map(String::as_str).or_else(|| builtin::text(name)) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

impl Message {
    /// The place of the field with this number; records have their fields in order, so the expected place is tried first.
    pub(super) fn find(&self, number: u32, expected: usize) -> Option<usize> {
        if self.fields.get(expected).is_some_and(|field| field.number == number) {
            return Some(expected);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    pub(super) fn columns(&self) -> Fields {
        self.fields.iter().map(Field::column).collect()
    }
}

impl Field {
    pub(super) fn column(&self) -> ArrowField {
        let of = self.of.column();
        let of = if self.repeated { DataType::List(Arc::new(ArrowField::new("element", of, true))) } else { of };
        ArrowField::new(&self.name, of, true)
    }
}

impl Type {
    fn column(&self) -> DataType {
        match self {
            Self::Scalar(scalar) | Self::Wrapped(scalar) => scalar.column(),
            Self::Enum(_) | Self::Json(_) => DataType::Utf8,
            Self::Message(message) => DataType::Struct(message.columns()),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Duration => DataType::Decimal128(21, 9),
            Self::Present => DataType::Boolean,
        }
    }

    /// Columns of one value.
    fn width(&self) -> usize {
        match self {
            Self::Message(message) => 1 + message.fields.iter().map(|field| field.width).sum::<usize>(),
            _ => 1,
        }
    }

    /// Whether its values are messages, of which two in one place are one.
    pub(super) fn is_message(&self) -> bool {
        !matches!(self, Self::Scalar(_) | Self::Enum(_))
    }
}

/// Builds the tree of a message.
#[derive(Default)]
struct Builder {
    /// Names of the messages around the one that is being built.
    around: Vec<String>,
    fields: usize,
}

impl Builder {
    fn message(&mut self, of: &MessageDescriptor) -> Result<Arc<Message>, String> {
        self.around.push(of.full_name().to_owned());
        let fields = of.fields().map(|field| self.field(&field)).collect::<Result<Vec<_>, _>>()?;
        self.around.pop();
        Ok(Arc::new(Message { fields }))
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<Field, String> {
        self.fields += 1;
        if self.fields > MAX_COLUMNS {
            return Err(format!("schema has more than {MAX_COLUMNS} fields, nested ones counted"));
        }
        let of = self.of(field.kind())?;
        let (number, name, width) = (field.number(), field.name().to_owned(), of.width());
        let repeated = field.is_list() || field.is_map();
        Ok(Field { number, name, absent: absent(field, &of), of, repeated, width })
    }

    fn of(&mut self, kind: Kind) -> Result<Type, String> {
        Ok(match kind {
            Kind::Enum(of) => {
                let mut names: Vec<(i32, String)> =
                    of.values().map(|value| (value.number(), value.name().to_owned())).collect();
                // Of several names of one number the first stands.
                names.sort_by_key(|(number, _)| *number);
                names.dedup_by_key(|(number, _)| *number);
                Type::Enum(names)
            }
            Kind::Message(of) => self.embedded(of)?,
            other => Type::Scalar(Scalar::of(&other).ok_or("schema has a type that no column holds")?),
        })
    }

    fn embedded(&mut self, of: MessageDescriptor) -> Result<Type, String> {
        if let Some(known) = well_known(&of) {
            return Ok(known);
        }
        let is_empty = of.fields().len() == 0;
        let is_around = self.around.iter().any(|name| name == of.full_name());
        Ok(match is_around || self.around.len() >= MAX_COLUMN_DEPTH {
            _ if is_empty => Type::Present,
            true => Type::Json(of),
            false => Type::Message(self.message(&of)?),
        })
    }
}

/// Messages that come with Protobuf and stand for a value of another kind.
fn well_known(of: &MessageDescriptor) -> Option<Type> {
    Some(match of.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" => Type::Timestamp,
        "Duration" => Type::Duration,
        "Struct" | "Value" | "ListValue" => Type::Json(of.clone()),
        name => Type::Wrapped(Scalar::wrapped(name)?),
    })
}

/// A value that no record has to say is there all the same: zero, or the default that the schema gives.
fn absent(field: &FieldDescriptor, of: &Type) -> Absent {
    if field.is_required() {
        return Absent::Refused;
    }
    let is_entry = field.parent_message().is_map_entry();
    let has_default = field.field_descriptor_proto().default_value.is_some();
    if of.is_message() || field.supports_presence() && !has_default && !is_entry {
        return Absent::Null;
    }
    match (field.default_value(), of) {
        (Value::EnumNumber(number), Type::Enum(names)) => Absent::Value(Value::String(symbol(names, number))),
        (value, _) => Absent::Value(value),
    }
}

/// The name of a number; the number itself where it has none, as from a newer schema.
pub(super) fn symbol(names: &[(i32, String)], number: i32) -> String {
    let found = names.binary_search_by_key(&number, |(number, _)| *number).ok().and_then(|place| names.get(place));
    found.map_or_else(|| number.to_string(), |(_, name)| name.clone())
}
