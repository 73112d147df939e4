//! Configurations of other tools as files of the project.

use std::path::{Path, PathBuf};

use headwater_connectors::kafka::connect;
use headwater_project::Failure;

use crate::project::Project;

/// A source that was made from a configuration of another tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSource {
    /// Where it is written, relative to the project.
    pub path: PathBuf,
    pub text: String,
    /// What headwater.yml needs for it.
    pub project: String,
    /// Whether headwater.yml has a connection of this name.
    pub has_connection: bool,
    /// Keys that are not carried over as they are, and what to do about them.
    pub notes: Vec<(String, String)>,
}

impl Project {
    /// Makes a source from the configuration of a sink of Kafka Connect, and writes it if `write` says so; a source that is
    /// there is left alone.
    pub fn import_connect(&self, file: &Path, connection: &str, write: bool) -> Result<ImportedSource, Failure> {
        let json = std::fs::read_to_string(file).map_err(|error| {
            Failure::user(format!("{} cannot be read", file.display())).with_detail(error.to_string())
        })?;
        let imported = connect::import(&json, connection)?;
        let path = PathBuf::from("sources").join(format!("{}.yml", imported.name));
        let notes = imported.notes.into_iter().map(|note| (note.key, note.advice)).collect();
        let source = ImportedSource {
            path,
            text: imported.source,
            project: imported.project,
            has_connection: self.config.connections.contains_key(connection),
            notes,
        };
        if write {
            self.write_new(&source)?;
        }
        Ok(source)
    }

    fn write_new(&self, source: &ImportedSource) -> Result<(), Failure> {
        let target = self.root.join(&source.path);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::user(format!("{} is there already", source.path.display()))
                .with_hint("`--print` shows what would be written."),
            _ => Failure::user(format!("{} cannot be written", target.display())).with_detail(error.to_string()),
        };
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = std::fs::File::create_new(&target).map_err(failed)?;
        std::io::Write::write_all(&mut file, source.text.as_bytes()).map_err(failed)
    }
}
