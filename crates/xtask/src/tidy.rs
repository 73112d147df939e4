//! The checks of `cargo xtask tidy`. Each gives findings `path:line: what: why; remedy`.

mod dependencies;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// One violation; a warning does not fail the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub remedy: &'static str,
    pub warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy, warning: false }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = if self.warning { "warning: " } else { "" };
        write!(formatter, "{}:{}: {label}{}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// A tracked text file.
pub(crate) struct File {
    /// Relative to the repository, with `/` between the parts.
    pub path: String,
    pub text: String,
}

pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let files = tracked_files(root)?;
    let mut findings = source::check(&files);
    findings.extend(words::check(&files));
    findings.extend(dependencies::check_manifests(&files));
    findings.extend(dependencies::check_graph(&dependencies::metadata(root)?)?);
    findings
        .sort_by(|left, right| (left.warning, &left.path, left.line).cmp(&(right.warning, &right.path, right.line)));
    Ok(findings)
}

fn tracked_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut files = Vec::new();
    for path in String::from_utf8(output.stdout)?.split('\0').filter(|path| !path.is_empty()) {
        // Deleted but not yet committed, or not text: nothing to check.
        let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
