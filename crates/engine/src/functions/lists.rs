//! Lists: reading them strictly, taking documents apart into them, and summing them up.
//!
//! An aggregate the engine does not have is a function here over what `array_agg` collected.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringBuilder, UInt64Array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use super::arguments::{Arguments, converted, integer_at, text_at};
use super::json::{entries, find, items};
use super::json_documents::{is_json, write_value};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (list, offset from 0): an offset that is not there is an error.
    Function { name: "list_item", arity: (2, 2), returns: item_type, body: |arguments| item(arguments, true) },
    // The same, NULL where it is not there; also of JSON arrays.
    Function { name: "list_item_or_null", arity: (2, 2), returns: item_type, body: |arguments| item(arguments, false) },
    // What a list or a JSON array holds, or the values of a JSON object.
    Function { name: "variant_items", arity: (1, 1), returns: variant_type, body: variant_items },
    // The keys of a JSON object; as many NULLs as a list has items.
    Function { name: "variant_keys", arity: (1, 1), returns: returns::texts, body: variant_keys },
    // 0, 1, 2, ... for each item; NULLs for a JSON object.
    Function { name: "list_offsets", arity: (1, 1), returns: offsets_type, body: offsets },
    // A list of one NULL for one that is NULL or empty.
    Function { name: "list_or_one_null", arity: (1, 1), returns: returns::first, body: or_one_null },
    Function { name: "list_size", arity: (1, 1), returns: returns::integer, body: size },
    // The most frequent item, the least of several.
    Function { name: "list_mode", arity: (1, 1), returns: item_type, body: mode },
    // (keys, values): a JSON object; a NULL key or value is left out.
    Function {
        name: "json_object_of_lists",
        arity: (2, 2),
        returns: returns::text,
        body: |arguments| object_of_lists(arguments, false),
    },
    // The same with NULL values.
    Function {
        name: "json_object_of_pairs",
        arity: (2, 2),
        returns: returns::text,
        body: |arguments| object_of_lists(arguments, true),
    },
    // A list that is NULL as an empty one.
    Function { name: "list_or_empty", arity: (1, 1), returns: returns::first, body: or_empty },
    // (separator, texts and lists of texts ...)
    Function { name: "list_texts", arity: (1, 64), returns: returns::text, body: joined_all },
    // (list of texts, separator, text for NULL)
    Function { name: "list_text", arity: (2, 3), returns: returns::text, body: joined },
];

/// NULL lists as empty ones.
fn or_empty(arguments: &Arguments) -> Result<ArrayRef> {
    let lists = lists(arguments)?;
    let DataType::List(field) = lists.data_type().clone() else { return Ok(Arc::new(lists)) };
    let (mut indices, mut lengths) = (UInt64Array::builder(0), Vec::with_capacity(arguments.rows));
    for (row, pair) in lists.value_offsets().windows(2).enumerate() {
        let (start, end) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
        let end = if lists.is_null(row) { start } else { end };
        (start..end).for_each(|at| indices.append_value(u64::try_from(at).unwrap_or(0)));
        lengths.push(usize::try_from(end - start).unwrap_or(0));
    }
    let values = take(lists.values(), &indices.finish(), None)?;
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

/// Texts and lists of texts joined; what is NULL is left out.
fn joined_all(arguments: &Arguments) -> Result<ArrayRef> {
    let separators = arguments.text(0)?;
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let Some(separator) = text_at(&separators, row) else {
            texts.append_null();
            continue;
        };
        let mut pieces: Vec<String> = Vec::new();
        for array in arguments.arrays.iter().skip(1) {
            let items = match array.data_type() {
                DataType::List(_) if array.is_valid(row) => array.as_list::<i32>().value(row),
                DataType::List(_) => continue,
                _ => array.slice(row, 1),
            };
            let items = converted(&items, &DataType::Utf8)?;
            pieces.extend(items.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        texts.append_value(pieces.join(separator));
    }
    Ok(Arc::new(texts.finish()))
}

fn item_type(types: &[DataType]) -> Result<DataType> {
    match types.first() {
        Some(DataType::List(item) | DataType::LargeList(item)) => Ok(item.data_type().clone()),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Ok(DataType::Utf8),
        Some(DataType::Null) | None => Ok(DataType::Null),
        Some(other) => plan_err!("{other} is no array"),
    }
}

fn variant_type(types: &[DataType]) -> Result<DataType> {
    match types.first() {
        Some(list @ DataType::List(_)) => Ok(list.clone()),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => returns::documents(types),
        Some(other) => plan_err!("{other} can not be taken apart"),
        None => plan_err!("there is nothing to take apart"),
    }
}

fn offsets_type(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::List(arrow::datatypes::Field::new_list_field(DataType::Int64, true).into()))
}

/// The first argument as lists; JSON arrays as lists of documents.
fn lists(arguments: &Arguments) -> Result<ListArray> {
    let array = arguments.array(0)?;
    match array.data_type() {
        DataType::List(_) => Ok(array.as_list::<i32>().clone()),
        DataType::LargeList(item) => Ok(converted(array, &DataType::List(Arc::clone(item)))?.as_list::<i32>().clone()),
        _ => Ok(documents(arguments)?.as_list::<i32>().clone()),
    }
}

fn documents(arguments: &Arguments) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    let mut lists = arrow::array::ListBuilder::new(StringBuilder::new());
    for row in 0..arguments.rows {
        let document = text_at(&texts, row).and_then(|text| find(text, &[])).map(|json| json.get());
        let pieces = document.and_then(|json| {
            items(json).or_else(|| Some(entries(json)?.into_iter().map(|(_, value)| value).collect()))
        });
        match pieces {
            Some(pieces) => {
                pieces.into_iter().for_each(|piece| lists.values().append_value(piece));
                lists.append(true);
            }
            None => lists.append(false),
        }
    }
    Ok(Arc::new(lists.finish()))
}

