//! The value that grows, as a number that is committed with the rows.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::config::SinceFormat;

/// Microseconds since 1970, or the number itself.
pub(super) fn read(format: SinceFormat, value: &Value) -> Option<i64> {
    match (format, value) {
        (SinceFormat::Integer, Value::Number(number)) => number.as_i64(),
        (SinceFormat::Integer, Value::String(text)) => text.parse().ok(),
        (SinceFormat::Rfc3339, Value::String(text)) => {
            DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
        }
        _ => None,
    }
}

pub(super) fn write(format: SinceFormat, position: i64) -> Option<String> {
    match format {
        SinceFormat::Integer => Some(position.to_string()),
        SinceFormat::Rfc3339 => {
            Some(DateTime::from_timestamp_micros(position)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_sent_back_as_it_was_read() {
        for (format, value, sent) in [
            (SinceFormat::Integer, json!(42), Some("42")),
            (SinceFormat::Integer, json!("42"), Some("42")),
            (SinceFormat::Integer, json!(1.5), None),
            (SinceFormat::Rfc3339, json!("2024-05-01T12:00:00Z"), Some("2024-05-01T12:00:00Z")),
            (SinceFormat::Rfc3339, json!("2024-05-01T12:00:00.123456+02:00"), Some("2024-05-01T10:00:00.123456Z")),
            (SinceFormat::Rfc3339, json!("yesterday"), None),
            (SinceFormat::Rfc3339, json!(null), None),
        ] {
            let found = read(format, &value).and_then(|position| write(format, position));
            assert_eq!(found.as_deref(), sent, "{value}");
        }
    }
}
