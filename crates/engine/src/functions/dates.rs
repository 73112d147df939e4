//! Calendar arithmetic on dates and times: adding, counting, cutting and reading parts.
//!
//! Parts are named by text: `year`, `isoyear`, `quarter`, `month`, `week` (begins on Monday), `week(sunday)` and so on for the
//! other days, `day`, `hour`, `minute`, `second`, `millisecond`, `microsecond`, `decade`, `century`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Weekday};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, Times, integer_at, text_at};
use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, Part, Parts, calendar, micros_of, weekday};
use super::intervals::{interval_field, interval_seconds, intervals};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // How many bounds of a part lie between two times.
    Function { name: "date_boundaries", arity: (3, 3), returns: returns::integer, body: boundaries },
    // How many whole parts have passed from one time to another.
    Function { name: "date_elapsed", arity: (3, 3), returns: returns::integer, body: elapsed },
    // The same, where a month is whole when its last day is reached.
    Function { name: "date_passed", arity: (3, 3), returns: returns::integer, body: passed },
    // Months between two times with a fraction of 31 days, whole where both are the same or the last day of a month.
    Function { name: "date_months_between", arity: (2, 3), returns: returns::float, body: months_between },
    // A time moved by a number of parts: a date stays one where the part is a day or longer.
    Function { name: "date_moved", arity: (3, 3), returns: moved_type, body: moved },
    Function { name: "date_floor", arity: (2, 2), returns: floor_type, body: floor },
    // The last day of the part a time is in.
    Function { name: "date_last_day", arity: (2, 2), returns: returns::date, body: last_day },
    // The next day of a name after a date, or the last before it.
    Function { name: "date_next_weekday", arity: (2, 2), returns: returns::date, body: next_weekday },
    Function { name: "date_previous_weekday", arity: (2, 2), returns: returns::date, body: previous_weekday },
    Function { name: "date_read", arity: (2, 2), returns: returns::integer, body: read },
    // Seconds since 1970 with their fraction.
    Function { name: "date_epoch", arity: (1, 1), returns: returns::float, body: epoch },
    // A date as the time it begins; everything else as it is.
    Function { name: "date_begin", arity: (1, 1), returns: begin_type, body: begin },
    Function { name: "date_begin_instant", arity: (1, 1), returns: begin_instant_type, body: begin },
    Function { name: "time_from_micros", arity: (2, 2), returns: returns::timestamp, body: from_micros },
    Function { name: "time_to_micros", arity: (1, 1), returns: returns::integer, body: to_micros },
    // Milliseconds since 1970 of a time, the time of a number of them.
    Function { name: "epoch_milliseconds", arity: (1, 1), returns: milliseconds_type, body: milliseconds },
    // Numbers, and text of digits, are seconds since 1970, or less than seconds when there are too many of them.
    Function { name: "snowflake_time", arity: (1, 1), returns: returns::timestamp, body: snowflake_time },
    Function { name: "snowflake_date", arity: (1, 1), returns: returns::date, body: snowflake_time },
    Function { name: "date_from_parts", arity: (3, 3), returns: returns::date, body: date_from_parts },
    Function { name: "time_from_parts", arity: (6, 6), returns: returns::timestamp, body: time_from_parts },
    // The begin of the span of `n` parts a time is in, counted from an origin.
    Function { name: "date_slice", arity: (4, 4), returns: floor_type_of_third, body: slice },
];

/// A count from a part and two times.
fn counted(arguments: &Arguments, count: fn(Part, i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (names, from, to) = (arguments.text(0)?, arguments.times(1)?, arguments.times(2)?);
    let mut parts = Parts(None);
    let mut counts = Int64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        match (text_at(&names, row), from.at(row), to.at(row)) {
            (Some(name), Some(from), Some(to)) => counts.append_option(count(parts.get(name)?, from, to)),
            _ => counts.append_null(),
        }
    }
    Ok(Arc::new(counts.finish()))
}

fn boundaries(arguments: &Arguments) -> Result<ArrayRef> {
    counted(arguments, |part, from, to| Some(part.index(to)? - part.index(from)?))
}

