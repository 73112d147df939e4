//! The compile pass: templates to SQL, with ephemeral models inlined, and a plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_project::{Diagnostic, Span};

use crate::artifact::node_fields;
use crate::config::{NodeConfig, merge};
use crate::contract::{Contract, contract};
use crate::definitions::JsonMap;
use crate::jinja::adapter::describe;
use crate::jinja::builtin::full_refresh;
use crate::jinja::problem::diagnostic;
use crate::jinja::render::{Collected, Message, Pass, Render, Scope, Subject};
use crate::materialize::{Plan, TestPlan, TestSeverity, plan};
use crate::node::{Node, NodeId, NodeKind, ResourceType, UnitTest};
use crate::project::TransformProject;
use crate::run::RunContext;
use crate::volatile::is_volatile;
use crate::warehouse::{RelationKind, RelationName, Warehouse, WarehouseError};

/// Ephemeral models inlined into each other deeper than this are refused.
const MAX_INLINED: usize = 64;

/// A node ready to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub id: NodeId,
    /// What to run: a query. For a test, the query that counts failures. Empty for seeds.
    pub sql: String,
    /// The same in the dialect the project is written in.
    pub written: String,
    pub plan: Plan,
    pub relation: RelationName,
    /// Changes when anything the SQL is made of changes: code, configuration, macros, variables, inlined models. The same for
    /// the first and later runs of an incremental model.
    pub raw_sql_hash: String,
    /// Differs from run to run on the same data: it reads the clock, chance or the run itself.
    pub volatile: bool,
    /// What its columns must be, where that is enforced.
    pub contract: Option<Contract>,
    pub messages: Vec<Message>,
}

/// The name an ephemeral model has where it is inlined.
pub(crate) fn cte_name(model: &str) -> String {
    format!("__dbt__cte__{model}")
}

pub(crate) struct Compiler<'a> {
    pub project: &'a TransformProject,
    pub warehouse: &'a Arc<dyn Warehouse>,
    pub run: &'a RunContext,
}

/// A rendered template with what it needs in front of it.
struct Rendered {
    sql: String,
    collected: Collected,
}

