//! The functions dbt gives every template.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Environment, Error, State, Value};

use super::adapter::{describe, statement_result, warehouse_error};
use super::arguments::Arguments;
use super::context::compile_graph;
use super::macros::return_error;
use super::method::distinct;
use super::relation::Relation;
use super::render::{Message, MessageLevel, Pass, Render};
use super::table::{ResultTable, cell_value};
use super::value::{List, Mapping, from_json, invalid, to_json, to_list, to_mapping};
use crate::config::as_flag;
use crate::graph::Unresolved;
use crate::node::{Node, RefCall, SourceCall};
use crate::warehouse::{RelationKind, RelationName};

pub(crate) const FUNCTIONS: &[&str] = &[
    "ref",
    "source",
    "var",
    "env_var",
    "return",
    "log",
    "print",
    "is_incremental",
    "should_full_refresh",
    "should_store_failures",
    "run_query",
    "statement",
    "load_result",
    "store_result",
    "load_relation",
    "set",
    "set_strict",
    "zip",
    "zip_strict",
    "dict",
    "fromjson",
    "tojson",
    "fromyaml",
    "local_md5",
    "doc",
    "render",
    "toyaml",
    "__register",
    "__list",
    "__dict",
    "__result",
];

pub(crate) struct BuiltinFunction {
    pub render: Arc<Render>,
    pub name: &'static str,
}

impl fmt::Debug for BuiltinFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<function {}>", self.name)
    }
}

impl Object for BuiltinFunction {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::new(args)?;
        match self.name {
            "ref" => reference(&self.render, &arguments),
            "source" => source(&self.render, &arguments),
            "var" => variable(&self.render, &arguments),
            "env_var" => env_var(&self.render, &arguments),
            "return" => {
                let value = arguments.required(0, "data")?;
                self.render.collect(|collected| collected.returned = Some(value));
                Err(return_error())
            }
            "log" | "print" => Ok(self.say(&arguments)),
            "is_incremental" => is_incremental(&self.render).map(Value::from),
            "should_full_refresh" => Ok(Value::from(full_refresh(&self.render))),
            "should_store_failures" => Ok(Value::from(should_store_failures(&self.render))),
            "render" => self.render_again(state, &arguments),
            "run_query" => self.run_query(&arguments.text(0, "sql")?),
            "statement" => self.statement(state, &arguments),
            "load_result" => {
                let name = arguments.text(0, "name")?;
                Ok(self
                    .render
                    .collect(|collected| collected.results.get(&name).cloned())
                    .unwrap_or_else(|| Value::from(())))
            }
            "store_result" => {
                let table = arguments.get(2, "agate_table").unwrap_or_default();
                let result = statement_result(table, Vec::new());
                let name = arguments.text(0, "name")?;
                self.render.collect(|collected| collected.results.insert(name, result));
                Ok(Value::from(""))
            }
            "load_relation" => load_relation(&self.render, &arguments.required(0, "relation")?),
            "doc" => Ok(Value::from(documentation(&self.render, &arguments)?)),
            "__register" => {
                state.set_temp(&arguments.text(0, "name")?, arguments.required(1, "macro")?);
                Ok(Value::from(()))
            }
            "__result" => {
                let value = arguments.get(0, "value");
                self.render.collect(|collected| collected.returned = value);
                Ok(Value::from(()))
            }
            name => plain(name, &arguments),
        }
    }
}

