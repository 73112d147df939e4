//! Relations and columns as templates see them.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::value::List;
use crate::warehouse::{ColumnInfo, RelationKind, RelationName};

/// A relation, with the parts of its name that are shown.
#[derive(Clone)]
pub(crate) struct Relation {
    pub name: RelationName,
    pub kind: Option<RelationKind>,
    /// An ephemeral model, inlined under this name.
    pub cte: Option<String>,
    /// Only these rows of it are read.
    filter: Option<String>,
    shown: [bool; 3],
    quoted: [bool; 3],
    /// What parts of the name are quoted with.
    quote: char,
}

const PARTS: [&str; 3] = ["database", "schema", "identifier"];

impl Relation {
    pub(crate) fn new(name: RelationName, kind: Option<RelationKind>, quote: char) -> Self {
        Self { name, kind, cte: None, filter: None, shown: [true; 3], quoted: [true; 3], quote }
    }

    pub(crate) fn of_cte(name: RelationName, cte: String) -> Self {
        Self { cte: Some(cte), ..Self::new(name, None, '"') }
    }

    /// The relation as a query of the rows that meet a condition.
    pub(crate) fn filtered(self, condition: Option<String>) -> Self {
        Self { filter: condition, ..self }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::from_object(self)
    }

    fn parts(&self) -> [Option<&str>; 3] {
        [self.name.database.as_deref(), Some(&self.name.schema), Some(&self.name.identifier)]
    }

    fn text(&self) -> String {
        let name = self.cte.clone().unwrap_or_else(|| self.path());
        match &self.filter {
            Some(filter) => format!("(select * from {name} where {filter})"),
            None => name,
        }
    }

    fn path(&self) -> String {
        let mut shown = Vec::new();
        for (index, part) in self.parts().into_iter().enumerate() {
            let Some(part) = part.filter(|_| self.shown.get(index) == Some(&true)) else { continue };
            let quote = self.quoted.get(index) == Some(&true);
            shown.push(if quote { crate::warehouse::quoted_with(part, self.quote) } else { part.to_owned() });
        }
        shown.join(".")
    }

    fn with_flags(&self, arguments: &Arguments, flags: impl Fn(&mut Self) -> &mut [bool; 3]) -> Value {
        let mut changed = self.clone();
        for (index, part) in PARTS.iter().enumerate() {
            let Some(value) = arguments.named(part) else { continue };
            if let Some(flag) = flags(&mut changed).get_mut(index) {
                *flag = value.is_true();
            }
        }
        changed.into_value()
    }

    fn kind_text(&self) -> Value {
        match self.kind {
            Some(RelationKind::Table) => Value::from("table"),
            Some(RelationKind::View) => Value::from("view"),
            None if self.cte.is_some() => Value::from("cte"),
            None => Value::from(()),
        }
    }
}

impl fmt::Debug for Relation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<Relation {}>", self.text())
    }
}

impl Object for Relation {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "database" => self.name.database.as_deref().map_or(Value::from(()), Value::from),
            "schema" => Value::from(self.name.schema.as_str()),
            "identifier" | "name" | "table" => Value::from(self.name.identifier.as_str()),
            "type" => self.kind_text(),
            "is_table" => Value::from(self.kind == Some(RelationKind::Table)),
            "is_view" => Value::from(self.kind == Some(RelationKind::View)),
            "is_cte" => Value::from(self.cte.is_some()),
            "is_materialized_view" | "is_dynamic_table" | "is_pointer" => Value::from(false),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["database", "schema", "identifier", "type"])
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::new(args)?;
        match method {
            "render" => Ok(Value::from(self.cte.clone().unwrap_or_else(|| self.path()))),
            "include" => Ok(self.with_flags(&arguments, |relation| &mut relation.shown)),
            "quote" => Ok(self.with_flags(&arguments, |relation| &mut relation.quoted)),
            "without_identifier" => Ok(Self { shown: [true, true, false], ..(**self).clone() }.into_value()),
            "incorporate" => self.incorporate(&arguments),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<std::cmp::Ordering> {
        Some(self.name.cmp(&other.downcast_ref::<Self>()?.name))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())
    }
}

impl Relation {
    fn incorporate(&self, arguments: &Arguments) -> Result<Value, Error> {
        let mut changed = self.clone();
        if let Some(path) = arguments.named("path") {
            let part = |name: &str| path.get_attr(name).ok().and_then(|value| value.as_str().map(str::to_owned));
            changed.name.database = part("database").or(changed.name.database);
            changed.name.schema = part("schema").unwrap_or(changed.name.schema);
            changed.name.identifier = part("identifier").unwrap_or(changed.name.identifier);
        }
        if let Some(kind) = arguments.named("type") {
            changed.kind = relation_kind(kind);
        }
        Ok(changed.into_value())
    }
}

pub(crate) fn relation_kind(value: &Value) -> Option<RelationKind> {
    match value.as_str() {
        Some("table") => Some(RelationKind::Table),
        Some("view") => Some(RelationKind::View),
        _ => None,
    }
}

/// A column of a relation.
#[derive(Debug)]
pub(crate) struct Column {
    info: ColumnInfo,
}

impl Column {
    pub(crate) fn of(info: ColumnInfo) -> Value {
        Value::from_object(Self { info })
    }

    fn is_a(&self, words: &[&str]) -> bool {
        let data_type = self.info.data_type.to_ascii_lowercase();
        words.iter().any(|word| data_type.contains(word))
    }
}

impl Object for Column {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "name" | "column" => Value::from(self.info.name.as_str()),
            "quoted" => Value::from(crate::warehouse::quoted(&self.info.name)),
            "data_type" | "dtype" => Value::from(self.info.data_type.as_str()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["name", "quoted", "data_type"])
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        Ok(Value::from(match method {
            "is_string" => self.is_a(&["char", "utf8", "text", "string"]),
            "is_integer" => self.is_a(&["int"]),
            "is_float" => self.is_a(&["float", "double", "real"]),
            "is_numeric" => self.is_a(&["decimal", "numeric"]),
            "is_number" => self.is_a(&["int", "float", "double", "real", "decimal", "numeric"]),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<Column {} ({})>", self.info.name, self.info.data_type)
    }
}

/// The name parts `schema` and friends of a `Relation.create(...)` call.
pub(crate) fn create(arguments: &Arguments, quote: char) -> Result<Value, Error> {
    let name = RelationName {
        database: arguments.optional_text(0, "database"),
        schema: arguments.optional_text(1, "schema").unwrap_or_default(),
        identifier: arguments.optional_text(2, "identifier").unwrap_or_default(),
    };
    let shown = [name.database.is_some(), !name.schema.is_empty(), !name.identifier.is_empty()];
    let kind = arguments.get(3, "type").as_ref().and_then(relation_kind);
    Ok(Relation { shown, ..Relation::new(name, kind, quote) }.into_value())
}

/// Columns as a list templates can change.
pub(crate) fn columns(infos: &[ColumnInfo]) -> Value {
    List::of(infos.iter().cloned().map(Column::of).collect())
}
