//! One writing process for one project folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use headwater_project::{Failure, Kind};
use rustix::fs::{FlockOperation, flock};

const HOLDER_TRIES: usize = 50;
const HOLDER_WAIT: Duration = Duration::from_millis(10);

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
            return Err(Failure::new(Kind::Conflict, "another headwater process is running this project")
                .with_detail(format!("Held by {}.", holder(&mut file)))
                .with_hint("Stop it, or ask it over HTTP: `curl 127.0.0.1:7766/api/status`."));
        }
        file.set_len(0).map_err(cannot)?;
        file.rewind().map_err(cannot)?;
        write!(file, "process {}, boot {boot}", std::process::id()).map_err(cannot)?;
        file.sync_all().map_err(cannot)?;
        Ok(Self { _file: file })
    }
}

/// What the holder says of itself, which it writes a moment after it has the lock.
fn holder(file: &mut File) -> String {
    for _ in 0..HOLDER_TRIES {
        let mut text = String::new();
        if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_ok() && !text.trim().is_empty() {
            return text.trim().to_owned();
        }
        std::thread::sleep(HOLDER_WAIT);
    }
    String::from("a process that did not say which it is")
}
