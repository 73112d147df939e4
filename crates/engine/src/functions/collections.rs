//! Aggregates over what `array_agg` collected: those the engine does not have, or not with an order, or not over a window.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StringBuilder, UInt32Array, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, sort_to_indices, take};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use super::arguments::{Arguments, converted, integer_at, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (list of structures of a value and its keys, how each key is sorted ...): the values in the order of the keys.
    Function { name: "list_ordered", arity: (2, 16), returns: ordered_type, body: ordered },
    // (list of texts, separator): NULL where there is no text.
    Function { name: "list_string_agg", arity: (2, 2), returns: returns::text, body: string_agg },
    // (list, fraction or list of fractions, direction): the first item that so much of the sorted list is not above.
    Function { name: "list_percentile", arity: (2, 3), returns: percentile_type, body: percentile },
    // The same, between two items as far as it is between them.
    Function { name: "list_interpolated", arity: (2, 3), returns: interpolated_type, body: interpolated },
    // (list, number): the bounds of so many equal parts.
    Function { name: "list_quantiles", arity: (2, 2), returns: returns::first, body: quantiles },
    // (list of numbers, which)
    Function { name: "list_statistic", arity: (2, 2), returns: returns::float, body: statistic },
    // How evenly the items are spread over their values, in bits.
    Function { name: "list_entropy", arity: (1, 1), returns: returns::float, body: entropy },
    // The sum of numbers; NULL where one of them is, 0 of none.
    Function { name: "list_total", arity: (1, 1), returns: total_type, body: total },
];

fn item_of(types: &[DataType]) -> Result<FieldRef> {
    match types.first() {
        Some(DataType::List(item) | DataType::LargeList(item)) => Ok(Arc::clone(item)),
        Some(DataType::Null) => Ok(Arc::new(Field::new_list_field(DataType::Null, true))),
        other => plan_err!("{other:?} is no array"),
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn ordered_type(types: &[DataType]) -> Result<DataType> {
    match item_of(types)?.data_type() {
        DataType::Struct(fields) => match fields.first() {
            Some(value) => Ok(DataType::List(Arc::new(value.as_ref().clone().with_name("item").with_nullable(true)))),
            None => plan_err!("a value and its keys are expected"),
        },
        other => plan_err!("{other} is no value with its keys"),
    }
}

fn percentile_type(types: &[DataType]) -> Result<DataType> {
    let item = item_of(types)?.data_type().clone();
    Ok(if matches!(types.get(1), Some(DataType::List(_))) { list_of(item) } else { item })
}

fn interpolated_type(types: &[DataType]) -> Result<DataType> {
    let is_list = matches!(types.get(1), Some(DataType::List(_)));
    Ok(if is_list { list_of(DataType::Float64) } else { DataType::Float64 })
}

fn total_type(types: &[DataType]) -> Result<DataType> {
    Ok(match item_of(types)?.data_type() {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        other if other.is_integer() || *other == DataType::Null => DataType::Int64,
        _ => DataType::Float64,
    })
}

/// The first argument as lists; none where it is NULL in every row.
fn lists(arguments: &Arguments) -> Result<Option<ListArray>> {
    let array = arguments.array(0)?;
    match array.data_type() {
        DataType::List(_) => Ok(Some(array.as_list::<i32>().clone())),
        DataType::LargeList(item) => {
            Ok(Some(converted(array, &DataType::List(Arc::clone(item)))?.as_list::<i32>().clone()))
        }
        _ => Ok(None),
    }
}

/// Where each list begins and how long it is; none for NULL.
fn spans(lists: &ListArray) -> impl Iterator<Item = Option<(usize, usize)>> + '_ {
    lists.value_offsets().windows(2).enumerate().map(|(row, pair)| match pair {
        [start, end] if lists.is_valid(row) => {
            Some((usize::try_from(*start).ok()?, usize::try_from(end - start).ok()?))
        }
        _ => None,
    })
}

fn sorting(text: &str) -> SortOptions {
    SortOptions { descending: text.starts_with("desc"), nulls_first: text.ends_with("first") }
}

fn ordered(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let how: Vec<SortOptions> = (1..arguments.len())
        .map(|index| Ok(text_at(&arguments.text(index)?, 0).map(sorting).unwrap_or_default()))
        .collect::<Result<_>>()?;
    let items = lists.values().as_struct();
    let (Some(values), keys) = (items.columns().first(), items.columns().iter().skip(1)) else {
        return Err(exec_datafusion_err!("{} was given no values", arguments.name));
    };
    let keys: Vec<&ArrayRef> = keys.collect();
    let mut places = UInt64Array::builder(values.len());
    let (mut lengths, mut valid) = (Vec::with_capacity(arguments.rows), Vec::with_capacity(arguments.rows));
    for span in spans(&lists) {
        let (start, length) = span.unwrap_or((0, 0));
        let columns: Vec<SortColumn> = keys
            .iter()
            .zip(&how)
            .map(|(key, how)| SortColumn { values: key.slice(start, length), options: Some(*how) })
            .collect();
        let sorted = lexsort_to_indices(&columns, None)?;
        places.append_slice(&sorted.values().iter().map(|at| u64::from(*at) + start as u64).collect::<Vec<_>>());
        lengths.push(length);
        valid.push(span.is_some());
    }
    gathered(arguments, values, &places.finish(), lengths, valid)
}

/// Lists of the values at places, as long as is said.
fn gathered(
    arguments: &Arguments,
    values: &ArrayRef,
    places: &UInt64Array,
    lengths: Vec<usize>,
    valid: Vec<bool>,
) -> Result<ArrayRef> {
    let DataType::List(field) = &arguments.returns else { return plan_err!("{} returns lists", arguments.name) };
    let values = converted(&take(values, places, None)?, field.data_type())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, Some(NullBuffer::from(valid)))?))
}