/// Functions that need nothing but their arguments.
fn plain(name: &str, arguments: &Arguments) -> Result<Value, Error> {
    match name {
        "__list" => to_list(&arguments.required(0, "items")?),
        "__dict" => to_mapping(&arguments.required(0, "items")?),
        "dict" => {
            let mut pairs = match arguments.positional.first() {
                Some(from) => super::value::pairs_of(from)?,
                None => Vec::new(),
            };
            pairs.extend(arguments.named.iter().map(|(key, value)| (Value::from(key.as_str()), value.clone())));
            Ok(Mapping::of(pairs))
        }
        "set" | "set_strict" => {
            let items = arguments
                .get(0, "value")
                .map_or_else(|| Ok(Vec::new()), |value| value.try_iter().map(Iterator::collect))?;
            Ok(List::of(distinct(items)))
        }
        "zip" | "zip_strict" => zip(arguments),
        "fromjson" => {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&arguments.text(0, "string")?);
            or_default(
                parsed.map(|json| from_json(&json)).map_err(|error| invalid("not JSON").with_source(error)),
                arguments,
            )
        }
        "fromyaml" => {
            let (tree, found) =
                headwater_project::tree::parse(headwater_project::FileId(0), &arguments.text(0, "value")?);
            or_default(
                if found.has_errors() { Err(invalid("not YAML")) } else { Ok(from_json(&tree.to_json())) },
                arguments,
            )
        }
        "toyaml" => Ok(Value::from(python_yaml(&to_json(&arguments.required(0, "value")?), 0))),
        "tojson" => Ok(Value::from(python_json(&to_json(&arguments.required(0, "value")?)))),
        "local_md5" => Ok(Value::from(crate::md5::hex(arguments.text(0, "value")?.as_bytes()))),
        _ => Err(invalid(format!("{name} is not available here"))),
    }
}

fn or_default(value: Result<Value, Error>, arguments: &Arguments) -> Result<Value, Error> {
    match (value, arguments.get(1, "default")) {
        (Err(_), Some(default)) => Ok(default),
        (value, _) => value,
    }
}

/// JSON with Python's spacing: a blank after commas and colons.
fn python_json(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(map) => {
            let pair = |(key, value): (&String, &serde_json::Value)| {
                format!("{}: {}", serde_json::Value::from(key.as_str()), python_json(value))
            };
            format!("{{{}}}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Block YAML, keys in order of insertion.
fn python_yaml(json: &serde_json::Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match json {
        serde_json::Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| match value {
                serde_json::Value::Object(inner) if !inner.is_empty() => {
                    format!("{indent}{key}:\n{}", python_yaml(value, depth + 1))
                }
                serde_json::Value::Array(items) if !items.is_empty() => {
                    format!("{indent}{key}:\n{}", python_yaml(value, depth))
                }
                _ => format!("{indent}{key}: {}", python_yaml(value, 0)),
            })
            .collect(),
        serde_json::Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("{indent}- {}", python_yaml(item, depth + 1).trim_start())).collect()
        }
        serde_json::Value::Object(_) => String::from("{}\n"),
        serde_json::Value::Array(_) => String::from("[]\n"),
        serde_json::Value::String(text) => format!("{text}\n"),
        other => format!("{other}\n"),
    }
}

fn zip(arguments: &Arguments) -> Result<Value, Error> {
    let mut columns: Vec<Vec<Value>> = Vec::new();
    for argument in &arguments.positional {
        columns.push(argument.try_iter()?.collect());
    }
    let len = columns.iter().map(Vec::len).min().unwrap_or(0);
    let row = |at: usize| {
        let cells: Vec<Value> = columns.iter().filter_map(|column| column.get(at).cloned()).collect();
        Value::from(minijinja::value::Tuple::from(cells))
    };
    Ok(List::of((0..len).map(row).collect()))
}

impl BuiltinFunction {
    fn say(&self, arguments: &Arguments) -> Value {
        let info = self.name == "print" || arguments.flag(1, "info", false);
        let level = if info { MessageLevel::Info } else { MessageLevel::Debug };
        if self.render.executes() || self.name == "log" {
            let text = arguments.get(0, "msg").unwrap_or_default().to_string();
            self.render.collect(|collected| collected.messages.push(Message { level, text }));
        }
        Value::from("")
    }

    /// Renders text that came from elsewhere, such as a hook, in this render.
    fn render_again(&self, state: &mut State<'_, '_>, arguments: &Arguments) -> Result<Value, Error> {
        let text = arguments.text(0, "sql")?;
        let source = super::source::TemplateSource::of_file(headwater_project::FileId(0), &text).text;
        let context = Value::from_object(super::context::Globals::new(Arc::clone(&self.render)));
        let text = format!("{}{source}", super::render::PRELUDE);
        state.env().render_named_str("<text>", &text, context).map(Value::from)
    }