fn elapsed(arguments: &Arguments) -> Result<ArrayRef> {
    counted(arguments, Part::elapsed)
}

fn passed(arguments: &Arguments) -> Result<ArrayRef> {
    counted(arguments, |part, from, to| {
        let count = part.elapsed(from, to)?;
        let Part::Months(length) = part else { return Some(count) };
        let next = if to >= from { count + 1 } else { count - 1 };
        let reached = Part::Months(length).moved(from, next)?;
        let is_whole = if to >= from { reached <= to } else { reached >= to };
        Some(if is_whole { next } else { count })
    })
}

fn months_between(arguments: &Arguments) -> Result<ArrayRef> {
    let rounds = if arguments.len() > 2 { Some(arguments.cast(2, &DataType::Boolean)?) } else { None };
    let is_exact = |row: usize| {
        use arrow::array::AsArray;
        rounds.as_ref().is_some_and(|rounds| rounds.is_valid(row) && !rounds.as_boolean().value(row))
    };
    let (later, earlier) = (arguments.times(0)?, arguments.times(1)?);
    let between = |row: usize| -> Option<f64> {
        let (later, earlier) = (calendar(later.at(row)?)?, calendar(earlier.at(row)?)?);
        let is_last = |at: NaiveDateTime| at.date().succ_opt().is_none_or(|next| next.day() == 1);
        let months =
            f64::from((later.year() - earlier.year()) * 12) + f64::from(later.month()) - f64::from(earlier.month());
        if later.day() == earlier.day() || (is_last(later) && is_last(earlier)) {
            return Some(months);
        }
        let seconds = |at: NaiveDateTime| f64::from(at.day()) * 86_400.0 + f64::from(at.num_seconds_from_midnight());
        let exact = months + (seconds(later) - seconds(earlier)) / (31.0 * 86_400.0);
        Some(if is_exact(row) { exact } else { (exact * 1e8).round() / 1e8 })
    };
    Ok(Arc::new((0..arguments.rows).map(between).collect::<Float64Array>()))
}

/// Dates become times when they are moved: which part it is, is not known before the rows are.
fn time_like(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

fn moved_type(types: &[DataType]) -> Result<DataType> {
    Ok(types.get(2).map_or(DataType::Null, time_like))
}

fn floor_type(types: &[DataType]) -> Result<DataType> {
    Ok(types.get(1).map_or(DataType::Null, time_like))
}

fn floor_type_of_third(types: &[DataType]) -> Result<DataType> {
    moved_type(types)
}

/// A time of a row with a part, made to another.
fn changed(arguments: &Arguments, times: &Times, change: impl Fn(Part, i64, usize) -> Option<i64>) -> Result<ArrayRef> {
    let names = arguments.text(0)?;
    let mut parts = Parts(None);
    let mut changed = TimestampMicrosecondArray::builder(arguments.rows);
    for row in 0..arguments.rows {
        let (Some(name), Some(at)) = (text_at(&names, row), times.at(row)) else {
            changed.append_null();
            continue;
        };
        let part = parts.get(name)?;
        if times.is_date && arguments.returns == DataType::Date32 && !part.keeps_dates() {
            return Err(exec_datafusion_err!("a date has no {name}; make a timestamp of it first"));
        }
        changed.append_option(change(part, at, row));
    }
    arguments.returned_times(changed.finish())
}

fn moved(arguments: &Arguments) -> Result<ArrayRef> {
    let (counts, times) = (arguments.integer(1)?, arguments.times(2)?);
    changed(arguments, &times, |part, at, row| part.moved(at, integer_at(&counts, row)?))
}

fn floor(arguments: &Arguments) -> Result<ArrayRef> {
    changed(arguments, &arguments.times(1)?, |part, at, _| part.floor(at))
}

fn slice(arguments: &Arguments) -> Result<ArrayRef> {
    let (lengths, times, origins) = (arguments.integer(1)?, arguments.times(2)?, arguments.times(3)?);
    changed(arguments, &times, |part, at, row| {
        let (length, origin) = (integer_at(&lengths, row).filter(|length| *length > 0)?, origins.at(row)?);
        let first = part.index(origin)?;
        let since = part.index(at)? - first;
        part.begin(first + since.div_euclid(length) * length)
    })
}

fn last_day(arguments: &Arguments) -> Result<ArrayRef> {
    let (names, times) = (arguments.text(0)?, arguments.times(1)?);
    let mut parts = Parts(None);
    let mut days = Date32Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        let (Some(name), Some(at)) = (text_at(&names, row), times.at(row)) else {
            days.append_null();
            continue;
        };
        let part = parts.get(name)?;
        let next = part.index(at).and_then(|index| part.begin(index + 1));
        days.append_option(next.and_then(|next| i32::try_from(next.div_euclid(MICROS_PER_DAY) - 1).ok()));
    }
    Ok(Arc::new(days.finish()))
}

