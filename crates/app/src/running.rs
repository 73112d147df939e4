//! Where the process that runs a project answers, for commands on the same machine.
//!
//! `.headwater/serving.json`, readable by its owner only: `{"address": "127.0.0.1:7766", "token": "<hex>"}`. The token may do
//! what an administrator may, for the life of that process: whoever can read the file can write the project. A file that a
//! killed process left behind leads nowhere, or to somebody who does not know its token.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use headwater_project::{Entropy, Failure};
use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::paths::Paths;
use crate::project::Project;

#[derive(Serialize, Deserialize)]
struct Serving {
    address: SocketAddr,
    token: String,
}

/// Removes the file when it goes.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the file that says where this process answers is gone already");
        }
    }
}

/// Where a process may answer, and what proves to it that the caller may do everything.
#[derive(Clone)]
pub struct RunningProcess {
    pub address: SocketAddr,
    pub token: String,
}

/// 256 bits of chance.
pub(crate) fn new_token(entropy: &dyn Entropy) -> String {
    (0..4).map(|_| format!("{:016x}", entropy.next_u64())).collect()
}

impl Instance {
    /// Proves to this process's own server that a caller may do everything.
    pub fn local_token(&self) -> &str {
        self.local_token.reveal()
    }

    /// Says where this process answers, until the announcement goes.
    pub fn announce(&self, address: SocketAddr) -> Result<Announcement, Failure> {
        self.require_writer()?;
        let path = self.paths.serving();
        let serving = Serving { address: reachable(address), token: self.local_token().to_owned() };
        let text = serde_json::to_string(&serving).map_err(|error| Failure::internal(error.to_string()))?;
        write_private(&path, &text).map_err(|error| {
            Failure::user(format!("{} cannot be written", path.display())).with_detail(error.to_string())
        })?;
        Ok(Announcement { path })
    }
}

impl Project {
    /// Where a process of this project said that it answers.
    pub fn announced(&self) -> Option<RunningProcess> {
        let text = std::fs::read_to_string(Paths::new(&self.root).serving()).ok()?;
        let Serving { address, token } = serde_json::from_str(&text).ok()?;
        Some(RunningProcess { address, token })
    }
}

/// A process that listens everywhere is asked on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// In one step, and never readable by others.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    if new.exists() {
        std::fs::remove_file(&new)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_here() {
        for (bound, asked) in [
            ("0.0.0.0:7", "127.0.0.1:7"),
            ("[::]:7", "[::1]:7"),
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("10.1.2.3:7", "10.1.2.3:7"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn only_its_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serving.json");
        std::fs::write(folder.path().join("serving.json.new"), "left by somebody").unwrap();
        write_private(&path, "{}").unwrap();
        write_private(&path, "{\"a\": 1}").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\": 1}");
    }
}
