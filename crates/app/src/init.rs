//! `headwater init`: a small project that works at once.

use std::path::{Path, PathBuf};

use headwater_project::Failure;

const FILES: &[(&str, &str)] = &[
    ("headwater.yml", include_str!("init/headwater.yml")),
    ("sources/visits.yml", include_str!("init/sources/visits.yml")),
    ("data/visits-1.jsonl", include_str!("init/data/visits-1.jsonl")),
    ("models/stg_visits.sql", include_str!("init/models/stg_visits.sql")),
    ("models/daily_visits.sql", include_str!("init/models/daily_visits.sql")),
    ("models/schema.yml", include_str!("init/models/schema.yml")),
    ("dashboards/visits.yml", include_str!("init/dashboards/visits.yml")),
    ("jobs/build.yml", include_str!("init/jobs/build.yml")),
    (".gitignore", ".headwater/\n"),
];

/// Writes a new project; `folder` must be empty or not there. Returns the files written, relative to it.
pub fn init_project(folder: &Path, name: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::user(format!("{} cannot be written", folder.display())).with_detail(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let absolute = folder.canonicalize().map_err(failed)?;
    let mut entries = std::fs::read_dir(&absolute).map_err(failed)?;
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != ".git")) {
        return Err(Failure::user(format!("{} is not empty", folder.display()))
            .with_hint("Name a new folder: `headwater init my_project`."));
    }
    let name = name.map_or_else(|| project_name(&absolute), str::to_owned);
    if !is_project_name(&name) {
        return Err(Failure::user(format!("`{name}` is not a project name"))
            .with_hint("Use letters, digits and `_`, beginning with a letter."));
    }
    let mut written = Vec::new();
    for (path, text) in FILES {
        let target = absolute.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&target, text.replace("PROJECT_NAME", &name)).map_err(failed)?;
        written.push(PathBuf::from(path));
    }
    Ok(written)
}

fn project_name(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String =
        name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect();
    if is_project_name(&name) { name } else { format!("project_{name}") }
}

fn is_project_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}
