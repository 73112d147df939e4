//! Confluent's sinks: `<topics.dir>/<topic>/<partitioner's path>/<topic>+<partition>+<offset>.<extension>`.

use super::{Draft, Keys, Raw, time_format};

pub(super) fn read(keys: &mut Keys, draft: &mut Draft, store: &str) {
    bucket(keys, draft, store);
    draft.headers = keys.take("store.kafka.headers").as_deref() == Some("true");
    if keys.take("store.kafka.keys").as_deref() == Some("true") {
        draft.note("store.kafka.keys", "Keys are in the column `_message_key`; there are no files of their own.");
    }
    for about in ["keys.format.class", "headers.format.class"] {
        if keys.take(about).is_some() {
            draft.note(about, "Keys and headers are columns of the table; there are no files of their own.");
        }
    }
    let path = path(keys, draft);
    let format = keys.take("format.class").unwrap_or_default();
    let gzip = keys.take_any(&[&format!("{store}.compression.type"), "compression.type"]).as_deref() == Some("gzip");
    if keys.take(&format!("{store}.compression.level")).is_some() {
        draft.note(&format!("{store}.compression.level"), "Files are packed with a fixed level.");
    }
    let records = keys.number("flush.size");
    rotation(keys, draft);
    let (format, extension) = match format.rsplit('.').next().unwrap_or_default() {
        "JsonFormat" if matches!(draft.value, "json" | "json_schema") => ("json_lines", ".json".to_owned()),
        "JsonFormat" => {
            let values = draft.value;
            draft.note("format.class", format!("Raw files hold values as they came, and `{values}` is no JSON. The rows are in the table, which any engine reads; there are no JSON files."));
            return;
        }
        "ByteArrayFormat" => {
            let extension = keys.take("format.bytearray.extension").unwrap_or_else(|| ".bin".to_owned());
            if keys.take("format.bytearray.separator").is_some_and(|separator| separator != "\n") {
                draft.note("format.bytearray.separator", "Every value is followed by a line end. With `format: base64_lines` values with line ends can be told apart.");
            }
            ("bytes", extension)
        }
        _ => {
            draft.note("format.class", "There are no raw files of this format. The rows are in the table, whose files are Parquet and which any engine reads.");
            return;
        }
    };
    if records.is_some() || draft.every.is_some() {
        draft.note("flush.size", "A file has at most so many records, and ends with each commit (`rotate`) as well: paths and first offsets are formed alike, files can be smaller.");
    }
    let mut raw = path;
    raw.path.push_str(&extension);
    if gzip {
        raw.path.push_str(".gz");
    }
    draft.raw = Some(Raw { format, gzip, records, ..raw });
}

fn bucket(keys: &mut Keys, draft: &mut Draft, store: &str) {
    if let Some(bucket) = keys.take(&format!("{store}.bucket.name")) {
        draft.lake.location = Some(format!("s3://{bucket}"));
        if store == "gcs" {
            draft.lake.endpoint = Some("https://storage.googleapis.com".to_owned());
            draft.note("gcs.bucket.name", "The bucket is reached by its S3 interface: make HMAC keys for it and set them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.");
        }
    }
    draft.lake.region = keys.take("s3.region");
    if let Some(url) = keys.take("store.url") {
        draft.lake.endpoint = Some(url);
    }
    draft.lake.has_keys |= keys.take("aws.access.key.id").is_some();
    keys.take("aws.secret.access.key");
    keys.take("storage.class");
    for key in ["gcs.credentials.path", "gcs.credentials.json"] {
        if keys.take(key).is_some() {
            draft.note(key, "Make HMAC keys for the service account; credentials of this kind are not read.");
        }
    }
}

/// The path up to its extension.
fn path(keys: &mut Keys, draft: &mut Draft) -> Raw {
    let folder = keys.take("topics.dir").unwrap_or_else(|| "topics".to_owned());
    let step = keys.take("directory.delim").unwrap_or_else(|| "/".to_owned());
    let between = keys.take("file.delim").unwrap_or_else(|| "+".to_owned());
    let digits = keys.number("filename.offset.zero.pad.width").unwrap_or(10);
    let mut raw = Raw::default();
    let inner = partitioner(keys, draft, &mut raw);
    let folder = folder.trim_matches('/');
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}{step}") };
    raw.path =
        format!("{folder}{{topic}}{step}{inner}{step}{{topic}}{between}{{partition}}{between}{{offset:{digits}}}");
    raw
}

fn partitioner(keys: &mut Keys, draft: &mut Draft, raw: &mut Raw) -> String {
    let class = keys.take("partitioner.class").unwrap_or_default();
    let (format, hours) = match class.rsplit('.').next().unwrap_or_default() {
        "" | "DefaultPartitioner" => return "partition={partition}".to_owned(),
        "TimeBasedPartitioner" => (keys.take("path.format").unwrap_or_default(), None),
        "DailyPartitioner" => ("'year'=YYYY/'month'=MM/'day'=dd".to_owned(), Some(24)),
        "HourlyPartitioner" => ("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH".to_owned(), Some(1)),
        other => {
            draft.note("partitioner.class", format!("Paths by `{other}` are not known; `partition={{partition}}` stands in its place. In the table every field is a column to filter by."));
            return "partition={partition}".to_owned();
        }
    };
    let length = keys.number("partition.duration.ms");
    raw.slot = hours.map(|hours| hours * 3_600_000).or(length);
    raw.zone = keys.take("timezone").filter(|zone| zone != "UTC");
    keys.take("locale");
    raw.at_writing = match keys.take("timestamp.extractor").as_deref().map(|class| class.rsplit('.').next()) {
        Some(Some("Record" | "RecordTimestampExtractor")) => false,
        Some(Some("RecordField" | "RecordFieldTimestampExtractor")) => {
            let field = keys.take("timestamp.field").unwrap_or_else(|| "timestamp".to_owned());
            draft.note(
                "timestamp.extractor",
                format!("Paths tell the time of the message, not that of its field `{field}`."),
            );
            false
        }
        _ => true,
    };
    match time_format(&format).filter(|format| !format.is_empty()) {
        Some(format) => format!("{{time:{format}}}"),
        None => {
            draft.note(
                "path.format",
                format!("`{format}` is not understood; `partition={{partition}}` stands in its place."),
            );
            "partition={partition}".to_owned()
        }
    }
}

fn rotation(keys: &mut Keys, draft: &mut Draft) {
    let scheduled = keys.number("rotate.schedule.interval.ms").filter(|every| *every > 0);
    let by_records = keys.number("rotate.interval.ms").filter(|every| *every > 0);
    if by_records.is_some() {
        draft.note("rotate.interval.ms", "Commits go by the clock, not by the times of records.");
    }
    draft.every = scheduled.or(by_records);
}