fn neighbour(arguments: &Arguments, step: fn(NaiveDate, Weekday) -> Option<NaiveDate>) -> Result<ArrayRef> {
    let (times, names) = (arguments.times(0)?, arguments.text(1)?);
    let day = |row: usize| {
        let date = calendar(times.at(row)?)?.date();
        let found = step(date, weekday(text_at(&names, row)?)?)?;
        i32::try_from(micros_of(found.and_hms_opt(0, 0, 0)?).div_euclid(MICROS_PER_DAY)).ok()
    };
    Ok(Arc::new((0..arguments.rows).map(day).collect::<Date32Array>()))
}

fn days_until(from: Weekday, to: Weekday) -> u64 {
    let days = (to.num_days_from_monday() + 7 - from.num_days_from_monday()) % 7;
    u64::from(if days == 0 { 7 } else { days })
}

fn next_weekday(arguments: &Arguments) -> Result<ArrayRef> {
    neighbour(arguments, |date, day| date.checked_add_days(Days::new(days_until(date.weekday(), day))))
}

fn previous_weekday(arguments: &Arguments) -> Result<ArrayRef> {
    neighbour(arguments, |date, day| date.checked_sub_days(Days::new(days_until(day, date.weekday()))))
}

/// One field of a time, by name.
fn field(name: &str, at: i64) -> Result<Option<i64>> {
    let Some(time) = calendar(at) else { return Ok(None) };
    let sub_second = i64::from(time.nanosecond() / 1_000);
    let (date, seconds) = (time.date(), i64::from(time.second()));
    let from_sunday = |week_begins: u32| {
        // Days before the first such weekday of the year are in week 0.
        let ordinal = date.ordinal0() + 7 - (date.weekday().num_days_from_sunday() + 7 - week_begins) % 7;
        i64::from(ordinal / 7)
    };
    Ok(Some(match name {
        "year" => i64::from(date.year()),
        "isoyear" => i64::from(date.iso_week().year()),
        "quarter" => i64::from(date.month0() / 3 + 1),
        "month" => i64::from(date.month()),
        "isoweek" => i64::from(date.iso_week().week()),
        "week(sunday)" => from_sunday(0),
        "week(monday)" => from_sunday(1),
        // Weeks of seven days from the first of January.
        "week(january)" => i64::from(date.ordinal0() / 7 + 1),
        "day" => i64::from(date.day()),
        "dayofyear" => i64::from(date.ordinal()),
        // Sunday is 0.
        "dow" => i64::from(date.weekday().num_days_from_sunday()),
        // Sunday is 1.
        "dayofweek" => i64::from(date.weekday().number_from_sunday()),
        // Monday is 1.
        "isodow" => i64::from(date.weekday().number_from_monday()),
        // Monday is 0.
        "weekday" => i64::from(date.weekday().num_days_from_monday()),
        "hour" => i64::from(time.hour()),
        "minute" => i64::from(time.minute()),
        "second" => seconds,
        // Of the second alone.
        "millisecond" => sub_second / 1_000,
        "microsecond" => sub_second,
        "nanosecond" => sub_second * 1_000,
        // With the seconds.
        "milliseconds" => seconds * 1_000 + sub_second / 1_000,
        "microseconds" => seconds * MICROS_PER_SECOND + sub_second,
        "epoch_second" => at.div_euclid(MICROS_PER_SECOND),
        "epoch_millisecond" => at.div_euclid(1_000),
        "epoch_microsecond" => at,
        "epoch_day" => at.div_euclid(MICROS_PER_DAY),
        "decade" => i64::from(date.year().div_euclid(10)),
        "century" => i64::from((date.year() - 1).div_euclid(100) + 1),
        "millennium" => i64::from((date.year() - 1).div_euclid(1_000) + 1),
        "yearweek" => i64::from(date.iso_week().year()) * 100 + i64::from(date.iso_week().week()),
        "julian" => i64::from(date.num_days_from_ce()) + 1_721_425,
        _ => return Err(exec_datafusion_err!("`{name}` is no field of a date or time")),
    }))
}

