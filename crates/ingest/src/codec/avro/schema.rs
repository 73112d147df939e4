//! A writer's schema, read from its JSON text.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit};
use serde_json::{Map, Value};

use super::entry;

/// Deepest nesting of types.
const MAX_DEPTH: usize = 32;

/// The schema of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub(super) fields: Arc<[Field]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub(super) name: String,
    pub(super) of: Type,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Arc<[String]>),
    Date,
    /// Kept as the number it is.
    Time,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    Decimal {
        precision: u8,
        scale: i8,
        fixed: Option<usize>,
    },
    Record(Arc<[Field]>),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
}

impl Schema {
    /// Reads the text of a schema, which must be that of a record.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, &[])
    }

    /// Reads the text of a schema that uses types of others, which come with their names, each after those it uses.
    pub fn parse_with(text: &str, others: &[(String, String)]) -> Result<Self, String> {
        let read = |text: &str| serde_json::from_str(text).map_err(|error| format!("schema is no JSON: {error}"));
        let mut parser = Parser::default();
        for (name, other) in others {
            let json: Value = read(other).map_err(|reason| format!("`{name}`: {reason}"))?;
            parser.parse(&json, "", 0).map_err(|reason| format!("`{name}`: {reason}"))?;
        }
        let json: Value = read(text)?;
        match parser.parse(&json, "", 0)? {
            Type::Record(fields) => Ok(Self { fields }),
            other => Err(format!("schema is that of {}, not of a record", other.name())),
        }
    }
}

impl Type {
    /// The type of its column; nothing for one that is always null.
    pub(super) fn arrow(&self) -> Option<DataType> {
        let member = |name: &str, of: &Self| Some(ArrowField::new(name, of.arrow()?, true));
        let list = |of: DataType| DataType::List(Arc::new(ArrowField::new("element", of, true)));
        Some(match self {
            Self::Null => return None,
            Self::Boolean => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long | Self::Time => DataType::Int64,
            Self::Float | Self::Double => DataType::Float64,
            Self::Bytes | Self::Fixed(_) => DataType::Binary,
            Self::Text | Self::Enum(_) => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::TimestampMillis | Self::TimestampMicros | Self::TimestampNanos => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            Self::Decimal { precision, scale, .. } => DataType::Decimal128(*precision, *scale),
            Self::Record(fields) => {
                let members: Vec<_> = fields.iter().filter_map(|field| member(&field.name, &field.of)).collect();
                (!members.is_empty()).then(|| DataType::Struct(members.into()))?
            }
            Self::Array(item) => list(item.arrow()?),
            Self::Map(item) => list(entry(item.arrow()?)),
            Self::Union(branches) => {
                let mut real = branches.iter().filter(|branch| !matches!(branch, Self::Null));
                match (real.next(), real.next()) {
                    (Some(one), None) => one.arrow()?,
                    _ => {
                        let members: Vec<_> =
                            branches.iter().filter_map(|branch| member(&branch.name(), branch)).collect();
                        (!members.is_empty()).then(|| DataType::Struct(members.into()))?
                    }
                }
            }
        })
    }

    /// What a branch of a union is called.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long | Self::Time => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Text => "string",
            Self::Fixed(_) => "fixed",
            Self::Enum(_) => "enum",
            Self::Date => "date",
            Self::TimestampMillis | Self::TimestampMicros | Self::TimestampNanos => "timestamp",
            Self::Decimal { .. } => "decimal",
            Self::Record(_) => "record",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
        };
        name.to_owned()
    }
}

/// Named types by their full name; nothing for one that is being read, which would contain itself.
#[derive(Default)]
struct Parser {
    named: HashMap<String, Option<Type>>,
}

