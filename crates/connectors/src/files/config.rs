//! What a user writes for a source of files.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_ingest::codec::{Codec, Delimiters, GroupType, LinePattern};
use headwater_project::Diagnostic;
use headwater_project::config::TextList;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::files::pattern::Pattern;

/// Files of a folder, or objects of a store, taken once each. Packed files (`.gz`, `.zst`, `.bz2`) are read as what they hold,
/// each file of a `.zip` as a file of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// The folder to look in, relative to the project; links that lead out of it are not followed. Or `s3://bucket/prefix`,
    /// `gs://bucket/prefix`, `az://container/prefix`, or one or several addresses of files, `https://host/path`.
    pub path: TextList,
    /// Name of the connection in headwater.yml that has the keys of the store. Default: the environment has them.
    pub connection: Option<String>,
    /// Which files to take, by their path inside the folder: `*` and `?` stand for parts of a name, `**` for any folders,
    /// `{a,b}` for one of several.
    #[serde(default = "every_file")]
    pub include: Vec<String>,
    /// Which files of an archive to take, by their path inside it.
    #[serde(default = "every_file")]
    pub members: Vec<String>,
    /// What the files hold.
    #[serde(default)]
    pub format: Format,
    /// The character between the fields of a delimited file. A tab for `tsv`; for `csv` found out for each file when not
    /// given.
    pub delimiter: Option<char>,
    /// The character around fields of a delimited file that hold delimiters or line ends. Default: `"`, or `'` where a file
    /// evidently uses it.
    pub quote: Option<char>,
    /// Whether the first line of a delimited file has the names of its fields. When not given it has, unless it has numbers
    /// or dates where the lines below it have them too.
    pub header: Option<bool>,
    /// Names of the fields of a delimited file without a header line. Without these they are `column_1`, `column_2`, ...
    pub columns: Option<Vec<String>>,
    /// The regular expression of `format: pattern`, for a whole line: each named group `(?P<name>...)` is a column.
    pub pattern: Option<String>,
    /// What groups of the pattern hold: text, integer, number, boolean, date, timestamp, or a time format such as
    /// `%d/%b/%Y:%H:%M:%S %z`. Those not named are inferred.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Values of groups of the pattern that stand for NULL, such as `-`.
    #[serde(default)]
    pub null_values: Vec<String>,
    /// The sheet of a spreadsheet, by name or by its place from 1. Default: the first.
    #[serde(default)]
    pub sheet: Sheet,
    /// The row of a sheet that has the names, from 1; what is above it is left out.
    #[serde(default = "first_row")]
    pub header_row: u32,
    /// Whether folders such as `date=2024-01-01` are columns.
    #[serde(default)]
    pub path_columns: bool,
    /// A file that was changed less than so many seconds ago is left alone, for it may still be written. Objects of stores
    /// are whole at once and are not waited for.
    #[serde(default = "ten_seconds")]
    pub settle_seconds: u64,
    /// Seconds between two looks into the folder.
    #[serde(default = "five_seconds")]
    pub poll_seconds: u64,
    /// What to do about a file that changed after it was taken.
    #[serde(default)]
    pub on_change: OnChange,
}

/// A sheet of a spreadsheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sheet {
    /// By its place, from 1.
    Number(u32),
    /// By its name.
    Name(String),
}

struct SheetVisitor;

impl Visitor<'_> for SheetVisitor {
    type Value = Sheet;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the name of a sheet or its place from 1")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Sheet, E> {
        Ok(Sheet::Name(name.to_owned()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Sheet, E> {
        u32::try_from(number).map(Sheet::Number).map_err(|_| E::custom("no spreadsheet has so many sheets"))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Sheet, E> {
        u32::try_from(number).map(Sheet::Number).map_err(|_| E::custom("sheets count from 1"))
    }
}

impl<'de> Deserialize<'de> for Sheet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SheetVisitor)
    }
}

impl JsonSchema for Sheet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sheet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "The name of a sheet, or its place from 1."
        })
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self::Number(1)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line; or one array of objects, or objects over several lines, for a file that begins so.
    #[default]
    Json,
    /// Delimited rows.
    Csv,
    /// Rows delimited by tabs.
    Tsv,
    /// Each line is one text.
    Text,
    /// Lines of Apache's combined log format.
    ApacheCombined,
    /// Lines of Apache's common log format.
    ApacheCommon,
    /// Lines that `pattern` takes apart.
    Pattern,
    /// Parquet.
    Parquet,
    /// Arrow IPC, as files (Feather 2) or as streams.
    Arrow,
    /// Avro object container files.
    Avro,
    /// A sheet of a spreadsheet: xlsx, xlsm, xlsb, xls or ods.
    Spreadsheet,
}

impl Format {
    pub(crate) fn is_delimited(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// Say so, and keep what was taken.
    #[default]
    Report,
    /// Take the whole file again; its rows are added to those of the first time.
    Append,
    /// Take the whole file again, in the place of the rows of the first time.
    Replace,
}

fn every_file() -> Vec<String> {
    vec!["**".to_owned()]
}

fn first_row() -> u32 {
    1
}

fn ten_seconds() -> u64 {
    10
}

fn five_seconds() -> u64 {
    5
}

impl FilesConfig {
    /// Everything wrong with it, without looking at any folder.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = self.check_place();
        for pattern in self.include.iter().chain(&self.members) {
            if let Err(problem) = Pattern::new(pattern) {
                let hint = "Use `*`, `?`, `**` and `{a,b}`.";
                found.push(Diagnostic::error(format!("invalid file pattern `{pattern}`")).detail(problem).hint(hint));
            }
        }
        for (name, mark) in [("delimiter", self.delimiter), ("quote", self.quote)] {
            if mark.is_some_and(|mark| !mark.is_ascii() || matches!(mark, '\n' | '\r' | '\0')) {
                let hint = "Use one ASCII character that does not end a line.";
                found.push(Diagnostic::error(format!("invalid {name} {:?}", mark.unwrap_or_default())).hint(hint));
            }
        }
        if self.delimiter.is_some() && self.delimiter == Some(self.quote.unwrap_or('"')) {
            found.push(Diagnostic::error("delimiter and quote are the same").hint("Choose two different characters."));
        }
        self.check_keys(&mut found);
        if let Err(problem) = self.codec() {
            found.push(problem);
        }
        found
    }

