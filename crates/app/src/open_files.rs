//! How many files and connections this process may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of open files to the most that the system grants. Shells start programs with 1,024, which a server with
/// many viewers and tables outgrows. When it is refused, the number stays as it is. Returns the number; nothing when there is
/// no limit.
pub fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
    getrlimit(Resource::Nofile).current
}
