//! Dates and times read from text as casts read it.
//!
//! `2024-2-29`, `20240229`, `2024-02-29T13:45`, `2024-02-29 13:45:10.25 +02:00`, and a zone by name. PostgreSQL's casts also know
//! `epoch`, names of months and days in front of years, and pay no heed to an offset where there is no zone to keep.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, converted_or_null, text_at};
use super::calendar::micros_of;
use super::zones::Zone;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "date_of", arity: (1, 1), returns: returns::date, body: |given| cast(given, ISO, true) },
    Function { name: "try_date_of", arity: (1, 1), returns: returns::date, body: |given| cast(given, ISO, false) },
    Function { name: "postgres_date", arity: (1, 1), returns: returns::date, body: |given| cast(given, WORDS, true) },
    // In UTC where the text has an offset.
    Function { name: "time_of", arity: (1, 1), returns: returns::timestamp, body: |given| cast(given, ISO, true) },
    Function { name: "try_time_of", arity: (1, 1), returns: returns::timestamp, body: |given| cast(given, ISO, false) },
    // On the wall where it was written: an offset is dropped.
    Function {
        name: "wall_time_of",
        arity: (1, 1),
        returns: returns::timestamp,
        body: |given| cast(given, WALL, true),
    },
    Function {
        name: "try_wall_time_of",
        arity: (1, 1),
        returns: returns::timestamp,
        body: |given| cast(given, WALL, false),
    },
    Function {
        name: "postgres_time",
        arity: (1, 1),
        returns: returns::timestamp,
        body: |given| cast(given, WORDS, true),
    },
    Function {
        name: "try_instant_of",
        arity: (1, 1),
        returns: returns::instant,
        body: |given| cast(given, ISO, false),
    },
];

/// How text is read.
#[derive(Clone, Copy)]
struct Style {
    /// Names of months and of special times.
    words: bool,
    /// An offset is taken off, instead of dropped.
    shifts: bool,
}

const ISO: Style = Style { words: false, shifts: true };
const WALL: Style = Style { words: false, shifts: false };
const WORDS: Style = Style { words: true, shifts: false };

/// Whether a function does no more than a cast for what is a date or a time already.
pub(super) fn is_cast(name: &str) -> bool {
    FUNCTIONS.iter().any(|function| function.name == name)
}

/// Microseconds of an instant; none for text that is none.
pub(super) fn instant(text: &str) -> Option<i64> {
    read(text, Style { words: true, ..ISO })
}

/// Microseconds on the wall where a text was written.
pub(super) fn wall(text: &str) -> Option<i64> {
    read(text, WALL)
}

