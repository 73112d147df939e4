//! The reference projects, which travel in the binary.

use std::path::{Path, PathBuf};

use headwater_project::Failure;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../projects"]
struct Examples;

/// Names of the reference projects, in order.
pub fn example_names() -> Vec<String> {
    let mut names: Vec<String> =
        Examples::iter().filter_map(|path| path.split_once('/').map(|(name, _)| name.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

/// Writes a reference project into `folder`, over an earlier copy of it; what that project made stays. Returns the folder.
pub fn extract_example(name: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let names = example_names();
    if !names.iter().any(|known| known == name) {
        return Err(Failure::unknown("example project", name, names.iter().map(String::as_str)));
    }
    let failed = |error: std::io::Error| {
        Failure::user(format!("{} cannot be written", folder.display())).with_detail(error.to_string())
    };
    for path in Examples::iter() {
        let Some(inner) = path.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')) else { continue };
        // What a project made in its own folder is not part of the example.
        if inner.starts_with(".headwater") {
            continue;
        }
        let Some(file) = Examples::get(&path) else { continue };
        let target = folder.join(inner);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&target, &file.data).map_err(failed)?;
    }
    Ok(folder.to_path_buf())
}
