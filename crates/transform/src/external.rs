//! Sources that are files: `external:` as dbt_external_tables has it, and `external_location` in `meta` as dbt-duckdb has it.
//!
//! Each warehouse writes formats its own way (`options: {format: csv}`, `file_format: "(type = csv)"`, `using: csv`, a
//! `row_format` with a SerDe); what is looked for is the word for the format, and where there is none, the ending of the
//! location.

use serde_json::Value;

use crate::node::{Node, ResourceType};

/// Files that stand for a source's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSource {
    /// As written, with the table's names put in: `gs://bucket/orders/*.csv`, a path, `@stage/orders/`.
    pub location: String,
    pub format: FileFormat,
    /// Columns in folder names, with their types.
    pub partitions: Vec<(String, Option<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    Parquet,
    Arrow,
    Json,
    Csv {
        delimiter: char,
        /// Whether the first line names columns, where that is said.
        has_header: Option<bool>,
    },
}

/// What a source says of its files; none for one that is a table. `Err` says what cannot be made of it.
pub fn external_source(node: &Node) -> Option<Result<ExternalSource, String>> {
    if node.resource_type != ResourceType::Source {
        return None;
    }
    let declared = node.config.get("external").filter(|external| external.is_object());
    let from_meta = || node.config.get("meta").and_then(|meta| meta.get("external_location")).and_then(Value::as_str);
    match declared {
        Some(external) => Some(read(external, node)),
        None => from_meta().map(|text| read_location(text, node)),
    }
}

fn read(external: &Value, node: &Node) -> Result<ExternalSource, String> {
    let location = external.get("location").and_then(Value::as_str).unwrap_or_default();
    if location.is_empty() {
        return Err(String::from("`external` has no `location`"));
    }
    let words = words(external);
    let location = with_names(location, node);
    let format = format_of(&words, &location)?;
    let partitions = external
        .get("partitions")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |partitions| partitions.iter().filter_map(partition).collect());
    Ok(ExternalSource { location, format: with_details(format, external, &words), partitions })
}

fn partition(partition: &Value) -> Option<(String, Option<String>)> {
    let name = partition.as_str().or_else(|| partition.get("name")?.as_str())?;
    Some((name.to_owned(), partition.get("data_type").and_then(Value::as_str).map(str::to_owned)))
}

/// `meta.external_location` of dbt-duckdb: a location, or a call such as `read_csv('orders.csv', header = true)`.
fn read_location(text: &str, node: &Node) -> Result<ExternalSource, String> {
    let text = text.trim();
    let words = text.to_lowercase();
    let location = match (text.split_once('('), text.split('\'').nth(1)) {
        (Some(_), Some(location)) => location,
        _ => text.trim_matches('\''),
    };
    let location = with_names(location, node);
    let format = format_of(if text.contains('(') { &words } else { "" }, &location)?;
    Ok(ExternalSource { location, format: with_details(format, &Value::Null, &words), partitions: Vec::new() })
}

/// `{schema}`, `{name}` and `{identifier}` stand for those of the table.
fn with_names(location: &str, node: &Node) -> String {
    let names =
        [("{schema}", &node.relation.schema), ("{name}", &node.name), ("{identifier}", &node.relation.identifier)];
    names.into_iter().fold(location.to_owned(), |text, (place, name)| text.replace(place, name))
}

/// Everything that is said of the format, in lower case.
fn words(external: &Value) -> String {
    let options = external.get("options");
    let said = [
        options.and_then(|options| options.get("format")),
        options.and_then(|options| options.get("file_format")),
        external.get("using"),
        external.get("file_format"),
        external.get("row_format"),
        external.get("tbl_properties"),
        external.get("format"),
    ];
    let texts = said.into_iter().flatten().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    texts.collect::<Vec<_>>().join(" ").to_lowercase()
}

fn format_of(words: &str, location: &str) -> Result<FileFormat, String> {
    let csv = FileFormat::Csv { delimiter: ',', has_header: None };
    for (word, format) in [
        ("parquet", FileFormat::Parquet),
        ("json", FileFormat::Json),
        ("csv", csv),
        ("textfile", csv),
        ("delimited", csv),
        ("arrow", FileFormat::Arrow),
    ] {
        if words.contains(word) {
            return Ok(format);
        }
    }
    for word in ["avro", "orc", "delta", "iceberg", "xml", "google_sheets"] {
        if words.contains(word) {
            return Err(format!("files of the format {word} are not read in place"));
        }
    }
    let name = location.rsplit('/').next().unwrap_or_default().to_lowercase();
    let endings = ["gz", "gzip", "bz2", "xz", "zst", "zstd"];
    match name.split('.').rev().find(|part| !endings.contains(part)) {
        Some("parquet" | "pq") => Ok(FileFormat::Parquet),
        Some("json" | "jsonl" | "ndjson") => Ok(FileFormat::Json),
        Some("csv" | "txt") => Ok(csv),
        Some("tsv") => Ok(FileFormat::Csv { delimiter: '\t', has_header: None }),
        Some("arrow" | "feather") => Ok(FileFormat::Arrow),
        _ => Err(format!("neither `external` nor the ending of {location} tells the format of its files")),
    }
}

