//! The artifacts of an earlier run, as another run compares itself with them.

use std::path::Path;

use headwater_project::Failure;
use headwater_transform::PreviousState;
use serde_json::Value;

/// Reads manifest.json, and run_results.json and sources.json where they are.
pub(crate) fn read(folder: &Path) -> Result<PreviousState, Failure> {
    let manifest = folder.join("manifest.json");
    let found = json(&manifest)?.ok_or_else(|| {
        Failure::user(format!("there is no {}", manifest.display())).with_hint(
            "--state names the folder a run left its artifacts in, such as .headwater/target or dbt's target.",
        )
    })?;
    let results = json(&folder.join("run_results.json"))?;
    let sources = json(&folder.join("sources.json"))?;
    Ok(PreviousState::read(&found, results.as_ref(), sources.as_ref()))
}

/// A JSON file that may be absent.
pub(crate) fn json(path: &Path) -> Result<Option<Value>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::user(format!("{} could not be read", path.display())).with_detail(error.to_string()));
        }
    };
    let parsed = serde_json::from_str(&text);
    parsed
        .map(Some)
        .map_err(|error| Failure::user(format!("{} is not JSON", path.display())).with_detail(error.to_string()))
}
