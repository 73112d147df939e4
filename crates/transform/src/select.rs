//! Choosing nodes as dbt does: `--select 'tag:nightly,+orders path:models/staging' --exclude 'stg_raw+1'`.
//!
//! Blanks make a union, commas an intersection. A criterion is `[@][n+]method:value[+n]`; without a method it is a path, a
//! file, or a name by fqn. Tests follow what they test: one is chosen when anything it depends on is chosen.

mod pattern;
mod state;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pattern::{glob, glob_path};
pub use state::{PreviousNode, PreviousState, loaded_sources};
pub(crate) use yaml::{SelectorEntry, entries};

use crate::artifact::Entries;
use crate::error::TransformError;
use crate::graph::Graph;
use crate::near::nearest;
use crate::node::{Node, NodeId, NodeKind, ResourceType, TestKind};

const METHODS: &[&str] = &[
    "fqn",
    "tag",
    "path",
    "file",
    "source",
    "resource_type",
    "test_type",
    "test_name",
    "package",
    "config",
    "group",
    "access",
    "exposure",
    "version",
    "unit_test",
    "state",
    "result",
    "source_status",
    "selector",
    "metric",
    "semantic_model",
    "saved_query",
];

/// Which tests come with chosen nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndirectSelection {
    /// Those that look at a chosen node.
    #[default]
    Eager,
    /// Those that look at chosen nodes only.
    Cautious,
    /// Those that look at chosen nodes and what is before these.
    Buildable,
    /// None.
    Empty,
}

impl IndirectSelection {
    pub const ALL: [Self; 4] = [Self::Eager, Self::Cautious, Self::Buildable, Self::Empty];

    /// dbt's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Cautious => "cautious",
            Self::Buildable => "buildable",
            Self::Empty => "empty",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A selection as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct SelectionQuery {
    pub select: Vec<String>,
    pub exclude: Vec<String>,
    /// Name of an entry of selectors.yml, instead of `select` and `exclude`.
    pub selector: Option<String>,
    pub indirect: IndirectSelection,
    /// What an earlier run left, for `state:`, `result:` and `source_status:`.
    pub state: Option<PreviousState>,
    /// When sources were loaded last as far as is known now, for `source_status:`; RFC 3339 by unique id.
    pub loaded: BTreeMap<String, String>,
}

pub(crate) fn select(
    entries: Entries<'_>,
    selectors: &BTreeMap<String, SelectorEntry>,
    query: &SelectionQuery,
) -> Result<BTreeSet<NodeId>, TransformError> {
    let graph = entries.graph;
    let root_package = entries.definitions.root_package.as_str();
    let selector = Selector { graph, root_package, selectors, entries, query, indirect: query.indirect };
    let is_empty = |texts: &[String]| texts.iter().all(|text| text.trim().is_empty());
    let is_open = is_empty(&query.select) && is_empty(&query.exclude);
    let default = selectors.iter().find(|(_, entry)| is_open && entry.is_default).map(|(name, _)| name);
    let mut chosen = match query.selector.as_ref().or(default) {
        Some(name) => selector.named(name, 0)?,
        None if is_empty(&query.select) => graph.nodes.keys().cloned().collect(),
        None => selector.union(&query.select)?,
    };
    for id in selector.union(&query.exclude)? {
        chosen.remove(&id);
    }
    Ok(chosen)
}

#[derive(Clone, Copy)]
pub(crate) struct Selector<'a> {
    graph: &'a Graph,
    root_package: &'a str,
    selectors: &'a BTreeMap<String, SelectorEntry>,
    entries: Entries<'a>,
    query: &'a SelectionQuery,
    /// That of the query, unless a definition has its own.
    indirect: IndirectSelection,
}

/// One criterion taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Criterion<'a> {
    /// `@`: descendants, and all ancestors of those.
    pub childrens_parents: bool,
    /// How many generations upwards; none for not at all.
    pub parents: Option<usize>,
    pub children: Option<usize>,
    pub method: Option<(&'a str, Option<&'a str>)>,
    pub value: &'a str,
}

