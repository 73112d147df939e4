//! What a user writes for files of the values as they came.

use std::time::Duration;

use headwater_ingest::raw_files::{Format, Layout, PathTemplate, TimeOf};
use headwater_project::Diagnostic;
use headwater_project::config::DurationText;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::ValueFormat;

const PATH: &str = "raw/{topic}/date={time:%Y-%m-%d %H}:00:00+00/{partition}-{offset}.jsonl.gz";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Files of the values as they came, beside the tables of the lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Where they lie in the lake: `{topic}`, `{partition}`, `{offset}` of the first record (`{offset:10}` with ten digits) and
    /// `{time:%Y-%m-%d}` are filled in. Default: as the raw files of generators.
    pub path: Option<String>,
    /// Which time is meant.
    pub time: RawTime,
    /// Time zone of the path, such as `Europe/Berlin`. Default: UTC.
    pub zone: Option<String>,
    /// Times are rounded down to a multiple of this; those of another slot go to another file. Default: a minute.
    pub slot: Option<DurationText>,
    /// What a line is.
    pub format: RawFormat,
    /// How files are packed; their path does not say it by itself.
    pub compression: RawCompression,
    /// Most records of a file. Every file ends with the commit it belongs to.
    #[schemars(range(min = 1))]
    pub records: Option<u64>,
}

/// Which time a path tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawTime {
    /// That of the record. What is read again after a crash gets the same path.
    #[default]
    Record,
    /// When it is written. After a crash a file may be there twice, under two times.
    Writing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawFormat {
    /// The JSON value in one line.
    #[default]
    JsonLines,
    /// The value as it came, and a line end.
    Bytes,
    /// The value in base64.
    Base64Lines,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawCompression {
    #[default]
    Gzip,
    None,
}

impl RawConfig {
    /// The layout that is meant, or what is wrong with it.
    pub fn layout(&self) -> Result<Layout, Diagnostic> {
        let path = PathTemplate::parse(self.path.as_deref().unwrap_or(PATH), self.zone.as_deref());
        let path = path.map_err(|error| Diagnostic::error(format!("`raw`: {error}")))?;
        let usual = if self.path.is_none() { HOUR } else { MINUTE };
        Ok(Layout {
            split_by_time: path.has_time(),
            path,
            time: match self.time {
                RawTime::Record => TimeOf::Record,
                RawTime::Writing => TimeOf::Writing,
            },
            slot: self.slot.map_or(usual, |slot| slot.0),
            format: match self.format {
                RawFormat::JsonLines => Format::JsonLines,
                RawFormat::Bytes => Format::Bytes,
                RawFormat::Base64Lines => Format::Base64Lines,
            },
            gzip: self.compression == RawCompression::Gzip,
            records: self.records,
        })
    }

    /// Everything wrong with it for values of this kind.
    pub(super) fn check(&self, value: ValueFormat, unwrapped: bool) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = self.layout().err().into_iter().collect();
        let is_json = matches!(value, ValueFormat::Json | ValueFormat::JsonSchema);
        if self.format == RawFormat::JsonLines && !is_json {
            let hint = "Keep other values with `format: bytes` or `base64_lines`.";
            found.push(Diagnostic::error("`raw` with `json_lines` needs values of `json` or `json_schema`").hint(hint));
        }
        if unwrapped {
            found.push(Diagnostic::error("`raw` keeps values as they came and does not go with an envelope"));
        }
        found
    }
}