fn string_agg(arguments: &Arguments) -> Result<ArrayRef> {
    let separators = arguments.text(1)?;
    let mut texts = StringBuilder::new();
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&DataType::Utf8, arguments.rows));
    };
    let values = converted(lists.values(), &DataType::Utf8)?;
    let values = values.as_string::<i32>();
    for (row, span) in spans(&lists).enumerate() {
        let (start, length) = span.unwrap_or((0, 0));
        let pieces: Vec<&str> = (start..start + length).filter_map(|at| text_at(values, at)).collect();
        let separator = text_at(&separators, row).unwrap_or_default();
        texts.append_option((!pieces.is_empty()).then(|| pieces.join(separator)));
    }
    Ok(Arc::new(texts.finish()))
}

/// Places of the items that are there, in their order.
fn sorted(values: &ArrayRef, start: usize, length: usize, descending: bool) -> Result<UInt32Array> {
    let items = values.slice(start, length);
    let options = SortOptions { descending, nulls_first: false };
    Ok(sort_to_indices(&items, Some(options), Some(length - items.null_count()))?)
}

/// The fractions asked for in a row.
fn fractions(arguments: &Arguments) -> Result<impl Fn(usize) -> Vec<Option<f64>>> {
    let given = arguments.array(1)?;
    let (list, plain) = match given.data_type() {
        DataType::List(_) => {
            let lists = given.as_list::<i32>().clone();
            let values = converted(lists.values(), &DataType::Float64)?;
            (Some((lists, values)), None)
        }
        _ => (None, Some(arguments.float(1)?)),
    };
    Ok(move |row: usize| {
        let at = |values: &Float64Array, place: usize| values.is_valid(place).then(|| values.value(place));
        match (&list, &plain) {
            (Some((lists, values)), _) => {
                let values = values.as_primitive::<Float64Type>();
                let bounds = lists.value_offsets().get(row).zip(lists.value_offsets().get(row + 1));
                let (from, to) = bounds.map_or((0, 0), |(from, to)| (*from, *to));
                (from..to).map(|place| at(values, usize::try_from(place).ok()?)).collect()
            }
            (None, Some(values)) => vec![at(values, row)],
            (None, None) => Vec::new(),
        }
    })
}

fn descends(arguments: &Arguments) -> Result<bool> {
    Ok(arguments.optional_text(2)?.is_some_and(|how| text_at(&how, 0).is_some_and(|how| how.starts_with("desc"))))
}

/// Which of so many sorted items so much of them is not above.
fn place_of(fraction: f64, length: usize) -> usize {
    // A fraction in binary may be a hair too large: 0.07 of 100 is the seventh, not the eighth.
    let rank = (fraction * length as f64 - 1e-9).ceil().max(1.0) as usize;
    rank.min(length) - 1
}

