//! What a user writes for a sink that writes files.

use headwater_project::Diagnostic;
use headwater_project::config::{ByteSize, StorageCredentials, TextList};
use schemars::JsonSchema;
use serde::Deserialize;

/// Files in a folder or a bucket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesTarget {
    /// Where they go: a folder (relative to the project), `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. With `layout: file`, the file itself.
    pub path: String,
    /// What they hold.
    #[serde(default)]
    pub format: FileFormat,
    /// How rows are spread over files.
    #[serde(default)]
    pub layout: Layout,
    /// Columns whose values name folders, as `day=2024-05-01`; they are not in the files themselves.
    #[serde(default)]
    pub partition_by: TextList,
    /// How files are compressed. Default: `zstd` for Parquet, `none` for the others.
    pub compression: Option<Compression>,
    /// A file that has grown to about this size is ended, and the next begun.
    #[serde(default = "largest_file")]
    pub max_file: ByteSize,
    /// Endpoint, region and keys of a bucket that speaks S3; what is not given comes from the environment.
    pub credentials: Option<StorageCredentials>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Columns as they are in the lake.
    #[default]
    Parquet,
    /// Delimited by commas, with a header line; NULL is the empty field, lists and structures are JSON.
    Csv,
    /// A JSON object per line.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Files in folders, named by how far the table was sent.
    #[default]
    Folder,
    /// One file with all rows, replaced as a whole.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// For Parquet only.
    Snappy,
    Gzip,
    Zstd,
}

fn largest_file() -> ByteSize {
    ByteSize(128 << 20)
}

impl FilesTarget {
    pub fn compression(&self) -> Compression {
        self.compression.unwrap_or(match self.format {
            FileFormat::Parquet => Compression::Zstd,
            FileFormat::Csv | FileFormat::Json => Compression::None,
        })
    }

    /// End of the names of files.
    pub(super) fn extension(&self) -> &'static str {
        match (self.format, self.compression()) {
            (FileFormat::Parquet, _) => "parquet",
            (FileFormat::Csv, Compression::Gzip) => "csv.gz",
            (FileFormat::Csv, Compression::Zstd) => "csv.zst",
            (FileFormat::Csv, _) => "csv",
            (FileFormat::Json, Compression::Gzip) => "jsonl.gz",
            (FileFormat::Json, Compression::Zstd) => "jsonl.zst",
            (FileFormat::Json, _) => "jsonl",
        }
    }

    /// Everything wrong with it, without looking at the place.
    pub fn check(&self, sends_all: bool) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if self.layout == Layout::File && !sends_all {
            let hint = "Set `send: all`, or `layout: folder`.";
            found.push(Diagnostic::error("rows cannot be added to one file").hint(hint));
        }
        if self.layout == Layout::File && !self.partition_by.0.is_empty() {
            let hint = "Remove it, or set `layout: folder`.";
            found.push(Diagnostic::error("`partition_by` makes folders, `layout: file` has none").hint(hint));
        }
        if self.compression == Some(Compression::Snappy) && self.format != FileFormat::Parquet {
            found.push(Diagnostic::error("`compression: snappy` is for Parquet").hint("Use `gzip` or `zstd`."));
        }
        let scheme = self.path.split_once("://").map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme.filter(|scheme| !matches!(*scheme, "s3" | "gs" | "az" | "file")) {
            let hint = "Write a folder, or s3://, gs:// or az://.";
            found.push(Diagnostic::error(format!("nothing is written to `{scheme}://`")).hint(hint));
        }
        if self.path.is_empty() {
            found.push(Diagnostic::error("`path` is empty").hint("Name a folder, such as `exports/orders`."));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: serde_json::Value, sends_all: bool, extension: &str, expected: &[&str]) {
        let config: FilesTarget = serde_json::from_value(json).unwrap();
        let found: Vec<String> = config.check(sends_all).into_iter().map(|one| one.message).collect();
        assert_eq!(found, expected);
        assert_eq!(config.extension(), extension);
    }

    #[test]
    fn what_cannot_work_is_found_without_looking() {
        use serde_json::json;
        check(json!({"path": "out"}), false, "parquet", &[]);
        check(json!({"path": "s3://b/p", "format": "csv", "compression": "gzip"}), false, "csv.gz", &[]);
        check(json!({"path": "o.csv", "layout": "file", "format": "csv"}), true, "csv", &[]);
        check(json!({"path": "o", "layout": "file"}), false, "parquet", &["rows cannot be added to one file"]);
        check(
            json!({"path": "o", "layout": "file", "partition_by": "day"}),
            true,
            "parquet",
            &["`partition_by` makes folders, `layout: file` has none"],
        );
        check(
            json!({"path": "ftp://o", "format": "json", "compression": "snappy"}),
            true,
            "jsonl",
            &["`compression: snappy` is for Parquet", "nothing is written to `ftp://`"],
        );
        check(json!({"path": ""}), true, "parquet", &["`path` is empty"]);
    }
}
