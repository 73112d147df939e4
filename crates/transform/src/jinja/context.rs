//! The names a template can use, resolved when they are used: macros first (a project may replace `ref` with its own, and find
//! ours under `builtins`), then packages, then what dbt provides.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::adapter::{AdapterMethods, ApiMethods, ConfigObject, ExceptionMethods};
use super::builtin::{BuiltinFunction, FUNCTIONS};
use super::datetime;
use super::macros::{MacroCall, PackageMacros};
use super::method::MethodsObject;
use super::relation::Relation;
use super::render::{Pass, Render};
use super::value::{Mapping, from_json};
use crate::graph::Graph;
use crate::node::ResourceType;

/// The root of every render's context.
pub(crate) struct Globals {
    render: Arc<Render>,
}

impl Globals {
    pub(crate) fn new(render: Arc<Render>) -> Self {
        Self { render }
    }

    fn lookup(&self, name: &str) -> Option<Value> {
        let render = &self.render;
        if let Some(value) = render.scope.variables.get(name) {
            return Some(from_json(value));
        }
        if let Some(value) = render.scope.unit.as_ref().and_then(|unit| unit.macros.get(name)) {
            return Some(Value::from_object(Replaced(value.clone())));
        }
        if let Some(definition) = render.definitions.find_macro(&render.subject.package, name) {
            return Some(MacroCall::of(render, definition));
        }
        if render.definitions.macros.has_package(name) || render.definitions.packages.contains_key(name) {
            return Some(Value::from_object(PackageMacros { render: Arc::clone(render), package: name.to_owned() }));
        }
        builtin(render, name)
    }
}

impl fmt::Debug for Globals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<context>")
    }
}

impl Object for Globals {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lookup(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.lookup(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// A macro a unit test replaces: whatever it is called with, it gives this.
#[derive(Debug)]
struct Replaced(serde_json::Value);

impl Object for Replaced {
    fn call(self: &Arc<Self>, _: &mut minijinja::State<'_, '_>, _: &[Value]) -> Result<Value, minijinja::Error> {
        Ok(from_json(&self.0))
    }
}

/// `builtins`: what dbt provides even where a macro of the project has the name.
#[derive(Debug)]
struct Builtins {
    render: Arc<Render>,
}

impl Object for Builtins {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        builtin(&self.render, key.as_str()?)
    }
}

fn builtin(render: &Arc<Render>, name: &str) -> Option<Value> {
    if let Some(function) = FUNCTIONS.iter().find(|known| **known == name) {
        return Some(Value::from_object(BuiltinFunction { render: Arc::clone(render), name: function }));
    }
    let shared = || Arc::clone(render);
    Some(match name {
        "config" => Value::from_object(ConfigObject { render: shared() }),
        "adapter" => Value::from_object(MethodsObject(AdapterMethods { render: shared() })),
        "api" => Value::from_object(MethodsObject(ApiMethods { render: shared() })),
        "exceptions" => Value::from_object(MethodsObject(ExceptionMethods { render: shared() })),
        "builtins" => Value::from_object(Builtins { render: shared() }),
        "modules" => datetime::modules(render),
        "execute" => Value::from(render.executes()),
        "this" => this(render),
        "model" => from_json(&serde_json::Value::Object(render.subject.model.clone())),
        "target" => target(render),
        "graph" => graph(render),
        "schema" => Value::from(render.subject.relation.schema.as_str()),
        "database" => render.subject.relation.database.as_deref().map_or(Value::from(()), Value::from),
        "project_name" => Value::from(render.definitions.root_package.as_str()),
        "dbt_version" => Value::from(crate::artifact::DBT_VERSION),
        "selected_resources" => super::value::List::of(Vec::new()),
        "flags" => flags(render),
        "invocation_id" | "run_started_at" | "invocation_args_dict" => run_value(render, name),
        "none" | "None" | "null" => Value::from(()),
        _ => return None,
    })
}

fn this(render: &Render) -> Value {
    let name = render.subject.relation.clone();
    match render.scope.unit.as_ref().and_then(|unit| unit.inputs.get("this")) {
        Some(cte) => Relation::of_cte(name, cte.clone()).into_value(),
        None => Relation::new(name, None, render.quote()).into_value(),
    }
}

fn pairs(items: Vec<(&str, Value)>) -> Value {
    Mapping::of(items.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
}

fn target(render: &Render) -> Value {
    let target = &render.definitions.target;
    let text = |text: &str| Value::from(text);
    let database = target.database.as_deref().map_or(Value::from(()), Value::from);
    let profile = if target.profile.is_empty() { &render.definitions.root_package } else { &target.profile };
    let mut shown: Vec<(&str, Value)> =
        target.more.iter().map(|(key, value)| (key.as_str(), from_json(value))).collect();
    shown.extend(vec![
        ("name", text(&target.name)),
        ("target_name", text(&target.name)),
        ("profile_name", text(profile)),
        ("type", text(&target.adapter)),
        ("schema", text(&target.schema)),
        ("dataset", text(&target.schema)),
        ("database", database.clone()),
        ("dbname", database.clone()),
        ("project", database),
        ("threads", Value::from(target.threads)),
    ]);
    pairs(shown)
}

fn flags(render: &Render) -> Value {
    let run = render.run();
    let full_refresh = run.is_some_and(|run| run.full_refresh);
    let which = run.map_or("parse", |run| run.command.as_str());
    pairs(vec![
        ("FULL_REFRESH", Value::from(full_refresh)),
        ("WHICH", Value::from(which)),
        ("EMPTY", Value::from(run.is_some_and(|run| run.empty))),
        ("DEFER", Value::from(run.is_some_and(|run| run.deferral.is_some()))),
        ("STORE_FAILURES", Value::from(run.is_some_and(|run| run.store_failures))),
    ])
}

fn run_value(render: &Arc<Render>, name: &str) -> Value {
    render.collect(|collected| collected.volatile = true);
    match (&render.pass, name) {
        (Pass::Compile { run, .. }, "invocation_id") => Value::from(run.invocation_id.as_str()),
        (Pass::Compile { run, .. }, "run_started_at") => datetime::value(run.started_at.as_micros()),
        (Pass::Parse, "run_started_at") => datetime::value(0),
        (Pass::Compile { .. } | Pass::Parse, "invocation_args_dict") => Mapping::of(Vec::new()),
        _ => Value::from(""),
    }
}

/// `graph`, as far as templates use it: nodes and sources by unique id. Empty while parsing.
fn graph(render: &Render) -> Value {
    let (mut nodes, mut sources) = (Vec::new(), Vec::new());
    if let Pass::Compile { graph, .. } = &render.pass {
        for node in graph.nodes.values() {
            let value = (
                Value::from(node.id.as_str()),
                from_json(&serde_json::Value::Object(crate::artifact::node_fields(node))),
            );
            if node.resource_type == ResourceType::Source { sources.push(value) } else { nodes.push(value) }
        }
    }
    pairs(vec![
        ("nodes", Mapping::of(nodes)),
        ("sources", Mapping::of(sources)),
        ("exposures", Mapping::of(Vec::new())),
        ("groups", Mapping::of(Vec::new())),
        ("metrics", Mapping::of(Vec::new())),
    ])
}

/// The graph of a compile.
pub(crate) fn compile_graph(render: &Render) -> Option<&Arc<Graph>> {
    match &render.pass {
        Pass::Compile { graph, .. } => Some(graph),
        Pass::Parse => None,
    }
}