    fn run_query(&self, sql: &str) -> Result<Value, Error> {
        let Pass::Compile { warehouse, .. } = &self.render.pass else { return Ok(Value::from(())) };
        Ok(ResultTable::of(warehouse.query(sql).map_err(warehouse_error)?))
    }

    fn statement(&self, state: &mut State<'_, '_>, arguments: &Arguments) -> Result<Value, Error> {
        let Pass::Compile { warehouse, .. } = &self.render.pass else { return Ok(Value::from("")) };
        let caller = arguments.named("caller").ok_or_else(|| invalid("statement must be used as a call block"))?;
        let sql = caller.call(state, &[])?.to_string();
        let table = warehouse.query(&sql).map_err(warehouse_error)?;
        if let Some(name) = arguments.optional_text(0, "name") {
            let fetch = arguments.flag(1, "fetch_result", false);
            let row = |row: &Vec<_>| List::of(row.iter().map(cell_value).collect());
            let data = if fetch { table.rows.iter().map(row).collect() } else { Vec::new() };
            let result = statement_result(if fetch { ResultTable::of(table) } else { Value::from(()) }, data);
            self.render.collect(|collected| collected.results.insert(name, result));
        }
        Ok(Value::from(""))
    }
}

/// The test's own setting wins over the command's.
fn should_store_failures(render: &Render) -> bool {
    let own = render.config().get("store_failures").and_then(as_flag);
    own.unwrap_or(render.run().is_some_and(|run| run.store_failures))
}

fn reference(render: &Arc<Render>, arguments: &Arguments) -> Result<Value, Error> {
    let version = arguments.named("version").or_else(|| arguments.named("v")).filter(|value| !value.is_none());
    let (package, name) = match arguments.positional.as_slice() {
        [name] => (None, name.to_string()),
        [package, name] => (Some(package.to_string()), name.to_string()),
        _ => return Err(invalid("ref takes the name of a model, or a package and a name")),
    };
    let call = RefCall { package, name, version: version.map(ToString::to_string) };
    render.collect(|collected| collected.refs.push(call.clone()));
    let Some(graph) = compile_graph(render) else { return Ok(own_relation(render)) };
    let root = &render.definitions.root_package;
    let node =
        graph.resolve_ref(root, &render.subject.package, &call).map_err(|why| invalid(explain_ref(&call, &why)))?;
    if let Some(unit) = &render.scope.unit {
        return unit_input(unit, node);
    }
    check_inferred(render, node, &format!("ref('{}')", call.name))?;
    if node.is_ephemeral() {
        render.collect(|collected| {
            if !collected.ephemeral.contains(&node.id) {
                collected.ephemeral.push(node.id.clone());
            }
        });
        let relation = Relation::of_cte(node.relation.clone(), crate::compile::cte_name(&node.name));
        return Ok(relation.filtered(filter(render, node)).into_value());
    }
    let relation = Relation::new(read_from(render, node)?, kind_of(node), render.quote());
    Ok(relation.filtered(filter(render, node)).into_value())
}

/// Where a node is read: its own relation, or that of another environment which stands in for it.
pub(crate) fn read_from(render: &Render, node: &Node) -> Result<RelationName, Error> {
    let own = || node.relation.clone();
    let Some(deferral) = render.run().and_then(|run| run.deferral.as_ref()) else { return Ok(own()) };
    let Some(elsewhere) = deferral.elsewhere(&node.id) else { return Ok(own()) };
    let is_elsewhere = deferral.is_favored(&node.id) || describe(render, &node.relation)?.is_none();
    Ok(if is_elsewhere { elsewhere.clone() } else { own() })
}

/// What a unit test gives for an input of the model.
fn unit_input(unit: &super::render::UnitScope, node: &Node) -> Result<Value, Error> {
    let cte = unit.inputs.get(node.id.as_str()).ok_or_else(|| {
        invalid(format!("the unit test gives nothing for the input {}; add it under `given:`", node.id))
    })?;
    Ok(Relation::of_cte(node.relation.clone(), cte.clone()).into_value())
}