fn cast(arguments: &Arguments, style: Style, strict: bool) -> Result<ArrayRef> {
    let given = arguments.array(0)?;
    if !matches!(given.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        let to = &arguments.returns;
        return if strict { converted(given, to) } else { converted_or_null(given, to) };
    }
    let texts = arguments.text(0)?;
    let one = |row: usize| -> Result<Option<i64>> {
        let Some(text) = text_at(&texts, row) else { return Ok(None) };
        match read(text, style) {
            None if strict => Err(exec_datafusion_err!("`{text}` is no date or time that is understood here")),
            found => Ok(found),
        }
    };
    let micros: Vec<Option<i64>> = (0..arguments.rows).map(one).collect::<Result<_>>()?;
    match &arguments.returns {
        DataType::Date32 => {
            let day = |micros: i64| i32::try_from(micros.div_euclid(86_400_000_000)).ok();
            Ok(Arc::new(micros.into_iter().map(|micros| micros.and_then(day)).collect::<Date32Array>()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times: TimestampMicrosecondArray = micros.into_iter().collect();
            Ok(Arc::new(times.with_timezone_opt(zone.clone())))
        }
        other => Err(exec_datafusion_err!("{} does not return {other}", arguments.name)),
    }
}

fn read(text: &str, style: Style) -> Option<i64> {
    let text = text.trim();
    if style.words && text.eq_ignore_ascii_case("epoch") {
        return Some(0);
    }
    let (date, rest) = date(text, style.words)?;
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    let (time, zone) = clock(rest)?;
    let local = micros_of(NaiveDateTime::new(date, time));
    if zone.is_empty() || !style.shifts {
        // What stands behind the time has to be a zone, even where it is dropped.
        return (zone.is_empty() || self::zone(zone).is_some()).then_some(local);
    }
    self::zone(zone)?.utc(local)
}

fn zone(text: &str) -> Option<Zone> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or_default();
    let is_short = !digits.is_empty() && digits.len() <= 2 && digits.chars().all(|digit| digit.is_ascii_digit());
    let whole = if is_short { format!("{}{digits:0>2}:00", text.get(..1)?) } else { text.to_owned() };
    Zone::parse(&whole).ok()
}

/// The digits a text begins with, at most so many.
fn digits(text: &str, most: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

/// A date and what follows it.
fn date(text: &str, words: bool) -> Option<(NaiveDate, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if length == 8 {
        let (year, rest) = digits(text, 4)?;
        let (month, rest) = digits(rest, 2)?;
        let (day, rest) = digits(rest, 2)?;
        return Some((NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?, rest));
    }
    if length == 4 {
        let (year, rest) = digits(text, 4)?;
        let separator = rest.chars().next().filter(|next| matches!(next, '-' | '/'))?;
        let (month, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        return Some((NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?, rest));
    }
    if !words {
        return None;
    }
    // 2/29/2024, as PostgreSQL's DateStyle is.
    if let Some((month, rest)) = digits(text, 2)
        && let Some(rest) = rest.strip_prefix('/')
    {
        let (day, rest) = digits(rest, 2)?;
        let (year, rest) = digits(rest.strip_prefix('/')?, 4)?;
        return Some((NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?, rest));
    }
    with_month(text)
}

/// `February 29, 2024`, `29 Feb 2024`, `29-Feb-2024`
fn with_month(text: &str) -> Option<(NaiveDate, &str)> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut rest, mut numbers, mut month) = (text, Vec::new(), None);
    while month.is_none() || numbers.len() < 2 {
        rest = rest.trim_start_matches([' ', ',', '-']);
        if let Some((number, after)) = digits(rest, 4) {
            numbers.push(number);
            rest = after;
            continue;
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, after) = rest.split_at(length);
        let short = name.get(..3)?.to_lowercase();
        month = Some(u32::try_from(MONTHS.iter().position(|known| *known == short)?).ok()? + 1);
        rest = after;
    }
    let [day, year] = numbers.as_slice() else { return None };
    Some((NaiveDate::from_ymd_opt(i32::try_from(*year).ok()?, month?, *day)?, rest))
}

/// A time of day, midnight where there is none, and the zone behind it.
fn clock(text: &str) -> Option<(NaiveTime, &str)> {
    if text.is_empty() || !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Some((NaiveTime::MIN, text.trim()));
    }
    let (hour, rest) = digits(text, 2)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return NaiveTime::from_hms_opt(hour, 0, 0).map(|time| (time, rest.trim()));
    };
    let (minute, rest) = digits(rest, 2)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return Some((NaiveTime::from_hms_opt(hour, minute, 0)?, rest.trim()));
    };
    let (second, rest) = digits(rest, 2)?;
    let Some(fraction) = rest.strip_prefix('.') else {
        return Some((NaiveTime::from_hms_opt(hour, minute, second)?, rest.trim()));
    };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (given, rest) = fraction.split_at(length);
    let micros: u32 = format!("{given:0<6}").get(..6)?.parse().ok()?;
    Some((NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, style: Style, expected: Option<&str>) {
        let shown = read(text, style).and_then(super::super::calendar::calendar).map(|at| at.to_string());
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn text_is_read_as_casts_read_it() {
        check("2024-2-9", ISO, Some("2024-02-09 00:00:00"));
        check("20240209", ISO, Some("2024-02-09 00:00:00"));
        check(" 2024-02-09T13:45 ", ISO, Some("2024-02-09 13:45:00"));
        check("2024-02-09 13:45:10.25+02", ISO, Some("2024-02-09 11:45:10.250"));
        check("2024-07-01 12:00:00 America/New_York", ISO, Some("2024-07-01 16:00:00"));
        check("2024-02-09 13:45:10+02", WALL, Some("2024-02-09 13:45:10"));
        check("February 9, 2024", WORDS, Some("2024-02-09 00:00:00"));
        check("9-Feb-2024", WORDS, Some("2024-02-09 00:00:00"));
        check("epoch", WORDS, Some("1970-01-01 00:00:00"));
        check("February 9, 2024", ISO, None);
        check("2024-02-30", ISO, None);
        check("2024-02-09 25:00", ISO, None);
        check("2024-02-09 nonsense", WALL, None);
        check("", ISO, None);
    }
}
