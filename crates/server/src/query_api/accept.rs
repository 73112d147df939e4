//! Which format an answer takes.

use headwater_project::Failure;

use crate::api::ApiError;
use crate::rows::RowFormat;

/// `?format=` decides; else the first type of `Accept` there is a format for, by weight; else JSON.
pub(super) fn format(parameter: Option<&str>, accept: &str) -> Result<RowFormat, ApiError> {
    match parameter {
        Some("json") => Ok(RowFormat::JsonObject),
        Some("csv") => Ok(RowFormat::Csv),
        Some("arrow") => Ok(RowFormat::Arrow),
        Some("parquet") => Ok(RowFormat::Parquet),
        Some(other) => {
            let failure = Failure::user(format!("there is no format `{other}`"))
                .with_hint("The formats are `json`, `csv`, `arrow` and `parquet`.");
            Err(failure.into())
        }
        None => Ok(from_accept(accept)),
    }
}

fn from_accept(accept: &str) -> RowFormat {
    let mut best = (0, RowFormat::JsonObject);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => RowFormat::JsonObject,
            "text/csv" | "text/*" => RowFormat::Csv,
            "application/vnd.apache.arrow.stream" => RowFormat::Arrow,
            "application/vnd.apache.parquet" => RowFormat::Parquet,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, weight);
        if weight > best.0 {
            best = (weight, format);
        }
    }
    best.1
}

/// A weight of `Accept` in thousandths.
fn weight(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameter: Option<&str>, accept: &str, expected: RowFormat) {
        assert_eq!(format(parameter, accept).unwrap(), expected, "{parameter:?} {accept:?}");
    }

    #[test]
    fn the_parameter_wins_over_the_header_and_json_is_the_rest() {
        check(Some("csv"), "application/json", RowFormat::Csv);
        check(None, "", RowFormat::JsonObject);
        check(None, "*/*", RowFormat::JsonObject);
        check(None, "image/png", RowFormat::JsonObject);
        check(None, "text/csv", RowFormat::Csv);
        check(None, "application/vnd.apache.arrow.stream, */*;q=0.1", RowFormat::Arrow);
        check(None, "application/json;q=0.5, text/csv;q=0.9", RowFormat::Csv);
        check(None, "text/csv;q=0, application/json", RowFormat::JsonObject);
        assert!(format(Some("xml"), "").is_err());
    }
}
