//! Values in the text form of PostgreSQL, with `DateStyle` ISO: its connector takes them from the stream of changes, envelopes
//! of changes from tables that keep them as such.

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970 of a date; `None` for `infinity` and what is no date.
pub(crate) fn date(text: &str) -> Option<i32> {
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut parts = text.splitn(3, '-');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1 {
        return None;
    }
    // The year before 1 is 1 BC.
    let year = if before_christ { 1 - year } else { year };
    i32::try_from(days(year, month, day)).ok()
}

/// Days since 1970 in the calendar that has always had leap years every four years but most hundreds.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Microseconds since 1970 of a timestamp, with an offset or without.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let (day, time) = text.split_once(' ')?;
    let zone = time.find(['+', '-']);
    let (clock, offset) = time.split_at_checked(zone.unwrap_or(time.len()))?;
    let days = if era.is_empty() { date(day)? } else { date(&format!("{day}{era}"))? };
    let micros = i64::from(days).checked_mul(MICROS_PER_DAY)?.checked_add(time_of_day(clock)?)?;
    micros.checked_sub(offset_micros(offset)?)
}

/// Microseconds since midnight of `12:34:56.789`.
pub(crate) fn time_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(seconds(clock)? * 1_000_000 + micros)
}

/// A time of day with its distance from UTC (`04:05:06.7-01:30`): microseconds since midnight in UTC.
pub(crate) fn time_of_day_in_utc(text: &str) -> Option<i64> {
    let (clock, offset) = text.split_at_checked(text.find(['+', '-'])?)?;
    Some((time_of_day(clock)? - offset_micros(offset)?).rem_euclid(MICROS_PER_DAY))
}

/// The bytes of `\x00ff`.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// `+05`, `-03:30`, `+00:19:32`; nothing is no offset.
fn offset_micros(text: &str) -> Option<i64> {
    let Some((sign, clock)) = text.split_at_checked(1) else { return Some(0) };
    let micros = seconds(clock)? * 1_000_000;
    Some(if sign == "-" { -micros } else { micros })
}

/// Hours, and minutes and seconds if they are given.
fn seconds(clock: &str) -> Option<i64> {
    let mut seconds = 0;
    for (part, unit) in clock.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u32>().ok().map(i64::from)? * unit;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_days_since_1970() {
        let cases = [
            ("1970-01-01", Some(0)),
            ("2000-01-01", Some(10_957)),
            ("1969-12-31", Some(-1)),
            ("2024-02-29", Some(19_782)),
            ("0001-01-01", Some(-719_162)),
            ("0001-12-31 BC", Some(-719_163)),
            ("4714-11-24 BC", Some(-2_440_588)),
            ("10000-01-01", Some(2_932_897)),
            ("infinity", None),
            ("2024-13-01", None),
            ("2024-01", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(date(text), expected, "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_microseconds_since_1970_in_utc() {
        let cases = [
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-01 00:00:00.000001+00", Some(1)),
            ("1970-01-01 01:00:00+01", Some(0)),
            ("1970-01-01 00:00:00.5-03:30", Some(12_600_500_000)),
            ("1969-12-31 23:59:59.999999+00", Some(-1)),
            ("0044-03-15 12:00:00+00 BC", Some(-63_517_780_800_000_000)),
            ("-infinity", None),
            ("1970-01-01", None),
            ("1970-01-01 00:00:00.1234567", None),
        ];
        for (text, expected) in cases {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_microseconds_since_midnight() {
        for (text, expected) in [
            ("00:00:00", Some(0)),
            ("12:00:00.5", Some(43_200_500_000)),
            ("24:00:00", Some(MICROS_PER_DAY)),
            ("12:00:00.1234567", None),
            ("12:00:00.5x", None),
            ("", None),
        ] {
            assert_eq!(time_of_day(text), expected, "{text}");
        }
        for (text, expected) in
            [("04:05:06.7-01:30", Some(20_106_700_000)), ("00:30:00+01", Some(84_600_000_000)), ("00:30:00", None)]
        {
            assert_eq!(time_of_day_in_utc(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        for (text, expected) in
            [("\\x", Some(vec![])), ("\\x00fF", Some(vec![0, 0xff])), ("\\x0", None), ("\\x0g", None), ("00", None)]
        {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
