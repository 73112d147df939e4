//! Reading the files of one package: the project itself or one installed beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_project::{Diagnostics, FileId, tree};

use super::folder::Folder;
use super::macros::{documentation, is_generic};
use super::project_file::{ProjectFile, check_section};
use super::properties::shape::MISSING_ARGUMENTS;
use super::properties::{self, Properties};
use crate::definitions::{DocBlock, Package};

/// A SQL file, with its path inside the folder it was found in.
#[derive(Clone, Debug)]
pub(crate) struct SqlFile {
    pub path: PathBuf,
    pub inside: PathBuf,
    pub file: FileId,
    pub text: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct LoadedPackage {
    pub root: PathBuf,
    pub file: ProjectFile,
    pub models: Vec<SqlFile>,
    pub tests: Vec<SqlFile>,
    pub analyses: Vec<SqlFile>,
    /// Paths of seed files, with the path inside their folder.
    pub seeds: Vec<(PathBuf, PathBuf)>,
    pub snapshots: Vec<SqlFile>,
    /// Files below `tests/fixtures`, which unit tests name.
    pub fixtures: Vec<(PathBuf, Arc<str>)>,
    pub macro_files: Vec<(FileId, Arc<str>)>,
    pub docs: Vec<(String, DocBlock)>,
    pub properties: Properties,
}

impl LoadedPackage {
    pub(crate) fn definition(&self) -> Package {
        Package {
            root: self.root.clone(),
            vars: self.file.vars.clone(),
            dispatch: self.file.dispatch.clone(),
            on_run_start: self.file.on_run_start.clone(),
            on_run_end: self.file.on_run_end.clone(),
        }
    }

    /// A path of the package as its node names see it: inside the folder of its kind.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        let file = &self.file;
        let folders =
            [&file.model_paths, &file.seed_paths, &file.snapshot_paths, &file.test_paths, &file.analysis_paths];
        let bases = folders.into_iter().flatten().map(|folder| self.root.join(folder));
        let inside = bases.filter_map(|base| path.strip_prefix(base).ok().map(Path::to_path_buf)).next();
        inside.unwrap_or_else(|| path.strip_prefix(&self.root).unwrap_or(path).to_path_buf())
    }
}

pub(crate) fn read_package(folder: &mut Folder<'_>, root: PathBuf, found: &mut Diagnostics) -> LoadedPackage {
    let file = read_project_file(folder, &root, found);
    let in_root = |paths: &[PathBuf]| paths.iter().map(|path| root.join(path)).collect::<Vec<_>>();
    let (models, seeds) = (in_root(&file.model_paths), in_root(&file.seed_paths));
    let (tests, macros) = (in_root(&file.test_paths), in_root(&file.macro_paths));
    let analyses = in_root(&file.analysis_paths);
    let snapshots = in_root(&file.snapshot_paths);
    let mut package = LoadedPackage {
        models: read_sql(folder, &models, |_, _| true, found),
        tests: read_sql(folder, &tests, |path, below| !is_generic(path, below) && !is_fixture(path, below), found),
        analyses: read_sql(folder, &analyses, |_, _| true, found),
        seeds: list_seeds(folder, &seeds),
        snapshots: read_sql(folder, &snapshots, |_, _| true, found),
        fixtures: read_fixtures(folder, &tests, found),
        macro_files: Vec::new(),
        docs: Vec::new(),
        properties: Properties::default(),
        root,
        file,
    };
    for sql in read_sql(folder, &macros, |_, _| true, found) {
        package.macro_files.push((sql.file, sql.text));
    }
    for sql in read_sql(folder, &tests, is_generic, found) {
        package.macro_files.push((sql.file, sql.text));
    }
    let everywhere: Vec<PathBuf> = [models, seeds, tests, macros, analyses, snapshots].concat();
    read_properties(folder, &everywhere, &mut package, found);
    read_docs(folder, &everywhere, &mut package, found);
    package
}

