//! One writing process for one project folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use headwater_project::{Failure, Kind};
use rustix::fs::{FlockOperation, flock};

/// Held for the life of the process; the system frees it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    _file: File,
}

impl ProjectLock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(path: &Path, boot: &str) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::user("the project's data folder cannot be written")
                .with_detail(format!("{}: {error}", path.display()))
                .with_hint("Check owner and permissions of the .headwater folder.")
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(cannot)?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(cannot)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Unreadable only means that we cannot name the holder.
            if file.read_to_string(&mut holder).is_err() {
                holder.clear();
            }
            return Err(Failure::new(Kind::Conflict, "another headwater process is running this project")
                .with_detail(format!("Held by {}.", holder.trim()))
                .with_hint("Stop it, or ask it over HTTP: `curl 127.0.0.1:7766/api/status`."));
        }
        file.set_len(0).map_err(cannot)?;
        file.rewind().map_err(cannot)?;
        write!(file, "process {}, boot {boot}", std::process::id()).map_err(cannot)?;
        file.sync_all().map_err(cannot)?;
        Ok(Self { _file: file })
    }
}
