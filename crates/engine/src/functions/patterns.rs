//! Times as text and back, by a pattern.
//!
//! A pattern is strftime's, with three additions before the letter of a directive: `^` for upper case, `#` for lower case, and
//! `9` for text padded with blanks to nine characters. The pattern languages of dialects are translated to it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, StringBuilder, TimestampMicrosecondArray};
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveTime};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "time_text", arity: (2, 2), returns: returns::text, body: written },
    Function { name: "time_parse", arity: (2, 2), returns: returns::timestamp, body: parsed_or_error },
    Function { name: "try_time_parse", arity: (2, 2), returns: returns::timestamp, body: parsed_or_null },
    Function { name: "date_parse", arity: (2, 2), returns: returns::date, body: date_or_error },
    Function { name: "try_date_parse", arity: (2, 2), returns: returns::date, body: date_or_null },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    AsIs,
    Upper,
    Lower,
}

struct Piece {
    items: Vec<Item<'static>>,
    case: Case,
    padded: bool,
}

/// A pattern taken apart.
struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            plain.push(character);
            if character != '%' {
                continue;
            }
            let (mut case, mut padded) = (Case::AsIs, false);
            while let Some(flag) = characters.next_if(|next| matches!(next, '^' | '#' | '9')) {
                match flag {
                    '^' => case = Case::Upper,
                    '#' => case = Case::Lower,
                    _ => padded = true,
                }
            }
            let Some(letter) = characters.next() else {
                return Err(exec_datafusion_err!("the pattern `{text}` ends in the middle of a directive"));
            };
            if case == Case::AsIs && !padded {
                plain.push(letter);
                continue;
            }
            plain.pop();
            pieces.push(Piece { items: items(text, &plain)?, case: Case::AsIs, padded: false });
            plain.clear();
            pieces.push(Piece { items: items(text, &format!("%{letter}"))?, case, padded });
        }
        pieces.push(Piece { items: items(text, &plain)?, case: Case::AsIs, padded: false });
        Ok(Self { text: text.to_owned(), pieces })
    }

    fn write(&self, micros: i64, out: &mut String) -> Result<()> {
        let at = DateTime::from_timestamp_micros(micros)
            .ok_or_else(|| exec_datafusion_err!("{micros} microseconds since 1970 are no time"))?;
        let failed = |_| exec_datafusion_err!("the pattern `{}` asks for what a time does not have", self.text);
        for piece in &self.pieces {
            let shown = at.format_with_items(piece.items.iter());
            if piece.case == Case::AsIs && !piece.padded {
                write!(out, "{shown}").map_err(failed)?;
                continue;
            }
            let mut text = String::new();
            write!(text, "{shown}").map_err(failed)?;
            let text = match piece.case {
                Case::AsIs => text,
                Case::Upper => text.to_uppercase(),
                Case::Lower => text.to_lowercase(),
            };
            if piece.padded { write!(out, "{text:<9}") } else { write!(out, "{text}") }.map_err(failed)?;
        }
        Ok(())
    }

    /// Microseconds since 1970. What the pattern does not read is the begin of it: of 1970, of the year, of the day.
    fn read(&self, text: &str) -> Option<i64> {
        let mut parsed = Parsed::new();
        let items = self.pieces.iter().flat_map(|piece| piece.items.iter());
        parse(&mut parsed, text, items).ok()?;
        if let Some(seconds) = parsed.timestamp() {
            let nanos = i64::from(parsed.nanosecond().unwrap_or(0));
            return seconds.checked_mul(1_000_000)?.checked_add(nanos / 1_000);
        }
        let has_date = parsed.to_naive_date();
        let date = match has_date {
            Ok(date) => date,
            Err(_) => {
                // Setting what was read already only fails when it differs, and then it stays.
                if parsed.year().is_none() && parsed.year_mod_100().is_none() && parsed.isoyear().is_none() {
                    parsed.set_year(1970).ok()?;
                }
                if parsed.month().is_none() && parsed.ordinal().is_none() {
                    parsed.set_month(1).ok()?;
                }
                if parsed.day().is_none() && parsed.ordinal().is_none() {
                    parsed.set_day(1).ok()?;
                }
                parsed.to_naive_date().ok()?
            }
        };
        let time = if parsed.hour_mod_12().is_none() {
            NaiveTime::MIN
        } else {
            if parsed.hour_div_12().is_none() {
                parsed.set_ampm(false).ok()?;
            }
            if parsed.minute().is_none() {
                parsed.set_minute(0).ok()?;
            }
            parsed.to_naive_time().ok()?
        };
        let local = date.and_time(time).and_utc().timestamp_micros();
        let offset = i64::from(parsed.offset().unwrap_or(0));
        Some(local - offset * 1_000_000)
    }
}

fn items(whole: &str, part: &str) -> Result<Vec<Item<'static>>> {
    StrftimeItems::new(part)
        .parse_to_owned()
        .map_err(|_| exec_datafusion_err!("the pattern `{whole}` is not understood"))
}

/// The last pattern taken apart: nearly always there is one for the whole column.
struct Patterns(Option<Pattern>);

impl Patterns {
    fn get(&mut self, text: &str) -> Result<&Pattern> {
        if self.0.as_ref().is_none_or(|known| known.text != text) {
            self.0 = Some(Pattern::new(text)?);
        }
        self.0.as_ref().ok_or_else(|| exec_datafusion_err!("there is no pattern"))
    }
}

fn written(arguments: &Arguments) -> Result<ArrayRef> {
    if arguments.array(0)?.data_type().is_numeric() {
        return Err(exec_datafusion_err!(
            "numbers are not written by a pattern here; cast them to text, or round them"
        ));
    }
    let (times, texts) = (arguments.times(0)?, arguments.text(1)?);
    let mut patterns = Patterns(None);
    let mut written = StringBuilder::new();
    let mut text = String::new();
    for row in 0..arguments.rows {
        match (times.at(row), text_at(&texts, row)) {
            (Some(at), Some(pattern)) => {
                text.clear();
                patterns.get(pattern)?.write(at, &mut text)?;
                written.append_value(&text);
            }
            _ => written.append_null(),
        }
    }
    Ok(Arc::new(written.finish()))
}

fn times_of(arguments: &Arguments, strict: bool) -> Result<TimestampMicrosecondArray> {
    let (texts, given) = (arguments.text(0)?, arguments.text(1)?);
    let mut patterns = Patterns(None);
    let mut times = TimestampMicrosecondArray::builder(arguments.rows);
    for row in 0..arguments.rows {
        match (text_at(&texts, row), text_at(&given, row)) {
            (Some(text), Some(pattern)) => {
                let at = patterns.get(pattern)?.read(text);
                if strict && at.is_none() {
                    return Err(exec_datafusion_err!("`{text}` is not written as the pattern `{pattern}` says"));
                }
                times.append_option(at);
            }
            _ => times.append_null(),
        }
    }
    Ok(times.finish())
}

fn dates(times: &TimestampMicrosecondArray) -> ArrayRef {
    let day = |at: i64| i32::try_from(at.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
    Arc::new(times.iter().map(|at| at.map(day)).collect::<Date32Array>())
}

fn parsed_or_error(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(times_of(arguments, true)?))
}

fn parsed_or_null(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(times_of(arguments, false)?))
}

fn date_or_error(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(dates(&times_of(arguments, true)?))
}

fn date_or_null(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(dates(&times_of(arguments, false)?))
}