impl Compiler<'_> {
    pub(crate) fn compile(&self, id: &NodeId) -> Result<Compiled, Vec<Diagnostic>> {
        let node = self.node(id)?;
        if let NodeKind::UnitTest(test) = &node.kind {
            return self.compile_unit_test(node, test);
        }
        let render = self.render_for(node);
        if matches!(node.resource_type, ResourceType::Seed | ResourceType::Source) {
            return self.without_code(node);
        }
        let problems = crate::contract::problems(node);
        if !problems.is_empty() {
            return Err(problems);
        }
        let Rendered { sql, mut collected } = self.rendered(node, &render, &mut Vec::new())?;
        let sql = without_semicolon(&sql);
        let mut config = node.config.values.clone();
        merge_dynamic(&mut config, &collected.config);
        let config = NodeConfig { values: config };
        let first_run = self.first_run(node, &render).map_err(|error| self.problems(&error, node))?;
        let plan = match self.custom_materialization(node, &config) {
            Some(macro_name) => Plan::Custom { macro_name },
            None => plan(node, &config, first_run, sql)?,
        };
        let mut plan = stored(plan, self.run.store_failures, &config);
        let written = match &plan {
            Plan::Test(test) => test.counting_sql(),
            _ => sql.to_owned(),
        };
        let sql = self.in_own_sql(node, &mut plan, &written)?;
        Ok(Compiled {
            id: id.clone(),
            volatile: collected.volatile || is_volatile(&sql),
            raw_sql_hash: self.code_hash(id),
            relation: node.relation.clone(),
            messages: std::mem::take(&mut collected.messages),
            contract: contract(node, &config),
            sql,
            written,
            plan,
        })
    }

    /// What the project wrote, in the warehouse's own SQL: the query, and what the plan holds of it.
    fn in_own_sql(&self, node: &Node, plan: &mut Plan, written: &str) -> Result<String, Vec<Diagnostic>> {
        let expression = |text: &mut String| -> Result<(), Vec<Diagnostic>> {
            *text = self.warehouse.translate_expression(text).map_err(|error| refused(node, error))?;
            Ok(())
        };
        match plan {
            // Its macros run the statements, and each is translated when it is run.
            Plan::Custom { .. } => return Ok(written.to_owned()),
            Plan::Test(test) => test.failing_rows = self.translated(node, &test.failing_rows)?,
            Plan::Snapshot(snapshot) => snapshot.each_expression(expression)?,
            Plan::Incremental { strategy, .. } => strategy.each_expression(expression)?,
            _ => {}
        }
        self.translated(node, written)
    }

    pub(crate) fn translated(&self, node: &Node, sql: &str) -> Result<String, Vec<Diagnostic>> {
        self.warehouse.translate(sql).map_err(|error| refused(node, error))
    }

    pub(crate) fn compile_inline(&self, sql: &str) -> Result<String, Vec<Diagnostic>> {
        let root = &self.project.definitions.root_package;
        let target = &self.project.definitions.target;
        let subject = Subject {
            id: format!("sql_operation.{root}.inline_query"),
            package: root.clone(),
            relation: RelationName {
                database: target.database.clone(),
                schema: target.schema.clone(),
                identifier: String::from("inline_query"),
            },
            config: JsonMap::new(),
            model: JsonMap::new(),
        };
        let render = Render::new(&self.project.definitions, subject, self.pass());
        let rendered = self.project.templates.render_text(sql, &render);
        let rendered = rendered.map_err(|error| vec![self.problem(&error, "compiling a query", None)])?;
        let (sql, _) = self.with_ephemeral(&rendered, &render.take().ephemeral, &mut Vec::new())?;
        Ok(without_semicolon(&sql).to_owned())
    }

    pub(crate) fn node(&self, id: &NodeId) -> Result<&Node, Vec<Diagnostic>> {
        if let Some(broken) = self.project.broken.get(id) {
            return Err(broken.clone());
        }
        self.project.graph.nodes.get(id).ok_or_else(|| vec![Diagnostic::error(format!("there is no node '{id}'"))])
    }

    pub(crate) fn pass(&self) -> Pass {
        Pass::Compile {
            warehouse: Arc::clone(self.warehouse),
            run: self.run.clone(),
            graph: Arc::clone(&self.project.graph),
        }
    }

    fn render_for(&self, node: &Node) -> Arc<Render> {
        Render::new(&self.project.definitions, self.subject(node), self.pass())
    }

    pub(crate) fn subject(&self, node: &Node) -> Subject {
        Subject {
            id: node.id.as_str().to_owned(),
            package: node.package.clone(),
            relation: node.relation.clone(),
            config: node.config.values.clone(),
            model: node_fields(node),
        }
    }

    pub(crate) fn problem(&self, error: &minijinja::Error, what: &str, span: Option<Span>) -> Diagnostic {
        diagnostic(error, &self.project.templates, &self.project.definitions, what, span)
    }

    fn problems(&self, error: &minijinja::Error, node: &Node) -> Vec<Diagnostic> {
        vec![self.problem(error, &format!("compiling {}", node.id), node.span)]
    }

    fn without_code(&self, node: &Node) -> Result<Compiled, Vec<Diagnostic>> {
        let plan = match node.resource_type {
            ResourceType::Seed => plan(node, &node.config, false, "")?,
            _ => {
                return Err(vec![Diagnostic::error(format!("{} is a source and is not built", node.id))]);
            }
        };
        Ok(Compiled {
            id: node.id.clone(),
            sql: String::new(),
            written: String::new(),
            plan,
            relation: node.relation.clone(),
            raw_sql_hash: self.code_hash(&node.id),
            volatile: false,
            contract: None,
            messages: Vec::new(),
        })
    }

    fn rendered(
        &self,
        node: &Node,
        render: &Arc<Render>,
        inside: &mut Vec<NodeId>,
    ) -> Result<Rendered, Vec<Diagnostic>> {
        let sql =
            self.project.templates.render(node.id.as_str(), render).map_err(|error| self.problems(&error, node))?;
        let mut collected = render.take();
        let (sql, inlined) = self.with_ephemeral(&sql, &collected.ephemeral, inside)?;
        collected.volatile |= inlined.iter().any(|each| each.volatile);
        Ok(Rendered { sql, collected })
    }

    fn code_hash(&self, id: &NodeId) -> String {
        self.project.code_hashes.get(id).cloned().unwrap_or_default()
    }

    /// Puts the ephemeral models a query refers to, and those they refer to, in front of it.
    fn with_ephemeral(
        &self,
        sql: &str,
        ephemeral: &[NodeId],
        inside: &mut Vec<NodeId>,
    ) -> Result<(String, Vec<Inlined>), Vec<Diagnostic>> {
        let mut inlined = Vec::new();
        let mut seen = BTreeSet::new();
        for id in ephemeral {
            self.inline(id, &mut inlined, &mut seen, inside)?;
        }
        Ok((inject(sql, &inlined), inlined))
    }

    fn inline(
        &self,
        id: &NodeId,
        inlined: &mut Vec<Inlined>,
        seen: &mut BTreeSet<NodeId>,
        inside: &mut Vec<NodeId>,
    ) -> Result<(), Vec<Diagnostic>> {
        if !seen.insert(id.clone()) {
            return Ok(());
        }
        let node = self.node(id)?;
        if inside.contains(id) || inside.len() >= MAX_INLINED {
            let mut problem = Diagnostic::error(format!("{} is inlined into itself, or too deep", node.name));
            problem.span = node.span;
            return Err(vec![problem.hint("Materialise one of these models as a view.")]);
        }
        inside.push(id.clone());
        let render = self.render_for(node);
        let sql = self.project.templates.render(id.as_str(), &render).map_err(|error| self.problems(&error, node))?;
        let collected = render.take();
        for dependency in &collected.ephemeral {
            self.inline(dependency, inlined, seen, inside)?;
        }
        inside.pop();
        inlined.push(Inlined {
            name: cte_name(&node.name),
            volatile: collected.volatile,
            sql: without_semicolon(&sql).to_owned(),
        });
        Ok(())
    }

    fn first_run(&self, node: &Node, render: &Arc<Render>) -> Result<bool, minijinja::Error> {
        if node.config.materialized() != "incremental" || full_refresh(render) {
            return Ok(true);
        }
        Ok(describe(render, &node.relation)?.is_none_or(|info| info.kind != RelationKind::Table))
    }

    /// The SQL of a hook, as it is now.
    pub(crate) fn hook(&self, id: &NodeId, text: &str) -> Result<String, Vec<Diagnostic>> {
        let node = self.node(id)?;
        let rendered = self.project.templates.render_text(text, &self.render_for(node));
        let rendered = rendered
            .map_err(|error| vec![self.problem(&error, &format!("running a hook of {}", node.id), node.span)])?;
        Ok(rendered.trim().to_owned())
    }

    /// The macro of the project, or of one of its packages, that keeps the results of this kind of model.
    fn custom_materialization(&self, node: &Node, config: &NodeConfig) -> Option<String> {
        if node.resource_type != ResourceType::Model {
            return None;
        }
        let definitions = &self.project.definitions;
        let materialized = config.materialized();
        let packages = std::iter::once(&node.package).chain(definitions.packages.keys());
        for package in packages {
            for adapter in definitions.target.prefixes() {
                let name = format!("materialization_{materialized}_{adapter}");
                if definitions.macros.in_package(package, &name).is_some() {
                    return Some(format!("{package}.{name}"));
                }
            }
        }
        None
    }

    /// Runs a materialisation of the project.
    pub(crate) fn custom(&self, id: &NodeId, macro_name: &str, sql: &str) -> Result<Vec<Message>, Vec<Diagnostic>> {
        let node = self.node(id)?;
        let hooks = |key: &str| {
            let hook = |sql: String| serde_json::json!({ "sql": sql, "transaction": true });
            serde_json::Value::from(crate::hooks::texts(node.config.get(key)).into_iter().map(hook).collect::<Vec<_>>())
        };
        let variables = [
            ("sql", sql.into()),
            ("compiled_code", sql.into()),
            ("pre_hooks", hooks("pre_hook")),
            ("post_hooks", hooks("post_hook")),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let scope = Scope { variables, ..Scope::default() };
        let render = Render::scoped(&self.project.definitions, self.subject(node), self.pass(), scope);
        let called = self.project.templates.evaluate(&format!("{macro_name}()"), &render);
        called.map_err(|error| vec![self.problem(&error, &format!("materialising {}", node.id), node.span)])?;
        Ok(render.take().messages)
    }

    fn compile_unit_test(&self, node: &Node, test: &UnitTest) -> Result<Compiled, Vec<Diagnostic>> {
        let query = self.unit_test(node, test)?;
        let plan = TestPlan {
            severity: TestSeverity::Error,
            warn_if: String::from("!= 0"),
            error_if: String::from("!= 0"),
            // However many rows differ, one expectation is not met.
            fail_calc: String::from("case when count(*) > 0 then 1 else 0 end"),
            limit: None,
            store_failures: false,
            failing_rows: query.differences,
        };
        Ok(Compiled {
            id: node.id.clone(),
            volatile: false,
            raw_sql_hash: self.code_hash(&node.id),
            relation: node.relation.clone(),
            messages: Vec::new(),
            contract: None,
            sql: plan.counting_sql(),
            written: plan.counting_sql(),
            plan: Plan::Test(plan),
        })
    }
}