impl Parser {
    fn parse(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Type, String> {
        if depth > MAX_DEPTH {
            return Err(format!("schema is nested deeper than {MAX_DEPTH} levels"));
        }
        match json {
            Value::String(name) => self.primitive_or_named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace, depth + 1));
                branches.collect::<Result<_, _>>().map(Type::Union)
            }
            Value::Object(object) => self.object(object, namespace, depth),
            _ => Err("schema has a type that is neither a name, a list nor an object".to_owned()),
        }
    }

    fn primitive_or_named(&self, name: &str, namespace: &str) -> Result<Type, String> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            _ => {
                let found = self.named.get(&full(name, namespace)).or_else(|| self.named.get(name));
                return match found {
                    Some(Some(known)) => Ok(known.clone()),
                    Some(None) => Err(format!("type `{name}` contains itself, which no column can")),
                    None => Err(format!("schema refers to `{name}`, which it does not define")),
                };
            }
        })
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<Type, String> {
        let inner = object.get("type").ok_or("schema has an object without `type`")?;
        let Value::String(kind) = inner else { return self.parse(inner, namespace, depth + 1) };
        let of = match kind.as_str() {
            "record" | "error" => return self.record(object, namespace, depth),
            "enum" => {
                let symbols = object.get("symbols").and_then(Value::as_array).ok_or("an enum has no `symbols`")?;
                let symbols = symbols.iter().filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect();
                self.define(object, namespace, Type::Enum(symbols))
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                let of = logical(object, Type::Fixed(size.ok_or("a fixed type has no `size`")?));
                self.define(object, namespace, of)
            }
            "array" => {
                let item = object.get("items").ok_or("an array has no `items`")?;
                Type::Array(Box::new(self.parse(item, namespace, depth + 1)?))
            }
            "map" => {
                let item = object.get("values").ok_or("a map has no `values`")?;
                Type::Map(Box::new(self.parse(item, namespace, depth + 1)?))
            }
            name => logical(object, self.primitive_or_named(name, namespace)?),
        };
        Ok(of)
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<Type, String> {
        let name = full_name(object, namespace);
        let inside = name.rsplit_once('.').map_or("", |(inside, _)| inside).to_owned();
        self.named.insert(name.clone(), None);
        let mut fields = Vec::new();
        for field in object.get("fields").and_then(Value::as_array).ok_or("a record has no `fields`")? {
            let name = field.get("name").and_then(Value::as_str).ok_or("a field has no `name`")?;
            let of = field.get("type").ok_or("a field has no `type`")?;
            fields.push(Field { name: name.to_owned(), of: self.parse(of, &inside, depth + 1)? });
        }
        let of = Type::Record(fields.into());
        self.named.insert(name, Some(of.clone()));
        Ok(of)
    }

    fn define(&mut self, object: &Map<String, Value>, namespace: &str, of: Type) -> Type {
        self.named.insert(full_name(object, namespace), Some(of.clone()));
        of
    }
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn full_name(object: &Map<String, Value>, namespace: &str) -> String {
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
    full(name, object.get("namespace").and_then(Value::as_str).unwrap_or(namespace))
}

/// A logical type where it fits the type it is said of; else that type, as Avro has it.
fn logical(object: &Map<String, Value>, of: Type) -> Type {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    match (object.get("logicalType").and_then(Value::as_str), &of) {
        (Some("date"), Type::Int) => Type::Date,
        (Some("time-millis"), Type::Int) | (Some("time-micros"), Type::Long) => Type::Time,
        (Some("timestamp-millis" | "local-timestamp-millis"), Type::Long) => Type::TimestampMillis,
        (Some("timestamp-micros" | "local-timestamp-micros"), Type::Long) => Type::TimestampMicros,
        (Some("timestamp-nanos" | "local-timestamp-nanos"), Type::Long) => Type::TimestampNanos,
        (Some("decimal"), Type::Bytes | Type::Fixed(_)) => {
            let fixed = if let Type::Fixed(length) = of { Some(length) } else { None };
            let precision = number("precision").and_then(|digits| u8::try_from(digits).ok());
            let scale = i8::try_from(number("scale").unwrap_or(0)).ok();
            match (precision, scale) {
                (Some(precision @ 1..=38), Some(scale)) if scale.unsigned_abs() <= precision => {
                    Type::Decimal { precision, scale, fixed }
                }
                _ => of,
            }
        }
        _ => of,
    }
}
