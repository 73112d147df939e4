//! Changing and comparing JSON documents, as PostgreSQL's `jsonb` does.
//!
//! What stays of a document is copied as text; only what is on the way to a change is taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, text_at};
use super::json::{entries, find, items, split_keys, text_of};
use super::json_documents::documents_of;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // A document in its one form: keys in order and once, numbers without exponents.
    Function { name: "jsonb_document", arity: (1, 1), returns: returns::text, body: canonical },
    // (document, document): keys of the second, then of the first; arrays one after the other.
    Function { name: "json_merge", arity: (2, 2), returns: returns::text, body: merge },
    // (document, patch): as RFC 7396 says.
    Function { name: "json_merge_patch", arity: (2, 2), returns: returns::text, body: merge_patch },
    // (document, key, or list of keys, or index): without it.
    Function { name: "json_without", arity: (2, 2), returns: returns::text, body: without },
    // (document, path): the path as a list of keys, or as `{a,0}`.
    Function { name: "json_without_path", arity: (2, 2), returns: returns::text, body: without_path },
    // (document, path, value, whether a key may be new)
    Function { name: "json_set", arity: (3, 4), returns: returns::text, body: set },
    // (document, keys ...): an object of these keys alone.
    Function { name: "json_pick", arity: (2, 64), returns: returns::text, body: pick },
    // Without the keys whose value is null.
    Function { name: "json_without_nulls", arity: (1, 1), returns: returns::text, body: strip_nulls },
    Function { name: "json_contains", arity: (2, 2), returns: returns::boolean, body: contains },
    // The same, also deeper within.
    Function { name: "json_contains_anywhere", arity: (2, 2), returns: returns::boolean, body: contains_anywhere },
    // A document whose fractions have no zeros at their end.
    Function { name: "json_document_short", arity: (1, 1), returns: returns::text, body: short },
    Function { name: "json_equal", arity: (2, 2), returns: returns::boolean, body: equal },
    // (value, list or JSON array): whether it is an item, and which one, counted from 0.
    Function { name: "variant_in", arity: (2, 2), returns: returns::boolean, body: variant_in },
    Function { name: "variant_position", arity: (2, 2), returns: returns::integer, body: variant_position },
    // (document, list of keys)
    Function { name: "json_has_any_key", arity: (2, 2), returns: returns::boolean, body: has_any },
    Function { name: "json_has_all_keys", arity: (2, 2), returns: returns::boolean, body: has_all },
];

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object of keys and the text of their values, with blanks as PostgreSQL shows it.
fn object<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    object_with(entries, " ")
}

fn object_with<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>, blank: &str) -> String {
    let pair = |(key, value): (&'a str, &'a str)| format!("{}:{blank}{value}", quoted(key));
    format!("{{{}}}", entries.into_iter().map(pair).collect::<Vec<_>>().join(&format!(",{blank}")))
}

fn array<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    array_with(items, " ")
}

fn array_with<'a>(items: impl IntoIterator<Item = &'a str>, blank: &str) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(&format!(",{blank}")))
}

/// A document in one form. Zeros at the end of a fraction stay where numbers are shown, and go where they are compared.
fn normal(json: &str, to_compare: bool) -> String {
    if let Some(pieces) = items(json) {
        let pieces: Vec<String> = pieces.into_iter().map(|piece| normal(piece, to_compare)).collect();
        return array(pieces.iter().map(String::as_str));
    }
    if let Some(found) = entries(json) {
        let by_key: BTreeMap<(usize, String), String> =
            found.into_iter().map(|(key, value)| ((key.len(), key), normal(value, to_compare))).collect();
        return object(by_key.iter().map(|((_, key), value)| (key.as_str(), value.as_str())));
    }
    match json.as_bytes().first() {
        Some(b'"') => text_of(json).map_or_else(|| json.to_owned(), |text| quoted(&text)),
        Some(b'-' | b'0'..=b'9') => number(json, to_compare),
        _ => json.to_owned(),
    }
}