/// Rows of an input this render may see: those of the batch it is for and of the sample asked for, none when shapes are tried
/// out.
fn filter(render: &Render, node: &Node) -> Option<String> {
    let run = render.run()?;
    if run.empty {
        return Some(String::from("false"));
    }
    let is_sampled = ["model.", "snapshot."].iter().any(|kind| render.subject.id.starts_with(kind));
    let span = match (run.batch, run.sample.filter(|_| is_sampled)) {
        (Some(batch), Some(sample)) => batch.common(sample),
        (one, other) => one.or(other)?,
    };
    node.config.text("event_time").map(|column| span.condition(column))
}

/// While parsing, a reference stands for the node itself, as in dbt.
fn own_relation(render: &Render) -> Value {
    Relation::new(render.subject.relation.clone(), None, render.quote()).into_value()
}

fn kind_of(node: &Node) -> Option<RelationKind> {
    match node.config.materialized() {
        "view" if node.resource_type == crate::node::ResourceType::Model => Some(RelationKind::View),
        _ => Some(RelationKind::Table),
    }
}

/// A reference that only appears at run time was not part of the graph, so its node may not be built yet.
fn check_inferred(render: &Render, node: &Node, call: &str) -> Result<(), Error> {
    let known = compile_graph(render).and_then(|graph| graph.nodes.get(&crate::node::NodeId::new(&render.subject.id)));
    match known {
        Some(subject) if subject.id != node.id && !subject.depends_on.contains(&node.id) => Err(invalid(format!(
            "{} is only referenced when executing, so it is not among the dependencies; add the line `-- depends_on: {{{{ {call} }}}}`",
            node.id
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn explain_ref(call: &RefCall, why: &Unresolved) -> String {
    match why {
        Unresolved::Missing { .. } => format!("there is no model or seed named '{}'", call.name),
        Unresolved::Disabled => format!("'{}' is disabled", call.name),
        Unresolved::NoSuchVersion { .. } => {
            format!("'{}' has no version {}", call.name, call.version.as_deref().unwrap_or_default())
        }
        Unresolved::Ambiguous(ids) => {
            let ids: Vec<&str> = ids.iter().map(crate::node::NodeId::as_str).collect();
            format!("'{}' could be any of {}", call.name, ids.join(", "))
        }
    }
}

pub(crate) fn explain_source(call: &SourceCall, why: &Unresolved) -> String {
    match why {
        Unresolved::Disabled => format!("source '{}.{}' is disabled", call.source, call.table),
        _ => format!("there is no source '{}.{}'", call.source, call.table),
    }
}

fn source(render: &Arc<Render>, arguments: &Arguments) -> Result<Value, Error> {
    let call = SourceCall { source: arguments.text(0, "source_name")?, table: arguments.text(1, "table_name")? };
    render.collect(|collected| collected.sources.push(call.clone()));
    let Some(graph) = compile_graph(render) else { return Ok(own_relation(render)) };
    let node =
        graph.resolve_source(&render.subject.package, &call).map_err(|why| invalid(explain_source(&call, &why)))?;
    if let Some(unit) = &render.scope.unit {
        return unit_input(unit, node);
    }
    check_inferred(render, node, &format!("source('{}', '{}')", call.source, call.table))?;
    let relation = Relation::new(node.relation.clone(), Some(RelationKind::Table), render.quote());
    Ok(relation.filtered(filter(render, node)).into_value())
}

fn variable(render: &Render, arguments: &Arguments) -> Result<Value, Error> {
    let name = arguments.text(0, "name")?;
    if let Some(found) = render.scope.unit.as_ref().and_then(|unit| unit.vars.get(&name)) {
        return Ok(from_json(found));
    }
    if let Some(found) = render.definitions.variable(&render.subject.package, &name) {
        render.collect(|collected| collected.inputs.insert(format!("var {name}"), found.to_string()));
        return Ok(from_json(found));
    }
    let missing = || invalid(format!("variable '{name}' is not set and has no default here"));
    match arguments.get(1, "default") {
        Some(default) => Ok(default),
        // A model nobody builds may lack its variable, so parsing goes on.
        None if !render.executes() => Ok(Value::from(())),
        None => Err(missing()),
    }
}

fn env_var(render: &Render, arguments: &Arguments) -> Result<Value, Error> {
    let name = arguments.text(0, "var")?;
    if let Some(found) = render.scope.unit.as_ref().and_then(|unit| unit.env_vars.get(&name)) {
        return Ok(Value::from(crate::config::plain_text(found)));
    }
    if let Some(found) = render.definitions.env.get(&name) {
        render.collect(|collected| collected.inputs.insert(format!("env {name}"), found.clone()));
        return Ok(Value::from(found.as_str()));
    }
    let missing = || invalid(format!("environment variable '{name}' is not set and has no default here"));
    arguments.get(1, "default").ok_or_else(missing)
}

/// The model's own setting wins over the command's.
pub(crate) fn full_refresh(render: &Render) -> bool {
    let own = render.config().get("full_refresh").and_then(as_flag);
    own.unwrap_or(matches!(&render.pass, Pass::Compile { run, .. } if run.full_refresh))
}

/// True when there is a table to add to.
pub(crate) fn is_incremental(render: &Render) -> Result<bool, Error> {
    if render.scope.unit.is_some() {
        return Ok(false);
    }
    let materialized = render.config().get("materialized").and_then(|value| value.as_str().map(str::to_owned));
    if materialized.as_deref() != Some("incremental") || full_refresh(render) {
        return Ok(false);
    }
    Ok(describe(render, &render.subject.relation)?.is_some_and(|info| info.kind == RelationKind::Table))
}

fn load_relation(render: &Render, relation: &Value) -> Result<Value, Error> {
    let relation = relation.downcast_object::<Relation>().ok_or_else(|| invalid("this is not a relation"))?;
    let info = describe(render, &relation.name)?;
    Ok(info.map_or(Value::from(()), |info| {
        Relation::new(relation.name.clone(), Some(info.kind), render.quote()).into_value()
    }))
}

fn documentation(render: &Render, arguments: &Arguments) -> Result<String, Error> {
    let (package, name) = match arguments.positional.as_slice() {
        [package, name] => (package.to_string(), name.to_string()),
        _ => (render.subject.package.clone(), arguments.text(0, "name")?),
    };
    let docs = &render.definitions.docs;
    let root = &render.definitions.root_package;
    let found = docs.get(&format!("{package}.{name}")).or_else(|| docs.get(&format!("{root}.{name}")));
    found.map(|block| block.text.clone()).ok_or_else(|| invalid(format!("there is no documentation block '{name}'")))
}

/// Filters dbt adds, and those whose result templates expect to change in place.
pub(crate) fn add_filters(environment: &mut Environment<'static>) {
    environment.add_filter("list", |value: Value| to_list(&value));
    for name in ["as_text", "as_native"] {
        environment.add_filter(name, |value: Value| value);
    }
    // Other text stays what it is: the filter also stands behind the last part of a comparison.
    environment.add_filter("as_bool", |value: Value| match value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("true") => Value::from(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Value::from(false),
        Some(_) => value,
        None => Value::from(value.is_true()),
    });
    environment.add_filter("as_number", as_number);
    environment.add_filter("__shift", super::datetime::shift);
    environment.add_filter("int", |value: Value, default: Option<Value>| to_integer(&value, default));
    environment.add_filter("float", |value: Value, default: Option<Value>| to_float(&value, default));
}

/// As in Jinja2, what is not a number becomes the default.
fn to_integer(value: &Value, default: Option<Value>) -> Value {
    let text = value.to_string();
    let truncated =
        || text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number.trunc() as i64);
    let number =
        if text == "True" { Some(1) } else { text.trim().replace('_', "").parse::<i64>().ok().or_else(truncated) };
    number.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), Value::from)
}

fn to_float(value: &Value, default: Option<Value>) -> Value {
    let number = value.to_string().trim().parse::<f64>();
    number.map_or_else(|_| default.unwrap_or_else(|| Value::from(0.0)), Value::from)
}

fn as_number(value: &Value) -> Result<Value, Error> {
    let text = value.to_string();
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(Value::from(integer));
    }
    text.parse::<f64>()
        .map(Value::from)
        .map_err(|error| invalid(format!("{text:?} is not a number")).with_source(error))
}
