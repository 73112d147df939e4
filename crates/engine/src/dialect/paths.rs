//! Paths into JSON, from the words of a dialect to those of `functions/json.rs`: `$.a[0]`, and `^$.a[0]` where of two values of
//! one key the first counts.

use super::Dialect;
use super::template::Problem;

/// The path a dialect's path is: `$`, then `."name"` and `[0]`.
pub(super) fn canonical(dialect: Dialect, path: &str) -> Result<String, Problem> {
    let bad = || {
        (
            format!("the path `{path}` into JSON"),
            String::from("Paths are made of names and indexes: $.a.b[0]. Wildcards and filters are not."),
        )
    };
    let trimmed = path.trim();
    if trimmed.contains(['*', '?', '@']) || trimmed.contains("..") {
        return Err(bad());
    }
    // DuckDB takes a name alone for a key, and a pointer.
    if dialect == Dialect::DuckDb && !trimmed.starts_with('$') {
        if let Some(pointer) = trimmed.strip_prefix('/') {
            return Ok(pointer.split('/').fold(String::from("^$"), |path, key| match key.parse::<u64>() {
                Ok(index) => format!("{path}[{index}]"),
                Err(_) => format!("{path}.\"{key}\""),
            }));
        }
        return Ok(format!("^$.\"{trimmed}\""));
    }
    let body = trimmed.strip_prefix("lax ").unwrap_or(trimmed);
    if body.contains('"') && body.matches('"').count() % 2 == 1 {
        return Err(bad());
    }
    // Of two equal keys the first counts in these.
    let mark = if matches!(dialect, Dialect::DuckDb | Dialect::Spark) { "^" } else { "" };
    Ok(format!("{mark}{}", body.replace("[#-", "[-")))
}

/// One more key of a path.
pub(super) fn key(path: &mut String, name: &str) {
    path.push_str(&format!(".\"{}\"", name.replace('"', "")));
}

/// One more index of a path.
pub(super) fn index(path: &mut String, at: i64) {
    path.push_str(&format!("[{at}]"));
}
