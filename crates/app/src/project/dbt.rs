//! What commands ask of dbt_project.yml and packages.yml besides models.

use std::path::{Path, PathBuf};

use headwater_project::tree::{self, Tree};
use headwater_project::{Failure, Files};

use super::Project;

/// A package that lies beside the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPackage {
    pub name: String,
    /// Relative to the project.
    pub folder: PathBuf,
}

impl Project {
    pub fn root_folder(&self) -> &Path {
        &self.root
    }

    /// What the project is read as, for people who wonder.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let target = self.transform.target();
        let database = target.database.clone().unwrap_or_else(|| String::from("none"));
        vec![
            ("project", self.name().to_owned()),
            ("folder", self.root.display().to_string()),
            ("profile", target.profile.clone()),
            ("target", target.name.clone()),
            ("adapter", target.adapter.clone()),
            ("database", database),
            ("schema", target.schema.clone()),
        ]
    }

    fn yaml(&self, path: &str) -> Option<Tree> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        let mut files = Files::default();
        let file = files.add(path, text.as_str());
        Some(tree::parse(file, &text).0)
    }

    /// Folders `clean` removes.
    pub fn clean_targets(&self) -> Vec<String> {
        let file = self.yaml("dbt_project.yml");
        let given = file.as_ref().and_then(|file| file.get("clean-targets"));
        let texts = |tree: &Tree| tree.items().iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
        given.map_or_else(|| vec![String::from("target")], texts)
    }

    /// Folder packages are installed in.
    pub fn packages_folder(&self) -> PathBuf {
        let file = self.yaml("dbt_project.yml");
        let given = file.as_ref().and_then(|file| file.get("packages-install-path")?.as_str().map(PathBuf::from));
        given.unwrap_or_else(|| PathBuf::from("dbt_packages"))
    }

    /// The local packages of packages.yml or dependencies.yml. What a network would be needed for is refused, unless it is
    /// there already or built in.
    pub fn packages(&self) -> Result<Vec<LocalPackage>, Failure> {
        let Some(file) = self.yaml("packages.yml").or_else(|| self.yaml("dependencies.yml")) else {
            return Ok(Vec::new());
        };
        let mut packages = Vec::new();
        for item in file.get("packages").map(Tree::items).unwrap_or_default() {
            if let Some(folder) = item.get("local").and_then(Tree::as_str) {
                let manifest = format!("{folder}/dbt_project.yml");
                let project = self.yaml(&manifest).ok_or_else(|| {
                    Failure::user(format!("there is no package in `{folder}`"))
                        .with_detail(format!("{manifest} is not there."))
                })?;
                let name = project.get("name").and_then(Tree::as_str).unwrap_or_default().to_owned();
                packages.push(LocalPackage { name, folder: PathBuf::from(folder) });
                continue;
            }
            let what = ["package", "git", "tarball"].iter().find_map(|key| item.get(key)?.as_str());
            let what = what.unwrap_or_default();
            let name = what.trim_end_matches(".git").rsplit('/').next().unwrap_or_default().replace('-', "_");
            let there = self.root.join(self.packages_folder()).join(&name).is_dir();
            if !there && !headwater_transform::is_built_in_package(&name) {
                return Err(Failure::user(format!("the package `{what}` is not fetched over the network"))
                    .with_hint(format!("Put it into {}/{name}.", self.packages_folder().display())));
            }
        }
        Ok(packages)
    }
}