/// One item of each list, by its place among the list's items.
fn picked(lists: &ListArray, rows: usize, place: impl Fn(usize, usize) -> Result<Option<usize>>) -> Result<ArrayRef> {
    let mut indices = UInt64Array::builder(rows);
    for row in 0..rows {
        if lists.is_null(row) {
            indices.append_null();
            continue;
        }
        let (start, end) = (lists.value_offsets().get(row), lists.value_offsets().get(row + 1));
        let (Some(start), Some(end)) = (start, end) else {
            indices.append_null();
            continue;
        };
        let (start, length) = (u64::try_from(*start).unwrap_or(0), usize::try_from(end - start).unwrap_or(0));
        indices.append_option(place(row, length)?.map(|place| start + place as u64));
    }
    Ok(take(lists.values(), &indices.finish(), None)?)
}

fn item(arguments: &Arguments, strict: bool) -> Result<ArrayRef> {
    if *arguments.array(0)?.data_type() == DataType::Null {
        return Ok(new_null_array(&arguments.returns, arguments.rows));
    }
    let (lists, offsets) = (lists(arguments)?, arguments.integer(1)?);
    picked(&lists, arguments.rows, |row, length| {
        let Some(offset) = integer_at(&offsets, row) else { return Ok(None) };
        let place = usize::try_from(offset).ok().filter(|place| *place < length);
        if strict && place.is_none() {
            return Err(exec_datafusion_err!("an array of {length} items has none at offset {offset}"));
        }
        Ok(place)
    })
}

fn variant_items(arguments: &Arguments) -> Result<ArrayRef> {
    match arguments.array(0)?.data_type() {
        DataType::List(_) => Ok(Arc::clone(arguments.array(0)?)),
        _ => documents(arguments),
    }
}

fn variant_keys(arguments: &Arguments) -> Result<ArrayRef> {
    let mut keys = arrow::array::ListBuilder::new(StringBuilder::new());
    if matches!(arguments.array(0)?.data_type(), DataType::List(_)) {
        let lists = lists(arguments)?;
        for row in 0..arguments.rows {
            (0..lists.value_length(row)).for_each(|_| keys.values().append_null());
            keys.append(lists.is_valid(row));
        }
        return Ok(Arc::new(keys.finish()));
    }
    let texts = arguments.text(0)?;
    for row in 0..arguments.rows {
        let document = text_at(&texts, row);
        let found = document.and_then(entries);
        match (found, document.and_then(items)) {
            (Some(found), _) => {
                found.into_iter().for_each(|(key, _)| keys.values().append_value(key));
                keys.append(true);
            }
            (None, Some(items)) => {
                items.iter().for_each(|_| keys.values().append_null());
                keys.append(true);
            }
            (None, None) => keys.append(false),
        }
    }
    Ok(Arc::new(keys.finish()))
}

fn offsets(arguments: &Arguments) -> Result<ArrayRef> {
    let mut offsets = arrow::array::ListBuilder::new(Int64Array::builder(0));
    let texts = match arguments.array(0)?.data_type() {
        DataType::List(_) | DataType::LargeList(_) => None,
        _ => Some(arguments.text(0)?),
    };
    let lists = lists(arguments)?;
    for row in 0..arguments.rows {
        let is_object =
            texts.as_ref().and_then(|texts| text_at(texts, row)).is_some_and(|text| text.trim_start().starts_with('{'));
        for at in 0..i64::from(lists.value_length(row)) {
            offsets.values().append_option((!is_object).then_some(at));
        }
        offsets.append(lists.is_valid(row));
    }
    Ok(Arc::new(offsets.finish()))
}

