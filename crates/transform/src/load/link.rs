//! The parse pass over each node, and the resolution of references once all nodes are known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use headwater_project::{Diagnostic, Diagnostics, FileId, Files, Severity, Span};

use super::generic_test::literal_or_none;
use super::macros::builtin_packages;
use super::package::LoadedPackage;
use super::properties::shape::unknown_config;
use super::properties::{GroupProperties, TestProperties};
use super::{DeclaredSource, NO_FILE};
use crate::artifact::node_fields;
use crate::config::{NodeConfig, merge};
use crate::definitions::{BUILTIN_PACKAGE, Definitions, Group, JsonMap};
use crate::graph::{Graph, Unresolved};
use crate::jinja::builtin::{explain_ref, explain_source};
use crate::jinja::problem::diagnostic;
use crate::jinja::render::{Collected, PRELUDE, Pass, Render, Subject, Templates};
use crate::jinja::source::{TemplateSource, offset};
use crate::jinja::value::to_json;
use crate::near::nearest;
use crate::node::{Column, Node, NodeId, NodeKind, RefCall, ResourceType, SourceCall, TestKind, UnitTest, Written};
use crate::project::TransformProject;
use crate::warehouse::RelationName;

/// A node before it is parsed: what it is, its configuration so far, and its template as a part of a file.
#[derive(Debug)]
pub(crate) struct Draft {
    pub node: Node,
    pub config: JsonMap,
    pub code: Option<(Arc<str>, Range<usize>)>,
}

#[derive(Debug)]
pub(crate) struct Linker {
    definitions: Arc<Definitions>,
    templates: Templates,
    pub graph: Graph,
    broken: BTreeMap<NodeId, Vec<Diagnostic>>,
    declared: BTreeMap<(String, String), DeclaredSource>,
    /// Models and seeds by package and lower-case name.
    spellings: BTreeMap<(String, String), NodeId>,
    /// Variables each node read while it was parsed.
    inputs: BTreeMap<NodeId, BTreeMap<String, String>>,
    paths: HashMap<FileId, PathBuf>,
    groups: Vec<Group>,
    /// What a plain test of a column makes use of, by package and test: all of them use the same.
    plain_tests: HashMap<(String, String), PlainTest>,
}

/// Macros and variables a built-in test of a column reads.
#[derive(Clone, Debug)]
struct PlainTest {
    macros: BTreeSet<String>,
    inputs: BTreeMap<String, String>,
}

impl Linker {
    pub(crate) fn new(definitions: Arc<Definitions>, templates: Templates) -> Self {
        Self {
            definitions,
            templates,
            graph: Graph::default(),
            broken: BTreeMap::new(),
            declared: BTreeMap::new(),
            spellings: BTreeMap::new(),
            inputs: BTreeMap::new(),
            paths: HashMap::new(),
            groups: Vec::new(),
            plain_tests: HashMap::new(),
        }
    }

    /// Tells where the files are that spans speak of.
    pub(crate) fn know_paths(&mut self, files: &Files) {
        self.paths = files.iter().map(|(id, file)| (id, file.path.clone())).collect();
    }

    pub(crate) fn path_of(&self, span: Span) -> PathBuf {
        self.paths.get(&span.file).cloned().unwrap_or_default()
    }

    pub(crate) fn add_groups(&mut self, package: &LoadedPackage, groups: &[GroupProperties]) {
        let group = |group: &GroupProperties| {
            let file = self.path_of(group.span);
            Group {
                name: group.name.clone(),
                package: package.file.name.clone(),
                path: package.inside(&file),
                file,
                written: group.written.clone(),
            }
        };
        let groups: Vec<Group> = groups.iter().map(group).collect();
        self.groups.extend(groups);
    }

    pub(crate) fn add_declared(&mut self, sources: &[DeclaredSource]) {
        for source in sources {
            self.declared.insert((source.source.clone(), source.table.clone()), source.clone());
        }
    }

