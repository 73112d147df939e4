//! Statements around a node or a run: `pre-hook`, `post-hook`, `on-run-start`, `on-run-end`, and macros run by themselves.

use std::sync::Arc;

use headwater_project::Diagnostic;

use crate::compile::Compiler;
use crate::definitions::JsonMap;
use crate::jinja::render::{Message, Render, Scope, Subject, on_deep_stack};
use crate::jinja::value::to_json;
use crate::load::generic_test::expression;
use crate::node::NodeId;
use crate::project::TransformProject;
use crate::run::RunContext;
use crate::warehouse::{RelationName, Warehouse};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMoment {
    Before,
    After,
}

impl HookMoment {
    fn key(self) -> &'static str {
        match self {
            Self::Before => "pre_hook",
            Self::After => "post_hook",
        }
    }
}

/// A hook around a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHook {
    /// dbt's id: `operation.<package>.<package>-on-run-start-0`.
    pub id: String,
    pub name: String,
    pub package: String,
    pub text: String,
}

/// The SQL of hooks as they are configured: text, or mappings with `sql`.
pub(crate) fn texts(value: Option<&serde_json::Value>) -> Vec<String> {
    let text = |hook: &serde_json::Value| match hook {
        serde_json::Value::String(text) => Some(text.clone()),
        other => other.get("sql").and_then(|sql| sql.as_str()).map(str::to_owned),
    };
    match value {
        Some(serde_json::Value::Array(hooks)) => hooks.iter().filter_map(text).collect(),
        Some(hook) => text(hook).into_iter().collect(),
        None => Vec::new(),
    }
}

impl TransformProject {
    pub fn has_hooks(&self, node: &NodeId) -> bool {
        let keys = [HookMoment::Before, HookMoment::After];
        self.node(node).is_some_and(|node| keys.iter().any(|moment| !texts(node.config.get(moment.key())).is_empty()))
    }

    /// The templates of a node's hooks, to be rendered one by one when it is their turn.
    pub fn hooks(&self, node: &NodeId, moment: HookMoment) -> Vec<String> {
        self.node(node).map(|node| texts(node.config.get(moment.key()))).unwrap_or_default()
    }