fn percentile(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let (fractions, descending) = (fractions(arguments)?, descends(arguments)?);
    let mut places = UInt64Array::builder(arguments.rows);
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for (row, span) in spans(&lists).enumerate() {
        let (start, length) = span.unwrap_or((0, 0));
        let order = sorted(lists.values(), start, length, descending)?;
        let wanted = fractions(row);
        lengths.push(wanted.len());
        valid.push(span.is_some());
        for fraction in wanted {
            let found = fraction.filter(|_| !order.is_empty()).map(|fraction| place_of(fraction, order.len()));
            places.append_option(found.map(|place| u64::from(order.value(place)) + start as u64));
        }
    }
    let places = places.finish();
    match arguments.returns {
        DataType::List(_) if matches!(arguments.array(1)?.data_type(), DataType::List(_)) => {
            gathered(arguments, lists.values(), &places, lengths, valid)
        }
        _ => Ok(take(lists.values(), &places, None)?),
    }
}

fn interpolated(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let (fractions, descending) = (fractions(arguments)?, descends(arguments)?);
    let values = converted(lists.values(), &DataType::Float64)?;
    let mut found = Float64Array::builder(arguments.rows);
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for (row, span) in spans(&lists).enumerate() {
        let (start, length) = span.unwrap_or((0, 0));
        let order = sorted(&values, start, length, descending)?;
        let numbers: Vec<f64> =
            order.values().iter().map(|at| values.as_primitive::<Float64Type>().value(start + *at as usize)).collect();
        let wanted = fractions(row);
        lengths.push(wanted.len());
        valid.push(span.is_some());
        for fraction in wanted {
            found.append_option(fraction.and_then(|fraction| between(&numbers, fraction)));
        }
    }
    let found: ArrayRef = Arc::new(found.finish());
    match &arguments.returns {
        DataType::List(field) => {
            let offsets = OffsetBuffer::from_lengths(lengths);
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, found, Some(NullBuffer::from(valid)))?))
        }
        _ => Ok(found),
    }
}

/// What lies at a fraction of sorted numbers.
fn between(numbers: &[f64], fraction: f64) -> Option<f64> {
    let at = fraction * (numbers.len().checked_sub(1)?) as f64;
    let (low, high) = (numbers.get(at.floor() as usize)?, numbers.get(at.ceil() as usize)?);
    Some(low + (high - low) * (at - at.floor()))
}

fn quantiles(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let counts = arguments.integer(1)?;
    let mut places = UInt64Array::builder(arguments.rows);
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for (row, span) in spans(&lists).enumerate() {
        let (start, length) = span.unwrap_or((0, 0));
        let order = sorted(lists.values(), start, length, false)?;
        let parts = integer_at(&counts, row).filter(|parts| *parts > 0 && !order.is_empty());
        for part in 0..=parts.unwrap_or(-1) {
            let place = place_of(part as f64 / parts.unwrap_or(1) as f64, order.len());
            places.append_value(u64::from(order.value(place)) + start as u64);
        }
        lengths.push(parts.map_or(0, |parts| usize::try_from(parts).unwrap_or(0) + 1));
        valid.push(parts.is_some());
    }
    gathered(arguments, lists.values(), &places.finish(), lengths, valid)
}

