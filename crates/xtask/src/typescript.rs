//! TypeScript types of what crosses HTTP, from the source of `crates/server/src/wire`.
//!
//! The Rust is read, not linked: the types stand in a crate that takes minutes to link, and what decides their JSON
//! (names, `serde` attributes) stands in their source. A shape this reader does not know is an error, never a guess.

mod item;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Where the types are read and written.
const SOURCE: &str = "crates/server/src/wire";
const TARGET: &str = "ui/src/wire.ts";

const HEAD: &str = "\
// Made by `cargo xtask types` from crates/server/src/wire. Do not edit.

/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An integer with all its digits: a number up to 2^53 - 1 in size, a string of digits beyond. */
export type Integer = number | string;
";

/// Writes the file, when it says something else.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let (target, text) = (root.join(TARGET), generate(root)?);
    if std::fs::read_to_string(&target).ok().as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&target, text).with_context(|| format!("{} cannot be written", target.display()))
}

/// The text the file should have.
fn generate(root: &Path) -> anyhow::Result<String> {
    let mut text = String::from(HEAD);
    for path in sources(root)? {
        let source = std::fs::read_to_string(&path)?;
        let items = item::declarations(&source).with_context(|| format!("{} has no types", path.display()))?;
        for item in items {
            text.push('\n');
            text.push_str(&item);
        }
    }
    Ok(text)
}

fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = vec![root.join(format!("{SOURCE}.rs"))];
    let mut children = Vec::new();
    for entry in std::fs::read_dir(root.join(SOURCE))? {
        children.push(entry?.path());
    }
    children.retain(|path| path.file_stem().is_some_and(|stem| stem != "tests" && stem != "integer"));
    children.sort();
    paths.append(&mut children);
    if paths.len() < 2 {
        bail!("there is nothing in {SOURCE}");
    }
    Ok(paths)
}

#[cfg(test)]
mod tests;