/// A number in plain digits.
fn number(digits: &str, to_compare: bool) -> String {
    let plain = match digits.split_once(['e', 'E']) {
        None => digits.to_owned(),
        Some((digits, exponent)) => shifted(digits, exponent).unwrap_or_else(|| digits.to_owned()),
    };
    if to_compare && plain.contains('.') {
        let short = plain.trim_end_matches('0').trim_end_matches('.');
        return if short == "-0" { String::from("0") } else { short.to_owned() };
    }
    plain
}

/// Digits with the point moved; none for exponents beyond all reason.
fn shifted(digits: &str, exponent: &str) -> Option<String> {
    let by: i32 = exponent.parse().ok().filter(|by: &i32| by.abs() <= 400)?;
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()? + by;
    let length = i32::try_from(all.len()).ok()?;
    let shown = if point <= 0 {
        format!("0.{}{all}", "0".repeat(usize::try_from(-point).ok()?))
    } else if point >= length {
        format!("{all}{}", "0".repeat(usize::try_from(point - length).ok()?))
    } else {
        let (before, after) = all.split_at(usize::try_from(point).ok()?);
        format!("{before}.{after}")
    };
    let trimmed = shown.trim_start_matches('0');
    let lead = if trimmed.is_empty() || trimmed.starts_with('.') { "0" } else { "" };
    Some(format!("{sign}{lead}{trimmed}"))
}

/// Documents of the first two arguments, row by row; NULL where one is missing.
fn in_pairs<T>(arguments: &Arguments, take: impl Fn(&str, &str) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
    let (left, right) = (documents_of(arguments, 0)?, documents_of(arguments, 1)?);
    let one = |row: usize| match text_at(&left, row).zip(text_at(&right, row)) {
        Some((left, right)) => take(left, right),
        None => Ok(None),
    };
    (0..arguments.rows).map(one).collect()
}

fn texts(found: Vec<Option<String>>) -> ArrayRef {
    Arc::new(found.into_iter().collect::<StringArray>())
}

fn canonical(arguments: &Arguments) -> Result<ArrayRef> {
    let given = documents_of(arguments, 0)?;
    let mut documents = StringBuilder::new();
    for text in &given {
        let Some(text) = text else {
            documents.append_null();
            continue;
        };
        let json = find(text, &[]).ok_or_else(|| exec_datafusion_err!("`{text}` is no JSON"))?;
        documents.append_value(normal(json.get(), false));
    }
    Ok(Arc::new(documents.finish()))
}

fn merged(left: &str, right: &str) -> String {
    if let (Some(before), Some(after)) = (entries(left), entries(right)) {
        let kept = before.iter().filter(|(key, _)| after.iter().all(|(other, _)| other != key));
        return object(kept.chain(&after).map(|(key, value)| (key.as_str(), *value)));
    }
    let listed = |json: &str| {
        items(json).map_or_else(|| vec![json.to_owned()], |all| all.into_iter().map(str::to_owned).collect())
    };
    let both: Vec<String> = listed(left).into_iter().chain(listed(right)).collect();
    array(both.iter().map(String::as_str))
}

fn merge(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(texts(in_pairs(arguments, |left, right| Ok(Some(merged(left, right))))?))
}