impl Selector<'_> {
    pub(crate) fn union(&self, texts: &[String]) -> Result<BTreeSet<NodeId>, TransformError> {
        let mut chosen = BTreeSet::new();
        for part in texts.iter().flat_map(|text| text.split_whitespace()) {
            chosen.extend(self.intersection(part)?);
        }
        if self.indirect != IndirectSelection::Eager {
            self.add_tests(&mut chosen);
        }
        Ok(chosen)
    }

    fn intersection(&self, text: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let mut chosen: Option<BTreeSet<NodeId>> = None;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let found = self.criterion(part)?;
            chosen = Some(match chosen {
                Some(chosen) => chosen.intersection(&found).cloned().collect(),
                None => found,
            });
        }
        Ok(chosen.unwrap_or_default())
    }

    fn criterion(&self, text: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let criterion = parse(text)?;
        self.expanded(&criterion, text)
    }

    pub(crate) fn expanded(&self, criterion: &Criterion<'_>, text: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let direct = self.matching(criterion, text)?;
        let mut chosen = direct.clone();
        if let Some(depth) = criterion.parents {
            chosen.extend(self.walk(&direct, depth, |id| self.graph.parents(id).collect()));
        }
        if let Some(depth) = criterion.children {
            chosen.extend(self.walk(&direct, depth, |id| self.graph.children(id).collect()));
        }
        if criterion.childrens_parents {
            chosen.extend(self.walk(&direct, usize::MAX, |id| self.graph.children(id).collect()));
            let with_parents = self.walk(&chosen, usize::MAX, |id| self.graph.parents(id).collect());
            chosen.extend(with_parents);
        }
        self.add_tests(&mut chosen);
        Ok(chosen)
    }

    /// Tests of chosen nodes.
    fn add_tests(&self, chosen: &mut BTreeSet<NodeId>) {
        let tested = |id: &NodeId| self.graph.children(id).filter(|child| self.is_test(child));
        let candidates = chosen.iter().flat_map(tested).cloned();
        let allowed = match self.indirect {
            IndirectSelection::Eager => None,
            IndirectSelection::Empty => return,
            IndirectSelection::Cautious => Some(chosen.clone()),
            IndirectSelection::Buildable => Some(self.walk(chosen, usize::MAX, |id| self.graph.parents(id).collect())),
        };
        let fits = |id: &NodeId| match &allowed {
            Some(allowed) => self.graph.parents(id).all(|parent| allowed.contains(parent)),
            None => true,
        };
        let tests: Vec<NodeId> = candidates.filter(fits).collect();
        chosen.extend(tests);
    }

    fn is_test(&self, id: &NodeId) -> bool {
        let is_test = |node: &Node| matches!(node.resource_type, ResourceType::Test | ResourceType::UnitTest);
        self.graph.nodes.get(id).is_some_and(is_test)
    }

    fn walk<'a>(
        &'a self,
        from: &BTreeSet<NodeId>,
        depth: usize,
        next: impl Fn(&NodeId) -> Vec<&'a NodeId>,
    ) -> BTreeSet<NodeId> {
        let mut reached = from.clone();
        let mut front: Vec<NodeId> = from.iter().cloned().collect();
        let mut left = depth;
        while left > 0 && !front.is_empty() {
            let mut following = Vec::new();
            for id in front.iter().flat_map(&next) {
                if self.graph.nodes.contains_key(id) && reached.insert(id.clone()) {
                    following.push(id.clone());
                }
            }
            front = following;
            left -= 1;
        }
        reached
    }

    fn matching(&self, criterion: &Criterion<'_>, text: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let Some((method, argument)) = criterion.method else { return Ok(self.implicit(criterion.value)) };
        if !METHODS.contains(&method) {
            return Err(unknown_method(text, method));
        }
        match method {
            "source" => return Ok(self.filter(|node| matches_source(node, criterion.value))),
            "selector" => return self.named(criterion.value, 0),
            "state" => return self.changed(criterion.value, text),
            "source_status" => return self.fresher(criterion.value, text),
            "metric" | "semantic_model" | "saved_query" => return Ok(BTreeSet::new()),
            "result" => {
                let state = self.state(text)?;
                let value = criterion.value;
                return Ok(
                    self.filter(|node| state.results.get(node.id.as_str()).is_some_and(|status| status == value))
                );
            }
            _ => {}
        }
        Ok(self.filter(|node| self.matches(node, method, argument, criterion.value)))
    }

    fn filter(&self, keep: impl Fn(&Node) -> bool) -> BTreeSet<NodeId> {
        self.graph.nodes.values().filter(|node| keep(node)).map(|node| node.id.clone()).collect()
    }

    /// Without a method: a path when it looks like one, a file when it ends like one, else a name.
    fn implicit(&self, value: &str) -> BTreeSet<NodeId> {
        let file = [".sql", ".csv", ".py"].iter().any(|ending| value.ends_with(ending));
        if value.contains('/') {
            self.filter(|node| matches_path(node, value))
        } else if file {
            self.filter(|node| matches_file(node, value))
        } else {
            self.filter(|node| self.matches_fqn(node, value))
        }
    }

    fn matches(&self, node: &Node, method: &str, argument: Option<&str>, value: &str) -> bool {
        match method {
            "fqn" => self.matches_fqn(node, value),
            "tag" => self.has_tag(node, value),
            "path" => matches_path(node, value),
            "file" => matches_file(node, value),
            "resource_type" => node.resource_type.as_str() == value,
            "package" => glob(if value == "this" { self.root_package } else { value }, &node.package),
            "config" => argument.is_some_and(|key| matches_config(node, key, value)),
            "group" | "access" => node.config.text(method).is_some_and(|own| glob(value, own)),
            "test_name" => matches!(&node.kind, NodeKind::Test(TestKind::Generic { name, .. }) if glob(value, name)),
            "test_type" => matches_test_type(node, value),
            "exposure" => node.resource_type == ResourceType::Exposure && matches_name(node, value),
            "unit_test" => node.resource_type == ResourceType::UnitTest && matches_name(node, value),
            "version" => matches_version(node, value),
            _ => false,
        }
    }

    fn has_tag(&self, node: &Node, value: &str) -> bool {
        node.tags().iter().any(|tag| glob(value, tag))
    }

    /// A whole name, or the head of an fqn with or without its package; from the first wildcard on, all that follows.
    fn matches_fqn(&self, node: &Node, value: &str) -> bool {
        if node.resource_type == ResourceType::Source {
            return false;
        }
        let is_named = match (&node.version, node.fqn.last()) {
            (Some(version), _) => {
                value == node.name || [".v", "_v"].iter().any(|sign| value == format!("{}{sign}{version}", node.name))
            }
            (None, last) => last.is_some_and(|last| last == value),
        };
        is_named || head_matches(&node.fqn, value) || head_matches(node.fqn.get(1..).unwrap_or_default(), value)
    }
}

