//! What can go wrong in a generator.

use headwater_project::{Classify, Diagnostic, Kind};

#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The configuration cannot be simulated; every finding is listed.
    #[error("the generator's configuration cannot be simulated ({} findings)", .0.len())]
    Config(Vec<Diagnostic>),
    #[error("embedded table {table} is malformed at line {line}")]
    EmbeddedTable { table: &'static str, line: usize },
    #[error("the snapshot is not one of this generator: {0}")]
    SnapshotFormat(&'static str),
    /// The snapshot was taken under another configuration, or by a build with other embedded tables.
    #[error("the snapshot belongs to another configuration of the generator")]
    SnapshotMismatch,
    #[error("cannot read the generator's snapshot")]
    SnapshotRead(#[source] std::io::Error),
    #[error("cannot build reference table {table}")]
    ReferenceTable {
        table: &'static str,
        #[source]
        source: arrow::error::ArrowError,
    },
}

impl Classify for SimError {
    fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::SnapshotMismatch => Kind::User,
            Self::SnapshotFormat(_) | Self::EmbeddedTable { .. } | Self::ReferenceTable { .. } => Kind::Internal,
            Self::SnapshotRead(_) => Kind::External { retry_after: None },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(findings) => findings.iter().find_map(|finding| finding.hint.clone()),
            Self::SnapshotFormat(_) => Some(
                "Remove the snapshot: the generator then replays from its start date and arrives at the same records."
                    .into(),
            ),
            Self::SnapshotMismatch => Some(
                "Put the old configuration back to go on where it stopped, or reset the source to start a new stream."
                    .into(),
            ),
            _ => None,
        }
    }
}
