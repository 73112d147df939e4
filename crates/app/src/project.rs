//! A project folder as loaded: configuration, sources, models, jobs and dashboards, with every finding.

mod dbt;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_connectors::postgres::PostgresConfig;
use headwater_dash::Dashboard;
use headwater_engine::External;
use headwater_lake::TableName;
use headwater_orchestrate::{Job, JobConfig};
use headwater_project::config::{self, PROJECT_FILE, ProjectConfig, Variables};
use headwater_project::tree::{self, Tree};
use headwater_project::{Diagnostic, Diagnostics, Failure, FileId, Files, Severity};
pub use headwater_transform::IndirectSelection;
use headwater_transform::{
    DeclaredSource, LoadOptions, NodeId, ProfileRequest, ResourceType, SelectionQuery, Target, TransformProject,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
pub(crate) use warnings::WarningRules;
pub use warnings::{DeprecationSummary, is_deprecation};

use crate::externals::{LocationMap, externals};
use crate::generators;
use crate::sink_file::SinkConfig;
use crate::source_file::SourceConfig;
use crate::view::{Finding, NodeSummary, Place};

/// How a project is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    pub project_dir: PathBuf,
    /// Bytes for data; half the machine's memory when absent.
    pub memory_bytes: Option<u64>,
    pub threads: Option<usize>,
    /// YAML or JSON mapping; wins over the project's own variables.
    pub vars: Option<String>,
    pub target: Option<String>,
    /// Folder for artifacts instead of the instance's own.
    pub target_path: Option<PathBuf>,
    /// Beginnings of sources' locations and what stands for them; they go before `locations` of the project file.
    pub locations: BTreeMap<String, String>,
    /// Every warning is an error.
    pub warn_error: bool,
    /// Which warnings are errors and which are not told, as a YAML or JSON mapping.
    pub warn_error_options: Option<String>,
}

/// Which nodes, in dbt's selection syntax.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub select: Vec<String>,
    pub exclude: Vec<String>,
    /// `model`, `test`, `seed`, `source`; all when empty.
    pub resource_types: Vec<String>,
    pub exclude_resource_types: Vec<String>,
    /// Name of a selector of selectors.yml.
    pub selector: Option<String>,
    /// Which tests come along.
    pub indirect: IndirectSelection,
    /// Folder with the artifacts of an earlier run, for `state:` and `result:`.
    pub state: Option<PathBuf>,
}

/// A source with the place it was declared at.
#[derive(Clone, Debug)]
pub(crate) struct SourceEntry {
    pub(crate) config: SourceConfig,
    /// Its file, relative to the project.
    pub(crate) path: PathBuf,
}

/// A project folder, read and checked; nothing is opened yet.
#[derive(Debug)]
pub struct Project {
    pub(crate) options: OpenOptions,
    pub(crate) root: PathBuf,
    pub(crate) files: Files,
    pub(crate) config: ProjectConfig,
    pub(crate) sources: Vec<SourceEntry>,
    pub(crate) sinks: Vec<SinkConfig>,
    pub(crate) transform: TransformProject,
    /// Sources that are files.
    pub(crate) externals: Arc<BTreeMap<TableName, External>>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) dashboards: Vec<Dashboard>,
    /// Schema of names written without one.
    pub(crate) default_schema: String,
    name: String,
    diagnostics: Diagnostics,
    pub(crate) warnings: WarningRules,
}