fn read(arguments: &Arguments) -> Result<ArrayRef> {
    if let Some(intervals) = intervals(arguments, 1)? {
        let names = arguments.text(0)?;
        let one = |(row, interval): (usize, Option<IntervalMonthDayNano>)| match (text_at(&names, row), interval) {
            (Some(name), Some(interval)) => interval_field(name, interval).map(Some),
            _ => Ok(None),
        };
        return Ok(Arc::new(intervals.into_iter().enumerate().map(one).collect::<Result<Int64Array>>()?));
    }
    let (names, times) = (arguments.text(0)?, arguments.times(1)?);
    let mut fields = Int64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        match (text_at(&names, row), times.at(row)) {
            (Some(name), Some(at)) => fields.append_option(field(name, at)?),
            _ => fields.append_null(),
        }
    }
    Ok(Arc::new(fields.finish()))
}

fn epoch(arguments: &Arguments) -> Result<ArrayRef> {
    if matches!(arguments.array(0)?.data_type(), DataType::Interval(_) | DataType::Duration(_)) {
        return interval_seconds(arguments);
    }
    let times = arguments.times(0)?;
    let seconds = |row: usize| times.at(row).map(|at| at as f64 / MICROS_PER_SECOND as f64);
    Ok(Arc::new((0..arguments.rows).map(seconds).collect::<Float64Array>()))
}

fn begin_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::Date32 | DataType::Date64) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        Some(number) if number.is_numeric() => DataType::Timestamp(TimeUnit::Microsecond, None),
        Some(other) => other.clone(),
        None => DataType::Null,
    })
}

/// A date as the instant it begins in UTC; everything else as it is.
fn begin_instant_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::Date32 | DataType::Date64) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => begin_type(types)?,
    })
}

fn begin(arguments: &Arguments) -> Result<ArrayRef> {
    match arguments.array(0)?.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            arguments.returned_times(arguments.times(0)?.micros)
        }
        number if number.is_numeric() => Ok(Arc::new(arguments.times_or_seconds(0)?.micros)),
        _ => arguments.cast(0, &arguments.returns),
    }
}

/// `time_from_micros(number, microseconds of one)`.
fn from_micros(arguments: &Arguments) -> Result<ArrayRef> {
    let (numbers, each) = (arguments.float(0)?, arguments.integer(1)?);
    let whole = if arguments.array(0)?.data_type().is_integer() { Some(arguments.integer(0)?) } else { None };
    let at = |row: usize| {
        let each = integer_at(&each, row)?;
        match &whole {
            Some(whole) => integer_at(whole, row)?.checked_mul(each),
            None => numbers.is_valid(row).then(|| (numbers.value(row) * each as f64).round() as i64),
        }
    };
    Ok(Arc::new((0..arguments.rows).map(at).collect::<TimestampMicrosecondArray>()))
}

fn milliseconds_type(types: &[DataType]) -> Result<DataType> {
    let is_number = types.first().is_some_and(DataType::is_numeric);
    if is_number { returns::timestamp(types) } else { returns::integer(types) }
}