    /// Parses a node and puts it into the graph.
    pub(crate) fn add(&mut self, mut draft: Draft, found: &mut Diagnostics) {
        self.render_config(&mut draft, found);
        draft.node.relation = self.provisional(&draft.node);
        let mut collected = self.parse(&draft, found);
        self.parse_hooks(&draft, &mut collected, found);
        let mut config = draft.config;
        report_unknown(&collected.config, &draft.node, found);
        merge(&mut config, &collected.config);
        let mut node = draft.node;
        node.written.config.extend(collected.config_calls);
        node.config = NodeConfig { values: with_defaults(config, &node) };
        node.macros = collected.macros;
        self.inputs.insert(node.id.clone(), collected.inputs);
        node.refs = in_order(collected.refs);
        node.sources = in_order(collected.sources);
        node.description = self.render_description(&node, &node.description, found);
        let described = node.columns.values().filter(|column| column.description.contains("{{"));
        let described: Vec<(String, String)> =
            described.map(|column| (column.name.clone(), column.description.clone())).collect();
        for (name, text) in described {
            let text = self.render_description(&node, &text, found);
            node.columns.entry(name).and_modify(|column| column.description = text);
        }
        node.relation = self.relation(&node, found);
        self.insert(node, found);
    }

    fn insert(&mut self, node: Node, found: &mut Diagnostics) {
        if !node.config.enabled() {
            self.graph.disabled.insert(node.id.clone(), node);
            return;
        }
        let referable = node.resource_type.is_referable();
        let version = node.version.as_ref().map(|version| format!(".v{version}")).unwrap_or_default();
        let spelling = (node.package.clone(), format!("{}{version}", node.name.to_lowercase()));
        let twin = self.graph.nodes.get(&node.id).or_else(|| {
            let id = self.spellings.get(&spelling).filter(|_| referable)?;
            self.graph.nodes.get(id)
        });
        if let Some(twin) = twin {
            found.push(duplicate(&node, twin));
            if twin.id == node.id {
                return;
            }
        }
        if referable {
            self.spellings.insert(spelling, node.id.clone());
        }
        self.graph.insert(node);
    }

