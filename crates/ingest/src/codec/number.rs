//! Values of delimited text, read fast as most are written; what is written otherwise is read by those who know all ways.

use crate::codec::column;
use crate::codec::delimited::is_code;

/// Digits that no integer, and no float, has too many of.
const DIGITS: usize = 15;
/// Each is exactly a float.
const POWERS: [f64; DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// A whole number that is no code.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = signed(text);
    let is_plain = matches!(digits, [b'1'..=b'9', ..]);
    let plain = if is_plain { counted(digits) } else { None };
    let plain = plain.map(|value| if is_negative { -value } else { value });
    plain.or_else(|| column::integer(in_any_words(text)?))
}

/// A number that is no code, as the nearest float.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    plain_float(text).or_else(|| in_any_words(text)?.parse().ok().filter(|value: &f64| value.is_finite()))
}

/// Both parts of the quotient are exactly floats, so what division rounds it to is the float nearest to the number.
fn plain_float(text: &[u8]) -> Option<f64> {
    let (is_negative, digits) = signed(text);
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (digits.get(..point)?, digits.get(point + 1..).unwrap_or_default());
    if whole.is_empty() || whole.len() + fraction.len() > DIGITS || matches!(whole, [b'0', _, ..]) {
        return None;
    }
    let power = *POWERS.get(fraction.len())?;
    let unscaled = counted(whole)?.wrapping_mul(power as i64).wrapping_add(counted(fraction)?);
    let value = unscaled as f64 / power;
    Some(if is_negative { -value } else { value })
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest))
}

/// The number that nothing but digits make, of which there are not too many.
fn counted(digits: &[u8]) -> Option<i64> {
    if digits.len() > DIGITS {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

fn in_any_words(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok().filter(|text| !is_code(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) {
        let known = Some(text).filter(|text| !is_code(text));
        assert_eq!(integer(text.as_bytes()), known.and_then(column::integer), "{text}");
        let expected = known.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite());
        assert_eq!(float(text.as_bytes()).map(f64::to_bits), expected.map(f64::to_bits), "{text}");
    }

    #[test]
    fn odd_numbers_are_what_they_are() {
        let texts = [
            "",
            "-",
            ".",
            "-.",
            "5.",
            ".5",
            "0",
            "-0",
            "00",
            "-01",
            "0.0",
            "-0.0",
            "+7",
            "1e3",
            "1.5e-3",
            "inf",
            "NaN",
            " 1",
            "1 ",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "999999999999999",
            "1000000000000000",
            "0.1",
            "123456.789012345",
            "99999999999999.9",
            "1.0000000000000001",
            "12,5",
            "1_000",
            "--1",
            "1-",
            "0x10",
        ];
        texts.into_iter().for_each(check);
    }

    proptest! {
        #[test]
        fn numbers_are_those_that_others_read(text in "-?[0-9]{0,20}(\\.[0-9]{0,20})?(e-?[0-9]{1,3})?") {
            check(&text);
        }
    }
}
