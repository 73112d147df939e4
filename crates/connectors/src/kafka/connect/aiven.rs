//! Aiven's sinks: a prefix, and a template with `{{topic}}`, `{{partition}}`, `{{start_offset}}` and `{{timestamp}}`.

use super::{Draft, Keys, Raw};

/// Digits that a number is filled up to.
const PARTITION_DIGITS: usize = 10;
const OFFSET_DIGITS: usize = 20;

pub(super) fn read(keys: &mut Keys, draft: &mut Draft, store: &str) {
    let prefix = bucket(keys, draft, store);
    let packed = keys.take_any(&["file.compression.type", "output_compression"]);
    let packed = packed.unwrap_or_else(|| if store == "s3" { "gzip" } else { "none" }.to_owned());
    let extension = match packed.as_str() {
        "gzip" => ".gz",
        "snappy" => ".snappy",
        "zstd" => ".zst",
        _ => "",
    };
    if !matches!(packed.as_str(), "gzip" | "none") {
        draft.note(
            "file.compression.type",
            format!("Files are packed with gzip or not at all; `{packed}` becomes gzip, the path stays."),
        );
    }
    let template = keys.take("file.name.template");
    let template =
        template.unwrap_or_else(|| format!("{{{{topic}}}}-{{{{partition}}}}-{{{{start_offset}}}}{extension}"));
    let mut raw = Raw { gzip: packed != "none", ..Raw::default() };
    raw.records = keys.number("file.max.records").filter(|most| *most > 0);
    raw.zone = keys
        .take_any(&["file.name.timestamp.timezone", "timestamp.timezone"])
        .filter(|zone| zone != "UTC" && zone != "Z");
    let source = keys.take_any(&["file.name.timestamp.source", "timestamp.source"]);
    raw.at_writing = source.is_none_or(|source| !source.eq_ignore_ascii_case("event"));
    let Some(format) = format(keys, draft) else { return };
    raw.format = format;
    match path(&format!("{prefix}{template}")) {
        Ok(path) => draft.raw = Some(Raw { path, ..raw }),
        Err(reason) => draft.note(
            "file.name.template",
            format!("{reason}: no raw files are written. Give a `path` under `raw` yourself."),
        ),
    }
    draft.note(
        "offset.flush.interval.ms",
        "The worker's interval decides when files end; here `rotate` does. Paths and first offsets are formed alike.",
    );
}

/// The prefix of paths.
fn bucket(keys: &mut Keys, draft: &mut Draft, store: &str) -> String {
    let names: [&[&str]; 4] = if store == "s3" {
        [
            &["aws.s3.bucket.name", "aws_s3_bucket", "aws_s3_bucket_name"],
            &["aws.s3.region", "aws_s3_region"],
            &["aws.s3.endpoint", "aws_s3_endpoint"],
            &["aws.s3.prefix", "aws_s3_prefix", "file.name.prefix"],
        ]
    } else {
        [&["gcs.bucket.name"], &[], &["gcs.endpoint"], &["file.name.prefix"]]
    };
    let [bucket, region, endpoint, prefix] = names.map(|names| keys.take_any(names));
    draft.lake.location = bucket.map(|bucket| format!("s3://{bucket}"));
    draft.lake.region = region;
    draft.lake.endpoint = endpoint;
    draft.lake.has_keys = keys.take_any(&["aws.access.key.id", "aws_access_key_id"]).is_some();
    keys.take_any(&["aws.secret.access.key", "aws_secret_access_key"]);
    if store == "gcs" {
        draft.lake.endpoint.get_or_insert_with(|| "https://storage.googleapis.com".to_owned());
        keys.take_any(&["gcs.credentials.path", "gcs.credentials.json", "gcs.credentials.default"]);
        draft.note("gcs.bucket.name", "The bucket is reached by its S3 interface: make HMAC keys for it and set them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.");
    }
    prefix.unwrap_or_default()
}

/// What a line is; nothing, with a note, where raw files cannot be the same.
fn format(keys: &mut Keys, draft: &mut Draft) -> Option<&'static str> {
    let kind = keys.take("format.output.type").unwrap_or_else(|| "csv".to_owned());
    let fields = keys.take_any(&["format.output.fields", "output_fields"]).unwrap_or_else(|| "value".to_owned());
    let encoding = keys.take_any(&["format.output.fields.value.encoding", "value_encoding"]);
    let envelope = keys.take("format.output.envelope").is_none_or(|envelope| envelope != "false");
    if fields != "value" {
        draft.note(
            "format.output.fields",
            "A line of a raw file is the value alone. Key, offset, time and headers are columns of the table.",
        );
        draft.headers = fields.contains("headers");
    }
    let is_json = matches!(draft.value, "json" | "json_schema");
    match kind.as_str() {
        "jsonl" if is_json => {
            if envelope {
                draft.note(
                    "format.output.envelope",
                    "A line is the value itself, as with `format.output.envelope=false`.",
                );
            }
            Some("json_lines")
        }
        "csv" if encoding.as_deref().unwrap_or("base64") == "base64" => Some("base64_lines"),
        "csv" => Some("bytes"),
        _ => {
            draft.note("format.output.type", format!("There are no raw files of `{kind}` for these values. The rows are in the table, whose files are Parquet and which any engine reads."));
            None
        }
    }
}

/// A template in our own words.
fn path(template: &str) -> Result<String, String> {
    let (mut path, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").ok_or("a `{{` is never closed")?;
        path.push_str(before);
        path.push_str(&variable(place.trim())?);
        rest = after;
    }
    path.push_str(rest);
    Ok(path.trim_start_matches('/').to_owned())
}

fn variable(place: &str) -> Result<String, String> {
    let (name, argument) = place.split_once(':').unwrap_or((place, ""));
    let (option, value) = argument.split_once('=').unwrap_or((argument, ""));
    let padded = option.trim() == "padding" && value.trim() == "true";
    Ok(match (name.trim(), padded) {
        ("topic", _) => "{topic}".to_owned(),
        ("partition", false) => "{partition}".to_owned(),
        ("partition", true) => format!("{{partition:{PARTITION_DIGITS}}}"),
        ("start_offset", false) => "{offset}".to_owned(),
        ("start_offset", true) => format!("{{offset:{OFFSET_DIGITS}}}"),
        ("utc_date" | "local_date", _) => "{time:%Y-%m-%d}".to_owned(),
        ("timestamp", _) if option.trim() == "unit" => {
            let unit = match value.trim() {
                "yyyy" | "YYYY" => "%Y",
                "MM" => "%m",
                "dd" => "%d",
                "HH" => "%H",
                other => return Err(format!("`{other}` is no unit of a time")),
            };
            format!("{{time:{unit}}}")
        }
        (other, _) => return Err(format!("paths by `{other}` are not known")),
    })
}
