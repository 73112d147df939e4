//! Pieces of what may be a list or a text, and lists of what may be text already: DuckDB's subscripts and casts take both.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, ListBuilder, StringArray, StringBuilder, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use super::arguments::{Arguments, converted, integer_at, text_at};
use super::json::{items, text_of};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (list or text, place): from 1, or from the end where it is negative.
    Function { name: "piece", arity: (2, 2), returns: piece_type, body: piece },
    // (list or text, first, last, step): both are part of it.
    Function { name: "piece_slice", arity: (3, 4), returns: returns::first, body: slice },
    // How many items a list has, or letters a text.
    Function { name: "piece_count", arity: (1, 1), returns: returns::integer, body: count },
    Function { name: "reversed", arity: (1, 1), returns: returns::first, body: reversed },
    // A list as it is; the items of a JSON array, as text.
    Function { name: "list_of", arity: (1, 1), returns: list_type, body: list_of },
    // A whole number of a fraction, cut off; the date of a time.
    Function { name: "truncated", arity: (1, 1), returns: truncated_type, body: truncated },
    // What is given: the second argument only names it.
    Function { name: "as_is", arity: (2, 2), returns: returns::first, body: |given| Ok(Arc::clone(given.array(0)?)) },
    // The first argument, as a date where the second is one.
    Function { name: "date_as", arity: (2, 2), returns: date_as_type, body: date_as },
    // The items of lists of lists, on whatever level they are.
    Function { name: "list_flat", arity: (1, 1), returns: flat_type, body: flat },
    Function { name: "list_where", arity: (2, 2), returns: returns::first, body: only_where },
    // (list): what is equal to none before it, without NULLs.
    Function { name: "list_unique_count", arity: (1, 1), returns: returns::integer, body: unique_count },
    // (list, places): the items at places, from 1.
    Function { name: "list_select", arity: (2, 2), returns: returns::first, body: select },
];

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn piece_type(types: &[DataType]) -> Result<DataType> {
    match types.first() {
        Some(DataType::List(item)) => Ok(item.data_type().clone()),
        Some(DataType::Null) | None => Ok(DataType::Null),
        Some(text) if is_text(text) => Ok(DataType::Utf8),
        Some(other) => plan_err!("{other} has no places"),
    }
}

fn list_type(types: &[DataType]) -> Result<DataType> {
    match types.first() {
        Some(list @ DataType::List(_)) => Ok(list.clone()),
        _ => Ok(DataType::List(Field::new_list_field(DataType::Utf8, true).into())),
    }
}

/// A place counted from 1, or from the end, as an offset into so many.
fn offset(place: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if place < 0 { place + length } else { place - 1 };
    usize::try_from(at).ok().filter(|at| i64::try_from(*at).is_ok_and(|at| at < length))
}

/// The offsets from a place to another, both included.
fn range(first: i64, last: i64, length: usize) -> std::ops::Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_begin = |place: i64| if place < 0 { place + length + 1 } else { place };
    let (first, last) = (from_begin(first).max(1), from_begin(last).min(length));
    let begin = usize::try_from(first - 1).unwrap_or(0);
    begin..usize::try_from(last).unwrap_or(0).max(begin)
}

fn piece(arguments: &Arguments) -> Result<ArrayRef> {
    let places = arguments.integer(1)?;
    let given = arguments.array(0)?;
    if is_text(given.data_type()) {
        let texts = arguments.text(0)?;
        let one = |row: usize| {
            let (text, place) = (text_at(&texts, row)?, integer_at(&places, row)?);
            let found = offset(place, text.chars().count()).and_then(|at| text.chars().nth(at));
            Some(found.map(String::from).unwrap_or_default())
        };
        return Ok(Arc::new((0..arguments.rows).map(one).collect::<StringArray>()));
    }
    let DataType::List(_) = given.data_type() else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let lists = given.as_list::<i32>();
    let one = |row: usize| {
        let start = u64::try_from(*lists.value_offsets().get(row)?).ok()?;
        let length = usize::try_from(lists.value_length(row)).ok().filter(|_| lists.is_valid(row))?;
        Some(start + offset(integer_at(&places, row)?, length)? as u64)
    };
    Ok(take(lists.values(), &(0..arguments.rows).map(one).collect::<UInt64Array>(), None)?)
}