impl Project {
    /// Reads a project folder. `Err` only when there is no project; everything else is a finding.
    pub fn load(options: &OpenOptions) -> Result<Self, Failure> {
        let root = find_root(&options.project_dir)?;
        let mut reader = Reader { root: root.clone(), files: Files::default(), diagnostics: Diagnostics::default() };
        let config: ProjectConfig = reader.file(Path::new(PROJECT_FILE)).map(|(value, _)| value).unwrap_or_default();
        let sources = read_sources(&mut reader);
        let sinks = read_sinks(&mut reader);
        let jobs = read_jobs(&mut reader);
        let dashboards = read_dashboards(&mut reader);
        let vars = vars(options, &config)?;
        let mut declared = Vec::new();
        for source in &sources {
            declared.extend(declared_tables(&root, &source.config));
        }
        let target = read_target(options, &config, &vars, &mut reader);
        let default_schema = target.schema.clone();
        let load = LoadOptions {
            vars: vars.into_iter().collect(),
            target,
            env: std::env::vars().collect(),
            declared_sources: declared,
            ..LoadOptions::default()
        };
        let Reader { mut files, mut diagnostics, .. } = reader;
        let (transform, found) = headwater_transform::load(&mut files, &root, load);
        diagnostics.found.extend(found.found);
        for (dashboard, tree) in &dashboards {
            crate::dashboards::check_references(dashboard, tree, &transform, &mut diagnostics);
        }
        let locations = LocationMap::new(&options.locations, &config.locations);
        let externals = Arc::new(externals(&transform, &locations, &root, &mut diagnostics));
        let folder_name =
            || root.file_name().map_or_else(|| String::from("project"), |name| name.to_string_lossy().into());
        let name = config
            .name
            .clone()
            .unwrap_or_else(|| if transform.name.is_empty() { folder_name() } else { transform.name.clone() });
        let mut project = Self {
            options: options.clone(),
            root,
            files,
            config,
            sources,
            sinks,
            transform,
            externals,
            jobs,
            dashboards: dashboards.into_iter().map(|(dashboard, _)| dashboard).collect(),
            default_schema,
            name,
            diagnostics,
            warnings: WarningRules::default(),
        };
        let project_file = project.yaml("dbt_project.yml");
        project.warnings =
            WarningRules::read(options.warn_error, options.warn_error_options.as_deref(), project_file.as_ref())?;
        project.check_across_files();
        project.check_packages();
        Ok(project)
    }

    /// Packages that are asked for must be there: a project without them is another one.
    fn check_packages(&mut self) {
        let missing = match self.missing_packages() {
            Ok(missing) => missing.into_iter().next(),
            Err(failure) => Some(failure.message),
        };
        if let Some(name) = missing {
            self.diagnostics.push(
                Diagnostic::error(format!("a package of packages.yml is not installed: {name}"))
                    .hint("Run `headwater deps`, or put it into the package folder."),
            );
        }
    }

