//! The objects with methods: `config`, `adapter`, `api`, `exceptions`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::macros::MacroCall;
use super::method::{Methods, MethodsObject};
use super::relation::{self, Column, Relation};
use super::render::{Message, MessageLevel, Pass, Render};
use super::value::{List, Mapping, from_json, invalid, pairs_of, to_json};
use crate::definitions::JsonMap;
use crate::warehouse::{ColumnInfo, RelationInfo, RelationName, WarehouseError};

/// `config(...)` and `config.get(...)`.
pub(crate) struct ConfigObject {
    pub render: Arc<Render>,
}

impl fmt::Debug for ConfigObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<config>")
    }
}

impl Object for ConfigObject {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::new(args)?;
        let mut given = JsonMap::new();
        for mapping in &arguments.positional {
            for (key, value) in pairs_of(mapping)? {
                given.insert(key.to_string(), to_json(&value));
            }
        }
        given.extend(arguments.named.iter().map(|(key, value)| (key.clone(), to_json(value))));
        self.render.collect(|collected| {
            crate::config::merge(&mut collected.config, &given);
            crate::config::add_call(&mut collected.config_calls, given);
        });
        Ok(Value::from(""))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::new(args)?;
        let config = self.render.config();
        match method {
            "get" | "meta_get" => {
                let found = lookup(&config, &arguments.text(0, "name")?, method == "meta_get");
                Ok(found.or_else(|| arguments.get(1, "default")).unwrap_or_else(|| Value::from(())))
            }
            "require" | "meta_require" => {
                let name = arguments.text(0, "name")?;
                lookup(&config, &name, method == "meta_require")
                    .ok_or_else(|| invalid(format!("the configuration `{name}` is required here and not set")))
            }
            "set" => {
                let mut given = JsonMap::new();
                given.insert(arguments.text(0, "name")?, to_json(&arguments.required(1, "value")?));
                self.render.collect(|collected| crate::config::merge(&mut collected.config, &given));
                Ok(Value::from(""))
            }
            "persist_relation_docs" | "persist_column_docs" => Ok(Value::from(false)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lookup(&self.render.config(), key.as_str()?, false)
    }
}

fn lookup(config: &JsonMap, name: &str, meta: bool) -> Option<Value> {
    let values = if meta { config.get("meta")?.as_object()? } else { config };
    values.get(name).filter(|value| !value.is_null()).map(from_json)
}

pub(crate) fn warehouse_error(error: WarehouseError) -> Error {
    let failure = &error.failure;
    let text =
        [Some(failure.message.clone()), failure.detail.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    Error::new(ErrorKind::InvalidOperation, text).with_source(error)
}

/// What the warehouse knows about a relation; nothing while parsing.
pub(crate) fn describe(render: &Render, name: &RelationName) -> Result<Option<RelationInfo>, Error> {
    match &render.pass {
        Pass::Compile { warehouse, .. } => warehouse.relation(name).map_err(warehouse_error),
        Pass::Parse => Ok(None),
    }
}

/// `adapter`.
#[derive(Debug)]
pub(crate) struct AdapterMethods {
    pub render: Arc<Render>,
}

impl AdapterMethods {
    fn quoted(&self, identifier: &str) -> String {
        crate::warehouse::quoted_with(identifier, self.render.quote())
    }
}

impl Methods for AdapterMethods {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "dispatch" => self.dispatch(arguments),
            "get_relation" | "load_relation" => self.get_relation(arguments),
            "get_columns_in_relation" => self.columns(&arguments.required(0, "relation")?),
            "get_missing_columns" => self.missing_columns(arguments),
            "already_exists" => {
                let name = self.name(arguments.optional_text(0, "schema"), &arguments.text(1, "name")?);
                Ok(Value::from(describe(&self.render, &name)?.is_some()))
            }
            "quote" => Ok(Value::from(self.quoted(&arguments.text(0, "identifier")?))),
            "quote_as_configured" => Ok(arguments.required(0, "identifier")?),
            "quote_seed_column" => Ok(Value::from(self.quoted(&arguments.text(0, "column")?))),
            "type" => Ok(Value::from(self.render.definitions.target.adapter.as_str())),
            "check_schema_exists" => Ok(Value::from(true)),
            "drop_relation" => self.change(&format!("drop table if exists {}", arguments.required(0, "relation")?)),
            "truncate_relation" => self.change(&format!("truncate table {}", arguments.required(0, "relation")?)),
            "rename_relation" => {
                let (from, to) = (arguments.required(0, "from_relation")?, arguments.required(1, "to_relation")?);
                self.change(&format!("alter table {from} rename to {to}"))
            }
            "execute" => self.change(&arguments.text(0, "sql")?),
            "expand_target_column_types" | "drop_schema" | "cache_new_relation" | "clear_transaction" => {
                Ok(Value::from(""))
            }
            "is_cancelable" | "nice_connection_name" | "date_function" => Ok(Value::from("")),
            "create_schema" | "cache_added" | "cache_dropped" | "cache_renamed" | "commit" => Ok(Value::from("")),
            _ => Err(invalid(format!("adapter.{method} is not available here"))),
        }
    }
}