fn milliseconds(arguments: &Arguments) -> Result<ArrayRef> {
    if arguments.returns == DataType::Int64 {
        let times = arguments.times(0)?;
        let count = |row: usize| times.at(row).map(|at| at.div_euclid(1_000));
        return Ok(Arc::new((0..arguments.rows).map(count).collect::<Int64Array>()));
    }
    let numbers = arguments.integer(0)?;
    let micros = numbers.iter().map(|number| number.and_then(|number| number.checked_mul(1_000)));
    Ok(Arc::new(micros.collect::<TimestampMicrosecondArray>()))
}

/// Microseconds of a number that is the larger the smaller its unit is.
fn by_size(number: i64) -> Option<i64> {
    match number.unsigned_abs() {
        0..31_536_000_000 => number.checked_mul(MICROS_PER_SECOND),
        31_536_000_000..31_536_000_000_000 => number.checked_mul(1_000),
        31_536_000_000_000..31_536_000_000_000_000 => Some(number),
        _ => Some(number / 1_000),
    }
}

fn snowflake_time(arguments: &Arguments) -> Result<ArrayRef> {
    let given = arguments.array(0)?;
    let micros: TimestampMicrosecondArray = match given.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = arguments.text(0)?;
            let one = |text: &str| match text.trim().parse::<i64>() {
                Ok(number) => Ok(by_size(number)),
                Err(_) => super::times_of_text::wall(text)
                    .map(Some)
                    .ok_or_else(|| exec_datafusion_err!("`{text}` is no date or time that is understood here")),
            };
            texts.iter().map(|text| text.map_or(Ok(None), one)).collect::<Result<_>>()?
        }
        number if number.is_numeric() => arguments.times_or_seconds(0)?.micros,
        _ => arguments.times(0)?.micros,
    };
    let naive = micros.with_timezone_opt(None::<Arc<str>>);
    arguments.returned_times(naive)
}

fn to_micros(arguments: &Arguments) -> Result<ArrayRef> {
    let times = arguments.times(0)?;
    Ok(Arc::new((0..arguments.rows).map(|row| times.at(row)).collect::<Int64Array>()))
}

/// A date whose month and day may lie outside of the year and month: the 0th is the day before the first.
fn date_of(year: i64, month: i64, day: i64) -> Option<NaiveDate> {
    let months = year.checked_mul(12)?.checked_add(month - 1)?;
    let year = i32::try_from(months.div_euclid(12)).ok()?;
    let first = NaiveDate::from_ymd_opt(year, u32::try_from(months.rem_euclid(12)).ok()? + 1, 1)?;
    first.checked_add_signed(TimeDelta::try_days(day - 1)?)
}

fn date_from_parts(arguments: &Arguments) -> Result<ArrayRef> {
    let (years, months, days) = (arguments.integer(0)?, arguments.integer(1)?, arguments.integer(2)?);
    let day = |row: usize| {
        let date = date_of(integer_at(&years, row)?, integer_at(&months, row)?, integer_at(&days, row)?)?;
        i32::try_from(micros_of(date.and_hms_opt(0, 0, 0)?).div_euclid(MICROS_PER_DAY)).ok()
    };
    Ok(Arc::new((0..arguments.rows).map(day).collect::<Date32Array>()))
}

fn time_from_parts(arguments: &Arguments) -> Result<ArrayRef> {
    let parts = (0..5).map(|index| arguments.integer(index)).collect::<Result<Vec<_>>>()?;
    let seconds = arguments.float(5)?;
    let at = |row: usize| {
        let part = |index: usize| parts.get(index).and_then(|part| integer_at(part, row));
        let date = date_of(part(0)?, part(1)?, part(2)?)?.and_hms_opt(0, 0, 0)?;
        let minutes = part(3)?.checked_mul(60)?.checked_add(part(4)?)?;
        let seconds = seconds.is_valid(row).then(|| seconds.value(row))?;
        Some(micros_of(date) + minutes * 60 * MICROS_PER_SECOND + (seconds * MICROS_PER_SECOND as f64).round() as i64)
    };
    Ok(Arc::new((0..arguments.rows).map(at).collect::<TimestampMicrosecondArray>()))
}