    fn check_place(&self) -> Vec<Diagnostic> {
        let hint = "Give one folder or one `s3://`, `gs://` or `az://` place, or addresses that begin with `https://`.";
        let is_web = |path: &String| path.starts_with("https://") || path.starts_with("http://");
        let several = self.path.0.len() != 1 && !(self.path.0.len() > 1 && self.path.0.iter().all(is_web));
        let unknown = self.path.0.iter().filter_map(|path| path.split_once("://")).map(|(scheme, _)| scheme);
        let mut unknown = unknown.filter(|scheme| !matches!(*scheme, "s3" | "gs" | "az" | "https" | "http"));
        match (several, unknown.next()) {
            (true, _) => vec![Diagnostic::error("`path` is not one place").hint(hint)],
            (false, Some(scheme)) => vec![Diagnostic::error(format!("unknown kind of place `{scheme}://`")).hint(hint)],
            (false, None) => Vec::new(),
        }
    }

    /// Keys that say something about another format than the one there is.
    fn check_keys(&self, found: &mut Vec<Diagnostic>) {
        let delimited = self.format.is_delimited();
        let sheet = self.format == Format::Spreadsheet;
        let pattern = self.format == Format::Pattern;
        let misplaced = [
            ("columns", self.columns.is_some() && !delimited, "a delimited format", "csv"),
            ("header", self.header.is_some() && !delimited, "a delimited format", "csv"),
            ("pattern", self.pattern.is_some() && !pattern, "`format: pattern`", "pattern"),
            ("types", !self.types.is_empty() && !pattern, "`format: pattern`", "pattern"),
            ("null_values", !self.null_values.is_empty() && !pattern, "`format: pattern`", "pattern"),
            ("sheet", self.sheet != Sheet::default() && !sheet, "a spreadsheet", "spreadsheet"),
            ("header_row", self.header_row != 1 && !sheet, "a spreadsheet", "spreadsheet"),
        ];
        for (key, _, needs, format) in misplaced.into_iter().filter(|(_, is_misplaced, ..)| *is_misplaced) {
            let hint = format!("Remove `{key}`, or set `format: {format}`.");
            found.push(Diagnostic::error(format!("`{key}` needs {needs}")).hint(hint));
        }
        if self.columns.is_some() && self.header == Some(true) {
            let hint = "Remove one of them: `columns` is for files without a header line.";
            found.push(Diagnostic::error("both `columns` and `header: true`").hint(hint));
        }
        if self.header_row == 0 || self.sheet == Sheet::Number(0) {
            found.push(Diagnostic::error("sheets and rows count from 1").hint("The first is 1."));
        }
    }

    /// How its records are decoded; nothing for rows that come typed.
    pub fn codec(&self) -> Result<Option<Codec>, Diagnostic> {
        Ok(Some(match self.format {
            Format::Json => Codec::Json,
            Format::Csv | Format::Tsv => match self.marks() {
                Some(marks) => Codec::Delimited(marks),
                None => Codec::Detected(Arc::default()),
            },
            Format::Text => Codec::Text,
            Format::ApacheCombined | Format::ApacheCommon | Format::Pattern => Codec::Pattern(Arc::new(self.lines()?)),
            Format::Avro => Codec::Avro(Arc::default()),
            Format::Spreadsheet => Codec::Cells,
            Format::Parquet | Format::Arrow => return Ok(None),
        }))
    }

    fn lines(&self) -> Result<LinePattern, Diagnostic> {
        let invalid = |problem: String| {
            let hint = "Write a regular expression for a whole line, with a named group for each column.";
            Diagnostic::error("invalid `pattern`").detail(problem).hint(hint)
        };
        if self.format != Format::Pattern {
            return LinePattern::apache(self.format == Format::ApacheCombined).map_err(invalid);
        }
        let Some(pattern) = &self.pattern else { return Err(invalid(String::from("There is none."))) };
        let mut types = BTreeMap::new();
        for (name, text) in &self.types {
            let of = GroupType::parse(text).ok_or_else(|| {
                let hint = "Use text, integer, number, boolean, date, timestamp, or a time format with `%`.";
                Diagnostic::error(format!("unknown type `{text}` of `{name}`")).hint(hint)
            })?;
            types.insert(name.clone(), of);
        }
        LinePattern::new(pattern, &types, &self.null_values).map_err(invalid)
    }

    /// The marks of delimited files, where they are not to be found out for each.
    pub(crate) fn marks(&self) -> Option<Delimiters> {
        let mark = |mark: char, usual| u8::try_from(mark).unwrap_or(usual);
        match (self.format, self.delimiter, self.quote) {
            (Format::Csv, None, _) | (Format::Csv, _, None) => None,
            (_, delimiter, quote) => {
                let delimiter = mark(delimiter.unwrap_or('\t'), b'\t');
                Some(Delimiters { delimiter, quote: mark(quote.unwrap_or('"'), b'"') })
            }
        }
    }
}
