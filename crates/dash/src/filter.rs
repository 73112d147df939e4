//! Values of filters: what a viewer chose, or the default, as typed values.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, Months, NaiveDate};
use headwater_project::Timestamp;
use serde_json::Value;

use crate::config::{Dashboard, FilterConfig, FilterKind};
use crate::error::Error;

pub type Date = NaiveDate;

/// Days from 1970-01-01 to a date, as engines count dates.
pub fn days_since_epoch(date: Date) -> i32 {
    date.num_days_from_ce() - 719_163
}

/// Date ranges with a name; all are whole days in UTC and end today, except `yesterday` and `last_month`.
pub const DATE_PRESETS: &[&str] =
    &["today", "yesterday", "last_7_days", "last_30_days", "this_month", "last_month", "all"];

/// Days from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateRange {
    pub start: Date,
    pub end: Date,
}

impl DateRange {
    /// As many days, just before. A range that reaches further back than dates do stays as it is.
    pub(crate) fn previous(self) -> Self {
        let length = u64::try_from((self.end - self.start).num_days()).unwrap_or_default();
        let end = self.start.checked_sub_days(Days::new(1));
        let start = end.and_then(|end| end.checked_sub_days(Days::new(length)));
        start.zip(end).map_or(self, |(start, end)| Self { start, end })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum FilterValue {
    /// A preset or two dates as text, resolved when a query is made, so that `today` stays today.
    Period(String),
    /// Empty means all.
    Text(String),
    /// Empty means all.
    Texts(Vec<String>),
    Numbers {
        min: Option<f64>,
        max: Option<f64>,
    },
}

/// Chosen values by filter name; absent filters have their default.
pub type FilterValues = BTreeMap<String, FilterValue>;

/// `all` reaches from the first to the last day that both the date type of the lake and JavaScript can hold safely.
pub fn resolve_preset(preset: &str, now: Timestamp) -> Option<DateRange> {
    let today = chrono::DateTime::from_timestamp_micros(now.as_micros())?.date_naive();
    let before = |days: u64| today.checked_sub_days(Days::new(days));
    let first_of_month = today.with_day(1)?;
    let (start, end) = match preset {
        "today" => (today, today),
        "yesterday" => (before(1)?, before(1)?),
        "last_7_days" => (before(6)?, today),
        "last_30_days" => (before(29)?, today),
        "this_month" => (first_of_month, today),
        "last_month" => (first_of_month.checked_sub_months(Months::new(1))?, first_of_month.pred_opt()?),
        // Wide enough for any data, narrow enough that adding an interval stays within nanoseconds.
        "all" => (NaiveDate::from_ymd_opt(1900, 1, 1)?, NaiveDate::from_ymd_opt(2199, 12, 31)?),
        _ => return None,
    };
    Some(DateRange { start, end })
}

/// A preset, or two dates `2026-01-01..2026-01-31`.
pub(crate) fn resolve_period(filter: &str, text: &str, now: Timestamp) -> Result<DateRange, Error> {
    if let Some(range) = resolve_preset(text, now) {
        return Ok(range);
    }
    let unknown = || Error::UnknownPreset { preset: text.to_owned() };
    let (start, end) = text.split_once("..").ok_or_else(unknown)?;
    let date = |part: &str| NaiveDate::parse_from_str(part.trim(), "%Y-%m-%d").map_err(|_| unknown());
    let range = DateRange { start: date(start)?, end: date(end)? };
    if range.end < range.start {
        return Err(Error::ReversedRange { filter: filter.to_owned() });
    }
    Ok(range)
}

/// Values by filter name as JSON gives them; a name the dashboard does not have is an error.
pub fn values_from_json(dashboard: &Dashboard, values: &BTreeMap<String, Value>) -> Result<FilterValues, Error> {
    let mut chosen = FilterValues::new();
    for (name, value) in values {
        let filter = dashboard.filters.iter().find(|filter| filter.name == *name);
        let filter = filter.ok_or_else(|| Error::UnknownFilter { name: name.clone() })?;
        chosen.insert(name.clone(), filter.value_from_json(value)?);
    }
    Ok(chosen)
}

impl FilterConfig {
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// Names of the parameters this filter binds.
    pub fn parameters(&self) -> Vec<String> {
        let name = &self.name;
        match self.kind {
            FilterKind::DateRange => {
                ["start", "end", "previous_start", "previous_end"].map(|part| format!("{name}_{part}")).into()
            }
            FilterKind::NumberRange => vec![format!("{name}_min"), format!("{name}_max")],
            FilterKind::Select | FilterKind::MultiSelect | FilterKind::Text => vec![name.clone()],
        }
    }

    /// The value written as `default`, or the one that means everything.
    pub fn default_value(&self) -> Result<FilterValue, Error> {
        self.value_from_json(self.default.as_ref().unwrap_or(&Value::Null))
    }

    /// Reads a value as JSON gives it: in the file, in an address, in a request. Null means everything.
    pub fn value_from_json(&self, json: &Value) -> Result<FilterValue, Error> {
        let wrong = |expected| Error::WrongValue { filter: self.name.clone(), expected };
        match (self.kind, json) {
            (FilterKind::DateRange, Value::Null) => Ok(FilterValue::Period(String::from("all"))),
            (FilterKind::DateRange, Value::String(text)) => {
                resolve_period(&self.name, text, Timestamp::default())?;
                Ok(FilterValue::Period(text.clone()))
            }
            (FilterKind::DateRange, _) => Err(wrong("the name of a date range or two dates")),
            (FilterKind::Select | FilterKind::Text, Value::Null) => Ok(FilterValue::Text(String::new())),
            (FilterKind::Select | FilterKind::Text, Value::String(text)) => Ok(FilterValue::Text(text.clone())),
            (FilterKind::Select | FilterKind::Text, _) => Err(wrong("a text")),
            (FilterKind::MultiSelect, Value::Null) => Ok(FilterValue::Texts(Vec::new())),
            (FilterKind::MultiSelect, Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                texts.map(FilterValue::Texts).ok_or_else(|| wrong("a list of texts"))
            }
            (FilterKind::MultiSelect, _) => Err(wrong("a list of texts")),
            (FilterKind::NumberRange, Value::Null) => Ok(FilterValue::Numbers { min: None, max: None }),
            (FilterKind::NumberRange, Value::Array(bounds)) => {
                number_range(bounds).ok_or_else(|| wrong("a list of two numbers, the smaller first"))
            }
            (FilterKind::NumberRange, _) => Err(wrong("a list of two numbers, the smaller first")),
        }
    }
}

fn number_range(bounds: &[Value]) -> Option<FilterValue> {
    let bound = |value: &Value| match value {
        Value::Null => Some(None),
        other => other.as_f64().map(Some),
    };
    let [min, max] = bounds else { return None };
    let (min, max) = (bound(min)?, bound(max)?);
    let ordered = min.zip(max).is_none_or(|(min, max)| min <= max);
    ordered.then_some(FilterValue::Numbers { min, max })
}
