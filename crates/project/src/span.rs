//! Files of a project snapshot and places in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Index of a file in its [`Files`] snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A half-open range of byte offsets in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

/// Line and column as a person counts them: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Relative to the project folder, with `/` between the parts.
    pub path: PathBuf,
    pub text: Arc<str>,
}

impl SourceFile {
    pub fn position(&self, offset: u32) -> Position {
        let offset = (offset as usize).min(self.text.len());
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count();
        Position { line: to_u32(line), column: to_u32(column) }
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The files of one snapshot; ids stay valid for its life.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<SourceFile>,
    /// The first file of each path: a project has ten thousand of them, and each is looked up several times.
    by_path: HashMap<PathBuf, FileId>,
}

impl Files {
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(to_u32(self.files.len()));
        let path = path.into();
        self.by_path.entry(path.clone()).or_insert(id);
        self.files.push(SourceFile { path, text: text.into() });
        id
    }

    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    pub fn find(&self, path: &Path) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (FileId(to_u32(index)), file))
    }

    /// `path:line:column` of a span, as it is printed in every message.
    pub fn locate(&self, span: Span) -> String {
        match self.get(span.file) {
            Some(file) => {
                let at = file.position(span.start);
                format!("{}:{}:{}", file.path.display(), at.line, at.column)
            }
            None => String::from("<unknown file>"),
        }
    }
}