fn or_one_null(arguments: &Arguments) -> Result<ArrayRef> {
    let lists = lists(arguments)?;
    let DataType::List(field) = lists.data_type().clone() else { return Ok(Arc::new(lists)) };
    let (mut indices, mut lengths) = (UInt64Array::builder(lists.values().len()), Vec::with_capacity(arguments.rows));
    for (row, pair) in lists.value_offsets().windows(2).enumerate() {
        let (start, end) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
        if lists.is_null(row) || start == end {
            indices.append_null();
            lengths.push(1);
        } else {
            (start..end).for_each(|at| indices.append_value(u64::try_from(at).unwrap_or(0)));
            lengths.push(usize::try_from(end - start).unwrap_or(0));
        }
    }
    let values = take(lists.values(), &indices.finish(), None)?;
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

fn size(arguments: &Arguments) -> Result<ArrayRef> {
    if let DataType::Map(..) = arguments.array(0)?.data_type() {
        let maps = arguments.array(0)?.as_map();
        let length = |row: usize| maps.is_valid(row).then(|| i64::from(maps.value_length(row)));
        return Ok(Arc::new((0..arguments.rows).map(length).collect::<Int64Array>()));
    }
    if *arguments.array(0)?.data_type() == DataType::Null {
        return Ok(new_null_array(&DataType::Int64, arguments.rows));
    }
    let lists = lists(arguments)?;
    let length = |row: usize| lists.is_valid(row).then(|| i64::from(lists.value_length(row)));
    Ok(Arc::new((0..arguments.rows).map(length).collect::<Int64Array>()))
}

fn mode(arguments: &Arguments) -> Result<ArrayRef> {
    let lists = lists(arguments)?;
    let values = lists.values();
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let keys = converter.convert_columns(&[Arc::clone(values)])?;
    picked(&lists, arguments.rows, |row, length| {
        let start = lists.value_offsets().get(row).and_then(|start| usize::try_from(*start).ok()).unwrap_or(0);
        let mut counts: HashMap<&[u8], (usize, usize)> = HashMap::new();
        for place in (0..length).filter(|place| values.is_valid(start + place)) {
            let key = keys.row(start + place);
            counts.entry(key.data()).or_insert((0, place)).0 += 1;
        }
        let most =
            counts.into_iter().max_by(|(one, (often, _)), (other, (more, _))| often.cmp(more).then(other.cmp(one)));
        Ok(most.map(|(_, (_, place))| place))
    })
}

fn object_of_lists(arguments: &Arguments, with_nulls: bool) -> Result<ArrayRef> {
    let keys = lists(arguments)?;
    let values = arguments.array(1)?.as_list::<i32>().clone();
    let is_json = matches!(values.data_type(), DataType::List(item) if is_json(item));
    let mut documents = StringBuilder::new();
    for row in 0..arguments.rows {
        let mut document = String::from("{");
        if keys.is_valid(row) && values.is_valid(row) {
            let texts = converted(&keys.value(row), &DataType::Utf8)?;
            let (texts, values) = (texts.as_string::<i32>(), values.value(row));
            for place in
                (0..texts.len()).filter(|place| texts.is_valid(*place) && (with_nulls || values.is_valid(*place)))
            {
                if document.len() > 1 {
                    document.push(',');
                }
                let key = serde_json::to_string(texts.value(place)).map_err(|error| exec_datafusion_err!("{error}"))?;
                document.push_str(&key);
                document.push(':');
                write_value(&values, place, is_json, &mut document)?;
            }
        }
        document.push('}');
        documents.append_value(document);
    }
    Ok(Arc::new(documents.finish()))
}

fn joined(arguments: &Arguments) -> Result<ArrayRef> {
    let (lists, separators) = (lists(arguments)?, arguments.text(1)?);
    let missing = arguments.optional_text(2)?;
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let Some(separator) = text_at(&separators, row).filter(|_| lists.is_valid(row)) else {
            texts.append_null();
            continue;
        };
        let missing = missing.as_ref().and_then(|missing| text_at(missing, row));
        let items = converted(&lists.value(row), &DataType::Utf8)?;
        let pieces: Vec<&str> = items.as_string::<i32>().iter().filter_map(|item| item.or(missing)).collect();
        texts.append_value(pieces.join(separator));
    }
    Ok(Arc::new(texts.finish()))
}