/// Lists of the items at places of each list; none for NULL.
fn gathered(lists: &ListArray, places: impl Fn(usize, usize) -> Option<Vec<Option<usize>>>) -> Result<ArrayRef> {
    let DataType::List(field) = lists.data_type().clone() else { return plan_err!("a list is expected") };
    let mut indices = UInt64Array::builder(0);
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for row in 0..lists.len() {
        let start = lists.value_offsets().get(row).and_then(|start| u64::try_from(*start).ok()).unwrap_or(0);
        let length = usize::try_from(lists.value_length(row)).unwrap_or(0);
        let found = if lists.is_valid(row) { places(row, length) } else { None };
        valid.push(found.is_some());
        let found = found.unwrap_or_default();
        lengths.push(found.len());
        found.into_iter().for_each(|at| indices.append_option(at.map(|at| start + at as u64)));
    }
    let values = take(lists.values(), &indices.finish(), None)?;
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

fn slice(arguments: &Arguments) -> Result<ArrayRef> {
    let (first, last, steps) = (arguments.integer(1)?, arguments.integer(2)?, arguments.optional_integer(3)?);
    let of = |row: usize, length: usize| {
        let range = range(integer_at(&first, row)?, integer_at(&last, row)?, length);
        let range = range.start..range.end.min(length);
        let step = steps.as_ref().map_or(Some(1), |steps| integer_at(steps, row))?;
        let step = usize::try_from(step).ok().filter(|step| *step > 0)?;
        Some(range.step_by(step).map(Some).collect::<Vec<_>>())
    };
    let given = arguments.array(0)?;
    if is_text(given.data_type()) {
        let texts = arguments.text(0)?;
        let one = |row: usize| {
            let letters: Vec<char> = text_at(&texts, row)?.chars().collect();
            let places = of(row, letters.len())?;
            Some(places.into_iter().flatten().filter_map(|at| letters.get(at)).collect::<String>())
        };
        let slices: ArrayRef = Arc::new((0..arguments.rows).map(one).collect::<StringArray>());
        return converted(&slices, &arguments.returns);
    }
    match given.data_type() {
        DataType::List(_) => gathered(given.as_list::<i32>(), of),
        other => Err(exec_datafusion_err!("{other} has no slices")),
    }
}

fn count(arguments: &Arguments) -> Result<ArrayRef> {
    use arrow::array::Int64Array;
    let given = arguments.array(0)?;
    if let DataType::List(_) = given.data_type() {
        let lists = given.as_list::<i32>();
        let length = |row: usize| lists.is_valid(row).then(|| i64::from(lists.value_length(row)));
        return Ok(Arc::new((0..arguments.rows).map(length).collect::<Int64Array>()));
    }
    let texts = arguments.text(0)?;
    let letters = |text: &str| i64::try_from(text.chars().count()).ok();
    Ok(Arc::new(texts.iter().map(|text| text.and_then(letters)).collect::<Int64Array>()))
}

fn reversed(arguments: &Arguments) -> Result<ArrayRef> {
    let given = arguments.array(0)?;
    if let DataType::List(_) = given.data_type() {
        return gathered(given.as_list::<i32>(), |_, length| Some((0..length).rev().map(Some).collect()));
    }
    let texts = arguments.text(0)?;
    let back = |text: &str| text.chars().rev().collect::<String>();
    let texts: ArrayRef = Arc::new(texts.iter().map(|text| text.map(back)).collect::<StringArray>());
    converted(&texts, &arguments.returns)
}

fn date_as_type(types: &[DataType]) -> Result<DataType> {
    match types {
        [_, DataType::Date32] => Ok(DataType::Date32),
        _ => returns::first(types),
    }
}

fn date_as(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.cast(0, &arguments.returns)
}

fn flat_type(types: &[DataType]) -> Result<DataType> {
    let mut at = types.first().cloned().unwrap_or(DataType::Null);
    while let DataType::List(item) = &at {
        match item.data_type() {
            inner @ DataType::List(_) => at = inner.clone(),
            _ => break,
        }
    }
    Ok(at)
}

fn flat(arguments: &Arguments) -> Result<ArrayRef> {
    let mut at = Arc::clone(arguments.array(0)?);
    while *at.data_type() != arguments.returns {
        let lists = at.as_list::<i32>();
        let inner = lists.values().as_list::<i32>();
        let DataType::List(field) = inner.data_type().clone() else { return plan_err!("a list of lists is expected") };
        let bounds: Option<Vec<i32>> = lists
            .value_offsets()
            .iter()
            .map(|at| inner.value_offsets().get(usize::try_from(*at).ok()?).copied())
            .collect();
        let bounds = bounds.ok_or_else(|| exec_datafusion_err!("a list ends outside of its items"))?;
        let offsets = OffsetBuffer::new(bounds.into());
        let flat = ListArray::try_new(field, offsets, Arc::clone(inner.values()), lists.nulls().cloned())?;
        at = Arc::new(flat);
    }
    Ok(at)
}

fn only_where(arguments: &Arguments) -> Result<ArrayRef> {
    let DataType::List(_) = arguments.array(1)?.data_type() else { return plan_err!("a list of truths is expected") };
    let truths = arguments.array(1)?.as_list::<i32>();
    let values = converted(truths.values(), &DataType::Boolean)?;
    let values = values.as_boolean();
    gathered(arguments.array(0)?.as_list::<i32>(), |row, length| {
        let start = usize::try_from(*truths.value_offsets().get(row)?).ok()?;
        let count = usize::try_from(truths.value_length(row)).ok()?.min(length);
        let is_kept = |at: &usize| values.is_valid(start + at) && values.value(start + at);
        Some((0..count).filter(is_kept).map(Some).collect())
    })
}

fn list_of(arguments: &Arguments) -> Result<ArrayRef> {
    let given = arguments.array(0)?;
    if matches!(given.data_type(), DataType::List(_)) {
        return Ok(Arc::clone(given));
    }
    let texts = arguments.text(0)?;
    let mut lists = ListBuilder::new(StringBuilder::new());
    for text in &texts {
        let Some(text) = text else {
            lists.append(false);
            continue;
        };
        let found = items(text).ok_or_else(|| exec_datafusion_err!("`{text}` is no list"))?;
        found.into_iter().for_each(|item| lists.values().append_option(text_of(item)));
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn truncated_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => DataType::Date32,
        Some(DataType::Decimal128(precision, _)) => DataType::Decimal128(*precision, 0),
        Some(whole) if whole.is_integer() => whole.clone(),
        _ => DataType::Float64,
    })
}

