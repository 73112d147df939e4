//! Values as text, text as numbers, and what dialects do with text that the engine does not.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, converted_or_null, integer_at, text_at};
use super::json::text_of;
use super::json_documents::write_value;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // The text a dialect casts a value to.
    Function {
        name: "bigquery_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, BIGQUERY),
    },
    Function {
        name: "postgres_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, POSTGRES),
    },
    Function {
        name: "snowflake_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, SNOWFLAKE),
    },
    Function { name: "spark_text", arity: (1, 1), returns: returns::text, body: |arguments| shown(arguments, SPARK) },
    Function { name: "duckdb_text", arity: (1, 1), returns: returns::text, body: |arguments| shown(arguments, DUCKDB) },
    // A whole number: halves are rounded away from zero, text must be a whole number.
    Function {
        name: "whole_number",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::Rounded, true),
    },
    Function {
        name: "try_whole_number",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::Rounded, false),
    },
    // The same of text with a fraction.
    Function {
        name: "whole_number_of_any",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::RoundedText, true),
    },
    Function {
        name: "try_whole_number_of_any",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::RoundedText, false),
    },
    // A whole number: the fraction is cut off.
    Function {
        name: "whole_number_cut",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::Cut, true),
    },
    Function {
        name: "try_whole_number_cut",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::Cut, false),
    },
    // (text, start, length): from the end where start is negative; 0 is the begin too.
    Function { name: "text_slice", arity: (2, 3), returns: returns::text, body: slice },
    // (text, piece, start, occurrence): where a piece begins; 0 where it does not.
    Function { name: "text_position", arity: (2, 4), returns: returns::integer, body: position },
    // (text, separator): characters where the separator is empty.
    Function { name: "text_split", arity: (2, 2), returns: returns::texts, body: split },
    // (text, separator, number): from the end where the number is negative, empty where there is none.
    Function { name: "text_split_part", arity: (3, 3), returns: returns::text, body: split_part },
    // As C's printf, with %t and %T for the text of anything.
    Function { name: "text_printf", arity: (1, 64), returns: returns::text, body: printf },
    // `{}` stands for the next value.
    Function { name: "text_braces", arity: (1, 64), returns: returns::text, body: braces },
    Function {
        name: "number_parse",
        arity: (1, 1),
        returns: returns::float,
        body: |arguments| number(arguments, true),
    },
    Function {
        name: "try_number_parse",
        arity: (1, 1),
        returns: returns::float,
        body: |arguments| number(arguments, false),
    },
];

/// How a dialect shows values.
#[derive(Clone, Copy)]
struct Style {
    /// `1` for 1.0.
    short_floats: bool,
    /// Digits of a second that are always there.
    second_digits: usize,
    /// `+00` after an instant.
    shows_zone: bool,
    /// Strings of JSON documents lose their quotes.
    unquotes: bool,
}

const POSTGRES: Style = Style { short_floats: true, second_digits: 0, shows_zone: true, unquotes: false };
const BIGQUERY: Style = Style { ..POSTGRES };
const SNOWFLAKE: Style = Style { second_digits: 3, shows_zone: false, unquotes: true, ..POSTGRES };
const SPARK: Style = Style { short_floats: false, shows_zone: false, ..POSTGRES };
const DUCKDB: Style = Style { short_floats: false, ..POSTGRES };

fn shown(arguments: &Arguments, style: Style) -> Result<ArrayRef> {
    let array = arguments.array(0)?;
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if style.unquotes && arguments.is_json(0) => {
            let texts = arguments.text(0)?;
            Ok(Arc::new(texts.iter().map(|text| text.and_then(text_of)).collect::<arrow::array::StringArray>()))
        }
        DataType::Timestamp(..) => times(arguments, style),
        DataType::Float32 | DataType::Float64 => floats(array, style),
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => {
            let mut texts = StringBuilder::new();
            for row in 0..array.len() {
                if array.is_null(row) {
                    texts.append_null();
                    continue;
                }
                let mut text = String::new();
                write_value(array, row, false, &mut text)?;
                texts.append_value(text);
            }
            Ok(Arc::new(texts.finish()))
        }
        _ => converted(array, &DataType::Utf8),
    }
}