fn patched(document: &str, patch: &str) -> String {
    let Some(changes) = entries(patch) else { return patch.to_owned() };
    let before = entries(document).unwrap_or_default();
    let mut out: Vec<(String, String)> = Vec::new();
    for (key, value) in &before {
        match changes.iter().rev().find(|(changed, _)| changed == key) {
            Some((_, change)) if *change == "null" => {}
            Some((_, change)) => out.push((key.clone(), patched(value, change))),
            None => out.push((key.clone(), (*value).to_owned())),
        }
    }
    for (key, change) in &changes {
        if *change != "null" && before.iter().all(|(known, _)| known != key) {
            out.push((key.clone(), patched("{}", change)));
        }
    }
    object(out.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn merge_patch(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(texts(in_pairs(arguments, |left, right| Ok(Some(patched(left, right))))?))
}

/// The place an index means in an array: from the end when it is negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

/// A document with what a path leads to changed: `change` is given what was there and says what is to be.
fn changed(json: &str, path: &[String], change: &dyn Fn(Option<&str>) -> Option<String>) -> Option<String> {
    let Some((step, rest)) = path.split_first() else { return change(Some(json)) };
    let deeper = |value: Option<&str>| match (value, rest.is_empty()) {
        (value, true) => change(value),
        (Some(value), false) => changed(value, rest, change),
        (None, false) => None,
    };
    if let Some(found) = items(json) {
        let mut all: Vec<Option<String>> = found.iter().map(|item| Some((*item).to_owned())).collect();
        match step.parse().ok().and_then(|index| place(index, found.len())).filter(|at| *at < found.len()) {
            Some(at) => {
                let new = deeper(found.get(at).copied());
                if let Some(slot) = all.get_mut(at) {
                    *slot = new;
                }
            }
            None => all.push(deeper(None)),
        }
        return Some(array(all.iter().flatten().map(String::as_str)));
    }
    let Some(found) = entries(json) else { return Some(json.to_owned()) };
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    let mut is_known = false;
    for (key, value) in found {
        let new = if key == *step { deeper(Some(value)) } else { Some(value.to_owned()) };
        is_known |= key == *step;
        all.push((key, new));
    }
    if !is_known {
        all.push((step.clone(), deeper(None)));
    }
    let kept = all.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    Some(object(kept))
}

/// Paths of each row: lists of keys, or text such as `{a,0}`.
fn paths(arguments: &Arguments, index: usize) -> Result<Vec<Option<Vec<String>>>> {
    let given = arguments.array(index)?;
    if let DataType::List(_) = given.data_type() {
        let lists = given.as_list::<i32>();
        let one = |row: usize| -> Result<Option<Vec<String>>> {
            if lists.is_null(row) {
                return Ok(None);
            }
            let keys = converted(&lists.value(row), &DataType::Utf8)?;
            Ok(Some(keys.as_string::<i32>().iter().flatten().map(str::to_owned).collect()))
        };
        return (0..arguments.rows).map(one).collect();
    }
    let given = arguments.text(index)?;
    let split = |text: &str| split_keys(text).into_iter().map(str::to_owned).collect();
    Ok((0..arguments.rows).map(|row| text_at(&given, row).map(split)).collect())
}

/// Documents changed at a path of their row.
fn at_paths(arguments: &Arguments, change: impl Fn(usize, &str, &[String]) -> Option<String>) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let paths = paths(arguments, 1)?;
    let one = |(row, path): (usize, Option<Vec<String>>)| change(row, text_at(&documents, row)?, &path?);
    Ok(Arc::new(paths.into_iter().enumerate().map(one).collect::<StringArray>()))
}

fn without_path(arguments: &Arguments) -> Result<ArrayRef> {
    at_paths(arguments, |_, document, path| changed(document, path, &|_| None))
}

fn without(arguments: &Arguments) -> Result<ArrayRef> {
    let is_index = arguments.array(1)?.data_type().is_integer();
    let is_list = matches!(arguments.array(1)?.data_type(), DataType::List(_));
    at_paths(arguments, |_, document, keys| {
        // Text is one key as it is, even when it looks like a path.
        let keys = if is_list { keys.to_vec() } else { vec![keys.join(",")] };
        if let (Some(found), false) = (items(document), is_index) {
            let is_kept =
                |item: &&str| text_of(item).is_none_or(|text| !item.starts_with('"') || !keys.contains(&text));
            return Some(array(found.into_iter().filter(is_kept)));
        }
        keys.iter()
            .try_fold(document.to_owned(), |document, key| changed(&document, std::slice::from_ref(key), &|_| None))
    })
}

fn set(arguments: &Arguments) -> Result<ArrayRef> {
    let values = documents_of(arguments, 2)?;
    let may_be_new = if arguments.len() > 3 { Some(arguments.cast(3, &DataType::Boolean)?) } else { None };
    at_paths(arguments, |row, document, path| {
        let value = text_at(&values, row)?;
        let is_open = may_be_new.as_ref().is_none_or(|given| {
            let given = given.as_boolean();
            given.is_valid(row) && given.value(row)
        });
        changed(document, path, &|before| (before.is_some() || is_open).then(|| value.to_owned()))
    })
}

fn pick(arguments: &Arguments) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let keys: Vec<StringArray> = (1..arguments.len()).map(|index| arguments.text(index)).collect::<Result<_>>()?;
    let one = |row: usize| {
        let found = entries(text_at(&documents, row)?)?;
        let is_wanted = |key: &str| keys.iter().any(|column| text_at(column, row) == Some(key));
        Some(object(found.iter().filter(|(key, _)| is_wanted(key)).map(|(key, value)| (key.as_str(), *value))))
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<StringArray>()))
}

