//! Lines of text taken apart by a regular expression: each named group is a column.
//!
//! A group that took part in no match, an empty one, and one that is among the null values are null. A line that the
//! expression does not match as a whole is refused.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDateTime};
use regex::Regex;

use crate::codec::column::{Column, Fieldset, Refusal};
use crate::codec::delimited;
use crate::codec::delimited::json_text;
use crate::codec::json::{Notes, UnknownFields};

/// The time format of Apache's log files.
const APACHE_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

const APACHE_COMMON: &str = r#"(?P<host>\S+) (?P<identity>\S+) (?P<user>\S+|"[^"]*") \[(?P<time>[^\]]+)\] "(?:(?P<method>[A-Z]+) (?P<path>(?:[^"\\]|\\.)*?)(?: (?P<protocol>[A-Z]+/[0-9.]+))?|(?P<request>(?:[^"\\]|\\.)*))" (?P<status>[0-9]{3}|-) (?P<bytes>[0-9]+|-)"#;

const APACHE_REFERRER: &str = r#" "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<user_agent>(?:[^"\\]|\\.)*)""#;

/// What a group holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupType {
    Text,
    Integer,
    Number,
    Boolean,
    Date,
    Timestamp,
    /// A timestamp written as in this format of strftime; without a zone it is UTC.
    TimeFormat(String),
}

impl GroupType {
    /// Reads a type's name, or a time format, which is known by its `%`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            format if format.contains('%') => Self::TimeFormat(format.to_owned()),
            _ => return None,
        })
    }

    fn arrow(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp | Self::TimeFormat(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

#[derive(Debug)]
struct Group {
    name: String,
    index: usize,
    of: Option<GroupType>,
}

/// A regular expression and what its groups hold.
#[derive(Debug)]
pub struct LinePattern {
    regex: Regex,
    groups: Vec<Group>,
    nulls: Vec<String>,
}

impl LinePattern {
    /// An error says what is wrong with the expression or the types, in a sentence.
    pub fn new(pattern: &str, types: &BTreeMap<String, GroupType>, nulls: &[String]) -> Result<Self, String> {
        let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("{error}."))?;
        let named = |(index, name): (usize, Option<&str>)| {
            let name = name?.to_owned();
            Some(Group { index, of: types.get(&name).cloned(), name })
        };
        let groups: Vec<Group> = regex.capture_names().enumerate().filter_map(named).collect();
        if groups.is_empty() {
            return Err(String::from("It has no named group: write `(?P<name>...)`."));
        }
        if let Some(group) = groups.iter().find(|group| crate::schema::is_reserved(&group.name)) {
            return Err(format!("The group name `{}` is reserved.", group.name));
        }
        if let Some(unknown) = types.keys().find(|name| !groups.iter().any(|group| group.name == **name)) {
            return Err(format!("`types` names `{unknown}`, which is no group of it."));
        }
        Ok(Self { regex, groups, nulls: nulls.to_vec() })
    }

    /// Apache's combined log format, or its common one. Times, statuses and sizes have their types; `-` is null.
    pub fn apache(combined: bool) -> Result<Self, String> {
        let types = [
            ("time", GroupType::TimeFormat(APACHE_TIME.to_owned())),
            ("status", GroupType::Integer),
            ("bytes", GroupType::Integer),
        ];
        let texts =
            ["host", "identity", "user", "method", "path", "protocol", "request"].map(|name| (name, GroupType::Text));
        let more = ["referrer", "user_agent"].map(|name| (name, GroupType::Text));
        let more = if combined { more.as_slice() } else { &[] };
        let all = types.iter().chain(&texts).chain(more);
        let all = all.map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        let pattern = format!("{APACHE_COMMON}{}", if combined { APACHE_REFERRER } else { "" });
        Self::new(&pattern, &all, &[String::from("-")])
    }

    /// Names of the groups with their values in a line; nothing where the value is null.
    fn take_apart<'t>(&self, line: &'t str) -> Result<Vec<(&Group, Option<&'t str>)>, Refusal> {
        let found = self.regex.captures(line).ok_or("line does not match the pattern")?;
        let value = |group: &Group| {
            let text = found.get(group.index)?.as_str();
            (!text.is_empty() && !self.nulls.iter().any(|null| null == text)).then_some(text)
        };
        Ok(self.groups.iter().map(|group| (group, value(group))).collect())
    }

    /// Calls `note` for each group that says its type itself, and for each value of the others.
    pub(crate) fn note<'a>(
        &'a self,
        lines: impl Iterator<Item = &'a [u8]>,
        mut typed: impl FnMut(&'a str, DataType),
        mut note: impl FnMut(&'a str, &'a str),
    ) {
        for group in &self.groups {
            if let Some(of) = &group.of {
                typed(&group.name, of.arrow());
            }
        }
        for line in lines.filter_map(|line| super::as_text(line).ok()) {
            for (group, value) in self.take_apart(line).into_iter().flatten().filter(|(group, _)| group.of.is_none()) {
                if let Some(value) = value {
                    note(&group.name, value);
                }
            }
        }
    }

    pub(crate) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }
}

/// Adds one line as a row.
pub(crate) fn decode(
    line: &str,
    pattern: &LinePattern,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let mut expected = 0;
    for (group, value) in pattern.take_apart(line)? {
        let Some(index) = columns.find(&group.name, expected) else {
            if let Some(value) = value {
                notes.unknown(unknown_fields, &group.name, &json_text(value), columns)?;
            }
            continue;
        };
        expected = index + 1;
        let Some(column) = columns.columns.get_mut(index) else { continue };
        match value {
            None => column.push_null()?,
            Some(value) => push(column, group.of.as_ref(), value, notes)?,
        }
    }
    columns.finish_row()
}

fn push(column: &mut Column, of: Option<&GroupType>, value: &str, notes: &mut Notes) -> Result<(), Refusal> {
    match of {
        Some(GroupType::TimeFormat(format)) if !column.holds_text() => match instant(value, format) {
            Some(micros) => column.push_integer(micros),
            None => Err(column.refuse(&format!("text that is no time of the form {format}"))),
        },
        _ => delimited::push(column, value, notes),
    }
}

/// Microseconds since 1970.
fn instant(text: &str, format: &str) -> Option<i64> {
    let zoned = DateTime::parse_from_str(text, format).map(|time| time.timestamp_micros());
    zoned.or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|time| time.and_utc().timestamp_micros())).ok()
}
