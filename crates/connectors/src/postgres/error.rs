//! What can go wrong between us and a PostgreSQL server.

use std::io;

use headwater_project::{Classify, Kind};

pub(crate) type Result<T, E = PgError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PgError {
    #[error("cannot {action}")]
    Io {
        action: String,
        #[source]
        source: io::Error,
    },
    #[error("the server closed the connection")]
    Closed,
    #[error("the server offers no TLS")]
    NoTls,
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the server wants a password and the connection has none")]
    NoPassword,
    #[error("cannot log in: {0}")]
    Authentication(&'static str),
    #[error("the server asks for an unsupported way to log in ({0})")]
    UnsupportedAuthentication(String),
    #[error("{message} ({code})")]
    Server { code: String, message: String, detail: Option<String>, hint: Option<String> },
    #[error("the server sent what it must not: {0}")]
    Protocol(&'static str),
    #[error("the server announced a message of {bytes} bytes, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("table {0} does not exist, or its role may not read it")]
    NoSuchTable(String),
    #[error("{message}")]
    Refused { message: String, hint: String },
    #[error("value `{value}` of column `{column}` does not fit into {data_type}")]
    Value { column: String, value: String, data_type: String },
}

impl PgError {
    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action: action.into(), source }
    }

    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: hint.into() }
    }
}

/// Classes of SQLSTATE that another try may get past: connection, rollback, resources, operator intervention, system,
/// and an object that is in use.
const PASSING: &[&str] = &["08", "40", "53", "57", "58", "XX"];

impl Classify for PgError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } | Self::Closed | Self::Protocol(_) => Kind::External { retry_after: None },
            Self::Server { code, .. } if code == "55006" || PASSING.iter().any(|class| code.starts_with(class)) => {
                Kind::External { retry_after: None }
            }
            _ => Kind::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Server { hint: Some(hint), .. } => return Some(hint.clone()),
            Self::Refused { hint, .. } => return Some(hint.clone()),
            Self::Server { code, .. } if code.starts_with("28") => "Check user and password of the connection.",
            Self::Server { code, .. } if code == "42501" => "Grant the role SELECT on the table.",
            Self::NoTls => {
                "Set `tls: off` for the connection if its network can be trusted, or enable ssl on the server."
            }
            Self::Tls(_) => "Give the certificate authority of the server as `ca_file`.",
            Self::NoPassword => "Write `password: \"${NAME}\"` and set NAME in the environment.",
            Self::NoSuchTable(_) => "Write it as schema.table, exactly as the database spells it.",
            Self::Value { .. } => "Keep the column as text: list it under `as_text` of the table.",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl From<PgError> for headwater_ingest::Error {
    fn from(error: PgError) -> Self {
        let mut failure = error.failure();
        if let PgError::Server { detail: Some(detail), .. } = &error {
            failure.detail = Some(detail.clone());
        }
        Self::Failed(failure)
    }
}
