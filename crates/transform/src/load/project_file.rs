//! dbt_project.yml.

use std::path::PathBuf;

use headwater_project::tree::{Node, Tree};
use headwater_project::{Diagnostic, Diagnostics};

use crate::definitions::JsonMap;
use crate::near::nearest;

/// What dbt_project.yml says, or would say by default.
#[derive(Clone, Debug)]
pub(crate) struct ProjectFile {
    pub name: String,
    pub model_paths: Vec<PathBuf>,
    pub seed_paths: Vec<PathBuf>,
    pub test_paths: Vec<PathBuf>,
    pub macro_paths: Vec<PathBuf>,
    pub analysis_paths: Vec<PathBuf>,
    pub docs_paths: Vec<PathBuf>,
    pub snapshot_paths: Vec<PathBuf>,
    pub on_run_start: Vec<String>,
    pub on_run_end: Vec<String>,
    pub packages_path: PathBuf,
    /// Behaviours of dbt that are turned on or off.
    pub flags: JsonMap,
    pub vars: JsonMap,
    pub dispatch: Vec<(String, Vec<String>)>,
    /// The sections `models`, `seeds`, `data_tests`, `sources`, `analyses`, with their places.
    pub configs: Vec<(&'static str, Tree)>,
}

const KNOWN: &[&str] = &[
    "name",
    "version",
    "config-version",
    "profile",
    "model-paths",
    "seed-paths",
    "test-paths",
    "macro-paths",
    "analysis-paths",
    "snapshot-paths",
    "docs-paths",
    "asset-paths",
    "function-paths",
    "packages-install-path",
    "target-path",
    "log-path",
    "clean-targets",
    "vars",
    "dispatch",
    "models",
    "seeds",
    "tests",
    "data_tests",
    "snapshots",
    "sources",
    "analyses",
    "exposures",
    "metrics",
    "semantic-models",
    "saved-queries",
    "unit_tests",
    "functions",
    "on-run-start",
    "on-run-end",
    "query-comment",
    "quoting",
    "require-dbt-version",
    "flags",
    "restrict-access",
    "dbt-cloud",
    "source-paths",
    "data-paths",
];

impl ProjectFile {
    pub(crate) fn default_for(name: String) -> Self {
        let one = |path: &str| vec![PathBuf::from(path)];
        Self {
            name,
            model_paths: one("models"),
            seed_paths: one("seeds"),
            test_paths: one("tests"),
            macro_paths: one("macros"),
            analysis_paths: one("analyses"),
            docs_paths: Vec::new(),
            snapshot_paths: one("snapshots"),
            on_run_start: Vec::new(),
            on_run_end: Vec::new(),
            packages_path: PathBuf::from("dbt_packages"),
            flags: JsonMap::new(),
            vars: JsonMap::new(),
            dispatch: Vec::new(),
            configs: Vec::new(),
        }
    }

    pub(crate) fn read(tree: &Tree, folder_name: String, found: &mut Diagnostics) -> Self {
        let mut file = Self::default_for(folder_name);
        for entry in tree.entries() {
            let value = &entry.value;
            match entry.key.as_str() {
                "name" => file.name = value.as_str().map_or(file.name, str::to_owned),
                "model-paths" | "source-paths" => file.model_paths = paths(value),
                "seed-paths" | "data-paths" => file.seed_paths = paths(value),
                "test-paths" => file.test_paths = paths(value),
                "macro-paths" => file.macro_paths = paths(value),
                "analysis-paths" => file.analysis_paths = paths(value),
                "docs-paths" => file.docs_paths = paths(value),
                "snapshot-paths" => file.snapshot_paths = paths(value),
                "on-run-start" => file.on_run_start = crate::config::as_list(&value.to_json()),
                "on-run-end" => file.on_run_end = crate::config::as_list(&value.to_json()),
                "snapshots" => file.configs.push(("snapshots", value.clone())),
                "unit_tests" => file.configs.push(("unit_tests", value.clone())),
                "exposures" => file.configs.push(("exposures", value.clone())),
                "packages-install-path" => {
                    file.packages_path = value.as_str().map_or(file.packages_path, PathBuf::from);
                }
                "vars" => file.vars = mapping(value),
                "flags" => file.flags = mapping(value),
                "dispatch" => file.dispatch = value.items().iter().filter_map(dispatch).collect(),
                "models" => file.configs.push(("models", value.clone())),
                "seeds" => file.configs.push(("seeds", value.clone())),
                "tests" | "data_tests" => file.configs.push(("data_tests", value.clone())),
                "sources" => file.configs.push(("sources", value.clone())),
                "analyses" => file.configs.push(("analyses", value.clone())),
                key if !KNOWN.contains(&key) => found.push(unknown_key(key).at(entry.key_span)),
                _ => {}
            }
            found.found.extend(deprecated(&entry.key, value).map(|problem| problem.at(entry.key_span)));
        }
        file
    }

