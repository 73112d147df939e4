//! `numeric` as a decimal of fixed scale: from the server's binary form (digits to the base 10,000) and from text.

/// Sign words of the binary form.
const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0x0000;

/// Of a type modifier; nothing where each value has a scale of its own.
pub(super) fn precision_and_scale(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The scale has eleven bits with a sign, since version 15.
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// `None` when it is not a number, or does not fit into 38 digits at this scale without rounding.
pub(super) fn from_binary(bytes: &[u8], scale: i8) -> Option<i128> {
    let word = |index: usize| Some(u16::from_be_bytes(bytes.get(index * 2..index * 2 + 2)?.try_into().ok()?));
    let (digits, weight, sign) = (word(0)?, word(1)?.cast_signed(), word(2)?);
    if !matches!(sign, POSITIVE | NEGATIVE) {
        return None;
    }
    let mut value: i128 = 0;
    for index in 0..usize::from(digits) {
        let digit = i128::from(word(4 + index)?);
        // The power of ten this digit stands at, once the value is written without its point.
        let power = (i32::from(weight) - i32::try_from(index).ok()?) * 4 + i32::from(scale);
        value = value.checked_add(shifted(digit, power)?)?;
    }
    let value = if sign == NEGATIVE { -value } else { value };
    (value.unsigned_abs() < 10_u128.pow(38)).then_some(value)
}

fn shifted(digit: i128, power: i32) -> Option<i128> {
    if digit == 0 {
        return Some(0);
    }
    let factor = |power: i32| 10_i128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return digit.checked_mul(factor(power)?);
    }
    let factor = factor(power)?;
    (digit % factor == 0).then_some(digit / factor)
}

/// Appends the server's binary form of a decimal.
pub(super) fn to_binary(value: i128, scale: u16, out: &mut Vec<u8>) {
    let mut rest = value.unsigned_abs();
    let mut digits: Vec<u16> = Vec::with_capacity(11);
    let mut take = |rest: &mut u128, count: u16| {
        let base = 10_u128.pow(count.into());
        // Less than ten thousand, whatever `count`.
        let digit = u16::try_from(*rest % base * 10_u128.pow((4 - count).into())).unwrap_or_default();
        digits.push(digit);
        *rest /= base;
    };
    if !scale.is_multiple_of(4) {
        take(&mut rest, scale % 4);
    }
    while rest > 0 {
        take(&mut rest, 4);
    }
    let count = if value == 0 { 0 } else { u16::try_from(digits.len()).unwrap_or_default() };
    // The power of ten thousand that the first digit stands at.
    let weight = count.cast_signed() - scale.div_ceil(4).cast_signed() - 1;
    let sign = if value < 0 { NEGATIVE } else { POSITIVE };
    let head = [count, if count == 0 { 0 } else { weight.cast_unsigned() }, sign, scale];
    let written = digits.iter().rev().take(count.into());
    out.extend(head.iter().chain(written).flat_map(|word| word.to_be_bytes()));
}

/// As [`from_binary`], from digits, sign and point.
pub(super) fn from_text(text: &str, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::try_from(scale).ok()?.checked_sub(fraction.len())?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        let digit = char::from(byte).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    let value = if negative { -value } else { value };
    (value.unsigned_abs() < 10_u128.pow(38)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The binary form the server would send.
    fn binary(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), sign, 0];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    fn check(text: &str, weight: i16, sign: u16, digits: &[u16], scale: i8, expected: Option<i128>) {
        assert_eq!(from_text(text, scale), expected, "{text} as text");
        assert_eq!(from_binary(&binary(weight, sign, digits), scale), expected, "{text} as binary");
    }

    #[test]
    fn both_forms_give_the_same_decimal_or_neither_does() {
        check("0", 0, POSITIVE, &[], 2, Some(0));
        check("1", 0, POSITIVE, &[1], 2, Some(100));
        check("-12.34", 0, NEGATIVE, &[12, 3400], 2, Some(-1234));
        check("0.0001", -1, POSITIVE, &[1], 4, Some(1));
        check("0.00001", -2, POSITIVE, &[1000], 4, None);
        check("123456789.5", 2, POSITIVE, &[1, 2345, 6789, 5000], 1, Some(1_234_567_895));
        check(
            "99999999999999999999999999999999999999",
            9,
            POSITIVE,
            &[99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999],
            0,
            Some(10_i128.pow(38) - 1),
        );
        check("100000000000000000000000000000000000000", 9, POSITIVE, &[100], 0, None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["NaN", "Infinity", "-Infinity", "", ".", "-", "1e5", "1.2.3", "12x"] {
            assert_eq!(from_text(text, 2), None, "{text}");
        }
        for sign in [0xC000, 0xD000, 0xF000] {
            assert_eq!(from_binary(&binary(0, sign, &[]), 2), None);
        }
        assert_eq!(from_binary(&[0, 9, 0, 0], 2), None);
    }
}