fn times(arguments: &Arguments, style: Style) -> Result<ArrayRef> {
    let times = arguments.times(0)?;
    let is_instant = matches!(arguments.array(0)?.data_type(), DataType::Timestamp(_, Some(_)));
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let at = times.at(row).and_then(super::dates::calendar);
        texts.append_option(at.map(|at| {
            let mut text = at.format("%Y-%m-%d %H:%M:%S").to_string();
            let fraction = at.format("%6f").to_string();
            let kept = fraction.trim_end_matches('0').len().max(style.second_digits);
            if let Some(digits) = fraction.get(..kept).filter(|digits| !digits.is_empty()) {
                text.push('.');
                text.push_str(digits);
            }
            if is_instant && style.shows_zone {
                text.push_str("+00");
            }
            text
        }));
    }
    Ok(Arc::new(texts.finish()))
}

fn floats(array: &ArrayRef, style: Style) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        let text = formatter.value(row).to_string();
        let short = text.strip_suffix(".0").filter(|_| style.short_floats);
        texts.append_value(short.unwrap_or(&text));
    }
    Ok(Arc::new(texts.finish()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Rounded,
    RoundedText,
    Cut,
}

fn whole(arguments: &Arguments, how: Whole, strict: bool) -> Result<ArrayRef> {
    let array = arguments.array(0)?;
    let change = |value: f64| if how == Whole::Cut { value.trunc() } else { value.round() };
    match array.data_type() {
        DataType::Float32 | DataType::Float64 => {
            let floats = converted(array, &DataType::Float64)?;
            let changed: Float64Array = floats.as_primitive::<Float64Type>().unary(change);
            let changed: ArrayRef = Arc::new(changed);
            if strict { converted(&changed, &DataType::Int64) } else { converted_or_null(&changed, &DataType::Int64) }
        }
        DataType::Decimal128(_, scale) if *scale > 0 => {
            let unit = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let number = |value: i128| {
                let half = if how == Whole::Cut { 0 } else { unit / 2 * value.signum() };
                i64::try_from((value + half) / unit).ok()
            };
            let values = array.as_primitive::<Decimal128Type>();
            Ok(Arc::new(values.iter().map(|value| value.and_then(number)).collect::<Int64Array>()))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = arguments.text(0)?;
            let mut numbers = Int64Array::builder(arguments.rows);
            for text in &texts {
                let Some(text) = text else {
                    numbers.append_null();
                    continue;
                };
                let trimmed = text.trim();
                let exact = trimmed.strip_prefix('+').unwrap_or(trimmed).parse::<i64>().ok();
                let number = match how {
                    Whole::Rounded => exact,
                    _ => exact.or_else(|| {
                        trimmed.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| change(value) as i64)
                    }),
                };
                if strict && number.is_none() {
                    return Err(exec_datafusion_err!("`{text}` is no whole number"));
                }
                numbers.append_option(number);
            }
            Ok(Arc::new(numbers.finish()))
        }
        DataType::Timestamp(..) if how == Whole::Cut => {
            let times = arguments.times(0)?;
            let seconds = (0..arguments.rows).map(|row| times.at(row).map(|at| at.div_euclid(1_000_000)));
            Ok(Arc::new(seconds.collect::<Int64Array>()))
        }
        _ if strict => converted(array, &DataType::Int64),
        _ => converted_or_null(array, &DataType::Int64),
    }
}

fn number(arguments: &Arguments, strict: bool) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    let mut numbers = Float64Array::builder(arguments.rows);
    for text in &texts {
        let cleaned = text.map(|text| text.replace([',', '$', ' '], ""));
        let number = cleaned.and_then(|text| text.parse::<f64>().ok());
        if let (true, Some(text), None) = (strict, text, number) {
            return Err(exec_datafusion_err!("`{text}` is no number"));
        }
        numbers.append_option(number);
    }
    Ok(Arc::new(numbers.finish()))
}

