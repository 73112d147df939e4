//! Reading a project: folder, dbt_project.yml, properties, macros, nodes, and what refers to what.
//!
//! Every step adds its findings and goes on with what it could read.

pub(crate) mod folder;
pub(crate) mod generic_test;
pub(crate) mod link;
pub(crate) mod macros;
pub(crate) mod nodes;
pub(crate) mod package;
pub(crate) mod profile;
pub(crate) mod project_file;
pub(crate) mod properties;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_project::tree::Tree;
use headwater_project::{Diagnostic, Diagnostics, FileId, Files};

use crate::definitions::{Definitions, DocBlock, Target};
use crate::jinja::render::{TemplateLimits, Templates, on_deep_stack};
use crate::project::TransformProject;
use crate::warehouse::{ColumnInfo, RelationName};
use folder::Folder;
use macros::MacroReader;
use package::{LoadedPackage, read_package};

/// The file id of text that is not in the project: our own macros.
pub(crate) const NO_FILE: FileId = FileId(u32::MAX);

/// What loading needs to know besides the folder.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--vars`: above the variables of dbt_project.yml.
    pub vars: serde_json::Map<String, serde_json::Value>,
    pub target: Target,
    /// What `env_var` can read.
    pub env: BTreeMap<String, String>,
    pub declared_sources: Vec<DeclaredSource>,
    pub limits: TemplateLimits,
}

/// A table something other than this project fills, which `source()` finds without a properties file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredSource {
    pub source: String,
    pub table: String,
    pub relation: RelationName,
    pub columns: Vec<ColumnInfo>,
}

/// Reads the project in `root`. Never fails as a whole: what is wrong is in the diagnostics, everything else in the project.
pub fn load(files: &mut Files, root: &Path, options: LoadOptions) -> (TransformProject, Diagnostics) {
    let mut found = Diagnostics::default();
    let mut folder = Folder { root, files };
    let packages = read_packages(&mut folder, &mut found);
    let selectors = read_selectors(&mut folder, &mut found);
    let loaded = on_deep_stack(|| assemble(packages, options, &mut folder));
    match loaded {
        Ok((mut project, more)) => {
            project.selectors = selectors.map(|file| project.selector_entries(&file)).unwrap_or_default();
            found.found.extend(more.found);
            (project, found)
        }
        Err(error) => {
            found.push(Diagnostic::error("the project could not be read").detail(format!("{error}.")));
            (TransformProject::empty(), found)
        }
    }
}

/// selectors.yml as it is written.
fn read_selectors(folder: &mut Folder<'_>, found: &mut Diagnostics) -> Option<Tree> {
    let path = Path::new("selectors.yml");
    let (id, text) = folder.has(path).then(|| folder.text(path, found)).flatten()?;
    let (tree, more) = headwater_project::tree::parse_for_dbt(id, &text);
    found.found.extend(more.found);
    Some(tree)
}

/// The project itself first, then what is installed in its package folder.
fn read_packages(folder: &mut Folder<'_>, found: &mut Diagnostics) -> Vec<LoadedPackage> {
    let own = read_package(folder, PathBuf::new(), found);
    let installed = folder.subfolders(&own.file.packages_path);
    let mut packages = vec![own];
    for root in installed {
        if folder.has(&root.join("dbt_project.yml")) {
            packages.push(read_package(folder, root, found));
        }
    }
    packages
}

fn assemble(
    mut packages: Vec<LoadedPackage>,
    options: LoadOptions,
    folder: &mut Folder<'_>,
) -> (TransformProject, Diagnostics) {
    let mut found = Diagnostics::default();
    let mut templates = Templates::new(options.limits);
    let names: Vec<String> = packages.iter().map(|package| package.file.name.clone()).collect();
    let mut reader = MacroReader::default();
    for package in &packages {
        for (file, text) in &package.macro_files {
            let path = folder.files.get(*file).map(|file| file.path.as_path());
            reader.read(&package.file.name, (*file, path), text, &mut found);
        }
        for described in &package.properties.macros {
            let file = folder.files.get(described.span.file).map(|file| file.path.clone()).unwrap_or_default();
            reader.describe(&package.file.name, &described.name, &described.written, file);
        }
    }
    let macros = reader.finish(&names, &mut templates, &mut found);
    let definitions = Arc::new(Definitions {
        root_package: names.first().cloned().unwrap_or_default(),
        packages: packages.iter().map(|package| (package.file.name.clone(), package.definition())).collect(),
        macros,
        target: options.target,
        env: options.env,
        vars: options.vars,
        docs: docs(&packages),
    });
    let mut linker = link::Linker::new(Arc::clone(&definitions), templates);
    linker.know_paths(folder.files);
    linker.add_declared(&options.declared_sources);
    for index in 0..packages.len() {
        let Some(package) = packages.get_mut(index) else { continue };
        let properties = std::mem::take(&mut package.properties);
        nodes::add_nodes(&mut linker, &packages, index, &properties, folder, &mut found);
    }
    (linker.finish(&mut found), found)
}

fn docs(packages: &[LoadedPackage]) -> BTreeMap<String, DocBlock> {
    let mut docs = BTreeMap::new();
    for package in packages {
        for (name, text) in &package.docs {
            docs.insert(format!("{}.{name}", package.file.name), text.clone());
        }
    }
    docs
}
