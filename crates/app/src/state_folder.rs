//! The artifacts of an earlier run, as another run compares itself with them.

use std::path::Path;

use headwater_project::Failure;
use headwater_transform::PreviousState;
use serde_json::Value;

/// Reads manifest.json, run_results.json and sources.json, of which one must be there.
pub(crate) fn read(folder: &Path) -> Result<PreviousState, Failure> {
    let artifact = |name: &str| json(&folder.join(name));
    let (manifest, results, sources) =
        (artifact("manifest.json")?, artifact("run_results.json")?, artifact("sources.json")?);
    if manifest.is_none() && results.is_none() && sources.is_none() {
        return Err(missing(folder));
    }
    Ok(PreviousState::read(manifest.as_ref(), results.as_ref(), sources.as_ref()))
}

/// That a folder has no manifest.
pub(crate) fn missing(folder: &Path) -> Failure {
    Failure::user(format!("there is no {}", folder.join("manifest.json").display()))
        .with_hint("--state names the folder a run left its artifacts in, such as .headwater/target or dbt's target.")
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