/// Characters from a position, counted from 1, or from the end where it is negative.
fn slice_of(text: &str, start: i64, length: Option<i64>) -> Option<&str> {
    let count = i64::try_from(text.chars().count()).ok()?;
    let from = match start {
        0 => 0,
        start if start > 0 => (start - 1).min(count),
        start => count + start,
    };
    let to = length.map_or(count, |length| from.saturating_add(length.max(0)).min(count));
    let (from, to) = (from.max(0), to.max(0));
    if from >= to {
        return Some("");
    }
    let byte = |at: i64| {
        let at = usize::try_from(at).ok()?;
        text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(at)
    };
    text.get(byte(from)?..byte(to)?)
}

fn slice(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, starts) = (arguments.text(0)?, arguments.integer(1)?);
    let lengths = arguments.optional_integer(2)?;
    let mut slices = StringBuilder::new();
    for row in 0..arguments.rows {
        let slice = || {
            let length = match &lengths {
                Some(lengths) => Some(integer_at(lengths, row)?),
                None => None,
            };
            slice_of(text_at(&texts, row)?, integer_at(&starts, row)?, length)
        };
        slices.append_option(slice());
    }
    Ok(Arc::new(slices.finish()))
}

/// Where the n-th occurrence of a piece begins, in characters from 1; searched backwards from a negative start.
fn position_of(text: &str, piece: &str, start: i64, occurrence: i64) -> Option<i64> {
    let nth = usize::try_from(occurrence.max(1) - 1).ok()?;
    let characters: Vec<usize> = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
    let is_at =
        |at: &usize| characters.get(*at).and_then(|byte| text.get(*byte..)).is_some_and(|rest| rest.starts_with(piece));
    let found = if start < 0 {
        let last = characters.len().checked_sub(1)?.checked_sub(usize::try_from(-start).ok()?)?;
        (0..=last).rev().filter(is_at).nth(nth)
    } else {
        let first = usize::try_from(start.max(1) - 1).ok()?;
        (first..characters.len()).filter(is_at).nth(nth)
    };
    i64::try_from(found? + 1).ok()
}

fn position(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, pieces) = (arguments.text(0)?, arguments.text(1)?);
    let (starts, occurrences) = (arguments.optional_integer(2)?, arguments.optional_integer(3)?);
    let at = |row: usize| {
        let start = starts.as_ref().map_or(Some(1), |starts| integer_at(starts, row))?;
        let occurrence = occurrences.as_ref().map_or(Some(1), |column| integer_at(column, row))?;
        Some(position_of(text_at(&texts, row)?, text_at(&pieces, row)?, start, occurrence).unwrap_or(0))
    };
    Ok(Arc::new((0..arguments.rows).map(at).collect::<Int64Array>()))
}

