//! Dates as people write them in a configuration: `2018-11-01`, `2018-11-01T10:30:00Z`, `30 days ago`, `now`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use headwater_project::Timestamp;

/// Reads a date, a date with a time (UTC unless it names an offset), or a time relative to `now`.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    absolute(text).or_else(|| relative(text, now))
}

fn absolute(text: &str) -> Option<Timestamp> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp(time.timestamp_micros()));
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(Timestamp(time.and_utc().timestamp_micros()));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(Timestamp(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()))
}

fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let (count, unit, sign) = match words.as_slice() {
        ["now"] => return Some(now),
        [count, unit, "ago"] => (*count, *unit, -1),
        ["in", count, unit] => (*count, *unit, 1),
        _ => return None,
    };
    let seconds: i64 = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    let count: i64 =
        if matches!(count, "a" | "an" | "one") { 1 } else { count.parse().ok().filter(|count| *count >= 0)? };
    let micros = count.checked_mul(seconds)?.checked_mul(sign * 1_000_000)?;
    now.0.checked_add(micros).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_541_116_800_000_000);

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse(text, NOW).map(Timestamp::as_millis), expected, "{text}");
    }

    #[test]
    fn dates_and_times_are_utc_unless_they_say_otherwise() {
        check("2018-11-01", Some(1_541_030_400_000));
        check("2018-11-01T12:00:00", Some(1_541_073_600_000));
        check("2018-11-01 12:00", Some(1_541_073_600_000));
        check("2018-11-01T12:00:00.250Z", Some(1_541_073_600_250));
        check("2018-11-01T12:00:00+02:00", Some(1_541_066_400_000));
    }

    #[test]
    fn relative_times_count_from_now() {
        check("now", Some(1_541_116_800_000));
        check("1 day ago", Some(1_541_030_400_000));
        check("a week ago", Some(1_540_512_000_000));
        check("in 2 hours", Some(1_541_124_000_000));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "yesterday-ish", "2018-13-01", "-3 days ago", "3 fortnights ago", "99999999999999999 years ago"]
        {
            check(text, None);
        }
    }
}