    /// The SQL of a hook of a node; empty when there is nothing to run. Call it from a thread that may block.
    pub fn render_hook(
        &self,
        node: &NodeId,
        hook: &str,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<String, Vec<Diagnostic>> {
        let compiler = Compiler { project: self, warehouse, run };
        on_deep_stack(|| compiler.hook(node, hook)).unwrap_or_else(|error| Err(vec![not_run(&error.to_string())]))
    }

    /// Hooks around the run: those of packages before those of the project.
    pub fn run_hooks(&self, moment: HookMoment) -> Vec<RunHook> {
        let root = &self.definitions.root_package;
        let mut packages: Vec<_> = self.definitions.packages.iter().collect();
        packages.sort_by_key(|(name, _)| *name == root);
        let mut hooks = Vec::new();
        for (package, definition) in packages {
            let (word, texts) = match moment {
                HookMoment::Before => ("on-run-start", &definition.on_run_start),
                HookMoment::After => ("on-run-end", &definition.on_run_end),
            };
            for (index, text) in texts.iter().enumerate() {
                let name = format!("{package}-{word}-{index}");
                let id = format!("operation.{package}.{name}");
                hooks.push(RunHook { id, name, package: package.clone(), text: text.clone() });
            }
        }
        hooks
    }

    /// The SQL of a hook around the run. `variables` are what it sees besides, such as `results`.
    pub fn render_run_hook(
        &self,
        hook: &RunHook,
        variables: JsonMap,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<(String, Vec<Message>), Vec<Diagnostic>> {
        let work = || {
            let render = self.operation_render(&hook.id, &hook.package, variables, warehouse, run);
            let rendered = self.templates.render_text(&hook.text, &render);
            let compiler = Compiler { project: self, warehouse, run };
            rendered
                .map(|sql| (sql, render.take().messages))
                .map_err(|error| vec![compiler.problem(&error, &format!("running {}", hook.name), None)])
        };
        on_deep_stack(work).unwrap_or_else(|error| Err(vec![not_run(&error.to_string())]))
    }

    /// The problem with the name of a macro nobody defines.
    pub fn require_macro(&self, name: &str) -> Result<(), Diagnostic> {
        if self.called_macro(name).is_some() {
            return Ok(());
        }
        let names = self.definitions.macros.iter().map(|definition| definition.name.as_str());
        let problem = Diagnostic::error(format!("there is no macro '{name}'"));
        Err(match crate::near::nearest(name, names) {
            Some(near) => problem.hint(format!("Did you mean '{near}'?")),
            None => problem.hint("Define it in a file of the folder macros/."),
        })
    }

    /// The macro a name means, as a template calls it: without a package it may be one of any package, the project's first.
    fn called_macro(&self, name: &str) -> Option<String> {
        let definitions = &self.definitions;
        if let Some((package, inside)) = name.split_once('.') {
            return definitions.macros.in_package(package, inside).map(|_| name.to_owned());
        }
        if definitions.find_macro(&definitions.root_package, name).is_some() {
            return Some(name.to_owned());
        }
        let found = definitions.macros.iter().find(|definition| definition.name == name)?;
        Some(format!("{}.{name}", found.package))
    }

    /// Calls a macro with arguments by name, as `run-operation` does; returns what it returned.
    pub fn run_operation(
        &self,
        name: &str,
        arguments: &JsonMap,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<(serde_json::Value, Vec<Message>), Vec<Diagnostic>> {
        let root = self.definitions.root_package.clone();
        self.require_macro(name).map_err(|problem| vec![problem])?;
        let written: Vec<String> =
            arguments.iter().map(|(name, value)| format!("{name}={}", expression(value))).collect();
        let work = || {
            let id = format!("operation.{root}.{name}");
            let render = self.operation_render(&id, &root, JsonMap::new(), warehouse, run);
            let callee = self.called_macro(name).unwrap_or_else(|| name.to_owned());
            let called = self.templates.evaluate(&format!("{callee}({})", written.join(", ")), &render);
            let compiler = Compiler { project: self, warehouse, run };
            called
                .map(|value| (to_json(&value), render.take().messages))
                .map_err(|error| vec![compiler.problem(&error, &format!("running the macro {name}"), None)])
        };
        on_deep_stack(work).unwrap_or_else(|error| Err(vec![not_run(&error.to_string())]))
    }

    /// Runs a materialisation of the project: a macro that carries out its statements through the warehouse itself.
    pub fn materialize(
        &self,
        node: &NodeId,
        macro_name: &str,
        sql: &str,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<Vec<Message>, Vec<Diagnostic>> {
        let compiler = Compiler { project: self, warehouse, run };
        on_deep_stack(|| compiler.custom(node, macro_name, sql))
            .unwrap_or_else(|error| Err(vec![not_run(&error.to_string())]))
    }

    fn operation_render(
        &self,
        id: &str,
        package: &str,
        variables: JsonMap,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Arc<Render> {
        let target = &self.definitions.target;
        let subject = Subject {
            id: id.to_owned(),
            package: package.to_owned(),
            relation: RelationName {
                database: target.database.clone(),
                schema: target.schema.clone(),
                identifier: String::new(),
            },
            config: JsonMap::new(),
            model: JsonMap::new(),
        };
        let compiler = Compiler { project: self, warehouse, run };
        let scope = Scope { variables, ..Scope::default() };
        Render::scoped(&self.definitions, subject, compiler.pass(), scope)
    }
}

fn not_run(cause: &str) -> Diagnostic {
    Diagnostic::error("a template could not be run").detail(format!("{cause}."))
}