    /// What only the whole project shows: names used twice, references of dashboards and jobs.
    fn check_across_files(&mut self) {
        let mut found = Diagnostics::default();
        let mut seen = BTreeSet::new();
        for source in &self.sources {
            if !seen.insert(source.config.name().to_owned()) {
                found.push(
                    Diagnostic::error(format!("two sources are called `{}`", source.config.name()))
                        .hint("Give each source a name of its own."),
                );
            }
            if let Some((schema, rows)) = source.config.landing() {
                let is_captured = source.config.is_captured();
                found.found.extend(crate::landing::check(source.config.name(), schema, rows, is_captured));
            }
        }
        for job in &self.jobs {
            if let Err(error) = self.transform.select(&job.select, &job.exclude) {
                found.push(Diagnostic::error(format!("job `{}` selects nothing that can be run: {error}", job.name)));
            }
        }
        for table in &self.config.lake.symlink_manifests.0 {
            if crate::instance::parse_table_name(table).is_none() {
                let finding = Diagnostic::error(format!("`{table}` of `lake.symlink_manifests` is no table"));
                found.push(finding.hint("Write `schema.table`."));
            }
        }
        generators::check(self, &mut found);
        crate::connections::check(self, &mut found);
        crate::export::check(self, &mut found);
        self.diagnostics.found.extend(found.found);
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Schema of names written without one.
    pub fn default_schema(&self) -> &str {
        &self.default_schema
    }

    /// Where an instance of this project keeps what is its own.
    pub fn data_folder(&self) -> PathBuf {
        crate::paths::Paths::new(&self.root).data
    }

    /// Where artifacts go.
    pub fn target_folder(&self) -> PathBuf {
        match &self.options.target_path {
            Some(given) => self.root.join(given),
            None => crate::paths::Paths::new(&self.root).target(),
        }
    }

    pub fn default_port(&self) -> u16 {
        self.config.api.port.unwrap_or(7766)
    }

    /// All findings, errors first, each with its place.
    pub fn findings(&self) -> Vec<Finding> {
        let told =
            self.diagnostics.found.iter().filter(|one| !one.event.is_some_and(|name| self.warnings.is_silenced(name)));
        let weighed = |one: &Diagnostic| {
            let is_error = one.severity == Severity::Error || self.warnings.is_error(one.event.unwrap_or_default());
            Finding { is_error, ..finding(&self.files, one) }
        };
        let mut findings: Vec<Finding> = told.map(weighed).collect();
        findings.sort_by_key(|finding| !finding.is_error);
        findings
    }

    /// The deprecated forms in the project.
    pub fn deprecations(&self) -> DeprecationSummary {
        self.warnings.summary(self.diagnostics.found.iter().filter_map(|one| one.event))
    }

    /// Fails with the findings' count when the project has errors.
    pub(crate) fn require_sound(&self) -> Result<(), Failure> {
        let errors: Vec<Finding> = self.findings().into_iter().filter(|finding| finding.is_error).collect();
        let Some(first) = errors.first() else { return Ok(()) };
        let place = first
            .place
            .as_ref()
            .map_or_else(String::new, |place| format!(" ({}:{}:{})", place.path, place.line, place.column));
        let failure = Failure::user(format!("the project has {} error(s)", errors.len()))
            .with_detail(format!("First: {}{place}.", first.message));
        Err(failure.with_hint("`headwater check` shows all of them."))
    }

    /// Selected nodes in dependency order.
    pub fn nodes(&self, selection: &Selection) -> Result<Vec<NodeSummary>, Failure> {
        let selected = self.select(selection)?;
        Ok(self.summaries(|node| selected.contains(&node.id)))
    }

    /// All nodes in dependency order, whatever selector is the default.
    pub fn all_nodes(&self) -> Vec<NodeSummary> {
        self.summaries(|_| true)
    }

    fn summaries(&self, is_wanted: impl Fn(&headwater_transform::Node) -> bool) -> Vec<NodeSummary> {
        self.transform
            .ordered()
            .filter(|node| is_wanted(node))
            .map(|node| NodeSummary {
                id: node.id.to_string(),
                selector: selector_of(node),
                file: node.path.display().to_string(),
                name: node.name.clone(),
                resource_type: node.resource_type.as_str().to_owned(),
                path: node.path.display().to_string(),
                materialized: (node.resource_type == ResourceType::Model)
                    .then(|| node.config.materialized().to_owned()),
                description: node.description.clone(),
                tags: node.tags(),
                depends_on: node.depends_on.iter().map(ToString::to_string).collect(),
                relation: (!matches!(
                    node.resource_type,
                    ResourceType::Test | ResourceType::UnitTest | ResourceType::Exposure | ResourceType::Analysis
                ) && !node.is_ephemeral())
                .then(|| format!("{}.{}", node.relation.schema, node.relation.identifier)),
            })
            .collect()
    }

    /// A node as the manifest has it; empty when there is none of this id.
    pub fn node_entry(&self, id: &str) -> serde_json::Map<String, serde_json::Value> {
        self.transform.entry(&NodeId::new(id)).unwrap_or_default()
    }

    pub(crate) fn select(&self, selection: &Selection) -> Result<BTreeSet<NodeId>, Failure> {
        let query = SelectionQuery {
            select: selection.select.clone(),
            exclude: selection.exclude.clone(),
            selector: selection.selector.clone(),
            indirect: selection.indirect,
            state: selection
                .state
                .as_deref()
                .map(|folder| crate::state_folder::read(&self.root.join(folder)))
                .transpose()?,
            loaded: headwater_transform::loaded_sources(
                crate::state_folder::json(&self.target_folder().join("sources.json"))?.as_ref(),
            ),
        };
        let selected =
            self.transform.select_by(&query).map_err(|error| headwater_project::Classify::failure(&error))?;
        let wanted = |id: &NodeId| {
            let kind = self.transform.node(id).map_or("", |node| node.resource_type.as_str());
            let (only, not) = (&selection.resource_types, &selection.exclude_resource_types);
            (only.is_empty() || only.iter().any(|one| one == kind || one == "all"))
                && !not.iter().any(|one| one == kind)
        };
        Ok(selected.into_iter().filter(wanted).collect())
    }

    /// Name, title and description of every dashboard.
    pub fn dashboards(&self) -> Vec<(String, String, Option<String>)> {
        let summary = |one: &Dashboard| {
            (one.name.clone(), one.title.clone().unwrap_or_else(|| one.name.clone()), one.description.clone())
        };
        self.dashboards.iter().map(summary).collect()
    }

    /// Fails when there is no such tile.
    pub fn require_tile(&self, dashboard: &str, tile: &str) -> Result<(), Failure> {
        let dashboard = self.find_dashboard(dashboard)?;
        crate::dashboards::find_tile(dashboard, tile).map(drop)
    }

    pub(crate) fn find_dashboard(&self, name: &str) -> Result<&Dashboard, Failure> {
        let names = self.dashboards.iter().map(|known| known.name.as_str());
        let missing = || Failure::unknown("dashboard", name, names);
        self.dashboards.iter().find(|known| known.name == name).ok_or_else(missing)
    }

    /// Findings about the generators' own settings alone.
    pub fn generator_findings(&self) -> Vec<Finding> {
        let mut found = Diagnostics::default();
        generators::lint(self, &mut found);
        found.found.iter().map(|one| finding(&self.files, one)).collect()
    }

    /// The JSON Schema of every file kind.
    pub fn schemas() -> Vec<(&'static str, serde_json::Value)> {
        vec![
            ("headwater", config::schema::<ProjectConfig>()),
            ("source", config::schema::<SourceConfig>()),
            ("sink", config::schema::<SinkConfig>()),
            ("job", config::schema::<JobConfig>()),
            ("dashboard", config::schema::<Dashboard>()),
        ]
    }
}

/// What `ls` calls a node: its fqn, with its kind in front where that is no part of it.
fn selector_of(node: &headwater_transform::Node) -> String {
    let fqn = node.fqn.join(".");
    match node.resource_type {
        ResourceType::Source => format!("source:{fqn}"),
        ResourceType::Exposure => format!("exposure:{fqn}"),
        ResourceType::UnitTest => format!("unit_test:{}.{}", node.package, node.name),
        _ => fqn,
    }
}

/// The target of the project's profile, or one of our own where there is none.
fn read_target(
    options: &OpenOptions,
    config: &ProjectConfig,
    vars: &BTreeMap<String, serde_json::Value>,
    reader: &mut Reader,
) -> Target {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".dbt"));
    let given = std::env::var_os("DBT_PROFILES_DIR").map(PathBuf::from);
    let request = ProfileRequest {
        folders: given.into_iter().chain(home).collect(),
        profile: None,
        target: options.target.clone(),
        env: std::env::vars().collect(),
        vars: vars.clone().into_iter().collect(),
    };
    let (found, more) = headwater_transform::read_profile(&mut reader.files, &reader.root, &request);
    reader.diagnostics.found.extend(more.found);
    let mut target = found.unwrap_or_default();
    target.name = options.target.clone().unwrap_or(target.name);
    target.schema = config.build.schema.clone().unwrap_or(target.schema);
    target
}

