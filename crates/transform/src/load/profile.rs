//! profiles.yml: which adapter a project is written for and where its models go. Credentials are left alone: nothing
//! connects anywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_project::tree::{self, Tree};
use headwater_project::{Diagnostic, Diagnostics, Files};

use super::folder::Folder;
use super::generic_test::expression;
use crate::config::plain_text;
use crate::definitions::{Definitions, JsonMap, MacroSet, Target};
use crate::jinja::render::{Pass, Render, Subject, TemplateLimits, Templates, on_deep_stack};
use crate::near::nearest;
use crate::warehouse::RelationName;

/// How to find the profile.
#[derive(Clone, Debug, Default)]
pub struct ProfileRequest {
    /// Folders that may hold profiles.yml, the first that does counts; the project's own is looked at before.
    pub folders: Vec<PathBuf>,
    /// Profile instead of the project's.
    pub profile: Option<String>,
    /// Output instead of the profile's default.
    pub target: Option<String>,
    pub env: BTreeMap<String, String>,
    pub vars: JsonMap,
}

/// Keys that name secrets or where a warehouse is: never read, so that a missing variable for one of them is no matter.
const SECRET: &[&str] = &["pass", "token", "secret", "key", "credential", "user", "host", "account", "server"];

/// The target a project's profile names; none when there is no profile.
pub fn read_profile(files: &mut Files, root: &Path, request: &ProfileRequest) -> (Option<Target>, Diagnostics) {
    let mut found = Diagnostics::default();
    let target = find(files, root, request, &mut found);
    (target, found)
}

fn find(files: &mut Files, root: &Path, request: &ProfileRequest, found: &mut Diagnostics) -> Option<Target> {
    let mut folder = Folder { root, files };
    let project = Path::new("dbt_project.yml");
    let name = request.profile.clone().or_else(|| {
        let (id, text) = folder.has(project).then(|| folder.text(project, found)).flatten()?;
        let (tree, _) = tree::parse(id, &text);
        tree.get("profile").map(|name| plain_text(&name.to_json()))
    })?;
    let paths =
        std::iter::once(PathBuf::from("profiles.yml")).chain(request.folders.iter().map(|at| at.join("profiles.yml")));
    let path = paths.into_iter().find(|path| folder.has(path))?;
    let (id, text) = folder.text(&path, found)?;
    let (tree, more) = tree::parse(id, &text);
    found.found.extend(more.found);
    let Some(profile) = tree.get(&name) else {
        let known = tree.entries().iter().map(|entry| entry.key.as_str()).filter(|key| *key != "config");
        let problem = Diagnostic::warning(format!("profiles.yml has no profile '{name}'")).at(tree.span);
        found.push(match nearest(&name, known) {
            Some(near) => problem.hint(format!("Did you mean '{near}'? Until then the defaults are used.")),
            None => problem.hint("The defaults are used: schema main, our own SQL."),
        });
        return None;
    };
    let values = Values::new(request);
    let chosen = request.target.clone();
    let chosen = chosen.or_else(|| profile.get("target").and_then(|target| values.text(target)));
    let chosen = chosen.unwrap_or_else(|| String::from("default"));
    let outputs = profile.get("outputs")?;
    let Some(output) = outputs.get(&chosen) else {
        let known: Vec<&str> = outputs.entries().iter().map(|entry| entry.key.as_str()).collect();
        let problem = Diagnostic::error(format!("the profile '{name}' has no target '{chosen}'")).at(outputs.span);
        found.push(problem.hint(format!("Its targets are {}.", known.join(", "))));
        return None;
    };
    Some(values.target(output, name, chosen))
}

/// Reads scalars, which may be templates.
struct Values {
    definitions: Arc<Definitions>,
    templates: Templates,
}

impl Values {
    fn new(request: &ProfileRequest) -> Self {
        let mut definitions = Definitions::for_macros(&MacroSet::default());
        definitions.env.clone_from(&request.env);
        definitions.vars.clone_from(&request.vars);
        Self { definitions: Arc::new(definitions), templates: Templates::new(TemplateLimits::default()) }
    }

    /// The text of a scalar; none for what is not one, or cannot be rendered here.
    fn text(&self, tree: &Tree) -> Option<String> {
        let value = tree.to_json();
        if value.is_null() || value.is_array() || value.is_object() {
            return None;
        }
        let text = plain_text(&value);
        if !text.contains("{{") {
            return Some(text);
        }
        let relation = RelationName { database: None, schema: String::new(), identifier: String::new() };
        let subject = Subject {
            id: String::from("profile"),
            package: String::new(),
            relation,
            config: JsonMap::new(),
            model: JsonMap::new(),
        };
        let render = Render::new(&self.definitions, subject, Pass::Parse);
        let evaluate = || self.templates.evaluate(&expression(&value), &render).map(|value| value.to_string());
        on_deep_stack(evaluate).ok()?.ok()
    }

    fn target(&self, output: &Tree, profile: String, name: String) -> Target {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for entry in output.entries() {
            if SECRET.iter().any(|word| entry.key.contains(word)) {
                continue;
            }
            if let Some(text) = self.text(&entry.value) {
                values.insert(&entry.key, text);
            }
        }
        let get = |keys: &[&str]| keys.iter().find_map(|key| values.get(key).cloned()).filter(|text| !text.is_empty());
        let default = Target::default();
        let adapter = get(&["type"]).unwrap_or(default.adapter);
        let database = match adapter.as_str() {
            "duckdb" => get(&["database"]).or_else(|| get(&["path"]).map(|path| database_of_file(&path))),
            "bigquery" => get(&["project", "database"]),
            "spark" | "databricks" => get(&["catalog"]),
            _ => get(&["database", "dbname"]),
        };
        let known = ["type", "schema", "dataset", "database", "dbname", "project", "threads", "name"];
        let more = values.iter().filter(|(key, _)| !known.contains(key));
        Target {
            name,
            schema: get(&["schema", "dataset"]).unwrap_or(default.schema),
            database,
            adapter,
            threads: get(&["threads"]).and_then(|text| text.parse().ok()).unwrap_or(default.threads),
            more: more.map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect(),
            profile,
        }
    }
}

/// DuckDB names a database after its file.
fn database_of_file(path: &str) -> String {
    if path == ":memory:" {
        return String::from("memory");
    }
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| String::from("memory"))
}
