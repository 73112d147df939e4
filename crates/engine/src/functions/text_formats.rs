//! Text made of a format and values.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // As C's printf, with %t and %T for the text of anything.
    Function { name: "text_printf", arity: (1, 64), returns: returns::text, body: printf },
    // `{}` stands for the next value, `{0}` for the first, `{:,}` and `{:.2f}` for numbers.
    Function { name: "text_braces", arity: (1, 64), returns: returns::text, body: braces },
    // PostgreSQL's: %s, %I and %L, of the next value or of the n-th.
    Function { name: "text_format", arity: (1, 64), returns: returns::text, body: format },
];

/// One conversion of a printf pattern.
struct Conversion {
    left: bool,
    zero: bool,
    plus: bool,
    grouped: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
    /// Which value, counted from 1; the next where it is not said.
    value: Option<usize>,
}

impl Conversion {
    const PLAIN: Self = Self {
        left: false,
        zero: false,
        plus: false,
        grouped: false,
        width: 0,
        precision: None,
        letter: 's',
        value: None,
    };
}

fn digits(characters: &mut Peekable<Chars<'_>>) -> usize {
    let mut number = 0_usize;
    while let Some(digit) = characters.next_if(char::is_ascii_digit).and_then(|digit| digit.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(digit as usize).min(1_000);
    }
    number
}

fn conversion(characters: &mut Peekable<Chars<'_>>) -> Option<Conversion> {
    let mut conversion = Conversion::PLAIN;
    let mut ahead = characters.clone();
    let number = digits(&mut ahead);
    if number > 0 && ahead.next_if_eq(&'$').is_some() {
        conversion.value = Some(number);
        *characters = ahead;
    }
    while let Some(flag) = characters.next_if(|next| matches!(next, '-' | '0' | '+' | '\'' | ',' | ' ' | '#')) {
        match flag {
            '-' => conversion.left = true,
            '0' => conversion.zero = true,
            '+' => conversion.plus = true,
            '\'' | ',' => conversion.grouped = true,
            _ => {}
        }
    }
    conversion.width = digits(characters);
    if characters.next_if_eq(&'.').is_some() {
        conversion.precision = Some(digits(characters));
    }
    while characters.next_if(|next| matches!(next, 'l' | 'h')).is_some() {}
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

fn shown(arguments: &Arguments, index: usize) -> Result<StringArray> {
    match arguments.array(index)?.data_type() {
        DataType::List(_) | DataType::Struct(_) => super::value_texts::plain(arguments.array(index)?),
        _ => arguments.text(index),
    }
}

/// The values of a row as text, for patterns.
fn formatted(
    arguments: &Arguments,
    row_text: impl Fn(&str, &[Option<&str>]) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let patterns = arguments.text(0)?;
    let columns = (1..arguments.len()).map(|index| shown(arguments, index)).collect::<Result<Vec<_>>>()?;
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
    let types: Vec<DataType> = arguments.arrays.iter().skip(1).map(|array| array.data_type().clone()).collect();
    formatted(arguments, |pattern, values| {
        let mut out = String::new();
        let mut next = 0;
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
            let at = conversion.value.map_or(next, |value| value - 1);
            next = at + 1;
            let value =
                values.get(at).ok_or_else(|| exec_datafusion_err!("the format `{pattern}` asks for more values"))?;
            match value {
                Some(value) if conversion.letter == 'T' => {
                    conversion.write(&literal(types.get(at).unwrap_or(&DataType::Null), value), &mut out)?;
                }
                Some(value) => conversion.write(value, &mut out)?,
                None if matches!(conversion.letter, 't' | 'T') => out.push_str("NULL"),
                None => return Ok(None),
            }
        }
        Ok(Some(out))
    })
}

/// The formats of `{}` as conversions: `{}`, `{0}`, `{:,}`, `{:05d}`, `{:.2f}`.
fn braced(inside: &str) -> Option<Conversion> {
    let (index, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let mut conversion = Conversion::PLAIN;
    if !index.is_empty() {
        conversion.value = Some(index.parse::<usize>().ok()? + 1);
    }
    let mut characters = spec.chars().peekable();
    conversion.zero = characters.next_if_eq(&'0').is_some();
    conversion.width = digits(&mut characters);
    conversion.grouped = characters.next_if_eq(&',').is_some();
    if characters.next_if_eq(&'.').is_some() {
        conversion.precision = Some(digits(&mut characters));
    }
    let letter = characters.next();
    conversion.letter = match letter {
        Some(letter @ ('d' | 'f' | 'e' | 'x' | 's')) => letter,
        Some(_) => return None,
        None if conversion.grouped || conversion.zero => 'd',
        None => 's',
    };
    characters.next().is_none().then_some(conversion)
}

fn braces(arguments: &Arguments) -> Result<ArrayRef> {
    formatted(arguments, |pattern, values| {
        let mut out = String::new();
        let mut rest = pattern;
        let mut next = 0;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (inside, after) = after
                .split_once('}')
                .ok_or_else(|| exec_datafusion_err!("the format `{pattern}` ends within braces"))?;
            let conversion =
                braced(inside).ok_or_else(|| exec_datafusion_err!("`{{{inside}}}` is not understood in a format"))?;
            let at = conversion.value.map_or(next, |value| value - 1);
            next += usize::from(conversion.value.is_none());
            match values.get(at) {
                Some(Some(value)) => conversion.write(value, &mut out)?,
                Some(None) => return Ok(None),
                None => return Err(exec_datafusion_err!("the format `{pattern}` asks for more values")),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Some(out))
    })
}

/// A name in quotes where it needs them.
fn name(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn format(arguments: &Arguments) -> Result<ArrayRef> {
    formatted(arguments, |pattern, values| {
        let mut out = String::new();
        let mut next = 0;
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '%' || characters.next_if_eq(&'%').is_some() {
                out.push(character);
                continue;
            }
            let mut conversion = conversion(&mut characters)
                .ok_or_else(|| exec_datafusion_err!("the format `{pattern}` ends in the middle of a conversion"))?;
            let at = conversion.value.map_or(next, |value| value - 1);
            next = at + 1;
            let value =
                *values.get(at).ok_or_else(|| exec_datafusion_err!("the format `{pattern}` asks for more values"))?;
            let text = match (conversion.letter, value) {
                ('s', value) => value.unwrap_or_default().to_owned(),
                ('I', Some(value)) => name(value),
                ('L', Some(value)) => format!("'{}'", value.replace('\'', "''")),
                ('L', None) => String::from("NULL"),
                ('I', None) => return Err(exec_datafusion_err!("NULL is no name for %I")),
                (other, _) => return Err(exec_datafusion_err!("%{other} is not understood in a format")),
            };
            conversion.letter = 's';
            conversion.write(&text, &mut out)?;
        }
        Ok(Some(out))
    })
}

/// What `%T` shows: a literal of the value.
fn literal(data_type: &DataType, text: &str) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => serde_json::Value::from(text).to_string(),
        DataType::Date32 | DataType::Date64 => format!("DATE \"{text}\""),
        DataType::Timestamp(_, Some(_)) => format!("TIMESTAMP \"{text}\""),
        DataType::Timestamp(_, None) => format!("DATETIME \"{text}\""),
        _ => text.to_owned(),
    }
}
