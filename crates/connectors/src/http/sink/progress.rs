//! How far a service was sent the rows: it cannot say so itself.
//!
//! A file of lines. The first is `{"sends": ..., "position": ...}`, each after it the key of a request of the transfer
//! that follows this position, noted when it was answered. The first line is replaced as a whole, file and all; a key is
//! appended, and one that the process did not finish writing is none.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use headwater_ingest::error::{Error, Result};
use headwater_project::Failure;
use serde::{Deserialize, Serialize};

use crate::sink::Identity;

#[derive(Serialize, Deserialize)]
struct Head {
    sends: String,
    position: Option<i64>,
}

pub(super) struct Progress {
    path: PathBuf,
    sends: String,
    pub(super) position: Option<i64>,
    answered: HashSet<String>,
}

impl Progress {
    /// Reads the file, or begins one.
    pub(super) fn open(path: &Path, identity: &Identity) -> Result<Self> {
        if let Some(progress) = Self::read(path, identity)? {
            return Ok(progress);
        }
        let mut progress = Self::blank(path, identity);
        progress.reach(None)?;
        Ok(progress)
    }

    fn blank(path: &Path, identity: &Identity) -> Self {
        Self { path: path.to_owned(), sends: identity.sends.clone(), position: None, answered: HashSet::new() }
    }

    /// Reads the file; nothing when there is none.
    pub(super) fn read(path: &Path, identity: &Identity) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", path, source)),
        };
        let mut progress = Self::blank(path, identity);
        let remedy = format!("delete {}, and everything is sent again", path.display());
        let mut lines = text.split_inclusive('\n');
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| {
            Failure::user(format!("{} cannot be read", path.display()))
                .with_detail(error.to_string())
                .with_hint(format!("Restore it, or {remedy}."))
        })?;
        identity.require_same(&head.sends, &remedy)?;
        progress.position = head.position;
        progress.answered = lines.filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect();
        Ok(Some(progress))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.answered.contains(key)
    }

    /// Remembers that a request was answered; durable when it returns.
    pub(super) fn note(&mut self, key: &str) -> Result<()> {
        let failed = |source| Error::io("write", &self.path, source);
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
        file.write_all(format!("{key}\n").as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
        self.answered.insert(key.to_owned());
        Ok(())
    }

    /// Moves the position; durable when it returns.
    pub(super) fn reach(&mut self, position: Option<i64>) -> Result<()> {
        let head = serde_json::to_string(&Head { sends: self.sends.clone(), position });
        let head = head.map_err(|_| Error::Internal("a position is no JSON"))?;
        self.replace(&head).map_err(|source| Error::io("write", &self.path, source))?;
        self.position = position;
        self.answered.clear();
        Ok(())
    }

    fn replace(&self, head: &str) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let staged = self.path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(format!("{head}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&staged, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sinks/s.progress");
        let identity = Identity { id: String::from("p/s"), sends: String::from("added from a.b") };
        assert!(Progress::read(&path, &identity).unwrap().is_none() && !path.exists());
        let mut progress = Progress::open(&path, &identity).unwrap();
        progress.reach(Some(7)).unwrap();
        progress.note("one").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"tw").unwrap();
        let again = Progress::open(&path, &identity).unwrap();
        assert_eq!((again.position, again.has("one"), again.has("tw")), (Some(7), true, false));
        let mut again = again;
        again.reach(Some(8)).unwrap();
        let last = Progress::open(&path, &identity).unwrap();
        assert_eq!((last.position, last.has("one")), (Some(8), false));
        let other = Identity { sends: String::from("all from a.b"), ..identity };
        assert!(Progress::open(&path, &other).is_err());
        std::fs::write(&path, "x").unwrap();
        assert!(Progress::open(&path, &other).is_err());
    }
}