fn split(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators) = (arguments.text(0)?, arguments.text(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..arguments.rows {
        let (Some(text), Some(separator)) = (text_at(&texts, row), text_at(&separators, row)) else {
            lists.append(false);
            continue;
        };
        if separator.is_empty() {
            text.chars().for_each(|character| lists.values().append_value(character.to_string()));
        } else {
            text.split(separator).for_each(|piece| lists.values().append_value(piece));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn split_part(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators, numbers) = (arguments.text(0)?, arguments.text(1)?, arguments.integer(2)?);
    let mut parts = StringBuilder::new();
    for row in 0..arguments.rows {
        let part = || {
            let (text, separator) = (text_at(&texts, row)?, text_at(&separators, row)?);
            let number = integer_at(&numbers, row)?;
            let mut pieces = if separator.is_empty() { vec![text] } else { text.split(separator).collect() };
            if number < 0 {
                pieces.reverse();
            }
            let at = usize::try_from(number.unsigned_abs().max(1) - 1).ok()?;
            Some(pieces.get(at).copied().unwrap_or_default())
        };
        parts.append_option(part());
    }
    Ok(Arc::new(parts.finish()))
}

/// One conversion of a printf pattern.
struct Conversion {
    left: bool,
    zero: bool,
    plus: bool,
    grouped: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

fn conversion(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Conversion> {
    let mut conversion =
        Conversion { left: false, zero: false, plus: false, grouped: false, width: 0, precision: None, letter: 's' };
    while let Some(flag) = characters.next_if(|next| matches!(next, '-' | '0' | '+' | '\'' | ',' | ' ' | '#')) {
        match flag {
            '-' => conversion.left = true,
            '0' => conversion.zero = true,
            '+' => conversion.plus = true,
            '\'' | ',' => conversion.grouped = true,
            _ => {}
        }
    }
    let digits = |characters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut number = 0_usize;
        while let Some(digit) = characters.next_if(char::is_ascii_digit).and_then(|digit| digit.to_digit(10)) {
            number = number.saturating_mul(10).saturating_add(digit as usize).min(1_000);
        }
        number
    };
    conversion.width = digits(characters);
    if characters.next_if_eq(&'.').is_some() {
        conversion.precision = Some(digits(characters));
    }
    while characters.next_if(|next| matches!(next, 'l' | 'h' | 'L')).is_some() {}
    conversion.letter = characters.next()?;
    Some(conversion)
}

fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (sign, whole) = whole.split_at(usize::from(whole.starts_with(['-', '+'])));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

impl Conversion {
    fn write(&self, value: &str, out: &mut String) -> Result<()> {
        let bad = || exec_datafusion_err!("`{value}` does not go with %{}", self.letter);
        let float = || value.trim().parse::<f64>().map_err(|_| bad());
        let integer = || value.trim().parse::<i64>().or_else(|_| float().map(|value| value as i64));
        let mut text = match self.letter {
            'd' | 'i' | 'u' => integer()?.to_string(),
            'x' => format!("{:x}", integer()?),
            'X' => format!("{:X}", integer()?),
            'o' => format!("{:o}", integer()?),
            'f' | 'F' => format!("{:.*}", self.precision.unwrap_or(6), float()?),
            'e' | 'E' => format!("{:.*e}", self.precision.unwrap_or(6), float()?),
            'g' | 'G' => float()?.to_string(),
            's' | 't' | 'T' => match self.precision {
                Some(precision) => value.chars().take(precision).collect(),
                None => value.to_owned(),
            },
            other => return Err(exec_datafusion_err!("%{other} is not understood in a format")),
        };
        if self.plus && !text.starts_with('-') {
            text.insert(0, '+');
        }
        if self.grouped {
            text = grouped(&text);
        }
        let missing = self.width.saturating_sub(text.chars().count());
        if self.left {
            out.push_str(&text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.zero {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&text);
        }
        Ok(())
    }
}

/// The values of a row as text, for patterns.
fn formatted(
    arguments: &Arguments,
    row_text: impl Fn(&str, &[Option<&str>]) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let patterns = arguments.text(0)?;
    let columns = (1..arguments.len()).map(|index| arguments.text(index)).collect::<Result<Vec<_>>>()?;
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let values: Vec<Option<&str>> = columns.iter().map(|column| text_at(column, row)).collect();
        match text_at(&patterns, row) {
            Some(pattern) => texts.append_option(row_text(pattern, &values)?),
            None => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn printf(arguments: &Arguments) -> Result<ArrayRef> {
    formatted(arguments, |pattern, values| {
        let mut out = String::new();
        let mut values = values.iter();
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            if characters.next_if_eq(&'%').is_some() {
                out.push('%');
                continue;
            }
            let conversion = conversion(&mut characters)
                .ok_or_else(|| exec_datafusion_err!("the format `{pattern}` ends in the middle of a conversion"))?;
            let value =
                values.next().ok_or_else(|| exec_datafusion_err!("the format `{pattern}` asks for more values"))?;
            match value {
                Some(value) => conversion.write(value, &mut out)?,
                None if matches!(conversion.letter, 't' | 'T') => out.push_str("NULL"),
                None => return Ok(None),
            }
        }
        Ok(Some(out))
    })
}

fn braces(arguments: &Arguments) -> Result<ArrayRef> {
    formatted(arguments, |pattern, values| {
        let mut out = String::new();
        let mut values = values.iter();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("{}") {
            out.push_str(before);
            match values.next() {
                Some(Some(value)) => write!(out, "{value}").map_err(|error| exec_datafusion_err!("{error}"))?,
                Some(None) => return Ok(None),
                None => return Err(exec_datafusion_err!("the format `{pattern}` asks for more values")),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Some(out))
    })
}
