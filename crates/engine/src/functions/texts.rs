//! Text as numbers, and what dialects do with text that the engine does not.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, converted_or_null, integer_at, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
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
    // The same with halves of binary fractions rounded to the even neighbour.
    Function {
        name: "whole_number_even",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::Even, true),
    },
    Function {
        name: "whole_number_of_any_even",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::EvenText, true),
    },
    Function {
        name: "try_whole_number_of_any_even",
        arity: (1, 1),
        returns: returns::integer,
        body: |arguments| whole(arguments, Whole::EvenText, false),
    },
    // A whole number: the fraction is cut off; text must be a whole number.
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
    // (text, characters that separate): the pieces that are not empty.
    Function { name: "text_tokens", arity: (2, 2), returns: returns::texts, body: tokens },
    // (text, separator, what stands for NULL): an empty text has no pieces; characters where the separator is NULL.
    Function { name: "text_pieces", arity: (2, 3), returns: returns::texts, body: pieces },
    // (text, separator, number): from the end where the number is negative, empty where there is none.
    Function { name: "text_split_part", arity: (3, 3), returns: returns::text, body: split_part },
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Rounded,
    RoundedText,
    Even,
    EvenText,
    Cut,
}

/// A whole number in decimal or hexadecimal digits.
fn whole_digits(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let hexadecimal = || i64::from_str_radix(unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X"))?, 16).ok();
    unsigned.parse().ok().or_else(hexadecimal)
}

fn whole(arguments: &Arguments, how: Whole, strict: bool) -> Result<ArrayRef> {
    let array = arguments.array(0)?;
    let change = |value: f64| match how {
        Whole::Cut => value.trunc(),
        Whole::Even | Whole::EvenText => value.round_ties_even(),
        Whole::Rounded | Whole::RoundedText => value.round(),
    };
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
                match i64::try_from((value + half) / unit) {
                    Ok(number) => Ok(Some(number)),
                    Err(_) if strict => Err(exec_datafusion_err!("a decimal does not fit into a whole number")),
                    Err(_) => Ok(None),
                }
            };
            let values = array.as_primitive::<Decimal128Type>();
            let numbers = values.iter().map(|value| value.map_or(Ok(None), number));
            Ok(Arc::new(numbers.collect::<Result<Int64Array>>()?))
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
                let exact = whole_digits(trimmed);
                let number = match how {
                    Whole::Rounded | Whole::Even | Whole::Cut => exact,
                    Whole::RoundedText | Whole::EvenText => exact.or_else(|| {
                        trimmed.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value.round() as i64)
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

fn tokens(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators) = (arguments.text(0)?, arguments.text(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..arguments.rows {
        let (Some(text), Some(separators)) = (text_at(&texts, row), text_at(&separators, row)) else {
            lists.append(false);
            continue;
        };
        let pieces = text.split(|letter| separators.contains(letter)).filter(|piece| !piece.is_empty());
        pieces.for_each(|piece| lists.values().append_value(piece));
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn pieces(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators, nulls) = (arguments.text(0)?, arguments.text(1)?, arguments.optional_text(2)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..arguments.rows {
        let Some(text) = text_at(&texts, row) else {
            lists.append(false);
            continue;
        };
        let null = nulls.as_ref().and_then(|nulls| text_at(nulls, row));
        let found: Vec<String> = match text_at(&separators, row) {
            _ if text.is_empty() => Vec::new(),
            Some("") => vec![text.to_owned()],
            Some(separator) => text.split(separator).map(str::to_owned).collect(),
            None => text.chars().map(String::from).collect(),
        };
        for piece in found {
            lists.values().append_option(Some(piece.as_str()).filter(|piece| null != Some(*piece)));
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
