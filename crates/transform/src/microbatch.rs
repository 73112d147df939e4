//! Which spans of event time a microbatch model is built for.

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, Timelike, Utc};
use headwater_project::Timestamp;

use crate::run::{Batch, RunContext};

/// How long one batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    Hour,
    Day,
    Month,
    Year,
}

impl BatchSize {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "hour" => Self::Hour,
            "day" => Self::Day,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The start of the batch a moment is in.
    fn floor(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let date = match self {
            Self::Hour | Self::Day => at.date_naive(),
            Self::Month => NaiveDate::from_ymd_opt(at.year(), at.month(), 1).unwrap_or(at.date_naive()),
            Self::Year => NaiveDate::from_ymd_opt(at.year(), 1, 1).unwrap_or(at.date_naive()),
        };
        let hour = if self == Self::Hour { at.hour() } else { 0 };
        date.and_hms_opt(hour, 0, 0).map_or(at, |at| at.and_utc())
    }

    fn shift(self, at: DateTime<Utc>, batches: i32) -> DateTime<Utc> {
        let months = |count: i32| {
            let by = Months::new(count.unsigned_abs());
            if count < 0 { at.checked_sub_months(by) } else { at.checked_add_months(by) }
        };
        match self {
            Self::Hour => at.checked_add_signed(Duration::hours(i64::from(batches))),
            Self::Day => at.checked_add_signed(Duration::days(i64::from(batches))),
            Self::Month => months(batches),
            Self::Year => months(batches.saturating_mul(12)),
        }
        .unwrap_or(at)
    }

    fn ceiling(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let floor = self.floor(at);
        if floor == at { at } else { self.shift(floor, 1) }
    }
}

/// A microbatch model's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Microbatch {
    pub event_time: String,
    pub size: BatchSize,
    pub begin: Timestamp,
    pub lookback: u32,
}

/// More batches than this in one run are a mistake in `begin`.
const MAX_BATCHES: usize = 100_000;

impl Microbatch {
    /// The batches of a run, in order. A first run starts where the model begins, a later one `lookback` batches ago.
    pub fn batches(&self, run: &RunContext, first_run: bool) -> Vec<Batch> {
        let end = run.event_time_end.unwrap_or(run.started_at);
        let (Some(begin), Some(end)) = (moment(self.begin), moment(end)) else { return Vec::new() };
        let start = match run.event_time_start.and_then(moment) {
            Some(start) => start,
            None if first_run => begin,
            None => {
                // The batch an end that is itself a boundary closes is the one before it.
                let last = self.size.floor(end);
                let last = if last == end { self.size.shift(last, -1) } else { last };
                self.size.shift(last, -i32::try_from(self.lookback).unwrap_or(i32::MAX))
            }
        };
        let end = self.size.ceiling(end);
        let mut batches = Vec::new();
        let mut at = self.size.floor(start.max(begin));
        while at < end && batches.len() < MAX_BATCHES {
            let next = self.size.shift(at, 1);
            if next <= at {
                break;
            }
            batches.push(Batch { start: timestamp(at), end: timestamp(next) });
            at = next;
        }
        batches
    }
}

fn moment(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(at.as_micros())
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp(at.timestamp_micros())
}

impl Batch {
    /// The condition on a column for being in the batch.
    pub fn condition(&self, column: &str) -> String {
        format!("{column} >= {} and {column} < {}", literal(self.start), literal(self.end))
    }
}

/// A moment as SQL.
pub(crate) fn literal(at: Timestamp) -> String {
    let text = moment(at).map(|at| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()).unwrap_or_default();
    format!("cast('{text}' as timestamp)")
}

/// A date or a date with a time, in UTC.
pub fn parse_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim().trim_end_matches('Z');
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
        if let Ok(at) = chrono::NaiveDateTime::parse_from_str(text, format) {
            return Some(timestamp(at.and_utc()));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    date.and_hms_opt(0, 0, 0).map(|at| timestamp(at.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        parse_moment(text).unwrap()
    }

    fn shown(size: BatchSize, lookback: u32, first_run: bool, start: Option<&str>, end: &str) -> String {
        let model = Microbatch { event_time: String::from("at"), size, begin: at("2024-01-01"), lookback };
        let run =
            RunContext { event_time_start: start.map(at), event_time_end: Some(at(end)), ..RunContext::default() };
        let day = |at: Timestamp| moment(at).unwrap().format("%m-%d %H").to_string();
        let batches = model.batches(&run, first_run);
        batches.iter().map(|batch| format!("{}..{}", day(batch.start), day(batch.end))).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn batches_cover_the_time_asked_for() {
        let day = BatchSize::Day;
        let cases = [
            (shown(day, 1, true, None, "2024-01-03"), "01-01 00..01-02 00, 01-02 00..01-03 00"),
            (shown(day, 1, true, None, "2024-01-02 05:00:00"), "01-01 00..01-02 00, 01-02 00..01-03 00"),
            (shown(day, 1, false, None, "2024-01-10 05:00:00"), "01-09 00..01-10 00, 01-10 00..01-11 00"),
            (shown(day, 0, false, None, "2024-01-10"), "01-09 00..01-10 00"),
            (shown(day, 1, false, Some("2024-01-04"), "2024-01-05"), "01-04 00..01-05 00"),
            (shown(BatchSize::Hour, 0, true, None, "2024-01-01 02:00:00"), "01-01 00..01-01 01, 01-01 01..01-01 02"),
            (shown(BatchSize::Month, 0, true, None, "2024-02-15"), "01-01 00..02-01 00, 02-01 00..03-01 00"),
            (shown(BatchSize::Year, 0, true, None, "2024-02-15"), "01-01 00..01-01 00"),
        ];
        for (batches, expected) in cases {
            assert_eq!(batches, expected);
        }
    }
}