/// Numbers of each list that are there.
fn numbers(arguments: &Arguments) -> Result<Vec<Option<Vec<f64>>>> {
    let Some(lists) = lists(arguments)? else { return Ok(vec![None; arguments.rows]) };
    let values = converted(lists.values(), &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>();
    let of = |(start, length): (usize, usize)| {
        (start..start + length).filter(|at| values.is_valid(*at)).map(|at| values.value(at)).collect()
    };
    Ok(spans(&lists).map(|span| span.map(of)).collect())
}

fn statistic(arguments: &Arguments) -> Result<ArrayRef> {
    let which = arguments.text(1)?;
    let which = text_at(&which, 0).unwrap_or_default().to_owned();
    let lists = numbers(arguments)?;
    let of = |list: Option<Vec<f64>>| list.filter(|list| !list.is_empty()).and_then(|list| described(&which, &list));
    Ok(Arc::new(lists.into_iter().map(of).collect::<Float64Array>()))
}

fn middle(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    between(&sorted, 0.5)
}

/// A figure that describes numbers, by name.
fn described(which: &str, numbers: &[f64]) -> Option<f64> {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let moment = |power: i32| numbers.iter().map(|number| (number - mean).powi(power)).sum::<f64>() / count;
    match which {
        "product" => Some(numbers.iter().product()),
        "geometric_mean" => Some((numbers.iter().map(|number| number.ln()).sum::<f64>() / count).exp()),
        "standard_error" => Some((moment(2) / count).sqrt()),
        "deviation_from_median" => {
            let median = middle(numbers)?;
            middle(&numbers.iter().map(|number| (number - median).abs()).collect::<Vec<_>>())
        }
        "skewness" => Some(moment(3) / moment(2).powf(1.5)),
        "skewness_of_sample" if count > 2.0 => {
            Some(moment(3) / moment(2).powf(1.5) * (count * (count - 1.0)).sqrt() / (count - 2.0))
        }
        "kurtosis" => Some(moment(4) / moment(2).powi(2) - 3.0),
        "kurtosis_of_sample" if count > 3.0 => {
            let excess = moment(4) / moment(2).powi(2) - 3.0;
            Some((count - 1.0) / ((count - 2.0) * (count - 3.0)) * ((count + 1.0) * excess + 6.0))
        }
        _ => None,
    }
}

fn entropy(arguments: &Arguments) -> Result<ArrayRef> {
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&DataType::Float64, arguments.rows));
    };
    let values = lists.values();
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let keys = converter.convert_columns(&[Arc::clone(values)])?;
    let of = |(start, length): (usize, usize)| {
        let mut counts: HashMap<&[u8], f64> = HashMap::new();
        for at in (start..start + length).filter(|at| values.is_valid(*at)) {
            *counts.entry(keys.row(at).data()).or_default() += 1.0;
        }
        let total: f64 = counts.values().sum();
        counts.values().map(|count| -(count / total) * (count / total).log2()).sum::<f64>()
    };
    Ok(Arc::new(spans(&lists).map(|span| span.map(of)).collect::<Float64Array>()))
}

fn total(arguments: &Arguments) -> Result<ArrayRef> {
    use arrow::array::{Decimal128Array, Int64Array};
    use arrow::datatypes::{Decimal128Type, Int64Type};
    let Some(lists) = lists(arguments)? else {
        return Ok(arrow::array::new_null_array(&arguments.returns, arguments.rows));
    };
    let values = converted(lists.values(), &arguments.returns)?;
    let whole = |(start, length): (usize, usize)| {
        let items = values.slice(start, length);
        (items.null_count() == 0).then_some(items)
    };
    let too_large = || exec_datafusion_err!("the sum of a list leaves the range of {}", arguments.returns);
    match &arguments.returns {
        DataType::Int64 => {
            let add = |items: ArrayRef| {
                let items = items.as_primitive::<Int64Type>();
                items.values().iter().try_fold(0_i64, |sum, item| sum.checked_add(*item)).ok_or_else(too_large)
            };
            let sums: Vec<Option<i64>> =
                spans(&lists).map(|span| span.and_then(whole).map(add).transpose()).collect::<Result<_>>()?;
            Ok(Arc::new(Int64Array::from(sums)))
        }
        DataType::Decimal128(precision, scale) => {
            let add = |items: ArrayRef| {
                let items = items.as_primitive::<Decimal128Type>();
                items.values().iter().try_fold(0_i128, |sum, item| sum.checked_add(*item)).ok_or_else(too_large)
            };
            let sums: Vec<Option<i128>> =
                spans(&lists).map(|span| span.and_then(whole).map(add).transpose()).collect::<Result<_>>()?;
            Ok(Arc::new(Decimal128Array::from(sums).with_precision_and_scale(*precision, *scale)?))
        }
        _ => {
            let add = |items: ArrayRef| items.as_primitive::<Float64Type>().values().iter().sum::<f64>();
            Ok(Arc::new(spans(&lists).map(|span| span.and_then(whole).map(add)).collect::<Float64Array>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_where_its_kind_says() {
        assert_eq!(between(&[1.0, 2.0, 3.0, 10.0], 0.5), Some(2.5));
        assert_eq!(between(&[10.0, 3.0, 2.0, 1.0], 0.9), Some(1.2999999999999998));
        assert_eq!(between(&[], 0.5), None);
        assert_eq!(place_of(0.5, 4), 1);
        assert_eq!(place_of(0.0, 4), 0);
        assert_eq!(place_of(1.0, 4), 3);
        assert_eq!(place_of(0.07, 100), 6);
    }
}
