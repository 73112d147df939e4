//! Packages of packages.yml or dependencies.yml: what they and their own packages come to, written to package-lock.yml, and
//! put into the package folder.
//!
//! package-lock.yml has `packages`, each with its `name` and the exact version that was found, and `sha1_hash`, a digest of the
//! entries it was made of: while that is the same, the lock decides. Its form and digest are dbt's, so that both may write it.

mod archive;
mod fetch;
mod lock;
mod spec;
mod version;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use headwater_project::Failure;
use headwater_project::tree::{self, Tree};

pub(crate) use spec::Spec;

use crate::project::Project;
use fetch::{Fetched, Fetcher};

/// Packages that ask for packages deeper than this are taken for a circle.
const MAX_ROUNDS: usize = 32;

/// What to do about packages.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackageRequest {
    /// Look for newer versions, whatever is locked.
    pub upgrade: bool,
    /// Write package-lock.yml and install nothing.
    pub lock_only: bool,
}

/// A package in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    pub name: String,
    /// Where from: `local shared/extra`, `version 1.1.0 of dbt-labs/codegen`.
    pub from: String,
}

impl Project {
    /// Installs the packages the project asks for and those they ask for. `tell` hears what is of note on the way.
    pub async fn install_packages(
        &self,
        request: PackageRequest,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Vec<InstalledPackage>, Failure> {
        let specs = self.package_specs()?;
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let work = tempfile_folder(&self.root)?;
        let outcome = self.install_in(&work, &specs, request, tell).await;
        std::fs::remove_dir_all(&work).map_err(|error| written(&work, &error))?;
        outcome
    }

    async fn install_in(
        &self,
        work: &Path,
        specs: &[Spec],
        request: PackageRequest,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Vec<InstalledPackage>, Failure> {
        let path = self.root.join(lock::FILE);
        let fetcher = Fetcher::new(&self.root, work, tell);
        let known = lock::read(&path)?.filter(|known| !request.upgrade && known.hash == lock::hash(specs));
        let packages = match known {
            Some(known) => fetcher.exactly(known.packages).await?,
            None => {
                let found = resolve(&fetcher, specs, &self.transform.name).await?;
                lock::write(&path, specs, &found)?;
                found
            }
        };
        if request.lock_only {
            return Ok(Vec::new());
        }
        let folder = self.root.join(self.packages_folder());
        let mut installed = Vec::new();
        for package in &packages {
            let place = folder.join(&package.name);
            if place != package.folder {
                put(&package.folder, &place)?;
            }
            installed.push(InstalledPackage { name: package.name.clone(), from: package.spec.to_string() });
        }
        // What could not be had may have been put there by hand.
        if packages.len() >= specs.len() {
            remove_others(&folder, &packages)?;
        }
        Ok(installed)
    }

    /// The packages the project asks for.
    pub(crate) fn package_specs(&self) -> Result<Vec<Spec>, Failure> {
        specs_of(&self.root)
    }

    /// Packages that are asked for and not in their place.
    pub(crate) fn missing_packages(&self) -> Result<Vec<String>, Failure> {
        let folder = self.root.join(self.packages_folder());
        let locked = lock::read(&self.root.join(lock::FILE))?;
        let mut missing = Vec::new();
        // What only `deps` cannot read may be installed all the same.
        for spec in entries_of(&self.root)?.iter().filter_map(|item| Spec::read(item).ok()) {
            let name = match &spec {
                Spec::Local { folder } => project_name(&self.root.join(folder))?,
                spec => locked.as_ref().and_then(|known| known.name_of(spec)).unwrap_or_else(|| spec.likely_name()),
            };
            let is_there = folder.join(&name).is_dir() || folder.join(spec.likely_name()).is_dir();
            if !is_there && !headwater_transform::is_built_in_package(&spec.likely_name()) {
                missing.push(name);
            }
        }
        Ok(missing)
    }
}

/// Packages that are asked for, and by those; each once.
async fn resolve(fetcher: &Fetcher<'_>, specs: &[Spec], root: &str) -> Result<Vec<Fetched>, Failure> {
    let mut asked: BTreeMap<String, Spec> = BTreeMap::new();
    let mut waiting = specs.to_vec();
    let mut found: BTreeMap<String, Fetched> = BTreeMap::new();
    for _ in 0..MAX_ROUNDS {
        let mut next = Vec::new();
        for spec in std::mem::take(&mut waiting) {
            let key = spec.key();
            let combined = match asked.get(&key) {
                Some(known) if *known == spec => continue,
                Some(known) => known.with(&spec)?,
                None => spec,
            };
            asked.insert(key.clone(), combined.clone());
            let Some(package) = fetcher.fetch(&combined).await? else { continue };
            if package.name == root {
                return Err(Failure::user(format!("the package `{combined}` has the name of the project, {root}"))
                    .with_hint("Give one of them another name."));
            }
            next.extend(specs_of(&package.folder)?.into_iter().map(|own| own.seen_from(&package.folder)));
            found.insert(key, package);
        }
        if next.is_empty() {
            return Ok(in_order(specs, found));
        }
        waiting = next;
    }
    Err(Failure::user("packages ask for packages without end"))
}

/// Those the project names first, as it names them.
fn in_order(specs: &[Spec], mut found: BTreeMap<String, Fetched>) -> Vec<Fetched> {
    let mut ordered: Vec<Fetched> = specs.iter().filter_map(|spec| found.remove(&spec.key())).collect();
    ordered.extend(found.into_values());
    ordered
}

/// What the packages.yml or dependencies.yml in a folder asks for.
fn specs_of(folder: &Path) -> Result<Vec<Spec>, Failure> {
    entries_of(folder)?.iter().map(Spec::read).collect()
}

fn entries_of(folder: &Path) -> Result<Vec<Tree>, Failure> {
    let names = ["packages.yml", "dependencies.yml"];
    let Some(file) = names.iter().find_map(|name| yaml(&folder.join(name)).transpose()).transpose()? else {
        return Ok(Vec::new());
    };
    Ok(file.get("packages").map(Tree::items).unwrap_or_default().to_vec())
}

/// A file of YAML that may be absent.
fn yaml(path: &Path) -> Result<Option<Tree>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut files = headwater_project::Files::default();
    let file = files.add(path, text.as_str());
    let (tree, found) = tree::parse_for_dbt(file, &text);
    match found.found.iter().find(|one| one.severity == headwater_project::Severity::Error) {
        Some(problem) => {
            Err(Failure::user(format!("{} cannot be read", path.display()))
                .with_detail(format!("{}.", problem.message)))
        }
        None => Ok(Some(tree)),
    }
}

/// The name of the project in a folder.
fn project_name(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("dbt_project.yml");
    let missing = || {
        Failure::user(format!("there is no package in `{}`", folder.display()))
            .with_detail(format!("{} is not there, or has no name.", path.display()))
    };
    let name = yaml(&path)?.and_then(|file| file.get("name")?.as_str().map(str::to_owned)).ok_or_else(missing)?;
    // The name becomes that of a folder.
    let is_plain = !name.is_empty() && name.chars().all(|each| each.is_ascii_alphanumeric() || "_-".contains(each));
    if is_plain { Ok(name) } else { Err(Failure::user(format!("`{name}` is no name for a package"))) }
}

/// A folder of our own beside the project's other things, gone when the work is done.
fn tempfile_folder(root: &Path) -> Result<PathBuf, Failure> {
    let folder = crate::paths::Paths::new(root).data.join(format!("packages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| written(&folder, &error))?;
    Ok(folder)
}

fn put(from: &Path, to: &Path) -> Result<(), Failure> {
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(|error| written(to, &error))?;
    }
    copy(from, to).map_err(|error| written(to, &error))
}

/// All of a package but what was made of it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_str(), Some("target" | "logs" | "dbt_packages" | ".headwater" | ".git")) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// What an earlier installation left and nothing asks for any more.
fn remove_others(folder: &Path, packages: &[Fetched]) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_package = entry.path().join("dbt_project.yml").is_file();
        if is_package && !packages.iter().any(|package| package.name == name) {
            std::fs::remove_dir_all(entry.path()).map_err(|error| written(&entry.path(), &error))?;
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("{} could not be read", path.display())).with_detail(format!("{error}."))
}

fn written(path: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("{} could not be written", path.display())).with_detail(format!("{error}."))
}