/// A document without the keys whose value is null, and with or without blanks.
pub(super) fn stripped(json: &str, blank: &str) -> String {
    if let Some(pieces) = items(json) {
        let pieces: Vec<String> = pieces.into_iter().map(|piece| stripped(piece, blank)).collect();
        return array_with(pieces.iter().map(String::as_str), blank);
    }
    let Some(found) = entries(json) else { return json.to_owned() };
    let kept: Vec<(String, String)> = found
        .into_iter()
        .filter(|(_, value)| *value != "null")
        .map(|(key, value)| (key, stripped(value, blank)))
        .collect();
    object_with(kept.iter().map(|(key, value)| (key.as_str(), value.as_str())), blank)
}

fn strip_nulls(arguments: &Arguments) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let stripped = |document: Option<&str>| document.map(|document| stripped(document, " "));
    Ok(Arc::new(documents.iter().map(stripped).collect::<StringArray>()))
}

/// Whether a document has all that another has, at the same place; arrays in any order.
fn holds(whole: &str, part: &str) -> bool {
    if let Some(parts) = entries(part) {
        let Some(found) = entries(whole) else { return false };
        return parts.iter().all(|(key, part)| {
            found.iter().rev().find(|(known, _)| known == key).is_some_and(|(_, value)| holds(value, part))
        });
    }
    if let Some(parts) = items(part) {
        let Some(found) = items(whole) else { return false };
        return parts.iter().all(|part| found.iter().any(|item| holds(item, part)));
    }
    normal(whole, true) == normal(part, true)
}

fn contains(arguments: &Arguments) -> Result<ArrayRef> {
    let found = in_pairs(arguments, |whole, part| {
        // An array has a value that stands alone, too.
        let alone =
            || items(whole).is_some_and(|items| items.iter().any(|item| normal(item, true) == normal(part, true)));
        Ok(Some(holds(whole, part) || (!part.starts_with(['{', '[']) && alone())))
    })?;
    Ok(Arc::new(BooleanArray::from(found)))
}

fn holds_anywhere(whole: &str, part: &str) -> bool {
    let within = || match (entries(whole), items(whole)) {
        (Some(found), _) => found.iter().any(|(_, value)| holds_anywhere(value, part)),
        (_, Some(found)) => found.iter().any(|item| holds_anywhere(item, part)),
        _ => false,
    };
    holds(whole, part) || within()
}

fn contains_anywhere(arguments: &Arguments) -> Result<ArrayRef> {
    let found = in_pairs(arguments, |whole, part| Ok(Some(holds_anywhere(whole, part))))?;
    Ok(Arc::new(BooleanArray::from(found)))
}