fn read_project_file(folder: &mut Folder<'_>, root: &Path, found: &mut Diagnostics) -> ProjectFile {
    let name = folder_name(&folder.root.join(root));
    let path = ["dbt_project.yml", "dbt_project.yaml"].iter().map(|name| root.join(name)).find(|path| folder.has(path));
    let Some((id, text)) = path.and_then(|path| folder.text(&path, found)) else {
        return ProjectFile::default_for(name);
    };
    let (tree, more) = tree::parse_for_dbt(id, &text);
    found.found.extend(more.found);
    let file = ProjectFile::read(&tree, name, found);
    for (_, section) in &file.configs {
        check_section(section, found);
    }
    file
}

/// The folder's name as the name of a project: letters, digits and underscores.
fn folder_name(root: &Path) -> String {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let cleaned: String = name.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '_' }).collect();
    if cleaned.is_empty() { String::from("project") } else { cleaned }
}

fn read_sql(
    folder: &mut Folder<'_>,
    below: &[PathBuf],
    wanted: impl Fn(&Path, &Path) -> bool,
    found: &mut Diagnostics,
) -> Vec<SqlFile> {
    let mut files = Vec::new();
    for base in below {
        for path in folder.list(base, &["sql"]) {
            if !wanted(&path, base) {
                continue;
            }
            let Some((file, text)) = folder.text(&path, found) else { continue };
            let inside = path.strip_prefix(base).unwrap_or(&path).to_path_buf();
            files.push(SqlFile { path, inside, file, text });
        }
    }
    files
}

/// Rows of unit tests stand in a folder of their own.
fn is_fixture(path: &Path, test_folder: &Path) -> bool {
    path.strip_prefix(test_folder).is_ok_and(|inside| inside.starts_with("fixtures"))
}

fn read_fixtures(folder: &mut Folder<'_>, tests: &[PathBuf], found: &mut Diagnostics) -> Vec<(PathBuf, Arc<str>)> {
    let mut fixtures = Vec::new();
    for base in tests {
        for path in folder.list(&base.join("fixtures"), &["csv", "sql"]) {
            if let Some((_, text)) = folder.text(&path, found) {
                fixtures.push((path, text));
            }
        }
    }
    fixtures
}

fn list_seeds(folder: &Folder<'_>, below: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let mut seeds = Vec::new();
    for base in below {
        for path in folder.list(base, &["csv"]) {
            let inside = path.strip_prefix(base).unwrap_or(&path).to_path_buf();
            seeds.push((path, inside));
        }
    }
    seeds
}

fn read_properties(folder: &mut Folder<'_>, below: &[PathBuf], package: &mut LoadedPackage, found: &mut Diagnostics) {
    let mut seen = std::collections::BTreeSet::new();
    let arguments_required = package.file.flag("require_generic_test_arguments_property", true);
    for base in below {
        for path in folder.list(base, &["yml", "yaml"]) {
            if !seen.insert(path.clone()) {
                continue;
            }
            let Some((id, text)) = folder.text(&path, found) else { continue };
            let (tree, more) = tree::parse_for_dbt(id, &text);
            found.found.extend(more.found);
            let mut own = Diagnostics::default();
            properties::read(&tree, &mut package.properties, &mut own);
            own.found.retain(|problem| arguments_required || problem.event != Some(MISSING_ARGUMENTS));
            found.found.extend(own.found);
        }
    }
}

fn read_docs(folder: &mut Folder<'_>, below: &[PathBuf], package: &mut LoadedPackage, found: &mut Diagnostics) {
    let extra: Vec<PathBuf> = package.file.docs_paths.iter().map(|path| package.root.join(path)).collect();
    for base in below.iter().chain(&extra) {
        for path in folder.list(base, &["md"]) {
            if let Some((_, text)) = folder.text(&path, found) {
                let inside = path.strip_prefix(base).unwrap_or(&path);
                let block = |text| DocBlock { text, file: path.clone(), path: inside.to_path_buf() };
                package.docs.extend(documentation(&text).into_iter().map(|(name, text)| (name, block(text))));
            }
        }
    }
}
