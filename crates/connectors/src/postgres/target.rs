//! Where to connect to.

use std::path::{Path, PathBuf};

use headwater_project::config::{PostgresConnection, TlsMode};

/// A connection of the project, with its paths resolved.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) config: PostgresConnection,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Target {
    pub fn new(config: &PostgresConnection, root: &Path) -> Self {
        Self { config: config.clone(), ca_file: config.ca_file.as_ref().map(|path| root.join(path)) }
    }

    pub(crate) fn tls(&self) -> TlsMode {
        let host = self.config.host.as_str();
        let here = host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "::1");
        self.config.tls.unwrap_or(if here { TlsMode::Off } else { TlsMode::Verify })
    }
}