/// Numbers outside of text, without the zeros at the end of their fractions.
fn shortened(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => text_length(rest),
            '-' | '0'..='9' => rest
                .find(|letter: char| !matches!(letter, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
                .unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        let is_fraction = next != '"' && piece.contains('.') && !piece.contains(['e', 'E']);
        out.push_str(if is_fraction { piece.trim_end_matches('0') } else { piece });
        if is_fraction && out.ends_with('.') {
            out.push('0');
        }
        rest = after;
    }
    out
}

/// How long the text is that JSON begins with, with its quotes.
fn text_length(json: &str) -> usize {
    let mut escaped = false;
    let end = json.char_indices().skip(1).find(|(_, letter)| {
        let ends = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |(at, _)| at + 1)
}

fn short(arguments: &Arguments) -> Result<ArrayRef> {
    let given = documents_of(arguments, 0)?;
    let one = |text: Option<&str>| -> Result<Option<String>> {
        let Some(text) = text else { return Ok(None) };
        let json = find(text, &[]).ok_or_else(|| exec_datafusion_err!("`{text}` is no JSON"))?;
        Ok(Some(shortened(json.get())))
    };
    Ok(texts(given.iter().map(one).collect::<Result<_>>()?))
}

fn equal(arguments: &Arguments) -> Result<ArrayRef> {
    let found = in_pairs(arguments, |left, right| Ok(Some(normal(left.trim(), true) == normal(right.trim(), true))))?;
    Ok(Arc::new(BooleanArray::from(found)))
}

/// Where a value is among the items of each row: `None` for no answer, `Some(None)` for nowhere.
fn places(arguments: &Arguments) -> Result<Vec<Option<Option<usize>>>> {
    let values = super::json_documents::encoded(arguments, 0, arguments.is_json(0))?;
    let values = values.as_string::<i32>();
    let lists = documents_of(arguments, 1)?;
    let place = |row: usize| {
        let (value, list) = (text_at(values, row)?, text_at(&lists, row)?);
        let wanted = normal(value, true);
        Some(items(list)?.iter().position(|item| normal(item, true) == wanted))
    };
    Ok((0..arguments.rows).map(place).collect())
}

fn variant_in(arguments: &Arguments) -> Result<ArrayRef> {
    let found = places(arguments)?.into_iter().map(|place| place.map(|place| place.is_some()));
    Ok(Arc::new(found.collect::<BooleanArray>()))
}

fn variant_position(arguments: &Arguments) -> Result<ArrayRef> {
    let found = places(arguments)?.into_iter().map(|place| i64::try_from(place??).ok());
    Ok(Arc::new(found.collect::<arrow::array::Int64Array>()))
}

fn has(arguments: &Arguments, all: bool) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let keys = paths(arguments, 1)?;
    let one = |(row, keys): (usize, Option<Vec<String>>)| {
        let (document, keys) = (text_at(&documents, row)?, keys?);
        let known: Vec<String> = match (entries(document), items(document)) {
            (Some(found), _) => found.into_iter().map(|(key, _)| key).collect(),
            (_, Some(found)) => found.into_iter().filter_map(text_of).collect(),
            _ => Vec::new(),
        };
        let mut present = keys.iter().map(|key| known.contains(key));
        Some(if all { present.all(|is| is) } else { present.any(|is| is) })
    };
    Ok(Arc::new(keys.into_iter().enumerate().map(one).collect::<BooleanArray>()))
}

fn has_any(arguments: &Arguments) -> Result<ArrayRef> {
    has(arguments, false)
}

fn has_all(arguments: &Arguments) -> Result<ArrayRef> {
    has(arguments, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_one_form() {
        for (given, expected) in [
            (r#"{"bb":1,"a":2, "a": 3}"#, r#"{"a": 3, "bb": 1}"#),
            ("1e2", "100"),
            ("-1.5e-3", "-0.0015"),
            ("1.25e1", "12.5"),
            ("[1,  2.50]", "[1, 2.50]"),
        ] {
            assert_eq!(normal(given, false), expected, "{given}");
        }
        assert_eq!(normal("1.0", true), normal("1", true));
    }

    #[test]
    fn a_change_reaches_what_its_path_leads_to_and_nothing_else() {
        let path = |text: &str| split_keys(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let set = |document: &str, at: &str| changed(document, &path(at), &|_| Some(String::from("9")));
        assert_eq!(set(r#"{"a": {"b": 1, "c": 2}}"#, "{a,b}").as_deref(), Some(r#"{"a": {"b": 9, "c": 2}}"#));
        assert_eq!(set("[1, 2]", "{-1}").as_deref(), Some("[1, 9]"));
        let removed = changed(r#"{"a": [1, 2]}"#, &path("{a,0}"), &|_| None);
        assert_eq!(removed.as_deref(), Some(r#"{"a": [2]}"#));
    }

    #[test]
    fn only_fractions_lose_zeros() {
        assert_eq!(
            shortened(r#"{"a": 0.10, "b": "0.10 \" 1.0", "c": [10, 1.0, 1.50e2]}"#),
            r#"{"a": 0.1, "b": "0.10 \" 1.0", "c": [10, 1.0, 1.50e2]}"#
        );
    }

    #[test]
    fn a_document_holds_its_parts_in_any_order() {
        assert!(holds(r#"{"a": 1, "b": [1, 2]}"#, r#"{"b": [2]}"#));
        assert!(!holds(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!holds("[1]", r#"{"a": 1}"#));
    }
}
