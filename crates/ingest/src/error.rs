//! What can go wrong between a source and a table.

use std::io;
use std::path::PathBuf;

use headwater_project::fault::Injected;
use headwater_project::{Classify, Failure, Kind};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the local log stopped after a failed sync")]
    Poisoned,
    #[error("local log is damaged at byte {position} of {path}")]
    Corrupt { path: PathBuf, position: u64, reason: &'static str },
    #[error("{free} bytes free, the local log needs {needed}")]
    LowDisk { free: u64, needed: u64 },
    #[error("another process writes the local log at {path}")]
    Locked { path: PathBuf, owner: String },
    #[error("the local log was opened for reading only")]
    ReadOnly,
    #[error("unknown topic `{topic}`")]
    UnknownTopic { topic: String },
    #[error("topic `{topic}` has no partition {partition}")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("topic `{topic}` exists with {existing} partitions, not {requested}")]
    TopicExists { topic: String, existing: i32, requested: i32 },
    #[error("invalid topic `{topic}`")]
    InvalidTopic { topic: String, reason: &'static str },
    #[error("topic `{topic}` partition {partition} holds offsets {start} to {end}, not {requested}")]
    OutOfRange { topic: String, partition: i32, requested: i64, start: i64, end: i64 },
    #[error(
        "records up to offset {start} of topic `{topic}` partition {partition} are gone, {committed} was the last taken"
    )]
    Gap { topic: String, partition: i32, committed: i64, start: i64 },
    #[error("topic `{topic}` partition {partition} ends at {end}, but {committed} was already taken")]
    Rewound { topic: String, partition: i32, committed: i64, end: i64 },
    #[error(
        "topic `{topic}` partition {partition} holds another record at offset {committed} than the one that was taken"
    )]
    Replaced { topic: String, partition: i32, committed: i64 },
    #[error("the brokers are those of another cluster than the one that was read before")]
    OtherCluster,
    #[error("record of {bytes} bytes is over the limit of {limit}")]
    RecordTooLarge { bytes: usize, limit: usize },
    #[error("invalid schema: {reason}")]
    Schema { reason: String },
    #[error("cannot build a batch of rows")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error(transparent)]
    Injected(#[from] Injected),
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("what was appended to the log was not kept")]
    Unsynced,
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } if is_full(source) => Kind::Exhausted,
            // After a failed sync only a restart helps, and then another try does: a sender is not to give its records up.
            Self::Io { .. } | Self::Injected(_) | Self::Unsynced | Self::Poisoned => {
                Kind::External { retry_after: None }
            }
            Self::LowDisk { .. } | Self::RecordTooLarge { .. } => Kind::Exhausted,
            Self::Locked { .. } => Kind::Conflict,
            Self::Failed(failure) => failure.kind,
            Self::Internal(_) | Self::Arrow(_) | Self::ReadOnly => Kind::Internal,
            Self::Corrupt { .. }
            | Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::TopicExists { .. }
            | Self::InvalidTopic { .. }
            | Self::OutOfRange { .. }
            | Self::Gap { .. }
            | Self::Rewound { .. }
            | Self::Replaced { .. }
            | Self::OtherCluster
            | Self::Schema { .. } => Kind::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Poisoned => "Check the disk, then restart the process: what was not synced may be lost.".to_owned(),
            Self::Corrupt { reason, .. } => {
                format!("{reason}. Records after this place were acknowledged; restore the file from a copy.")
            }
            Self::LowDisk { .. } => "Free some disk space; writing resumes by itself.".to_owned(),
            Self::Locked { owner, .. } => format!("Stop that process first ({owner})."),
            Self::Gap { .. } => {
                "Retention removed records before they were taken. `headwater ingest --restart SOURCE` goes on with what \
                 is there."
                    .to_owned()
            }
            Self::Rewound { .. } | Self::Replaced { .. } => {
                "The topic was made anew or cut. `headwater ingest --restart SOURCE` takes it from its start; rows that \
                 came before stay."
                    .to_owned()
            }
            Self::OtherCluster => {
                "Check where the connection leads. `headwater ingest --restart SOURCE` takes this cluster's topics from \
                 their start."
                    .to_owned()
            }
            Self::InvalidTopic { reason, .. } => format!("A topic name {reason}."),
            Self::Failed(failure) => return failure.hint.clone(),
            _ => return None,
        };
        Some(text)
    }

    fn failure(&self) -> Failure {
        if let Self::Failed(failure) = self {
            return failure.clone();
        }
        Failure::of(self)
    }
}
