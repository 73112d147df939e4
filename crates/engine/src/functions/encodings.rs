//! Text in other codes: URLs, digits of other bases, checksums, how words sound.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, integer_at, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (text, what a blank becomes)
    Function { name: "url_encoded", arity: (2, 2), returns: returns::text, body: url_encoded },
    // (text, whether `+` is a blank)
    Function { name: "url_decoded", arity: (2, 2), returns: returns::text, body: url_decoded },
    // (URL, part, parameter of its query): NULL for what it does not have.
    Function { name: "url_part", arity: (2, 3), returns: returns::text, body: url_part },
    Function { name: "soundex", arity: (1, 1), returns: returns::text, body: |given| each_text(given, sounds) },
    Function { name: "crc32", arity: (1, 1), returns: returns::integer, body: checksum },
    // (digits, base): NULL for what is no number of the base.
    Function { name: "digits_read", arity: (2, 2), returns: returns::integer, body: digits_read },
    // (number, base)
    Function { name: "digits_written", arity: (2, 2), returns: returns::text, body: digits_written },
    // 32 bits of a number of 32 bits, 64 of one of 64.
    Function { name: "hex_of", arity: (1, 1), returns: returns::text, body: hex_of },
    // Digits of a whole number, or of the bytes of a text.
    Function { name: "spark_hex", arity: (1, 1), returns: returns::text, body: spark_hex },
    // Letters after blanks are large, all others small.
    Function { name: "initcap_words", arity: (1, 1), returns: returns::text, body: |given| each_text(given, capitals) },
    // How many characters differ at their place; texts are equally long.
    Function { name: "hamming", arity: (2, 2), returns: returns::integer, body: hamming },
    Function { name: "bytes_of_hex", arity: (1, 1), returns: bytes, body: bytes_of_hex },
];

fn bytes(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Binary)
}

fn each_text(arguments: &Arguments, change: fn(&str) -> String) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    Ok(Arc::new(texts.iter().map(|text| text.map(change)).collect::<StringArray>()))
}

fn url_encoded(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, blanks) = (arguments.text(0)?, arguments.text(1)?);
    let one = |row: usize| {
        let (text, blank) = (text_at(&texts, row)?, text_at(&blanks, row)?);
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
                // Forms keep the asterisk, addresses the tilde.
                b'*' if blank == "+" => out.push('*'),
                b'~' if blank != "+" => out.push('~'),
                b' ' => out.push_str(blank),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        Some(out)
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<StringArray>()))
}

fn decoded(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn url_decoded(arguments: &Arguments) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    let plus = arguments.cast(1, &DataType::Boolean)?;
    let plus = plus.as_boolean();
    let one = |(row, text): (usize, Option<&str>)| {
        let Some(text) = text else { return Ok(None) };
        let found = decoded(text, plus.is_valid(row) && plus.value(row));
        found.map(Some).ok_or_else(|| exec_datafusion_err!("`{text}` is no encoded part of a URL"))
    };
    Ok(Arc::new(texts.iter().enumerate().map(one).collect::<Result<StringArray>>()?))
}

/// A part of a URL, by the name Spark has for it.
fn part_of<'u>(url: &'u str, part: &str) -> Option<&'u str> {
    let (rest, fragment) = url.split_once('#').map_or((url, None), |(rest, fragment)| (rest, Some(fragment)));
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (scheme, rest) = rest.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    match part.to_uppercase().as_str() {
        "PROTOCOL" => Some(scheme),
        "AUTHORITY" => Some(authority),
        "USERINFO" => user,
        "HOST" => Some(host.split_once(':').map_or(host, |(host, _)| host)),
        "PATH" => Some(path),
        "QUERY" => query,
        "REF" => fragment,
        "FILE" => url.get(scheme.len() + 3 + authority.len()..url.find('#').unwrap_or(url.len())),
        _ => None,
    }
}

fn url_part(arguments: &Arguments) -> Result<ArrayRef> {
    let (urls, parts, keys) = (arguments.text(0)?, arguments.text(1)?, arguments.optional_text(2)?);
    let one = |row: usize| {
        let found = part_of(text_at(&urls, row)?, text_at(&parts, row)?)?;
        let Some(keys) = &keys else { return Some(found.to_owned()) };
        let key = text_at(keys, row)?;
        let mut pairs = found.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(known, _)| *known == key).map(|(_, value)| value.to_owned())
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<StringArray>()))
}

/// A letter and three digits for the consonants that follow it.
fn sounds(text: &str) -> String {
    let code = |letter: char| match letter.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        // They stand between two letters of one sound without parting them.
        'H' | 'W' => '-',
        _ => '0',
    };
    let mut letters = text.chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return String::new() };
    let (mut out, mut last) = (String::from(first.to_ascii_uppercase()), code(first));
    for letter in letters {
        let sound = code(letter);
        if sound == '-' {
            continue;
        }
        if sound != '0' && sound != last {
            out.push(sound);
        }
        last = sound;
    }
    out.push_str("000");
    out.truncate(4);
    out
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn checksum(arguments: &Arguments) -> Result<ArrayRef> {
    let bytes = arguments.bytes(0)?;
    Ok(Arc::new(bytes.iter().map(|bytes| bytes.map(|bytes| i64::from(crc(bytes)))).collect::<Int64Array>()))
}

