//! What commands ask of dbt_project.yml and packages.yml besides models.

use std::path::{Path, PathBuf};

use headwater_project::Files;
use headwater_project::tree::{self, Tree};

use super::Project;

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

    pub(super) fn yaml(&self, path: &str) -> Option<Tree> {
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
}
