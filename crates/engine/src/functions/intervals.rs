//! Intervals: making them, taking them apart, comparing them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use chrono::Datelike;
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, text_at};
use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, Part, Parts, calendar, micros_of};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "interval_of", arity: (2, 2), returns: returns::interval, body: interval_of },
    // What lies between two times in months, days and the rest, as people count age.
    Function { name: "interval_between", arity: (2, 2), returns: returns::interval, body: interval_between },
    Function { name: "interval_length", arity: (1, 1), returns: returns::integer, body: interval_length },
    Function { name: "interval_seconds", arity: (1, 1), returns: returns::float, body: interval_seconds },
];

/// One field of an interval, by name: months and days are counted by themselves, hours and less are what is left of a day.
pub(super) fn interval_field(name: &str, interval: IntervalMonthDayNano) -> Result<i64> {
    let micros = interval.nanoseconds / 1_000;
    let (months, seconds) = (i64::from(interval.months), micros / MICROS_PER_SECOND);
    Ok(match name {
        "year" => months / 12,
        "quarter" => months % 12 / 3 + 1,
        "month" => months % 12,
        "day" => i64::from(interval.days),
        "hour" => seconds / 3_600,
        "minute" => seconds / 60 % 60,
        "second" => seconds % 60,
        "millisecond" => micros % MICROS_PER_SECOND / 1_000,
        "microsecond" => micros % MICROS_PER_SECOND,
        "milliseconds" => micros % (60 * MICROS_PER_SECOND) / 1_000,
        "microseconds" => micros % (60 * MICROS_PER_SECOND),
        "decade" => months / 120,
        "century" => months / 1_200,
        _ => return Err(exec_datafusion_err!("`{name}` is no field of an interval")),
    })
}

/// Intervals of an argument: what lies between two times has whole days, numbers are days.
pub(super) fn intervals(arguments: &Arguments, index: usize) -> Result<Option<Vec<Option<IntervalMonthDayNano>>>> {
    use arrow::array::AsArray;
    use arrow::datatypes::{DurationMicrosecondType, IntervalMonthDayNanoType, IntervalUnit};
    let day = |micros: i64| {
        let days = i32::try_from(micros / MICROS_PER_DAY).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, micros % MICROS_PER_DAY * 1_000)
    };
    Ok(Some(match arguments.array(index)?.data_type() {
        DataType::Interval(_) => {
            let intervals = arguments.cast(index, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            intervals.as_primitive::<IntervalMonthDayNanoType>().iter().collect()
        }
        DataType::Duration(_) => {
            let durations = arguments.cast(index, &DataType::Duration(TimeUnit::Microsecond))?;
            durations.as_primitive::<DurationMicrosecondType>().iter().map(|micros| micros.map(day)).collect()
        }
        number if number.is_integer() => {
            let days = |days: i64| i32::try_from(days).ok().map(|days| IntervalMonthDayNano::new(0, days, 0));
            arguments.integer(index)?.iter().map(|given| given.and_then(days)).collect()
        }
        _ => return Ok(None),
    }))
}

/// Microseconds an interval is long where intervals are compared: a month has 30 days, a day 24 hours.
fn interval_length(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(intervals) = intervals(arguments, 0)? else {
        return Err(exec_datafusion_err!("what is compared with an interval has to be one"));
    };
    let length = |interval: IntervalMonthDayNano| {
        let days = i64::from(interval.months) * 30 + i64::from(interval.days);
        days.checked_mul(MICROS_PER_DAY)?.checked_add(interval.nanoseconds / 1_000)
    };
    Ok(Arc::new(intervals.into_iter().map(|interval| interval.and_then(length)).collect::<Int64Array>()))
}

fn interval_of(arguments: &Arguments) -> Result<ArrayRef> {
    let (names, counts) = (arguments.text(0)?, arguments.float(1)?);
    let mut parts = Parts(None);
    let mut intervals = IntervalMonthDayNanoArray::builder(arguments.rows);
    for row in 0..arguments.rows {
        let Some(name) = text_at(&names, row).filter(|_| counts.is_valid(row)) else {
            intervals.append_null();
            continue;
        };
        let count = counts.value(row);
        let whole = |each: f64| {
            i32::try_from((count * each) as i64)
                .map_err(|_| exec_datafusion_err!("the interval {count} {name} is too long"))
        };
        intervals.append_value(match parts.get(name)? {
            Part::Months(length) => IntervalMonthDayNano::new(whole(length as f64)?, 0, 0),
            Part::IsoYear => IntervalMonthDayNano::new(whole(12.0)?, 0, 0),
            Part::Week(_) => IntervalMonthDayNano::new(0, whole(7.0)?, 0),
            Part::Days => IntervalMonthDayNano::new(0, whole(1.0)?, 0),
            Part::Micros(length) => IntervalMonthDayNano::new(0, 0, (count * length as f64) as i64 * 1_000),
        });
    }
    Ok(Arc::new(intervals.finish()))
}

fn interval_between(arguments: &Arguments) -> Result<ArrayRef> {
    let (later, earlier) = (arguments.times(0)?, arguments.times(1)?);
    let between = |row: usize| {
        let (later, earlier) = (later.at(row)?, earlier.at(row)?);
        let (from, to) = (calendar(earlier.min(later))?, calendar(earlier.max(later))?);
        let mut months = i64::from(to.year() - from.year()) * 12 + i64::from(to.month0()) - i64::from(from.month0());
        let mut days = i64::from(to.day()) - i64::from(from.day());
        let mut micros = (to.time() - from.time()).num_microseconds()?;
        if micros < 0 {
            micros += MICROS_PER_DAY;
            days -= 1;
        }
        if days < 0 {
            // What is missing is borrowed from the month the time began in.
            let last = Part::Months(1).begin(Part::Months(1).index(micros_of(from))? + 1)? - MICROS_PER_DAY;
            days += i64::from(calendar(last)?.day());
            months -= 1;
        }
        let sign = if later < earlier { -1 } else { 1 };
        let (months, days) = (i32::try_from(months * sign).ok()?, i32::try_from(days * sign).ok()?);
        Some(IntervalMonthDayNano::new(months, days, micros * sign * 1_000))
    };
    Ok(Arc::new((0..arguments.rows).map(between).collect::<IntervalMonthDayNanoArray>()))
}

/// Seconds of an interval: a month has 30 days, a year 365.25.
pub(super) fn interval_seconds(arguments: &Arguments) -> Result<ArrayRef> {
    use arrow::array::AsArray;
    use arrow::datatypes::IntervalMonthDayNanoType;
    let intervals =
        arguments.cast(0, &arrow::datatypes::DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano))?;
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
    let seconds = |row: usize| {
        let interval = intervals.is_valid(row).then(|| intervals.value(row))?;
        let years = f64::from(interval.months / 12) * 365.25 * 86_400.0;
        let days = f64::from(interval.months % 12) * 30.0 + f64::from(interval.days);
        Some(years + days * 86_400.0 + interval.nanoseconds as f64 / 1e9)
    };
    Ok(Arc::new((0..arguments.rows).map(seconds).collect::<Float64Array>()))
}