impl AdapterMethods {
    fn dispatch(&self, arguments: &Arguments) -> Result<Value, Error> {
        let name = arguments.text(0, "macro_name")?;
        let namespace = arguments.optional_text(1, "macro_namespace");
        let definitions = &self.render.definitions;
        let (namespace, name) = match name.split_once('.') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
            None => (namespace, name),
        };
        let found = definitions.dispatch(&self.render.subject.package, &name, namespace.as_deref());
        let found = found.map(|definition| MacroCall::of(&self.render, definition));
        found.ok_or_else(|| {
            let adapter = &definitions.target.adapter;
            invalid(format!("no macro to dispatch to: neither {adapter}__{name} nor default__{name} exists"))
        })
    }

    /// Runs a statement; nothing while parsing.
    fn change(&self, sql: &str) -> Result<Value, Error> {
        if let Pass::Compile { warehouse, .. } = &self.render.pass {
            warehouse.query(sql).map_err(warehouse_error)?;
        }
        Ok(Value::from(""))
    }

    fn name(&self, schema: Option<String>, identifier: &str) -> RelationName {
        RelationName {
            database: self.render.subject.relation.database.clone(),
            schema: schema.unwrap_or_else(|| self.render.subject.relation.schema.clone()),
            identifier: identifier.to_owned(),
        }
    }

    fn get_relation(&self, arguments: &Arguments) -> Result<Value, Error> {
        if let Some(known) = arguments.positional.first().and_then(|value| value.downcast_object::<Relation>()) {
            let info = describe(&self.render, &known.name)?;
            return Ok(found_relation(known.name.clone(), info, self.render.quote()));
        }
        let mut name = self.name(arguments.optional_text(1, "schema"), &arguments.text(2, "identifier")?);
        name.database = arguments.optional_text(0, "database").or(name.database);
        let info = describe(&self.render, &name)?;
        Ok(found_relation(name, info, self.render.quote()))
    }

    fn infos(&self, relation: &Value) -> Result<Vec<ColumnInfo>, Error> {
        let relation = relation.downcast_object::<Relation>().ok_or_else(|| invalid("this is not a relation"))?;
        Ok(describe(&self.render, &relation.name)?.map(|info| info.columns).unwrap_or_default())
    }

    fn columns(&self, relation: &Value) -> Result<Value, Error> {
        Ok(relation::columns(&self.infos(relation)?))
    }

    fn missing_columns(&self, arguments: &Arguments) -> Result<Value, Error> {
        let from = self.infos(&arguments.required(0, "from_relation")?)?;
        let to = self.infos(&arguments.required(1, "to_relation")?)?;
        let missing: Vec<ColumnInfo> =
            from.into_iter().filter(|column| !to.iter().any(|known| known.name == column.name)).collect();
        Ok(relation::columns(&missing))
    }
}

fn found_relation(name: RelationName, info: Option<RelationInfo>, quote: char) -> Value {
    info.map_or(Value::from(()), |info| Relation::new(name, Some(info.kind), quote).into_value())
}

/// `api.Relation` and `api.Column`.
#[derive(Debug)]
pub(crate) struct ApiMethods {
    pub render: Arc<Render>,
}

impl Methods for ApiMethods {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "Column" => column(arguments),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Relation" => Value::from_object(MethodsObject(RelationMethods { render: Arc::clone(&self.render) })),
            "Column" => Value::from_object(MethodsObject(ColumnMethods)),
            _ => return None,
        })
    }
}

#[derive(Debug)]
struct RelationMethods {
    render: Arc<Render>,
}

impl Methods for RelationMethods {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "create" => relation::create(arguments, self.render.quote()),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        matches!(name, "Table" | "View").then(|| Value::from(name.to_lowercase()))
    }
}

#[derive(Debug)]
struct ColumnMethods;

impl Methods for ColumnMethods {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "create" => column(arguments),
            "translate_type" => arguments.required(0, "dtype"),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn column(arguments: &Arguments) -> Result<Value, Error> {
    Ok(Column::of(ColumnInfo { name: arguments.text(0, "column")?, data_type: arguments.text(1, "dtype")? }))
}

/// `exceptions`.
#[derive(Debug)]
pub(crate) struct ExceptionMethods {
    pub render: Arc<Render>,
}

impl Methods for ExceptionMethods {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "warn" => {
                let message = Message { level: MessageLevel::Warning, text: arguments.text(0, "msg")? };
                self.render.collect(|collected| collected.messages.push(message));
                Ok(Value::from(""))
            }
            _ if method.starts_with("raise_") => {
                Err(Error::new(ErrorKind::InvalidOperation, arguments.optional_text(0, "msg").unwrap_or_default()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// The result `load_result` hands out.
pub(crate) fn statement_result(table: Value, data: Vec<Value>) -> Value {
    let response = Value::from("OK");
    Mapping::of(vec![
        (Value::from("response"), response),
        (Value::from("data"), List::of(data)),
        (Value::from("table"), table),
    ])
}