/// SQL that has no translation, at the place of its node.
fn refused(node: &Node, error: WarehouseError) -> Vec<Diagnostic> {
    let mut problem = Diagnostic::error(format!("{}: {}", node.name, error.failure.message));
    problem.span = node.span;
    problem.detail = error.failure.detail;
    problem.hint = error.failure.hint;
    vec![problem]
}

/// `--store-failures` keeps the failing rows of every test that does not say otherwise.
fn stored(plan: Plan, asked: bool, config: &NodeConfig) -> Plan {
    match plan {
        Plan::Test(mut test) => {
            test.store_failures = config.flag("store_failures").unwrap_or(asked);
            Plan::Test(test)
        }
        other => other,
    }
}

/// Configuration that depends on execution, such as a unique key chosen by a macro, replaces what parsing found.
fn merge_dynamic(config: &mut JsonMap, given: &JsonMap) {
    let replaced: JsonMap = given
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "tags" | "pre_hook" | "post_hook" | "meta" | "grants"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    merge(config, &replaced);
}

pub(crate) struct Inlined {
    pub name: String,
    pub sql: String,
    pub volatile: bool,
}

pub(crate) fn without_semicolon(sql: &str) -> &str {
    let trimmed = sql.trim_end();
    match trimmed.strip_suffix(';') {
        Some(rest) => rest.trim_end_matches(|character: char| character == ';' || character.is_whitespace()),
        None => sql,
    }
}