fn truncated(arguments: &Arguments) -> Result<ArrayRef> {
    use arrow::datatypes::{Decimal128Type, Float64Type};
    match (&arguments.returns, arguments.array(0)?.data_type()) {
        (DataType::Float64, _) => Ok(Arc::new(arguments.float(0)?.unary::<_, Float64Type>(f64::trunc))),
        (DataType::Decimal128(precision, _), DataType::Decimal128(_, scale)) => {
            let unit = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let numbers = arguments.array(0)?.as_primitive::<Decimal128Type>();
            let cut = numbers.unary::<_, Decimal128Type>(|number| number / unit);
            Ok(Arc::new(cut.with_precision_and_scale(*precision, 0)?))
        }
        _ => arguments.cast(0, &arguments.returns),
    }
}

fn unique_count(arguments: &Arguments) -> Result<ArrayRef> {
    use arrow::array::Int64Array;
    use arrow::row::{RowConverter, SortField};
    let DataType::List(_) = arguments.array(0)?.data_type() else {
        return Ok(arrow::array::new_null_array(&DataType::Int64, arguments.rows));
    };
    let lists = arguments.array(0)?.as_list::<i32>();
    let values = lists.values();
    let keys =
        RowConverter::new(vec![SortField::new(values.data_type().clone())])?.convert_columns(&[Arc::clone(values)])?;
    let count = |row: usize| {
        let start = usize::try_from(*lists.value_offsets().get(row)?).ok()?;
        let length = usize::try_from(lists.value_length(row)).ok().filter(|_| lists.is_valid(row))?;
        let there = (start..start + length).filter(|at| values.is_valid(*at));
        let unique: std::collections::HashSet<Vec<u8>> = there.map(|at| keys.row(at).data().to_vec()).collect();
        i64::try_from(unique.len()).ok()
    };
    Ok(Arc::new((0..arguments.rows).map(count).collect::<Int64Array>()))
}

fn select(arguments: &Arguments) -> Result<ArrayRef> {
    let DataType::List(_) = arguments.array(1)?.data_type() else { return plan_err!("places are a list of numbers") };
    let places = arguments.array(1)?.as_list::<i32>();
    let numbers = converted(places.values(), &DataType::Int64)?;
    let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
    gathered(arguments.array(0)?.as_list::<i32>(), |row, length| {
        let start = usize::try_from(*places.value_offsets().get(row)?).ok()?;
        let count = usize::try_from(places.value_length(row)).ok()?;
        Some((start..start + count).map(|at| offset(integer_at(numbers, at)?, length)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_and_from_the_end() {
        for ((first, last), expected) in
            [((2, 3), 1..3), ((-2, -1), 2..4), ((1, 9), 0..4), ((3, 2), 2..2), ((0, 1), 0..1)]
        {
            assert_eq!(range(first, last, 4), expected, "[{first}:{last}]");
        }
        assert_eq!(offset(-1, 3), Some(2));
        assert_eq!(offset(0, 3), None);
        assert_eq!(offset(4, 3), None);
    }
}