    /// Jinja in the configuration of YAML files.
    fn render_config(&self, draft: &mut Draft, found: &mut Diagnostics) {
        let written: Vec<String> = draft
            .config
            .iter()
            .filter(|(key, value)| is_template(value) && !is_late(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in written {
            let Some(value) = draft.config.get(&key).cloned() else { continue };
            let render = Render::new(&self.definitions, self.subject(&draft.node, JsonMap::new()), Pass::Parse);
            match self.templates.evaluate(&super::generic_test::expression(&value), &render) {
                Ok(value) => {
                    draft.config.insert(key, to_json(&value));
                }
                Err(error) => {
                    let what = format!("reading the configuration '{key}' of {}", draft.node.id);
                    found.push(self.diagnostic(&error, &what, draft.node.span));
                }
            }
        }
    }

    fn subject(&self, node: &Node, config: JsonMap) -> Subject {
        Subject {
            id: node.id.as_str().to_owned(),
            package: node.package.clone(),
            relation: node.relation.clone(),
            config,
            model: node_fields(node),
        }
    }

    fn parse(&mut self, draft: &Draft, found: &mut Diagnostics) -> Collected {
        let node = &draft.node;
        if node.raw_code.is_empty() {
            return Collected::default();
        }
        let mut source = match &draft.code {
            Some((text, _)) => TemplateSource::new(node.file.unwrap_or(NO_FILE), text),
            None => TemplateSource::new(NO_FILE, &node.raw_code),
        };
        source.push(PRELUDE);
        match &draft.code {
            Some((text, range)) => source.push_slice(text, range.clone()),
            None => source.push(&node.raw_code),
        }
        let what = format!("reading {}", node.id);
        if let Err(error) = self.templates.add(node.id.as_str(), source) {
            self.broken(node, self.diagnostic(&error, &what, node.span), found);
            return Collected::default();
        }
        if let Some(known) = self.known_test(node) {
            return known;
        }
        let render = Render::new(&self.definitions, self.subject(node, draft.config.clone()), Pass::Parse);
        if let Err(error) = self.templates.render(node.id.as_str(), &render) {
            let mut problem = self.diagnostic(&error, &what, node.span);
            // What calls an unknown macro cannot be built; everything else can.
            if crate::jinja::problem::is_unknown_function(&error) {
                self.broken.entry(node.id.clone()).or_default().push(problem.clone());
                problem.severity = Severity::Warning;
                found.push(problem);
            } else {
                self.broken(node, problem, found);
            }
        }
        let collected = render.take();
        self.note_test(node, &collected);
        collected
    }

    /// What parsing a plain test would find, when another was parsed before: two thirds of a usual project are such tests.
    fn known_test(&self, node: &Node) -> Option<Collected> {
        let (name, tested) = plain_test(node)?;
        let known = self.plain_tests.get(&(node.package.clone(), name.to_owned()))?.clone();
        let (refs, sources) = calls_of(self.graph.nodes.get(tested)?);
        Some(Collected { macros: known.macros, inputs: known.inputs, refs, sources, ..Collected::default() })
    }

    /// Only tests that are dbt's own throughout: a project's macro may look at anything.
    fn note_test(&mut self, node: &Node, found: &Collected) {
        let Some((name, tested)) = plain_test(node) else { return };
        let Some(tested) = self.graph.nodes.get(tested) else { return };
        let own = format!("macro.{BUILTIN_PACKAGE}.");
        let is_plain = found.macros.iter().all(|id| id.starts_with(&own))
            && (&found.refs, &found.sources) == (&calls_of(tested).0, &calls_of(tested).1)
            && found.config.is_empty()
            && found.messages.is_empty()
            && !found.volatile;
        if is_plain {
            let known = PlainTest { macros: found.macros.clone(), inputs: found.inputs.clone() };
            self.plain_tests.insert((node.package.clone(), name.to_owned()), known);
        }
    }

    /// What hooks refer to must be there before the node is built.
    fn parse_hooks(&self, draft: &Draft, collected: &mut Collected, found: &mut Diagnostics) {
        for config in [&draft.config, &collected.config.clone()] {
            for hook in ["pre_hook", "post_hook"].into_iter().flat_map(|key| crate::hooks::texts(config.get(key))) {
                if !hook.contains("{{") && !hook.contains("{%") {
                    continue;
                }
                let render =
                    Render::new(&self.definitions, self.subject(&draft.node, draft.config.clone()), Pass::Parse);
                if let Err(error) = self.templates.render_text(&hook, &render) {
                    let what = format!("reading a hook of {}", draft.node.id);
                    found.push(self.diagnostic(&error, &what, draft.node.span));
                }
                let more = render.take();
                collected.refs.extend(more.refs);
                collected.sources.extend(more.sources);
                collected.macros.extend(more.macros);
                collected.inputs.extend(more.inputs);
            }
        }
    }

    fn broken(&mut self, node: &Node, diagnostic: Diagnostic, found: &mut Diagnostics) {
        found.push(diagnostic.clone());
        self.broken.entry(node.id.clone()).or_default().push(diagnostic);
    }

    fn diagnostic(&self, error: &minijinja::Error, what: &str, fallback: Option<Span>) -> Diagnostic {
        diagnostic(error, &self.templates, &self.definitions, what, fallback)
    }

    fn render_description(&self, node: &Node, text: &str, found: &mut Diagnostics) -> String {
        if !text.contains("{{") {
            return text.to_owned();
        }
        let render = Render::new(&self.definitions, self.subject(node, JsonMap::new()), Pass::Parse);
        match self.templates.render_text(text, &render) {
            Ok(text) => text,
            Err(error) => {
                let mut problem =
                    self.diagnostic(&error, &format!("reading the description of {}", node.id), node.span);
                problem.severity = Severity::Warning;
                found.push(problem);
                text.to_owned()
            }
        }
    }

    fn provisional(&self, node: &Node) -> RelationName {
        let target = &self.definitions.target;
        RelationName { database: target.database.clone(), schema: target.schema.clone(), identifier: node.name.clone() }
    }

    fn relation(&self, node: &Node, found: &mut Diagnostics) -> RelationName {
        if let NodeKind::Source { source, .. } = &node.kind {
            return self.source_relation(node, source);
        }
        if matches!(node.resource_type, ResourceType::UnitTest | ResourceType::Exposure) {
            return self.provisional(node);
        }
        if let (ResourceType::Snapshot, Some(schema)) = (node.resource_type, node.config.text("target_schema")) {
            let identifier = node.config.text("alias").unwrap_or(&node.name).to_owned();
            let database = node.config.text("target_database").map(str::to_owned);
            return RelationName {
                database: database.or_else(|| self.definitions.target.database.clone()),
                schema: schema.to_owned(),
                identifier,
            };
        }
        let audit = node.resource_type == ResourceType::Test && node.config.text("schema").is_none();
        let schema = if audit { Some("dbt_test__audit") } else { node.config.text("schema") };
        let alias = node.config.text("alias");
        let target = &self.definitions.target;
        let schema = self.named("generate_schema_name", schema, node, found).unwrap_or_else(|| match schema {
            Some(custom) => format!("{}_{}", target.schema, custom.trim()),
            None => target.schema.clone(),
        });
        let identifier = self
            .named("generate_alias_name", alias, node, found)
            .unwrap_or_else(|| alias.map_or_else(|| node.name.clone(), |alias| alias.trim().to_owned()));
        let database = node.config.text("database");
        let database = self
            .named("generate_database_name", database, node, found)
            .or_else(|| database.map(str::to_owned))
            .or_else(|| target.database.clone());
        RelationName { database, schema, identifier }
    }

    /// A name made by a macro of the project, where it has one.
    fn named(&self, name: &str, custom: Option<&str>, node: &Node, found: &mut Diagnostics) -> Option<String> {
        let definitions = &self.definitions;
        let own = definitions.find_macro(&definitions.root_package, name)?;
        if own.package == BUILTIN_PACKAGE
            && definitions.macros.in_package(&definitions.root_package, &format!("default__{name}")).is_none()
        {
            return None;
        }
        let render = Render::new(definitions, self.subject(node, node.config.values.clone()), Pass::Parse);
        match self.templates.evaluate(&format!("{name}({}, model)", literal_or_none(custom)), &render) {
            Ok(value) => Some(value.to_string().trim().to_owned()).filter(|name| !value.is_none() && !name.is_empty()),
            Err(error) => {
                found.push(self.diagnostic(&error, &format!("naming {} with {name}", node.id), node.span));
                None
            }
        }
    }

    fn source_relation(&self, node: &Node, source: &str) -> RelationName {
        let declared = self.declared.get(&(source.to_owned(), node.name.clone()));
        let named = node.config.text("schema").is_some() || node.config.text("alias").is_some();
        if let Some(declared) = declared.filter(|_| !named) {
            return declared.relation.clone();
        }
        RelationName {
            database: node
                .config
                .text("database")
                .map(str::to_owned)
                .or_else(|| self.definitions.target.database.clone()),
            schema: node.config.text("schema").unwrap_or(source).to_owned(),
            identifier: node.config.text("alias").unwrap_or(&node.name).to_owned(),
        }
    }

    /// The problem with a test whose macro does not exist.
    pub(crate) fn unknown_test(&self, package: &str, test: &TestProperties) -> Option<Diagnostic> {
        let name = format!("test_{}", test.name);
        let macros = &self.definitions.macros;
        let known = match &test.namespace {
            Some(namespace) => macros.in_package(namespace, &name),
            None => self.definitions.find_macro(package, &name),
        };
        if known.is_some() {
            return None;
        }
        if let Some(namespace) = test.namespace.as_ref().filter(|namespace| !macros.has_package(namespace)) {
            let message = format!("package '{namespace}' of test '{namespace}.{}' is not here", test.name);
            return Some(Diagnostic::error(message).at(test.span).hint(format!(
                "Put the package into dbt_packages/. Those that need no folder: {}.",
                builtin_packages()
            )));
        }
        let names: Vec<&str> = macros.iter().filter_map(|definition| definition.name.strip_prefix("test_")).collect();
        let shown = test.namespace.iter().chain([&test.name]).map(String::as_str).collect::<Vec<_>>().join(".");
        let diagnostic = Diagnostic::error(format!("there is no test '{shown}'")).at(test.span);
        let builtin = test.namespace.as_ref().filter(|namespace| macros.is_builtin(namespace));
        Some(match (nearest(&test.name, names.into_iter()), builtin) {
            (Some(near), _) => diagnostic.hint(format!("Did you mean '{near}'?")),
            (None, Some(namespace)) => diagnostic.hint(format!(
                "The package {namespace} is built in without it; put the package itself into dbt_packages/ to have it."
            )),
            (None, None) => {
                diagnostic.hint(format!("Define it with {{% test {}(model) %}} in tests/generic or macros.", test.name))
            }
        })
    }

    /// Resolves all references and closes the graph.
    pub(crate) fn finish(mut self, found: &mut Diagnostics) -> TransformProject {
        self.add_declared_nodes();
        let ids: Vec<NodeId> = self.graph.nodes.keys().cloned().collect();
        for id in ids {
            self.resolve(&id, found);
        }
        self.graph.link();
        self.report_cycles(found);
        self.report_same_relations(found);
        self.templates.close();
        let code_hashes = crate::code_hash::code_hashes(&self.definitions, &self.graph, &self.inputs);
        let mut project = TransformProject::new(self.definitions, self.templates, self.graph, self.broken, code_hashes);
        project.groups = self.groups;
        project
    }

    /// Declared sources no properties file speaks of.
    fn add_declared_nodes(&mut self) {
        for ((source, table), declared) in std::mem::take(&mut self.declared) {
            let known = self.graph.nodes.values().any(|node| {
                node.name == table && matches!(&node.kind, NodeKind::Source { source: known, .. } if *known == source)
            });
            if !known {
                let node = declared_node(&self.definitions.root_package, &declared);
                self.graph.insert(node);
            }
        }
    }

    fn resolve(&mut self, id: &NodeId, found: &mut Diagnostics) {
        let Some(node) = self.graph.nodes.get(id) else { return };
        let root = &self.definitions.root_package;
        if let NodeKind::UnitTest(test) = &node.kind {
            let test = test.clone();
            self.resolve_unit_test(id, &test, found);
            return;
        }
        let mut depends_on = BTreeSet::new();
        let mut problems = Vec::new();
        for call in &node.refs {
            match self.graph.resolve_ref(root, &node.package, call) {
                Ok(target) => {
                    found.found.extend(private(node, target));
                    depends_on.insert(target.id.clone());
                }
                Err(why) => problems.push((explain_ref(call, &why), why, "ref", call.name.clone())),
            }
        }
        for call in &node.sources {
            match self.graph.resolve_source(&node.package, call) {
                Ok(target) => _ = depends_on.insert(target.id.clone()),
                Err(why) => problems.push((explain_source(call, &why), why, "source", call.table.clone())),
            }
        }
        found.found.extend(self.unknown_group(node));
        let is_test = node.resource_type == ResourceType::Test;
        let mut left_out = false;
        for (message, why, function, name) in problems {
            let disabled = why == Unresolved::Disabled;
            left_out |= is_test;
            if !(is_test && disabled) {
                found.push(unresolved(node, message, &why, function, &name, is_test));
            }
        }
        if left_out {
            if let Some(node) = self.graph.nodes.remove(id) {
                self.graph.disabled.insert(id.clone(), node);
            }
        } else if let Some(node) = self.graph.nodes.get_mut(id) {
            node.depends_on = depends_on;
        }
    }

    fn unknown_group(&self, node: &Node) -> Option<Diagnostic> {
        let is_known = |group: &str| self.groups.iter().any(|known| known.name == group);
        let group = node.config.text("group").filter(|group| !is_known(group))?;
        let mut problem =
            Diagnostic::error(format!("{} belongs to the group '{group}', which does not exist", node.name));
        problem.span = node.span;
        Some(match nearest(group, self.groups.iter().map(|known| known.name.as_str())) {
            Some(near) => problem.hint(format!("Did you mean '{near}'?")),
            None => problem.hint("Declare it under `groups:` in a properties file."),
        })
    }

    /// A unit test stands on the model it is about; a model with versions is tested in each.
    fn resolve_unit_test(&mut self, id: &NodeId, test: &UnitTest, found: &mut Diagnostics) {
        let Some(node) = self.graph.nodes.get(id) else { return };
        let (name, version) = match test.model.rsplit_once(".v") {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (test.model.as_str(), None),
        };
        let call = RefCall { package: None, name: name.to_owned(), version };
        let resolved =
            self.graph.resolve_ref(&self.definitions.root_package, &node.package, &call).map(|node| node.id.clone());
        let resolved = resolved.map_err(|why| unresolved(node, explain_ref(&call, &why), &why, "ref", name, false));
        match resolved {
            Ok(tested) => {
                if let Some(node) = self.graph.nodes.get_mut(id) {
                    if let NodeKind::UnitTest(test) = &mut node.kind {
                        test.tested = Some(tested.clone());
                    }
                    node.depends_on = BTreeSet::from([tested]);
                }
            }
            Err(problem) => {
                found.push(problem);
                self.graph.nodes.remove(id);
            }
        }
    }

    fn report_cycles(&self, found: &mut Diagnostics) {
        for cycle in self.graph.cycles() {
            let names: Vec<&str> =
                cycle.iter().filter_map(|id| self.graph.nodes.get(id)).map(|node| node.name.as_str()).collect();
            let mut diagnostic = Diagnostic::error(format!("models depend on each other: {}", names.join(" -> ")));
            diagnostic.span = cycle.first().and_then(|id| self.graph.nodes.get(id)).and_then(|node| node.span);
            found.push(diagnostic.hint("Remove one of these references."));
        }
    }

    fn report_same_relations(&self, found: &mut Diagnostics) {
        // Schema and name are all a table of the lake has: two databases do not keep them apart.
        let mut known: BTreeMap<(&str, &str), &Node> = BTreeMap::new();
        for node in self.graph.nodes.values() {
            if !node.resource_type.is_referable() || node.is_ephemeral() {
                continue;
            }
            if let Some(first) = known
                .insert((&node.relation.schema, &node.relation.identifier), node)
                .filter(|first| first.id != node.id)
            {
                let mut diagnostic =
                    Diagnostic::error(format!("{} and {} make the same table {}", first.id, node.id, node.relation));
                diagnostic.span = node.span;
                found.push(diagnostic.hint("Give one of them another alias or schema."));
            }
        }
    }
}

fn declared_node(package: &str, declared: &DeclaredSource) -> Node {
    let columns = declared.columns.iter().map(|column| {
        let described =
            Column { name: column.name.clone(), data_type: Some(column.data_type.clone()), ..Column::default() };
        (column.name.clone(), described)
    });
    Node {
        id: NodeId::new(format!("source.{package}.{}.{}", declared.source, declared.table)),
        name: declared.table.clone(),
        resource_type: ResourceType::Source,
        package: package.to_owned(),
        path: std::path::PathBuf::new(),
        file: None,
        span: None,
        fqn: vec![package.to_owned(), declared.source.clone(), declared.table.clone()],
        kind: NodeKind::Source { source: declared.source.clone(), loader: None },
        config: NodeConfig::default(),
        description: String::new(),
        version: None,
        is_latest: false,
        is_prerelease: false,
        constraints: Vec::new(),
        columns: columns.collect(),
        raw_code: Arc::from(""),
        refs: Vec::new(),
        sources: Vec::new(),
        depends_on: BTreeSet::new(),
        macros: BTreeSet::new(),
        relation: declared.relation.clone(),
        checksum: String::new(),
        written: Written::default(),
    }
}

/// `unique` or `not_null` of a column named as it is, and the node it tests.
fn plain_test(node: &Node) -> Option<(&str, &NodeId)> {
    let NodeKind::Test(TestKind::Generic { name, namespace: None, arguments, attached, .. }) = &node.kind else {
        return None;
    };
    let is_named = |column: &serde_json::Value| column.as_str().is_some_and(|text| !text.contains(['(', '{']));
    let only_column = arguments.len() == 1 && arguments.get("column_name").is_some_and(is_named);
    (only_column && matches!(name.as_str(), "unique" | "not_null")).then_some((name.as_str(), attached))
}

/// The one call that stands for a tested node.
fn calls_of(tested: &Node) -> (Vec<RefCall>, Vec<SourceCall>) {
    match &tested.kind {
        NodeKind::Source { source, .. } => {
            (Vec::new(), vec![SourceCall { source: source.clone(), table: tested.name.clone() }])
        }
        _ => {
            let version = tested.version.as_ref().map(ToString::to_string);
            (vec![RefCall { package: None, name: tested.name.clone(), version }], Vec::new())
        }
    }
}

fn in_order<T: PartialEq>(calls: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(calls.len());
    for call in calls {
        if !kept.contains(&call) {
            kept.push(call);
        }
    }
    kept
}

fn is_template(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains("{{") || text.contains("{%"),
        serde_json::Value::Array(items) => items.iter().any(is_template),
        serde_json::Value::Object(map) => map.values().any(is_template),
        _ => false,
    }
}

/// Hooks are rendered when they run; a `where` may use what only exists then.
fn is_late(key: &str) -> bool {
    matches!(key, "pre_hook" | "post_hook" | "pre-hook" | "post-hook" | "sql_header")
}

fn with_defaults(mut config: JsonMap, node: &Node) -> JsonMap {
    let materialized = match node.resource_type {
        ResourceType::Model => "view",
        ResourceType::Seed => "seed",
        ResourceType::Test => "test",
        ResourceType::Analysis => "view",
        ResourceType::Snapshot => "snapshot",
        ResourceType::UnitTest => "unit",
        ResourceType::Source | ResourceType::Exposure => return config,
    };
    config.entry("materialized").or_insert_with(|| materialized.into());
    config.entry("enabled").or_insert(serde_json::Value::Bool(true));
    if node.resource_type == ResourceType::Test {
        for (key, value) in
            [("severity", "ERROR"), ("warn_if", "!= 0"), ("error_if", "!= 0"), ("fail_calc", "count(*)")]
        {
            config.entry(key).or_insert_with(|| value.into());
        }
    }
    config
}

fn report_unknown(config: &JsonMap, node: &Node, found: &mut Diagnostics) {
    for key in config.keys() {
        let Some(mut diagnostic) = unknown_config(key) else { continue };
        diagnostic.message = format!("{} in {}", diagnostic.message, node.name);
        diagnostic.span = node.span.map(|span| find_in_code(node, span, key).unwrap_or(span));
        found.push(diagnostic);
    }
}

fn duplicate(node: &Node, twin: &Node) -> Diagnostic {
    let message = if node.name == twin.name {
        format!("two resources are named '{}'", node.name)
    } else {
        format!("'{}' and '{}' differ only in upper and lower case", twin.name, node.name)
    };
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.span = node.span;
    let place = if twin.path.as_os_str().is_empty() { twin.id.to_string() } else { twin.path.display().to_string() };
    let diagnostic = diagnostic.detail(format!("The other one is {place}."));
    match &node.kind {
        NodeKind::Test(TestKind::Generic { .. }) => {
            diagnostic.hint("Remove one of the two equal tests, or give it a `name:`.")
        }
        _ => diagnostic.hint("Names of models and seeds must be unique in a project, in every spelling."),
    }
}

fn unresolved(node: &Node, message: String, why: &Unresolved, function: &str, name: &str, is_test: bool) -> Diagnostic {
    let mut diagnostic = if is_test { Diagnostic::warning(message) } else { Diagnostic::error(message) };
    diagnostic.span = node.span.map(|span| call_in_code(node, span, function, name).unwrap_or(span));
    let rest = if is_test { " The test is left out." } else { "" };
    diagnostic.detail = Some(format!("{} refers to it.{rest}", node.id));
    diagnostic.event = is_test.then_some("NodeNotFoundOrDisabled");
    diagnostic.hint = match why {
        Unresolved::Missing { near: Some(near) } => Some(format!("Did you mean '{near}'?")),
        Unresolved::Missing { near: None } if function == "ref" => {
            Some(String::from("Add the model, or use source() for a table from outside."))
        }
        Unresolved::Missing { near: None } => {
            Some(String::from("Declare it under `sources:` in a properties file, or as a source of the project."))
        }
        Unresolved::Disabled => Some(String::from("Enable it, or disable what refers to it.")),
        Unresolved::Ambiguous(_) => Some(String::from("Name the package too: ref('package', 'name').")),
        Unresolved::NoSuchVersion { known } if known.is_empty() => {
            Some(String::from("This model has no versions; leave out `version`."))
        }
        Unresolved::NoSuchVersion { known } => Some(format!("Its versions are {}.", known.join(", "))),
    };
    diagnostic
}

/// Where the name stands as an argument of the call, for messages.
fn call_in_code(node: &Node, span: Span, function: &str, name: &str) -> Option<Span> {
    let code = code_of(node)?;
    for (at, _) in code.match_indices(function) {
        let rest = code.get(at..)?;
        let end = rest.find(')').unwrap_or(rest.len());
        for quote in ['\'', '"'] {
            let quoted = format!("{quote}{name}{quote}");
            if let Some(inside) = rest.get(..end).and_then(|call| call.find(&quoted)) {
                return Some(within(span, at + inside + 1, name.len()));
            }
        }
    }
    None
}

fn find_in_code(node: &Node, span: Span, word: &str) -> Option<Span> {
    code_of(node)?.find(word).map(|at| within(span, at, word.len()))
}

/// The code, where the node's span is that of its code.
fn code_of(node: &Node) -> Option<&str> {
    let generic = matches!(&node.kind, NodeKind::Test(TestKind::Generic { .. }));
    (!generic && !node.raw_code.is_empty()).then_some(&*node.raw_code)
}

/// A private model is for its group alone.
fn private(node: &Node, target: &Node) -> Option<Diagnostic> {
    let group = target.config.text("group").filter(|_| target.config.text("access") == Some("private"))?;
    // A test is of what it tests.
    if node.config.text("group") == Some(group) || node.resource_type == ResourceType::Test {
        return None;
    }
    let message = format!("{} is private to the group '{group}'", target.name);
    let mut problem = Diagnostic::error(message).detail(format!("{} refers to it.", node.id));
    problem.span = node.span.map(|span| call_in_code(node, span, "ref", &target.name).unwrap_or(span));
    Some(problem.hint("Put both into one group, or give the model another `access`."))
}

fn within(span: Span, at: usize, len: usize) -> Span {
    Span { file: span.file, start: span.start + offset(at), end: span.start + offset(at + len) }
}
