//! Which crate may know what: arrows between our crates, and what must not be reachable from where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::{File, Finding};

/// Our crates each crate may depend on directly (without `headwater-`). Development dependencies are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("project", &[]),
    ("state", &["project"]),
    ("ingest", &["project"]),
    ("connectors", &["project", "ingest"]),
    ("sim", &["project", "ingest"]),
    ("lake", &["project"]),
    ("engine", &["project", "lake"]),
    ("transform", &["project"]),
    ("orchestrate", &["project", "state"]),
    ("dash", &["project"]),
    ("app", &["project", "state", "ingest", "connectors", "sim", "lake", "engine", "transform", "orchestrate", "dash"]),
    ("server", &["project", "app"]),
    ("cli", &["project", "app", "server"]),
    ("xtask", &[]),
];

/// What must not be reachable from a crate, however far away.
const UNREACHABLE: &[(&[&str], &[&str])] = &[
    (
        &["project", "state", "ingest", "connectors", "sim", "transform", "orchestrate", "dash", "xtask"],
        &["datafusion", "deltalake-core"],
    ),
    (&["project", "state", "orchestrate", "dash"], &["tokio", "arrow"]),
];

/// Dependencies only one crate may name itself.
const OWNED: &[(&str, &str)] = &[("axum", "server"), ("clap", "cli")];

/// Each test binary of these links the engine: a quarter of a gigabyte and seconds of linking.
const HEAVY: &[&str] = &["lake", "engine", "app", "server", "cli"];
const HEAVY_TEST_BINARIES: usize = 6;

/// `version = ...` in a member: the workspace fixes versions and features once.
pub(super) fn check_manifests(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_manifest = |file: &&File| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml");
    for file in files.iter().filter(is_manifest) {
        let mut in_dependencies = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.trim_end().ends_with("dependencies]");
                continue;
            }
            let entry = line.split('#').next().unwrap_or_default();
            let inherited = entry.contains(".workspace = true") || entry.contains("workspace = true");
            if in_dependencies && entry.contains('=') && !inherited {
                let what = format!("dependency `{}` has a version of its own", entry.trim());
                let remedy = "fix it in [workspace.dependencies] and write `.workspace = true`";
                findings.push(Finding::new(&file.path, index + 1, what, remedy));
            }
            if in_dependencies && entry.contains("features") {
                let what = format!("dependency `{}` has features of its own", entry.trim());
                let remedy = "name them in [workspace.dependencies], or the dependency is compiled twice";
                findings.push(Finding::new(&file.path, index + 1, what, remedy));
            }
        }
    }
    findings
}

pub(super) fn metadata(root: &Path) -> anyhow::Result<Value> {
    // Only this machine's platform: packages of others are not downloaded and need not be.
    let platform = host_platform()?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}

fn host_platform() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8(output.stdout).context("rustc -vV is not text")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// The resolved graph by package id, without development dependencies.
struct Graph {
    names: BTreeMap<String, String>,
    needs: BTreeMap<String, Vec<String>>,
    heavy_test_binaries: usize,
}

pub(super) fn check_graph(metadata: &Value) -> anyhow::Result<Vec<Finding>> {
    let graph = Graph::read(metadata)?;
    let mut findings = Vec::new();
    for (id, name) in &graph.names {
        let Some(ours) = name.strip_prefix("headwater-") else { continue };
        graph.check_direct(id, ours, &mut findings);
        graph.check_reachable(id, ours, &mut findings);
    }
    if graph.heavy_test_binaries > HEAVY_TEST_BINARIES {
        let what =
            format!("{} test binaries link the engine, at most {HEAVY_TEST_BINARIES} may", graph.heavy_test_binaries);
        findings.push(Finding::new("Cargo.toml", 1, what, "join integration tests into one binary per crate"));
    }
    Ok(findings)
}

impl Graph {
    fn read(metadata: &Value) -> anyhow::Result<Self> {
        let mut graph = Self { names: BTreeMap::new(), needs: BTreeMap::new(), heavy_test_binaries: 0 };
        for package in array(metadata, "/packages")? {
            let name = text(package, "name")?;
            if name.strip_prefix("headwater-").is_some_and(|ours| HEAVY.contains(&ours)) {
                let targets = array(package, "/targets")?;
                graph.heavy_test_binaries += targets.iter().filter(|target| links_engine(name, target)).count();
            }
            graph.names.insert(text(package, "id")?.to_owned(), name.to_owned());
        }
        for node in array(metadata, "/resolve/nodes")? {
            let mut needs = Vec::new();
            for dependency in array(node, "/deps")? {
                let normal = array(dependency, "/dep_kinds")?.iter().any(|kind| kind["kind"] != "dev");
                if normal {
                    needs.push(text(dependency, "pkg")?.to_owned());
                }
            }
            graph.needs.insert(text(node, "id")?.to_owned(), needs);
        }
        Ok(graph)
    }

    fn name(&self, id: &str) -> &str {
        self.names.get(id).map_or("", String::as_str)
    }

    fn check_direct(&self, id: &str, ours: &str, findings: &mut Vec<Finding>) {
        let manifest = format!("crates/{ours}/Cargo.toml");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == ours) else {
            let remedy = "give it a place in the architecture and in tidy's list of arrows";
            findings.push(Finding::new(&manifest, 1, format!("crate `{ours}` is unknown"), remedy));
            return;
        };
        for need in self.needs.get(id).into_iter().flatten() {
            let name = self.name(need);
            if let Some(theirs) = name.strip_prefix("headwater-")
                && !allowed.contains(&theirs)
            {
                let remedy = "declare a trait for what is needed and implement it in `app`";
                findings.push(Finding::new(&manifest, 1, format!("`{ours}` must not depend on `{theirs}`"), remedy));
            }
            if let Some((_, owner)) = OWNED.iter().find(|(owned, owner)| *owned == name && *owner != ours) {
                let what = format!("only `{owner}` knows `{name}`, not `{ours}`");
                findings.push(Finding::new(&manifest, 1, what, "move the code there"));
            }
        }
    }

    fn check_reachable(&self, id: &str, ours: &str, findings: &mut Vec<Finding>) {
        let banned: BTreeSet<&str> = UNREACHABLE
            .iter()
            .filter(|(crates, _)| crates.contains(&ours))
            .flat_map(|(_, banned)| banned.iter().copied())
            .collect();
        let mut seen = BTreeSet::from([id]);
        let mut paths = vec![vec![id]];
        while let Some(path) = paths.pop() {
            for need in path.last().and_then(|last| self.needs.get(*last)).into_iter().flatten() {
                if !seen.insert(need) {
                    continue;
                }
                let path: Vec<&str> = path.iter().copied().chain([need.as_str()]).collect();
                if banned.contains(self.name(need)) {
                    let way: Vec<&str> = path.iter().map(|id| self.name(id)).collect();
                    let what = format!("`{ours}` reaches `{}` by {}", self.name(need), way.join(" -> "));
                    let remedy = "cut the dependency: light crates compile and test in seconds because of this";
                    findings.push(Finding::new(&format!("crates/{ours}/Cargo.toml"), 1, what, remedy));
                } else {
                    paths.push(path);
                }
            }
        }
    }
}

/// The tests of `cli` only spawn the program that is linked anyway.
fn links_engine(package: &str, target: &Value) -> bool {
    let tested = target["test"] == true;
    let integration = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
    tested && !(integration && package == "headwater-cli")
}

fn array<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a Vec<Value>> {
    value.pointer(pointer).and_then(Value::as_array).with_context(|| format!("cargo metadata has no {pointer}"))
}

fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata has no {key}"))
}