/// The nearest folder, from `start` upwards, that is a project.
fn find_root(start: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(start).map_err(|error| {
        Failure::user(format!("`{}` is not a folder", start.display())).with_detail(error.to_string())
    })?;
    let is_project = |folder: &&Path| folder.join(PROJECT_FILE).is_file() || folder.join("dbt_project.yml").is_file();
    absolute.ancestors().find(is_project).map(Path::to_path_buf).ok_or_else(|| {
        Failure::user(format!("there is no project in `{}`", absolute.display()))
            .with_detail(format!("A project has a {PROJECT_FILE} or a dbt_project.yml."))
            .with_hint("Go to a project, name one with --project-dir, or make one with `headwater init`.")
    })
}

fn vars(options: &OpenOptions, config: &ProjectConfig) -> Result<BTreeMap<String, serde_json::Value>, Failure> {
    let mut vars = config.vars.clone();
    if let Some(text) = &options.vars {
        let mut files = Files::default();
        let file = files.add("--vars", text.as_str());
        let (tree, found) = tree::parse(file, text);
        match (found.found.first(), tree.to_json()) {
            (None, serde_json::Value::Object(given)) => vars.extend(given),
            _ => {
                return Err(Failure::user("--vars is not a mapping")
                    .with_hint("Write it as YAML or JSON: --vars '{price: 1.5}'."));
            }
        }
    }
    Ok(vars)
}

pub(crate) fn finding(files: &Files, diagnostic: &Diagnostic) -> Finding {
    let place = diagnostic.span.and_then(|span| {
        let file = files.get(span.file)?;
        let at = file.position(span.start);
        let line = file.text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
        let width = file.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let width = width.lines().next().unwrap_or_default().chars().count();
        Some(Place {
            path: file.path.display().to_string(),
            line: at.line,
            column: at.column,
            text: line.to_owned(),
            length: u32::try_from(width.max(1)).unwrap_or(1),
        })
    });
    Finding {
        is_error: diagnostic.severity == Severity::Error,
        message: diagnostic.message.clone(),
        detail: diagnostic.detail.clone(),
        hint: diagnostic.hint.clone(),
        event: diagnostic.event,
        place,
    }
}

