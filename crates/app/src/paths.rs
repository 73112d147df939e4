//! Where an instance keeps what is its own: `.headwater/` in the project folder.
//!
//! ```text
//! .headwater/
//!   lock          held by the one process that writes
//!   state.db      runs, publications, ticks (SQLite)
//!   lake/         tables and raw files, unless the project names another place
//!   log/          topics
//!   generators/   snapshots of generators
//!   serving.json  where the process that runs it answers
//!   answers/      of web services, for sources that keep them
//!   sinks/        how far sinks got whose destinations cannot say
//!   spill/        what queries put aside; emptied at start
//!   spool/        copies of files of stores while they are read; they have no names
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

    pub(crate) fn serving(&self) -> PathBuf {
        self.data.join("serving.json")
    }

    /// Answers of a web service that a source keeps.
    pub(crate) fn answers(&self, source: &str) -> PathBuf {
        self.data.join("answers").join(source)
    }

    /// How far a sink got, when its destination cannot say.
    pub(crate) fn sink_progress(&self, sink: &str) -> PathBuf {
        // A name may hold what a path must not.
        let plain = |letter: char| if letter.is_alphanumeric() || matches!(letter, '-' | '_') { letter } else { '.' };
        self.data.join("sinks").join(format!("{}.progress", sink.chars().map(plain).collect::<String>()))
    }

    pub(crate) fn spill(&self) -> PathBuf {
        self.data.join("spill")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.data.join("spool")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.data.join("target")
    }
    pub(crate) fn run_logs(&self) -> PathBuf {
        self.target().join("logs")
    }
}
