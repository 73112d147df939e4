//! Spans of the calendar and the clock, and what may be done with them.

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, Weekday};
use datafusion::common::{Result, exec_datafusion_err};

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A span of the calendar or the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Months(i64),
    IsoYear,
    /// Begins on this day.
    Week(Weekday),
    Days,
    Micros(i64),
}

impl Part {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let day = |name: &str| weekday(name).map(Self::Week);
        let known = match text {
            "month" => Some(Self::Months(1)),
            "quarter" => Some(Self::Months(3)),
            "year" => Some(Self::Months(12)),
            "decade" => Some(Self::Months(120)),
            "century" => Some(Self::Months(1_200)),
            "millennium" => Some(Self::Months(12_000)),
            "isoyear" => Some(Self::IsoYear),
            "week" => Some(Self::Week(Weekday::Mon)),
            "day" => Some(Self::Days),
            "hour" => Some(Self::Micros(3_600 * MICROS_PER_SECOND)),
            "minute" => Some(Self::Micros(60 * MICROS_PER_SECOND)),
            "second" => Some(Self::Micros(MICROS_PER_SECOND)),
            "millisecond" => Some(Self::Micros(1_000)),
            "microsecond" => Some(Self::Micros(1)),
            other => other.strip_prefix("week(").and_then(|rest| rest.strip_suffix(')')).and_then(day),
        };
        known.ok_or_else(|| exec_datafusion_err!("`{text}` is no part of a date or time"))
    }

    /// Which of its kind the part of a time is: consecutive parts have consecutive numbers.
    pub(super) fn index(self, at: i64) -> Option<i64> {
        Some(match self {
            Self::Micros(length) => at.div_euclid(length),
            Self::Days => at.div_euclid(MICROS_PER_DAY),
            Self::Week(begin) => {
                // 1970-01-01 was a Thursday.
                let shift = (i64::from(Weekday::Thu.num_days_from_monday()) - i64::from(begin.num_days_from_monday()))
                    .rem_euclid(7);
                (at.div_euclid(MICROS_PER_DAY) + shift).div_euclid(7)
            }
            Self::Months(length) => {
                let date = calendar(at)?.date();
                let months = i64::from(date.year()) * 12 + i64::from(date.month0());
                // Decades and centuries are counted as PostgreSQL does: a century begins with its year 1.
                let shift = if length > 120 { 12 } else { 0 };
                (months - shift).div_euclid(length)
            }
            Self::IsoYear => i64::from(calendar(at)?.date().iso_week().year()),
        })
    }

    /// When the part of a number begins.
    pub(super) fn begin(self, index: i64) -> Option<i64> {
        match self {
            Self::Micros(length) => index.checked_mul(length),
            Self::Days => index.checked_mul(MICROS_PER_DAY),
            Self::Week(begin) => {
                let shift = (i64::from(Weekday::Thu.num_days_from_monday()) - i64::from(begin.num_days_from_monday()))
                    .rem_euclid(7);
                index.checked_mul(7)?.checked_sub(shift)?.checked_mul(MICROS_PER_DAY)
            }
            Self::Months(length) => {
                let shift = if length > 120 { 12 } else { 0 };
                let months = index.checked_mul(length)?.checked_add(shift)?;
                let year = i32::try_from(months.div_euclid(12)).ok()?;
                let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
                Some(micros_of(NaiveDate::from_ymd_opt(year, month, 1)?.and_hms_opt(0, 0, 0)?))
            }
            Self::IsoYear => {
                let date = NaiveDate::from_isoywd_opt(i32::try_from(index).ok()?, 1, Weekday::Mon)?;
                Some(micros_of(date.and_hms_opt(0, 0, 0)?))
            }
        }
    }

    pub(super) fn floor(self, at: i64) -> Option<i64> {
        self.begin(self.index(at)?)
    }

    /// A time moved by so many parts; a day the month does not have becomes its last.
    pub(super) fn moved(self, at: i64, by: i64) -> Option<i64> {
        match self {
            Self::Micros(length) => at.checked_add(by.checked_mul(length)?),
            Self::Days => at.checked_add(by.checked_mul(MICROS_PER_DAY)?),
            Self::Week(_) => at.checked_add(by.checked_mul(7 * MICROS_PER_DAY)?),
            Self::IsoYear => Self::Months(12).moved(at, by),
            Self::Months(length) => {
                let months = u32::try_from(by.checked_mul(length)?.unsigned_abs()).ok()?;
                let from = calendar(at)?;
                let to = if by < 0 {
                    from.checked_sub_months(Months::new(months))
                } else {
                    from.checked_add_months(Months::new(months))
                };
                to.map(micros_of)
            }
        }
    }

    /// Whole parts from one time to another; negative backwards.
    pub(super) fn elapsed(self, from: i64, to: i64) -> Option<i64> {
        match self {
            Self::Micros(length) => Some((to - from) / length),
            Self::Days => Some((to - from) / MICROS_PER_DAY),
            Self::Week(_) => Some((to - from) / (7 * MICROS_PER_DAY)),
            Self::IsoYear => Self::Months(12).elapsed(from, to),
            Self::Months(length) => Some(whole_months(from, to)? / length),
        }
    }

    pub(super) fn keeps_dates(self) -> bool {
        !matches!(self, Self::Micros(_))
    }
}

/// A time moved by so many times an interval: months first, then days, then the rest.
pub(super) fn moved_by(at: i64, step: IntervalMonthDayNano, times: i64) -> Option<i64> {
    let months = Part::Months(1).moved(at, i64::from(step.months).checked_mul(times)?)?;
    let days = Part::Days.moved(months, i64::from(step.days).checked_mul(times)?)?;
    days.checked_add((step.nanoseconds / 1_000).checked_mul(times)?)
}

fn whole_months(from: i64, to: i64) -> Option<i64> {
    let (begin, end) = (calendar(from)?, calendar(to)?);
    let number = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
    let months = number(end) - number(begin);
    let within = |at: NaiveDateTime| (at.day(), at.time());
    Some(match months {
        months if months > 0 && within(end) < within(begin) => months - 1,
        months if months < 0 && within(end) > within(begin) => months + 1,
        months => months,
    })
}

pub(super) fn weekday(name: &str) -> Option<Weekday> {
    let days = [
        ("mo", Weekday::Mon),
        ("tu", Weekday::Tue),
        ("we", Weekday::Wed),
        ("th", Weekday::Thu),
        ("fr", Weekday::Fri),
        ("sa", Weekday::Sat),
        ("su", Weekday::Sun),
    ];
    let name = name.trim().to_lowercase();
    days.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, day)| day)
}

pub(super) fn calendar(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|at| at.naive_utc())
}

pub(super) fn micros_of(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp_micros()
}

/// The last part parsed: nearly always there is one for the whole column.
pub(super) struct Parts(pub(super) Option<(String, Part)>);

impl Parts {
    pub(super) fn get(&mut self, text: &str) -> Result<Part> {
        match &self.0 {
            Some((known, part)) if known == text => Ok(*part),
            _ => {
                let part = Part::parse(text)?;
                self.0 = Some((text.to_owned(), part));
                Ok(part)
            }
        }
    }
}
