//! Why the server could not start or go on.

use std::net::SocketAddr;

use headwater_project::{Classify, Kind};

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot accept connections")]
    Accept(#[source] std::io::Error),
}

impl Classify for ServerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Bind { .. } => Kind::User,
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
            Self::Accept(_) => None,
        }
    }
}
