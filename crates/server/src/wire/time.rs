//! Times as text.

use chrono::{DateTime, SecondsFormat};
use headwater_project::Timestamp;

/// `2024-05-01T12:00:00.000000Z`. A time no calendar year of four digits holds is its number of microseconds.
pub fn rfc3339(time: Timestamp) -> String {
    match DateTime::from_timestamp_micros(time.as_micros()) {
        Some(date_time) => date_time.to_rfc3339_opts(SecondsFormat::Micros, true),
        None => time.as_micros().to_string(),
    }
}
