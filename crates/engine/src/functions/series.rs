//! Series of numbers, dates and times.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use super::Function;
use super::arguments::{Arguments, converted, integer_at};
use super::calendar::moved_by;

pub(super) const FUNCTIONS: &[Function] = &[
    // (from, to, step): both ends are part of it; numbers, dates and times. Without a step it goes up.
    Function { name: "list_series", arity: (2, 3), returns: series_type, body: |given| series(given, false) },
    // The same, but without a step it goes down where the second is less than the first.
    Function { name: "list_series_either_way", arity: (2, 3), returns: series_type, body: |given| series(given, true) },
];

/// The largest series that is made.
const MOST_ITEMS: usize = 10_000_000;

fn series_type(types: &[DataType]) -> Result<DataType> {
    let item = match types.first() {
        Some(DataType::Date32 | DataType::Date64) => DataType::Date32,
        Some(DataType::Timestamp(_, zone)) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        Some(DataType::Utf8 | DataType::Utf8View) => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ if types.iter().all(|one| one.is_integer() || *one == DataType::Null) => DataType::Int64,
        _ => DataType::Float64,
    };
    Ok(DataType::List(Field::new_list_field(item, true).into()))
}

/// Where the list of each row ends, and which of them are there.
#[derive(Default)]
struct Rows {
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Rows {
    fn push(&mut self, before: usize, after: usize, is_valid: bool) {
        self.lengths.push(after - before);
        self.valid.push(is_valid);
    }
}

fn bounded(length: usize) -> Result<()> {
    if length > MOST_ITEMS { Err(exec_datafusion_err!("a series has more than {MOST_ITEMS} items")) } else { Ok(()) }
}

fn series(arguments: &Arguments, either_way: bool) -> Result<ArrayRef> {
    let DataType::List(field) = arguments.returns.clone() else { return plan_err!("a series is a list") };
    let mut rows = Rows::default();
    let values = match field.data_type() {
        DataType::Int64 => whole_numbers(arguments, either_way, &mut rows)?,
        DataType::Float64 => fractions(arguments, &mut rows)?,
        item => times(arguments, either_way, item, &mut rows)?,
    };
    let offsets = OffsetBuffer::from_lengths(rows.lengths);
    Ok(Arc::new(ListArray::try_new(field, offsets, values, Some(NullBuffer::from(rows.valid)))?))
}

fn whole_numbers(arguments: &Arguments, either_way: bool, rows: &mut Rows) -> Result<ArrayRef> {
    let (from, to) = (arguments.integer(0)?, arguments.integer(1)?);
    let steps = arguments.optional_integer(2)?;
    let mut values = Int64Array::builder(0);
    for row in 0..arguments.rows {
        let bounds = integer_at(&from, row).zip(integer_at(&to, row));
        let natural = if either_way && bounds.is_some_and(|(from, to)| from > to) { -1 } else { 1 };
        let step = steps.as_ref().map_or(Some(natural), |steps| integer_at(steps, row)).filter(|step| *step != 0);
        let before = values.len();
        if let Some(((from, to), step)) = bounds.zip(step) {
            let mut at = Some(from);
            while let Some(value) = at.filter(|at| if step > 0 { *at <= to } else { *at >= to }) {
                values.append_value(value);
                bounded(values.len())?;
                at = value.checked_add(step);
            }
        }
        rows.push(before, values.len(), bounds.zip(step).is_some());
    }
    Ok(Arc::new(values.finish()))
}

fn fractions(arguments: &Arguments, rows: &mut Rows) -> Result<ArrayRef> {
    let (from, to) = (arguments.float(0)?, arguments.float(1)?);
    let steps = if arguments.len() > 2 { Some(arguments.float(2)?) } else { None };
    let mut values = Float64Array::builder(0);
    for row in 0..arguments.rows {
        let step = steps.as_ref().map_or(Some(1.0), |steps| steps.is_valid(row).then(|| steps.value(row)));
        let step = step.filter(|step| *step != 0.0 && from.is_valid(row) && to.is_valid(row));
        let before = values.len();
        if let Some(step) = step {
            let (from, to) = (from.value(row), to.value(row));
            // The end is met, although steps in binary may fall a hair short of it.
            let count = ((to - from) / step + 1e-9).floor();
            for index in 0..=(count as i64) {
                values.append_value(from + index as f64 * step);
                bounded(values.len())?;
            }
        }
        rows.push(before, values.len(), step.is_some());
    }
    Ok(Arc::new(values.finish()))
}

fn times(arguments: &Arguments, either_way: bool, item: &DataType, rows: &mut Rows) -> Result<ArrayRef> {
    let (from, to) = (arguments.times(0)?, arguments.times(1)?);
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let steps = if arguments.len() > 2 { Some(arguments.cast(2, &interval)?) } else { None };
    let steps = steps.as_ref().map(|steps| steps.as_primitive::<IntervalMonthDayNanoType>());
    let mut values = TimestampMicrosecondArray::builder(0);
    for row in 0..arguments.rows {
        let bounds = from.at(row).zip(to.at(row));
        let days = if either_way && bounds.is_some_and(|(from, to)| from > to) { -1 } else { 1 };
        let natural = IntervalMonthDayNano::new(0, days, 0);
        let step = steps.map_or(Some(natural), |steps| steps.is_valid(row).then(|| steps.value(row)));
        let before = values.len();
        if let Some(((from, to), step)) = bounds.zip(step) {
            let second = moved_by(from, step, 1);
            if second == Some(from) {
                return Err(exec_datafusion_err!("the step of a series is nothing"));
            }
            let forward = second.is_some_and(|second| second > from);
            for index in 0_i64.. {
                let at = moved_by(from, step, index);
                let Some(at) = at.filter(|at| if forward { *at <= to } else { *at >= to }) else { break };
                values.append_value(at);
                bounded(values.len())?;
            }
        }
        rows.push(before, values.len(), bounds.zip(step).is_some());
    }
    let values = values.finish();
    Ok(match item {
        DataType::Timestamp(_, zone) => Arc::new(values.with_timezone_opt(zone.clone())),
        other => converted(&(Arc::new(values) as ArrayRef), other)?,
    })
}
