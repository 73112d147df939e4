//! What a generator fixes at its first start: the time relative dates count from, and the settings of the command line.
//!
//! Kept as JSON beside the snapshots, not in the state database: deleting that must not change a stream that topics
//! already hold. Layout: `{"format": 1, "now": <microseconds>, "identity": "<settings>", "overrides": {...}}`.

use std::path::{Path, PathBuf};

use headwater_project::{Failure, Timestamp};
use headwater_sim::Overrides;
use serde_json::{Value, json};

use super::snapshot::write_durably;

const FORMAT: u64 = 1;

#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) now: Timestamp,
    pub(crate) overrides: Overrides,
}

fn path(folder: &Path, source: &str) -> PathBuf {
    folder.join(format!("{source}.json"))
}

impl Pin {
    /// The pin of an earlier start, or this one's, stored. Different settings than those of the first start are refused:
    /// the topics hold records of the old stream.
    pub(crate) fn take(
        folder: &Path,
        source: &str,
        identity: &str,
        now: Timestamp,
        overrides: &Overrides,
    ) -> Result<Self, Failure> {
        let file = path(folder, source);
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::read(&text, source, identity),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let value = json!({
                    "format": FORMAT, "now": now.as_micros(), "identity": identity, "overrides": to_json(overrides),
                });
                write_durably(&file, value.to_string().as_bytes()).map_err(|error| unreadable(&file, &error))?;
                Ok(Self { now, overrides: overrides.clone() })
            }
            Err(error) => Err(unreadable(&file, &error)),
        }
    }

    fn read(text: &str, source: &str, identity: &str) -> Result<Self, Failure> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Failure::internal(format!("what generator `{source}` fixed at its first start does not read"))
                .with_detail(error.to_string())
        })?;
        if value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
            return Err(Failure::user(format!("generator `{source}` was started by another version of headwater")));
        }
        if value.get("identity").and_then(Value::as_str) != Some(identity) {
            return Err(Failure::user(format!("the settings of generator `{source}` changed since its first start"))
                .with_detail(
                    "Its topics hold records of the former settings, and the new ones would not continue them.",
                )
                .with_hint("Undo the change, or start over with an empty .headwater folder."));
        }
        let now = value.get("now").and_then(Value::as_i64).unwrap_or_default();
        Ok(Self { now: Timestamp(now), overrides: from_json(value.get("overrides").unwrap_or(&Value::Null)) })
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("{} cannot be read or written", file.display())).with_detail(error.to_string())
}

fn to_json(overrides: &Overrides) -> Value {
    json!({
        "seed": overrides.seed, "start": overrides.start, "end": overrides.end, "n_users": overrides.n_users,
        "first_user_id": overrides.first_user_id, "growth_rate": overrides.growth_rate,
        "attrition_rate": overrides.attrition_rate, "tag": overrides.tag, "songs": overrides.songs,
    })
}

fn from_json(value: &Value) -> Overrides {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let small = |key: &str| number(key).and_then(|value| u32::try_from(value).ok());
    let rate = |key: &str| value.get(key).and_then(Value::as_f64);
    Overrides {
        seed: number("seed"),
        start: text("start"),
        end: text("end"),
        n_users: small("n_users"),
        first_user_id: number("first_user_id"),
        growth_rate: rate("growth_rate"),
        attrition_rate: rate("attrition_rate"),
        tag: text("tag"),
        songs: small("songs"),
        faults: None,
    }
}