fn with_details(format: FileFormat, external: &Value, words: &str) -> FileFormat {
    let FileFormat::Csv { delimiter, has_header } = format else { return format };
    let options = external.get("options");
    let option = |names: &[&str]| names.iter().find_map(|name| options?.get(*name));
    let given = option(&["field_delimiter", "delimiter", "sep", "delim"]).and_then(Value::as_str).map(str::to_owned);
    let written = || after(words, &["field_delimiter", "terminated by", "delimiter", "delim", "sep"]);
    let delimiter = given.or_else(written).and_then(|text| character(&text)).unwrap_or(delimiter);
    let skipped = option(&["skip_leading_rows", "skip_header"]).and_then(Value::as_i64);
    let said = option(&["header"]).and_then(|value| value.as_bool().or_else(|| Some(value.as_str()? == "true")));
    let written = || {
        let number = after(words, &["skip_header", "skip.header.line.count", "header"])?;
        Some(matches!(number.as_str(), "1" | "true"))
    };
    let has_header = said.or(skipped.map(|lines| lines > 0)).or_else(written).or(has_header);
    FileFormat::Csv { delimiter, has_header }
}

/// The value behind a word: `field_delimiter = '|'`, `'skip.header.line.count'='1'`.
fn after(words: &str, names: &[&str]) -> Option<String> {
    let rest = names.iter().find_map(|name| words.split_once(name))?.1;
    let rest = rest.trim_start();
    // The word itself may stand in quotes: `'skip.header.line.count'='1'`.
    let unquoted = rest.strip_prefix(['\'', '"']).map(str::trim_start).filter(|rest| rest.starts_with(['=', ':']));
    let rest = unquoted.unwrap_or(rest).trim_start_matches(['=', ':']).trim_start();
    match rest.chars().next()? {
        quote @ ('\'' | '"') => rest[1..].split(quote).next().map(str::to_owned),
        _ => rest.split([' ', ',', ')', ';']).next().map(str::to_owned),
    }
}

fn character(text: &str) -> Option<char> {
    match text {
        "\\t" | "\\\\t" | "tab" | "\\u0009" => Some('\t'),
        "\\001" | "\\u0001" => Some('\u{1}'),
        _ => text.chars().next(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_format_is_found_in_what_each_warehouse_writes() {
        let csv = |delimiter: char, has_header: Option<bool>| Ok(FileFormat::Csv { delimiter, has_header });
        let check = |external: Value, expected: Result<FileFormat, &str>| {
            let words = words(&external);
            let location = external["location"].as_str().unwrap();
            let found = format_of(&words, location).map(|format| with_details(format, &external, &words));
            assert_eq!(found, expected.map_err(str::to_owned), "{external}");
        };
        check(
            json!({"location": "gs://b/o/*", "options": {"format": "csv", "skip_leading_rows": 1}}),
            csv(',', Some(true)),
        );
        check(json!({"location": "gs://b/o/*", "options": {"format": "NEWLINE_DELIMITED_JSON"}}), Ok(FileFormat::Json));
        check(
            json!({"location": "@stage/o", "file_format": "(type = csv field_delimiter = '|' skip_header = 1)"}),
            csv('|', Some(true)),
        );
        check(json!({"location": "@stage/o", "file_format": "( type = parquet )"}), Ok(FileFormat::Parquet));
        check(
            json!({"location": "s3://b/o/", "row_format": "serde 'org.apache.hadoop.hive.serde2.OpenCSVSerde'",
                   "tbl_properties": "('skip.header.line.count'='1')"}),
            csv(',', Some(true)),
        );
        check(json!({"location": "s3://b/o/", "row_format": "delimited fields terminated by '\\t'"}), csv('\t', None));
        check(json!({"location": "/mnt/o", "using": "json"}), Ok(FileFormat::Json));
        check(json!({"location": "data/o.csv.gz"}), csv(',', None));
        check(json!({"location": "data/o.tsv"}), csv('\t', None));
        check(json!({"location": "data/*.parquet"}), Ok(FileFormat::Parquet));
        check(json!({"location": "data/o", "using": "delta"}), Err("files of the format delta are not read in place"));
        let unknown = "neither `external` nor the ending of data/o/ tells the format of its files";
        check(json!({"location": "data/o/"}), Err(unknown));
    }
}
