use std::path::PathBuf;

use headwater_project::{Classify, Kind};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The row is no longer what the caller believed: somebody else moved it, or the caller is a zombie. Stop, reload.
    #[error("{what} changed meanwhile: expected {expected}")]
    Conflict { what: String, expected: String },

    #[error("{what} does not exist")]
    NotFound { what: String },

    #[error("a change from {from} to {to} is not legal")]
    IllegalTransition { from: &'static str, to: &'static str },

    #[error("state database {path} was written by a newer version: schema {found}, this program knows {known}")]
    NewerSchema { path: PathBuf, found: i64, known: i64 },

    #[error("state database {path} was written by an older version: schema {found}, this program reads {known}")]
    OlderSchema { path: PathBuf, found: i64, known: i64 },

    #[error("{path} is not a state database of this program")]
    ForeignFile { path: PathBuf },

    #[error("SQLite {found} is too old: {required} or newer is required")]
    SqliteTooOld { found: String, required: &'static str },

    #[error("state database cannot keep a write-ahead log here: journal mode is {mode}")]
    NoWriteAheadLog { mode: String },

    #[error("state database holds an unknown {what}")]
    Corrupt { what: String },

    #[error("cannot open state database {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },

    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error("state database failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl Error {
    pub(crate) fn conflict(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Conflict { what: what.into(), expected: expected.into() }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict { .. } => Kind::Conflict,
            Self::NotFound { .. } | Self::NewerSchema { .. } | Self::OlderSchema { .. } | Self::ForeignFile { .. } => {
                Kind::User
            }
            Self::IllegalTransition { .. } | Self::SqliteTooOld { .. } | Self::Corrupt { .. } => Kind::Internal,
            Self::NoWriteAheadLog { .. } | Self::Write { .. } => Kind::External { retry_after: None },
            Self::Open { source, .. } | Self::Sqlite(source) => sqlite_kind(source),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NewerSchema { .. } => "Use the newer program, or restore the backup it left beside the database.",
            Self::OlderSchema { .. } => {
                "Any command that writes brings it up to date, such as `headwater build` or `headwater up`."
            }
            Self::ForeignFile { .. } => "Move that file away, or choose another data directory.",
            Self::NoWriteAheadLog { .. } => "Keep the data directory on a local disk, not on a network file system.",
            Self::Open { .. } | Self::Write { .. } => {
                "Check that the disk of this folder has room, and that the folder can be written: readers need it as well."
            }
            Self::Corrupt { .. } => {
                "Move the database away: history is lost and models are built again, data is not touched."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn sqlite_kind(error: &rusqlite::Error) -> Kind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory | ErrorCode::TooBig) => Kind::Exhausted,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse) | None => Kind::Internal,
        Some(_) => Kind::External { retry_after: None },
    }
}
