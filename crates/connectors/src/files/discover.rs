//! Looking into the folder, and opening what is in it without ever leaving it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use headwater_ingest::error::{Error, Result};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use crate::files::pattern::Pattern;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Inside the folder, with `/`.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) modified: i64,
    /// What a store says tells the versions of an object apart.
    pub(crate) etag: Option<String>,
}

/// A path and why it is not taken.
pub(crate) type LeftOut = (String, &'static str);

/// Every file that matches, by path; and what was left out although it matches, with the reason.
pub(crate) fn list(root: &Path, patterns: &[Pattern]) -> Result<(Vec<Found>, Vec<LeftOut>)> {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if !prefix.is_empty() => {
                left_out.push((prefix, "the folder cannot be read"));
                continue;
            }
            Err(source) => return Err(Error::io("list", &folder, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("list", &folder, source))?;
            // A file may be gone again by the time it is looked at.
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let Some(name) = name.to_str() else {
                left_out.push((format!("{prefix}{}", name.to_string_lossy()), "the name is not UTF-8"));
                continue;
            };
            let path = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/")));
            } else if patterns.iter().any(|pattern| pattern.matches(&path)) {
                match entry.metadata() {
                    Ok(metadata) if kind.is_file() => {
                        let (size, modified) = size_and_time(&metadata);
                        found.push(Found { path, size, modified, etag: None });
                    }
                    Ok(_) if kind.is_symlink() => left_out.push((path, "links are not followed")),
                    Ok(_) => left_out.push((path, "it is no regular file")),
                    Err(_) => {}
                }
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((found, left_out))
}

fn size_and_time(metadata: &std::fs::Metadata) -> (u64, i64) {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (metadata.len(), modified.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0))
}

/// Opens a file below the root; the kernel refuses links and `..` on the way, whatever changed since the listing.
pub(crate) fn open(root: &Path, path: &str) -> io::Result<File> {
    let folder = rustix::fs::openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat2(folder, path, flags, Mode::empty(), beneath)?))
}

/// Whether an open file is still what the listing said.
pub(crate) fn unchanged(file: &File, found: &Found) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && size_and_time(&metadata) == (found.size, found.modified))
}