fn base_of(base: i64) -> Result<u32> {
    let known = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    known.ok_or_else(|| exec_datafusion_err!("{base} is no base of digits; it lies between 2 and 36"))
}

fn digits_read(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, bases) = (arguments.text(0)?, arguments.integer(1)?);
    let one = |row: usize| -> Result<Option<i64>> {
        let (Some(text), Some(base)) = (text_at(&texts, row), integer_at(&bases, row)) else { return Ok(None) };
        Ok(i64::from_str_radix(text.trim(), base_of(base)?).ok())
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<Result<Int64Array>>()?))
}

fn digits_written(arguments: &Arguments) -> Result<ArrayRef> {
    let (numbers, bases) = (arguments.integer(0)?, arguments.integer(1)?);
    let one = |row: usize| -> Result<Option<String>> {
        let (Some(number), Some(base)) = (integer_at(&numbers, row), integer_at(&bases, row)) else { return Ok(None) };
        let base = base_of(base)?;
        // Negative numbers are shown by their bits.
        let mut rest = number.cast_unsigned();
        let mut digits = Vec::new();
        while rest > 0 || digits.is_empty() {
            let digit = u32::try_from(rest % u64::from(base)).unwrap_or(0);
            digits.extend(char::from_digit(digit, base).map(|digit| digit.to_ascii_uppercase()));
            rest /= u64::from(base);
        }
        Ok(Some(digits.into_iter().rev().collect()))
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<Result<StringArray>>()?))
}

fn hex_of(arguments: &Arguments) -> Result<ArrayRef> {
    let is_short = matches!(arguments.array(0)?.data_type(), DataType::Int32 | DataType::Int16 | DataType::Int8);
    let mask = if is_short { 0xffff_ffff } else { u64::MAX };
    let numbers = arguments.integer(0)?;
    let shown = |number: i64| format!("{:x}", number.cast_unsigned() & mask);
    Ok(Arc::new(numbers.iter().map(|number| number.map(shown)).collect::<StringArray>()))
}

fn spark_hex(arguments: &Arguments) -> Result<ArrayRef> {
    if arguments.array(0)?.data_type().is_integer() {
        let numbers = arguments.integer(0)?;
        let shown = |number: i64| format!("{:X}", number.cast_unsigned());
        return Ok(Arc::new(numbers.iter().map(|number| number.map(shown)).collect::<StringArray>()));
    }
    let bytes = arguments.bytes(0)?;
    let shown = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    Ok(Arc::new(bytes.iter().map(|bytes| bytes.map(shown)).collect::<StringArray>()))
}

fn capitals(text: &str) -> String {
    let mut starts = true;
    let change = |letter: char| {
        let changed: String = if starts { letter.to_uppercase().collect() } else { letter.to_lowercase().collect() };
        starts = letter == ' ';
        changed
    };
    text.chars().map(change).collect()
}

fn hamming(arguments: &Arguments) -> Result<ArrayRef> {
    let (left, right) = (arguments.text(0)?, arguments.text(1)?);
    let one = |row: usize| -> Result<Option<i64>> {
        let (Some(left), Some(right)) = (text_at(&left, row), text_at(&right, row)) else { return Ok(None) };
        if left.chars().count() != right.chars().count() {
            return Err(exec_datafusion_err!("`{left}` and `{right}` are not equally long"));
        }
        let differing = left.chars().zip(right.chars()).filter(|(one, other)| one != other).count();
        Ok(i64::try_from(differing).ok())
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<Result<Int64Array>>()?))
}

fn bytes_of_hex(arguments: &Arguments) -> Result<ArrayRef> {
    let texts = converted(arguments.array(0)?, &DataType::Utf8)?;
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
        padded.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    Ok(Arc::new(texts.as_string::<i32>().iter().map(|text| text.and_then(bytes)).collect::<BinaryArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_sounds_are_those_of_their_definitions() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        for (word, expected) in [("Robert", "R163"), ("Ashcraft", "A261"), ("Tymczak", "T522"), ("a", "A000")] {
            assert_eq!(sounds(word), expected, "{word}");
        }
    }

    #[test]
    fn a_part_of_a_url_is_taken_by_its_name() {
        let url = "https://ann@www.example.com:80/a/b?x=1&y=two#f";
        for (part, expected) in [
            ("HOST", "www.example.com"),
            ("PATH", "/a/b"),
            ("QUERY", "x=1&y=two"),
            ("REF", "f"),
            ("USERINFO", "ann"),
            ("FILE", "/a/b?x=1&y=two"),
        ] {
            assert_eq!(part_of(url, part), Some(expected), "{part}");
        }
        assert_eq!(part_of("https://e.com/p", "QUERY"), None);
        assert_eq!(part_of("no url", "HOST"), None);
    }
}