fn head_matches(fqn: &[String], value: &str) -> bool {
    let fqn: Vec<&str> = fqn.iter().flat_map(|part| part.split('.')).collect();
    let wanted: Vec<&str> = value.split('.').collect();
    if wanted.len() > fqn.len() {
        return false;
    }
    let plain = wanted.iter().take_while(|part| !part.contains(['*', '?', '[', ']'])).count();
    let (Some((wanted, patterns)), Some((own, rest))) = (wanted.split_at_checked(plain), fqn.split_at_checked(plain))
    else {
        return false;
    };
    wanted == own && (patterns.is_empty() || glob(&patterns.join("."), &rest.join(".")))
}

/// A name, or a package and a name.
fn matches_name(node: &Node, value: &str) -> bool {
    match value.split_once('.') {
        Some((package, name)) => glob(package, &node.package) && glob(name, &node.name),
        None => glob(value, &node.name),
    }
}

fn matches_config(node: &Node, key: &str, value: &str) -> bool {
    if matches!(node.resource_type, ResourceType::Exposure | ResourceType::UnitTest) {
        return false;
    }
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| crate::artifact::config::config(node).remove(part));
    let found = parts.fold(first, |inside, part| inside?.get(part).cloned());
    let is_it = |own: &serde_json::Value| match own {
        serde_json::Value::Bool(flag) => value.eq_ignore_ascii_case(if *flag { "true" } else { "false" }),
        serde_json::Value::Null | serde_json::Value::Object(_) => false,
        own if key == "severity" => crate::config::plain_text(own).eq_ignore_ascii_case(value),
        own => crate::config::plain_text(own) == value,
    };
    match found {
        Some(serde_json::Value::Array(items)) => items.iter().any(is_it),
        Some(own) => is_it(&own),
        None => false,
    }
}