/// Reads files of the project into the snapshot.
pub(crate) struct Reader {
    pub(crate) root: PathBuf,
    pub(crate) files: Files,
    pub(crate) diagnostics: Diagnostics,
}

/// Largest project file that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;

impl Reader {
    /// A file that may be absent, parsed and substituted.
    fn tree(&mut self, path: &Path) -> Option<(Tree, FileId)> {
        let absolute = self.root.join(path);
        let size = std::fs::metadata(&absolute).ok()?.len();
        if size > MAX_FILE_BYTES {
            self.diagnostics.push(Diagnostic::error(format!("{} is larger than 16 MiB", path.display())));
            return None;
        }
        let text = match std::fs::read_to_string(&absolute) {
            Ok(text) => text,
            Err(error) => {
                self.diagnostics.push(
                    Diagnostic::error(format!("{} could not be read", path.display())).detail(format!("{error}.")),
                );
                return None;
            }
        };
        let file = self.files.add(path, text.as_str());
        let (mut tree, found) = tree::parse(file, &text);
        let broken = found.has_errors();
        self.diagnostics.found.extend(found.found);
        let environment: Variables<'_> = &|name| std::env::var(name).ok();
        config::interpolate(&mut tree, environment, &mut self.diagnostics);
        (!broken).then_some((tree, file))
    }

    fn file<T: JsonSchema + DeserializeOwned>(&mut self, path: &Path) -> Option<(T, Tree)> {
        let (tree, _) = self.tree(path)?;
        let value = config::decode::<T>(&tree, &mut self.diagnostics)?;
        Some((value, tree))
    }

    /// The YAML files of a folder, in order of their names.
    fn folder(&mut self, folder: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| Path::new(folder).join(entry.file_name()))
            .filter(|path| matches!(path.extension().and_then(|end| end.to_str()), Some("yml" | "yaml")))
            .collect();
        paths.sort();
        paths
    }
}

fn read_sources(reader: &mut Reader) -> Vec<SourceEntry> {
    let mut sources = Vec::new();
    for path in reader.folder("sources") {
        if let Some((config, _)) = reader.file::<SourceConfig>(&path) {
            sources.push(SourceEntry { config, path });
        }
    }
    sources
}

fn read_sinks(reader: &mut Reader) -> Vec<SinkConfig> {
    let paths = reader.folder("sinks");
    paths.iter().filter_map(|path| reader.file::<SinkConfig>(path).map(|(config, _)| config)).collect()
}

fn read_jobs(reader: &mut Reader) -> Vec<Job> {
    let mut jobs = Vec::new();
    for path in reader.folder("jobs") {
        if let Some((config, tree)) = reader.file::<JobConfig>(&path) {
            jobs.extend(Job::from_config(config, &tree, &mut reader.diagnostics));
        }
    }
    jobs
}

/// Dashboards with the files they were read from.
fn read_dashboards(reader: &mut Reader) -> Vec<(Dashboard, Tree)> {
    let mut dashboards = Vec::new();
    for path in reader.folder("dashboards") {
        if let Some((dashboard, tree)) = reader.file::<Dashboard>(&path) {
            headwater_dash::check(&dashboard, &tree, &mut reader.diagnostics);
            dashboards.push((headwater_dash::with_queries(dashboard), tree));
        }
    }
    dashboards
}

/// The tables a source makes, for `source()` in models.
fn declared_tables(root: &Path, source: &SourceConfig) -> Vec<DeclaredSource> {
    match source {
        SourceConfig::Generator(config) => generators::declared_tables(root, config),
        SourceConfig::Files(config) => vec![generators::declared(&config.name, config.table(), Vec::new())],
        SourceConfig::Http(config) => vec![generators::declared(&config.name, config.table(), Vec::new())],
        SourceConfig::Push(config) => vec![generators::declared(&config.name, config.table(), Vec::new())],
        SourceConfig::Kafka(config) => vec![generators::declared(&config.name, config.table(), Vec::new())],
        SourceConfig::Postgres(config) => {
            let tables = config.from.each_table().map(|(name, table)| PostgresConfig::lake_name(name, &table));
            tables.map(|table| generators::declared(&config.name, &table, Vec::new())).collect()
        }
    }
}
