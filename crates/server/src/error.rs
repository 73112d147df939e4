//! Why the server could not start or go on.

use std::net::SocketAddr;

use headwater_project::{Classify, Failure, Kind};

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("refusing to listen on {address}, where anybody could do anything")]
    NobodyCanLogIn { address: SocketAddr },
    #[error("the accounts cannot be read")]
    Accounts(#[source] Failure),
    #[error("cannot accept connections")]
    Accept(#[source] std::io::Error),
}

impl Classify for ServerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Bind { .. } | Self::NobodyCanLogIn { .. } | Self::Accounts(_) => Kind::User,
            Self::Accept(_) => Kind::External { retry_after: None },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => Some(
                "Another process listens there. Choose another port with `--port`, or any free one with `--port 0`."
                    .into(),
            ),
            Self::Bind { .. } => Some("Choose another port with `--port`.".into()),
            Self::NobodyCanLogIn { .. } => {
                Some("Add somebody with `headwater users add`, or show it to everybody with `--read-only`.".into())
            }
            Self::Accounts(failure) => failure.detail.clone(),
            Self::Accept(_) => None,
        }
    }
}
