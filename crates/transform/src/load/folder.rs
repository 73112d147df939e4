//! Reading the project folder.

use std::path::{Path, PathBuf};

use headwater_project::{Diagnostic, Diagnostics, FileId, Files};

/// Larger texts are not read: nothing a person writes is that long.
const MAX_TEXT: u64 = 8 << 20;
/// Folders nested deeper are taken for a loop of links.
const MAX_DEPTH: usize = 32;

/// The project folder and the snapshot its texts go to. A file that is in the snapshot already is used as it is there,
/// whether it exists on disk or not.
pub(crate) struct Folder<'a> {
    pub root: &'a Path,
    pub files: &'a mut Files,
}

impl Folder<'_> {
    /// Files below `folder` with one of the endings, as paths relative to the root, sorted.
    pub(crate) fn list(&self, folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root.join(folder), 0, &mut |path| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if endings.contains(&ending)
                && let Ok(relative) = path.strip_prefix(self.root)
            {
                found.push(relative.to_path_buf());
            }
        });
        for (_, file) in self.files.iter() {
            let ending = file.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if endings.contains(&ending) && file.path.starts_with(folder) {
                found.push(file.path.clone());
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The content of a file that is not kept in the snapshot.
    pub(crate) fn bytes(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        match self.files.find(path).and_then(|id| self.files.get(id)) {
            Some(file) => Ok(file.text.as_bytes().to_vec()),
            None => std::fs::read(self.root.join(path)),
        }
    }

    /// The text of a file, read once.
    pub(crate) fn text(&mut self, path: &Path, found: &mut Diagnostics) -> Option<(FileId, std::sync::Arc<str>)> {
        if let Some(id) = self.files.find(path) {
            return self.files.get(id).map(|file| (id, std::sync::Arc::clone(&file.text)));
        }
        match read(&self.root.join(path)) {
            Ok(text) => {
                let id = self.files.add(path, text);
                self.files.get(id).map(|file| (id, std::sync::Arc::clone(&file.text)))
            }
            Err(cause) => {
                let message = format!("{} cannot be read", path.display());
                found.push(Diagnostic::error(message).detail(format!("{cause}.")));
                None
            }
        }
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.find(path).is_some() || self.root.join(path).is_file()
    }

    /// The folders directly below `folder`.
    pub(crate) fn subfolders(&self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_dir())
            .map(|entry| folder.join(entry.file_name()))
            .collect();
        found.sort();
        found
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_TEXT {
        return Err(std::io::Error::other("the file is larger than 8 MiB"));
    }
    let text = std::fs::read_to_string(path)?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
}

fn walk(folder: &Path, depth: usize, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, visit);
            }
        } else {
            visit(&path);
        }
    }
}