/// Adds common table expressions to a query, in front of its own.
pub(crate) fn inject(sql: &str, inlined: &[Inlined]) -> String {
    if inlined.is_empty() {
        return sql.to_owned();
    }
    let ctes: Vec<String> = inlined.iter().map(|each| format!(" {} as (\n{}\n)", each.name, each.sql)).collect();
    let ctes = ctes.join(", ");
    match own_with(sql) {
        Some(at) => {
            let (before, after) = sql.split_at(at);
            format!("{before} {ctes},{after}")
        }
        None => format!("with{ctes} {sql}"),
    }
}

/// The end of a leading `with` or `with recursive`, after comments and blanks.
fn own_with(sql: &str) -> Option<usize> {
    let start = skip_blank(sql, 0);
    let end = keyword(sql, start, "with")?;
    Some(keyword(sql, skip_blank(sql, end), "recursive").unwrap_or(end))
}

fn keyword(sql: &str, at: usize, word: &str) -> Option<usize> {
    let end = at + word.len();
    let found = sql.get(at..end)?.eq_ignore_ascii_case(word);
    let ends = sql.as_bytes().get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    (found && ends).then_some(end)
}

fn skip_blank(sql: &str, mut at: usize) -> usize {
    loop {
        let rest = sql.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let end = if trimmed.starts_with("--") {
            trimmed.find('\n')
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map(|end| end + 2)
        } else {
            return at;
        };
        match end {
            Some(end) => at += end,
            None => return sql.len(),
        }
    }
}
