//! Where an instance keeps what is its own: `.headwater/` in the project folder.
//!
//! ```text
//! .headwater/
//!   lock          held by the one process that writes
//!   state.db      runs, publications, ticks (SQLite)
//!   lake/         tables and raw files, unless the project names another place
//!   log/          topics
//!   generators/   snapshots of generators
//!   spill/        what queries put aside; emptied at start
//!   target/       compiled SQL, manifest.json, run_results.json, logs of runs
//! ```

use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) project: PathBuf,
    pub(crate) data: PathBuf,
}

impl Paths {
    pub(crate) fn new(project: &Path) -> Self {
        Self { project: project.to_path_buf(), data: project.join(".headwater") }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.data.join("state.db")
    }

    pub(crate) fn default_lake(&self) -> PathBuf {
        self.data.join("lake")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    pub(crate) fn generators(&self) -> PathBuf {
        self.data.join("generators")
    }

    pub(crate) fn spill(&self) -> PathBuf {
        self.data.join("spill")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.data.join("target")
    }
    pub(crate) fn run_logs(&self) -> PathBuf {
        self.target().join("logs")
    }
}
