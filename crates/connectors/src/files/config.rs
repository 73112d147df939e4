//! What a user writes for a source of files.

use headwater_ingest::codec::{Codec, Delimiters, Framing};
use headwater_project::Diagnostic;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::files::pattern::Pattern;

/// Files in a folder, taken once each. Compressed files (`.gz`, `.zst`) are read as what they hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// The folder to look in, relative to the project. Links that lead out of it are not followed.
    pub path: String,
    /// Which files to take, by their path inside the folder: `*` and `?` stand for parts of a name, `**` for any folders,
    /// `{a,b}` for one of several.
    #[serde(default = "every_file")]
    pub include: Vec<String>,
    /// What the files hold.
    #[serde(default)]
    pub format: Format,
    /// The character between the fields of a delimited file. A tab for `tsv`, else a comma.
    pub delimiter: Option<char>,
    /// The character around fields of a delimited file that hold delimiters or line ends.
    #[serde(default = "double_quote")]
    pub quote: char,
    /// Names of the fields of a delimited file without a header line. Left out, the first line is the header.
    pub columns: Option<Vec<String>>,
    /// A file that was changed less than so many seconds ago is left alone, for it may still be written.
    #[serde(default = "ten_seconds")]
    pub settle_seconds: u64,
    /// Seconds between two looks into the folder.
    #[serde(default = "five_seconds")]
    pub poll_seconds: u64,
    /// What to do about a file that changed after it was taken.
    #[serde(default)]
    pub on_change: OnChange,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// Delimited rows.
    Csv,
    /// Rows delimited by tabs.
    Tsv,
    /// Each line is one text.
    Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// Say so, and keep what was taken.
    #[default]
    Report,
    /// Take the whole file again; its rows are added to those of the first time.
    Append,
}

fn every_file() -> Vec<String> {
    vec!["**".to_owned()]
}

fn double_quote() -> char {
    '"'
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
        let mut found = Vec::new();
        for pattern in &self.include {
            if let Err(problem) = Pattern::new(pattern) {
                let hint = "Use `*`, `?`, `**` and `{a,b}`.";
                found.push(Diagnostic::error(format!("invalid file pattern `{pattern}`")).detail(problem).hint(hint));
            }
        }
        for (name, mark) in [("delimiter", self.delimiter.unwrap_or(',')), ("quote", self.quote)] {
            if !mark.is_ascii() || matches!(mark, '\n' | '\r' | '\0') {
                let hint = "Use one ASCII character that does not end a line.";
                found.push(Diagnostic::error(format!("invalid {name} {mark:?}")).hint(hint));
            }
        }
        if self.delimiter == Some(self.quote) {
            found.push(Diagnostic::error("delimiter and quote are the same").hint("Choose two different characters."));
        }
        if self.columns.is_some() && !matches!(self.format, Format::Csv | Format::Tsv) {
            let hint = "Remove `columns`, or set `format: csv`.";
            found.push(Diagnostic::error("`columns` needs a delimited format").hint(hint));
        }
        found
    }

    pub fn codec(&self) -> Codec {
        match self.format {
            Format::Json => Codec::Json,
            Format::Csv | Format::Tsv => Codec::Delimited(self.delimiters()),
            Format::Text => Codec::Text,
        }
    }

    pub(crate) fn delimiters(&self) -> Delimiters {
        let usual = if self.format == Format::Tsv { '\t' } else { ',' };
        let mark = |mark: char, usual| u8::try_from(mark).unwrap_or(usual);
        Delimiters { delimiter: mark(self.delimiter.unwrap_or(usual), b','), quote: mark(self.quote, b'"') }
    }

    pub(crate) fn framing(&self) -> Framing {
        match self.format {
            Format::Json | Format::Text => Framing::Lines,
            Format::Csv | Format::Tsv => Framing::Rows { quote: self.delimiters().quote },
        }
    }
}
