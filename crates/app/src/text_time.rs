//! Times as text.

use arrow::temporal_conversions::timestamp_us_to_datetime;
use headwater_project::Timestamp;

/// `2024-05-06T07:08:09.123456Z`.
pub fn rfc3339(time: Timestamp) -> String {
    timestamp_us_to_datetime(time.as_micros())
        .map_or_else(|| String::from("unknown"), |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_to_the_microsecond() {
        assert_eq!(rfc3339(Timestamp(1_541_105_830_796_123)), "2018-11-01T20:57:10.796123Z");
    }
}