    /// Whether a behaviour of dbt is turned on.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.flags.get(name).and_then(crate::config::as_flag).unwrap_or(default)
    }
}

/// Keys of dbt_project.yml that are still read, or no longer, and should not be there.
fn deprecated(key: &str, value: &Tree) -> Option<Diagnostic> {
    let renamed = |event, new: &str| {
        let problem = Diagnostic::warning(format!("'{key}' was renamed to '{new}'")).event(event);
        Some(problem.hint(format!("Write `{new}:` instead.")))
    };
    let told = |event, what: &str, instead: &str| {
        let problem = Diagnostic::warning(format!("'{key}' of dbt_project.yml is deprecated and without effect here"));
        Some(problem.event(event).detail(format!("{what} have a place of their own.")).hint(instead))
    };
    match (key, value.as_str()) {
        ("source-paths", _) => renamed("ConfigSourcePathDeprecation", "model-paths"),
        ("data-paths", _) => renamed("ConfigDataPathDeprecation", "seed-paths"),
        ("target-path", given) if given != Some("target") => {
            told("ConfigTargetPathDeprecation", "Artifacts", "Say where they go with --target-path.")
        }
        ("log-path", given) if given != Some("logs") => {
            told("ConfigLogPathDeprecation", "Logs of runs", "`headwater runs ID --log` prints them.")
        }
        ("clean-targets", _) if value.items().iter().any(|item| item.as_str() == Some("dbt_modules")) => {
            let problem = Diagnostic::warning("packages are installed in dbt_packages, not in dbt_modules");
            Some(problem.event("PackageInstallPathDeprecation").hint("Name dbt_packages under clean-targets."))
        }
        _ => None,
    }
}

fn unknown_key(key: &str) -> Diagnostic {
    let found =
        Diagnostic::warning(format!("unknown key '{key}' in dbt_project.yml")).event("CustomTopLevelKeyDeprecation");
    match nearest(key, KNOWN.iter().copied()) {
        Some(near) => found.hint(format!("Did you mean '{near}'?")),
        None => found.hint("Remove it, or put values of your own under `vars:`."),
    }
}

fn paths(tree: &Tree) -> Vec<PathBuf> {
    crate::config::as_list(&tree.to_json()).iter().map(PathBuf::from).collect()
}

fn mapping(tree: &Tree) -> JsonMap {
    tree.to_json().as_object().cloned().unwrap_or_default()
}

fn dispatch(tree: &Tree) -> Option<(String, Vec<String>)> {
    let namespace = tree.get("macro_namespace")?.as_str()?.to_owned();
    let order = tree.get("search_order").map(|order| crate::config::as_list(&order.to_json())).unwrap_or_default();
    Some((namespace, order))
}

/// The configuration a section of dbt_project.yml gives to the node with this fqn, level by level, the outer folders first.
pub(crate) fn folder_levels(section: &Tree, fqn: &[String]) -> Vec<JsonMap> {
    let mut levels = Vec::new();
    let mut level = Some(section);
    let mut rest = fqn.iter();
    while let Some(tree) = level {
        let next = rest.next();
        levels.push(own_config(tree, next.map(String::as_str)));
        level = next.and_then(|part| tree.get(part));
    }
    levels
}

/// Keys with a `+`, and values that cannot be folders.
fn own_config(tree: &Tree, next: Option<&str>) -> JsonMap {
    let mut config = JsonMap::new();
    for entry in tree.entries() {
        if let Some(key) = entry.key.strip_prefix('+') {
            config.insert(key.to_owned(), entry.value.to_json());
            continue;
        }
        let folder = matches!(&entry.value.node, Node::Mapping(_) | Node::Null);
        let known_mapping = matches!(entry.key.as_str(), "meta" | "persist_docs" | "grants" | "column_types" | "docs");
        if next != Some(entry.key.as_str()) && (!folder || known_mapping) {
            config.insert(entry.key.clone(), entry.value.to_json());
        }
    }
    config
}

/// Misspelt keys of a section, and configuration without the `+` that tells it from a folder.
pub(crate) fn check_section(tree: &Tree, found: &mut Diagnostics) {
    for entry in tree.entries() {
        match entry.key.strip_prefix('+') {
            Some(key) => {
                if let Some(near) = crate::config::misspelt(key) {
                    let message = format!("unknown configuration '+{key}'");
                    found
                        .push(Diagnostic::warning(message).at(entry.key_span).hint(format!("Did you mean '+{near}'?")));
                }
            }
            None if !matches!(&entry.value.node, Node::Mapping(_) | Node::Null) => {
                let message = format!("configuration '{}' has no + in front", entry.key);
                let problem = Diagnostic::warning(message).event("MissingPlusPrefixDeprecation").at(entry.key_span);
                found.push(problem.hint(format!("Write it as `+{}:`.", entry.key)));
            }
            None => check_section(&entry.value, found),
        }
    }
}
