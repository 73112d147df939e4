//! The façade: a loaded project, and what can be asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_project::Diagnostic;
use headwater_project::tree::Tree;

use crate::artifact::Entries;
use crate::compile::{Compiled, Compiler};
use crate::definitions::{Definitions, Group, JsonMap, MacroSet, Target};
use crate::error::TransformError;
use crate::graph::Graph;
use crate::jinja::render::{Pass, Render, Subject, TemplateLimits, Templates, on_deep_stack};
use crate::load::generic_test::expression;
use crate::node::{Node, NodeId};
use crate::run::RunContext;
use crate::select::{SelectionQuery, SelectorEntry};
use crate::warehouse::{RelationName, Warehouse};

/// A project as it was read. Immutable, cheap to share between threads behind an `Arc`.
#[derive(Debug)]
pub struct TransformProject {
    pub name: String,
    pub graph: Arc<Graph>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) templates: Templates,
    /// What is wrong with nodes that could not be parsed.
    pub(crate) broken: BTreeMap<NodeId, Vec<Diagnostic>>,
    pub(crate) code_hashes: BTreeMap<NodeId, String>,
    /// Entries of selectors.yml by name.
    pub(crate) selectors: BTreeMap<String, SelectorEntry>,
    pub(crate) groups: Vec<Group>,
}

impl TransformProject {
    pub(crate) fn new(
        definitions: Arc<Definitions>,
        templates: Templates,
        graph: Graph,
        broken: BTreeMap<NodeId, Vec<Diagnostic>>,
        code_hashes: BTreeMap<NodeId, String>,
    ) -> Self {
        Self {
            name: definitions.root_package.clone(),
            graph: Arc::new(graph),
            definitions,
            templates,
            broken,
            code_hashes,
            selectors: BTreeMap::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn empty() -> Self {
        let definitions = Definitions::for_macros(&MacroSet::default());
        Self::new(
            Arc::new(definitions),
            Templates::new(TemplateLimits::default()),
            Graph::default(),
            BTreeMap::new(),
            BTreeMap::new(),
        )
    }

    /// Compiles one node to SQL and a plan. Calls the warehouse, so call it from a thread that may block. What a node depends
    /// on need not be compiled before, but what `run_query` and `is_incremental` see is the warehouse of this moment.
    pub fn compile(
        &self,
        node: &NodeId,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<Compiled, Vec<Diagnostic>> {
        let compiler = Compiler { project: self, warehouse, run };
        on_deep_stack(|| compiler.compile(node)).unwrap_or_else(|error| {
            Err(vec![Diagnostic::error(format!("{node} could not be compiled")).detail(format!("{error}."))])
        })
    }

    /// Compiles SQL that is not a node, such as a dashboard's query or an ad-hoc one with `ref`.
    pub fn compile_inline(
        &self,
        sql: &str,
        warehouse: &Arc<dyn Warehouse>,
        run: &RunContext,
    ) -> Result<String, Vec<Diagnostic>> {
        let compiler = Compiler { project: self, warehouse, run };
        on_deep_stack(|| compiler.compile_inline(sql)).unwrap_or_else(|error| {
            Err(vec![Diagnostic::error("the query could not be compiled").detail(format!("{error}."))])
        })
    }

    /// The entries of selectors.yml; whether one is the default may depend on the target.
    pub(crate) fn selector_entries(&self, file: &Tree) -> BTreeMap<String, SelectorEntry> {
        let relation = RelationName { database: None, schema: String::new(), identifier: String::new() };
        let subject = Subject {
            id: String::from("selectors"),
            package: self.name.clone(),
            relation,
            config: JsonMap::new(),
            model: JsonMap::new(),
        };
        let render = Render::new(&self.definitions, subject, Pass::Parse);
        let rendered = |value: &serde_json::Value| {
            let evaluate = || self.templates.evaluate(&expression(value), &render).map(|value| value.to_string());
            on_deep_stack(evaluate).ok().and_then(Result::ok).is_some_and(|text| text.eq_ignore_ascii_case("true"))
        };
        crate::select::entries(file, |value| crate::config::as_flag(value).unwrap_or_else(|| rendered(value)))
    }

    /// Makes entries of nodes for artifacts, and for comparing with earlier ones.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { graph: &self.graph, definitions: &self.definitions }
    }

    /// Changes when anything the node's SQL is made of changes; the same as [`Compiled::raw_sql_hash`], without rendering.
    pub fn code_hash(&self, node: &NodeId) -> Option<&str> {
        self.code_hashes.get(node).map(String::as_str)
    }

    /// Nodes with everything a node depends on before it. Nodes on a cycle are left out.
    pub fn ordered(&self) -> impl Iterator<Item = &Node> {
        self.graph.order().into_iter().filter_map(|id| self.graph.nodes.get(&id))
    }

    /// Where models go, as the profile says.
    pub fn target(&self) -> &Target {
        &self.definitions.target
    }

    /// A node as the manifest has it, but for when it was read and what it came to.
    pub fn entry(&self, id: &NodeId) -> Option<serde_json::Map<String, serde_json::Value>> {
        self.node(id).map(|node| self.entries().of(node))
    }

    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.graph.nodes.get(id)
    }

    /// The nodes chosen by `--select` and `--exclude`; all when nothing is selected.
    pub fn select(&self, select: &[String], exclude: &[String]) -> Result<BTreeSet<NodeId>, TransformError> {
        let query = SelectionQuery { select: select.to_vec(), exclude: exclude.to_vec(), ..SelectionQuery::default() };
        self.select_by(&query)
    }

    /// As [`TransformProject::select`], with everything a selection may say.
    pub fn select_by(&self, query: &SelectionQuery) -> Result<BTreeSet<NodeId>, TransformError> {
        crate::select::select(self.entries(), &self.selectors, query)
    }
}