fn matches_test_type(node: &Node, value: &str) -> bool {
    matches!(
        (&node.kind, value),
        (NodeKind::Test(_), "data")
            | (NodeKind::Test(TestKind::Generic { .. }), "generic")
            | (NodeKind::Test(TestKind::Singular), "singular")
            | (NodeKind::UnitTest(_), "unit")
    )
}

/// `latest`, `prerelease`, `old` or `none`, by how a version stands to the latest.
fn matches_version(node: &Node, value: &str) -> bool {
    match (&node.version, value) {
        (None, "none") => node.resource_type == ResourceType::Model,
        (Some(_), "latest") => node.is_latest,
        (Some(_), "old") => !node.is_latest && !node.is_prerelease,
        (Some(_), "prerelease") => node.is_prerelease,
        _ => false,
    }
}

/// `source_name`, `source_name.table`, or with the package in front.
fn matches_source(node: &Node, value: &str) -> bool {
    let NodeKind::Source { source, .. } = &node.kind else { return false };
    let parts: Vec<&str> = value.split('.').collect();
    match parts.as_slice() {
        [wanted] => glob(wanted, source) || glob(wanted, &node.name) && *wanted == "*",
        [wanted, table] => glob(wanted, source) && glob(table, &node.name),
        [package, wanted, table] => glob(package, &node.package) && glob(wanted, source) && glob(table, &node.name),
        _ => false,
    }
}

/// A file, a folder above it, or the properties file that describes it.
fn matches_path(node: &Node, value: &str) -> bool {
    let is_it = |path: &Path| !path.as_os_str().is_empty() && glob_path(value, path);
    node.path.ancestors().any(is_it) || node.written.properties_file.as_deref().is_some_and(is_it)
}

fn matches_file(node: &Node, value: &str) -> bool {
    let name =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    glob(value, &name(node.path.file_name())) || glob(value, &name(node.path.file_stem()))
}

fn parse(text: &str) -> Result<Criterion<'_>, TransformError> {
    let (childrens_parents, rest) = text.strip_prefix('@').map_or((false, text), |rest| (true, rest));
    let (parents, rest) = leading_plus(rest);
    let (children, rest) = trailing_plus(rest);
    if rest.is_empty() {
        return Err(bad(text, "there is no name or pattern in it", None));
    }
    if childrens_parents && children.is_some() {
        return Err(bad(text, "@ already includes the descendants", Some("Leave out the trailing +.")));
    }
    let (method, value) = match rest.split_once(':') {
        Some((method, value)) => {
            (Some(method.split_once('.').map_or((method, None), |(name, key)| (name, Some(key)))), value)
        }
        None => (None, rest),
    };
    Ok(Criterion { childrens_parents, parents, children, method, value })
}

/// `+x` and `2+x`.
fn leading_plus(text: &str) -> (Option<usize>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.get(digits..).and_then(|rest| rest.strip_prefix('+')) {
        Some(rest) => (Some(text.get(..digits).and_then(|count| count.parse().ok()).unwrap_or(usize::MAX)), rest),
        None => (None, text),
    }
}

/// `x+` and `x+2`.
fn trailing_plus(text: &str) -> (Option<usize>, &str) {
    match text.rsplit_once('+') {
        Some((rest, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(count.parse().unwrap_or(usize::MAX)), rest)
        }
        _ => (None, text),
    }
}

pub(crate) fn bad(criterion: &str, reason: &str, hint: Option<&str>) -> TransformError {
    TransformError::Selection {
        criterion: criterion.to_owned(),
        reason: reason.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

fn unknown_method(criterion: &str, method: &str) -> TransformError {
    let hint = match nearest(method, METHODS.iter().copied()) {
        Some(near) => format!("Did you mean '{near}:'?"),
        None => format!("The methods are {}.", METHODS.join(", ")),
    };
    bad(criterion, &format!("there is no method '{method}'"), Some(&hint))
}
