//! `--sample`: the span of event time a run is tried out on.

use chrono::{DateTime, Duration, Months, Utc};
use headwater_project::{FileId, Timestamp, tree};

use crate::config::plain_text;
use crate::microbatch::{BatchSize, parse_moment};
use crate::run::Batch;

/// `3 days`, back from `now`, or `{start: 2024-01-01, end: 2024-02-01}`. An error says what is wrong with the text.
pub fn parse_sample(text: &str, now: Timestamp) -> Result<Batch, String> {
    if text.trim_start().starts_with('{') { span(text) } else { back_from(text, now) }
}

fn span(text: &str) -> Result<Batch, String> {
    let (tree, found) = tree::parse(FileId(0), text);
    if found.has_errors() {
        return Err(String::from("it is no YAML mapping"));
    }
    let moment = |key: &str| {
        let written =
            tree.get(key).map(|value| plain_text(&value.to_json())).ok_or_else(|| format!("it has no {key}"))?;
        parse_moment(&written).ok_or_else(|| format!("its {key} is no time: {written}"))
    };
    Ok(Batch { start: moment("start")?, end: moment("end")? })
}

fn back_from(text: &str, now: Timestamp) -> Result<Batch, String> {
    let form = || String::from("it is written as `3 days` or as {start: 2024-01-01, end: 2024-02-01}");
    let (count, grain) = text.trim().split_once(' ').ok_or_else(form)?;
    let count: u32 = count.parse().map_err(|_| form())?;
    let grain = grain.trim().to_lowercase();
    let size = BatchSize::parse(grain.trim_end_matches('s'));
    let size = size.ok_or_else(|| format!("'{grain}' is none of hours, days, months and years"))?;
    let end: DateTime<Utc> = DateTime::from_timestamp_micros(now.as_micros()).ok_or_else(form)?;
    let start = match size {
        BatchSize::Hour => end.checked_sub_signed(Duration::hours(i64::from(count))),
        BatchSize::Day => end.checked_sub_signed(Duration::days(i64::from(count))),
        BatchSize::Month => end.checked_sub_months(Months::new(count)),
        BatchSize::Year => count.checked_mul(12).and_then(|months| end.checked_sub_months(Months::new(months))),
    };
    let start = start.ok_or_else(|| String::from("it begins before time does"))?;
    Ok(Batch { start: Timestamp(start.timestamp_micros()), end: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        let at = |text: &str| parse_moment(text).unwrap();
        let expected = expected.map(|(start, end)| Batch { start: at(start), end: at(end) }).map_err(str::to_owned);
        assert_eq!(parse_sample(text, at("2024-03-31 10:00:00")), expected, "{text}");
    }

    #[test]
    fn samples_are_read_as_they_are_typed() {
        let now = "2024-03-31 10:00:00";
        check("3 days", Ok(("2024-03-28 10:00:00", now)));
        check("1 Hour", Ok(("2024-03-31 09:00:00", now)));
        check("1 month", Ok(("2024-02-29 10:00:00", now)));
        check("2 years", Ok(("2022-03-31 10:00:00", now)));
        check("{'start': '2024-01-01', 'end': '2024-01-02 05:00:00'}", Ok(("2024-01-01", "2024-01-02 05:00:00")));
        check("{start: 2024-01-01, end: 2024-01-02}", Ok(("2024-01-01", "2024-01-02")));
        check("3 weeks", Err("'weeks' is none of hours, days, months and years"));
        check("days", Err("it is written as `3 days` or as {start: 2024-01-01, end: 2024-02-01}"));
        check("{start: 2024-01-01}", Err("it has no end"));
        check("{start: soon, end: 2024-01-01}", Err("its start is no time: soon"));
    }
}
