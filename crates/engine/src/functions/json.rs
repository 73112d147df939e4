//! Reading JSON documents that are kept as text.
//!
//! A path is JSONPath without filters: `$`, `.name`, `."name"`, `['name']`, `[0]`. A document is read as far as the path goes;
//! nothing of it is built in memory but the piece that is asked for. Of two values of one key the last counts, the first where
//! the path begins with `^`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::arguments::{Arguments, text_at};
use super::json_documents::documents_of;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // The JSON of a value; the JSON `null` stays.
    Function { name: "json_piece", arity: (1, 2), returns: returns::text, body: piece },
    // The text of a value: strings without quotes, all else as JSON; `null` is NULL.
    Function { name: "json_piece_text", arity: (1, 2), returns: returns::text, body: piece_text },
    // The text of what a document holds, or may be text already: strings in JSON's quotes lose them.
    Function { name: "variant_text", arity: (1, 1), returns: returns::text, body: variant_text },
    // As `json_piece_text`, but NULL for objects and arrays.
    Function { name: "json_scalar", arity: (1, 2), returns: returns::text, body: scalar },
    // The elements of an array, as JSON or as text.
    Function { name: "json_elements", arity: (1, 2), returns: returns::documents, body: elements },
    Function { name: "json_element_texts", arity: (1, 2), returns: returns::texts, body: element_texts },
    Function { name: "json_element_scalars", arity: (1, 2), returns: returns::texts, body: element_scalars },
    // The keys of an object in their order, and its values in the same.
    Function { name: "json_keys", arity: (1, 2), returns: returns::texts, body: keys },
    Function { name: "json_values", arity: (1, 2), returns: returns::documents, body: values },
    Function { name: "json_length", arity: (1, 2), returns: returns::integer, body: length },
    // object, array, string, number, integer, boolean, null.
    Function { name: "json_kind", arity: (1, 2), returns: returns::text, body: kind },
    Function { name: "json_is_valid", arity: (1, 1), returns: returns::boolean, body: is_valid },
    // What a key or an index leads to, as JSON or as text.
    Function { name: "json_member", arity: (2, 2), returns: returns::text, body: member },
    Function { name: "json_member_text", arity: (2, 2), returns: returns::text, body: member_text },
    Function { name: "json_has_key", arity: (2, 2), returns: returns::boolean, body: has_key },
    // Like json_piece_text for a list of keys and indexes written as PostgreSQL writes a text array.
    Function { name: "json_at_keys", arity: (2, 64), returns: returns::text, body: at_keys },
    Function { name: "json_at_keys_text", arity: (2, 64), returns: returns::text, body: at_keys_text },
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// A key of which the first value counts.
    FirstKey(String),
    /// From the end when negative.
    Index(i64),
}

/// A path, read.
pub(super) fn path(text: &str) -> Result<Vec<Step>> {
    let bad = || exec_datafusion_err!("`{text}` is no path into JSON that is understood here");
    let mut steps = Vec::new();
    let trimmed = text.trim();
    if let Some(rest) = trimmed.strip_prefix('^') {
        let first = |step| match step {
            Step::Key(key) => Step::FirstKey(key),
            other => other,
        };
        return Ok(path(rest)?.into_iter().map(first).collect());
    }
    let mut rest = trimmed.strip_prefix('$').unwrap_or(trimmed);
    let mut first = !trimmed.starts_with('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (step, after) = bracket(after).ok_or_else(bad)?;
            steps.push(step);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.').or(first.then_some(rest)) {
            let (key, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(bad)?,
                None => after.split_at(after.find(['.', '[']).unwrap_or(after.len())),
            };
            if key.is_empty() || key == "*" {
                return Err(bad());
            }
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else {
            return Err(bad());
        }
        first = false;
    }
    Ok(steps)
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (key, rest) = quoted.split_once(quote)?;
            return Some((Step::Key(key.to_owned()), rest.strip_prefix(']')?));
        }
    }
    let (index, rest) = text.split_once(']')?;
    Some((Step::Index(index.trim().parse().ok()?), rest))
}

/// Finds a value by its path.
struct Find<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return <&RawValue as serde::Deserialize>::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        let mut is_known = false;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.split_first() {
                // Of two values of one key the last counts, as in most readers of JSON.
                Some((Step::Key(wanted), rest)) if *wanted == key => found = map.next_value_seed(Find(rest))?,
                Some((Step::FirstKey(wanted), rest)) if *wanted == key && !is_known => {
                    is_known = true;
                    found = map.next_value_seed(Find(rest))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        match self.0.split_first() {
            Some((Step::Index(wanted), rest)) if *wanted >= 0 => {
                let mut at = 0;
                while at < *wanted && seq.next_element::<IgnoredAny>()?.is_some() {
                    at += 1;
                }
                if at == *wanted {
                    found = seq.next_element_seed(Find(rest))?.flatten();
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
            }
            Some((Step::Index(wanted), rest)) => {
                let mut all = Vec::new();
                while let Some(element) = seq.next_element::<&'de RawValue>()? {
                    all.push(element);
                }
                let back = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
                let element = all.len().checked_sub(back).and_then(|at| all.get(at).copied());
                found = element.and_then(|element| find(element.get(), rest));
            }
            _ => while seq.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
}

/// The piece of a document a path leads to; none where there is none, or the document is no JSON.
pub(super) fn find<'d>(document: &'d str, path: &[Step]) -> Option<&'d RawValue> {
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let found = Find(path).deserialize(&mut deserializer).ok()?;
    found.filter(|_| deserializer.end().is_ok())
}

/// The text of a JSON value: strings without their quotes.
pub(super) fn text_of(json: &str) -> Option<String> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).ok(),
        Some(b'n') => None,
        _ => Some(json.to_owned()),
    }
}

fn scalar_of(json: &str) -> Option<String> {
    if json.starts_with(['{', '[']) { None } else { text_of(json) }
}

/// The elements of an array.
pub(super) fn items(json: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// Keys and values of an object in their order.
pub(super) fn entries(json: &str) -> Option<Vec<(String, &str)>> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                entries.push((key, value.get()));
            }
            Ok(entries)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Entries).ok()
}

/// The last path read: nearly always there is one for the whole column.
struct Paths(Option<(String, Vec<Step>)>);

impl Paths {
    fn get(&mut self, text: &str) -> Result<&[Step]> {
        if self.0.as_ref().is_none_or(|(known, _)| known != text) {
            self.0 = Some((text.to_owned(), path(text)?));
        }
        Ok(self.0.as_ref().map(|(_, steps)| steps.as_slice()).unwrap_or_default())
    }
}

/// Calls with the piece of each row; none where there is none.
fn each(arguments: &Arguments, mut take: impl FnMut(Option<&str>)) -> Result<()> {
    let documents = documents_of(arguments, 0)?;
    let texts = arguments.optional_text(1)?;
    let mut paths = Paths(None);
    for row in 0..arguments.rows {
        let path = texts.as_ref().map_or(Some("$"), |texts| text_at(texts, row));
        match (text_at(&documents, row), path) {
            (Some(document), Some(path)) => take(find(document, paths.get(path)?).map(RawValue::get)),
            _ => take(None),
        }
    }
    Ok(())
}

fn texts(arguments: &Arguments, text: fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let mut found = StringBuilder::new();
    each(arguments, |json| found.append_option(json.and_then(text)))?;
    Ok(Arc::new(found.finish()))
}

fn piece(arguments: &Arguments) -> Result<ArrayRef> {
    texts(arguments, |json| Some(json.to_owned()))
}

fn piece_text(arguments: &Arguments) -> Result<ArrayRef> {
    texts(arguments, text_of)
}

fn variant_text(arguments: &Arguments) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let text = |document: &str| match document.as_bytes().first() {
        Some(b'"') => text_of(document).or_else(|| Some(document.to_owned())),
        _ if document == "null" => None,
        _ => Some(document.to_owned()),
    };
    Ok(Arc::new(documents.iter().map(|document| document.and_then(text)).collect::<StringArray>()))
}

fn scalar(arguments: &Arguments) -> Result<ArrayRef> {
    texts(arguments, scalar_of)
}

fn lists(arguments: &Arguments, list: fn(&str) -> Option<Vec<Option<String>>>) -> Result<ArrayRef> {
    let mut found = list_builder(arguments)?;
    each(arguments, |json| match json.and_then(list) {
        Some(texts) => {
            for text in texts {
                found.values().append_option(text);
            }
            found.append(true);
        }
        None => found.append(false),
    })?;
    Ok(Arc::new(found.finish()))
}

/// Builds lists as the function returns them: with the mark of JSON or without.
fn list_builder(arguments: &Arguments) -> Result<ListBuilder<StringBuilder>> {
    match &arguments.returns {
        DataType::List(item) => Ok(ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item))),
        other => Err(exec_datafusion_err!("{} returns lists, not {other}", arguments.name)),
    }
}

fn elements(arguments: &Arguments) -> Result<ArrayRef> {
    lists(arguments, |json| Some(items(json)?.into_iter().map(|item| Some(item.to_owned())).collect()))
}

fn element_texts(arguments: &Arguments) -> Result<ArrayRef> {
    lists(arguments, |json| Some(items(json)?.into_iter().map(text_of).collect()))
}

fn element_scalars(arguments: &Arguments) -> Result<ArrayRef> {
    lists(arguments, |json| Some(items(json)?.into_iter().map(scalar_of).collect()))
}

fn keys(arguments: &Arguments) -> Result<ArrayRef> {
    lists(arguments, |json| Some(entries(json)?.into_iter().map(|(key, _)| Some(key)).collect()))
}

fn values(arguments: &Arguments) -> Result<ArrayRef> {
    lists(arguments, |json| Some(entries(json)?.into_iter().map(|(_, value)| Some(value.to_owned())).collect()))
}

fn length(arguments: &Arguments) -> Result<ArrayRef> {
    let mut lengths = Int64Array::builder(arguments.rows);
    each(arguments, |json| {
        lengths.append_option(json.and_then(items).and_then(|items| i64::try_from(items.len()).ok()));
    })?;
    Ok(Arc::new(lengths.finish()))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ if json.contains(['.', 'e', 'E']) => "number",
        _ => "integer",
    }
}

fn kind(arguments: &Arguments) -> Result<ArrayRef> {
    texts(arguments, |json| Some(kind_of(json).to_owned()))
}

fn is_valid(arguments: &Arguments) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let valid = documents.iter().map(|document| document.map(|document| find(document, &[]).is_some()));
    Ok(Arc::new(valid.collect::<BooleanArray>()))
}

/// A step per row: an index where it is given as a number, a key otherwise.
fn steps(arguments: &Arguments, index: usize) -> Result<Vec<Option<Step>>> {
    if arguments.array(index)?.data_type().is_integer() {
        return Ok(arguments.integer(index)?.iter().map(|at| at.map(Step::Index)).collect());
    }
    Ok(arguments.text(index)?.iter().map(|key| key.map(|key| Step::Key(key.to_owned()))).collect())
}

fn members(arguments: &Arguments, text: fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let mut found = StringBuilder::new();
    for (row, step) in steps(arguments, 1)?.into_iter().enumerate() {
        let json = text_at(&documents, row).zip(step).and_then(|(document, step)| find(document, &[step]));
        found.append_option(json.map(RawValue::get).and_then(text));
    }
    Ok(Arc::new(found.finish()))
}

fn member(arguments: &Arguments) -> Result<ArrayRef> {
    members(arguments, |json| Some(json.to_owned()))
}

fn member_text(arguments: &Arguments) -> Result<ArrayRef> {
    members(arguments, text_of)
}

fn has_key(arguments: &Arguments) -> Result<ArrayRef> {
    let (documents, keys) = (documents_of(arguments, 0)?, arguments.text(1)?);
    let has = |row: usize| {
        let (document, key) = (text_at(&documents, row)?, text_at(&keys, row)?);
        if let Some(items) = items(document) {
            return Some(items.into_iter().any(|item| text_of(item).as_deref() == Some(key)));
        }
        Some(find(document, &[Step::Key(key.to_owned())]).is_some())
    };
    Ok(Arc::new((0..arguments.rows).map(has).collect::<BooleanArray>()))
}

/// Keys written as `{a,b,0}`, or each by itself; what is a number is an index into an array.
fn at_keys_as(arguments: &Arguments, text: fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let documents = documents_of(arguments, 0)?;
    let columns: Vec<StringArray> = (1..arguments.len()).map(|index| arguments.text(index)).collect::<Result<_>>()?;
    let mut found = StringBuilder::new();
    for row in 0..arguments.rows {
        let given: Option<Vec<&str>> = columns.iter().map(|column| text_at(column, row)).collect();
        let json = text_at(&documents, row).zip(given).and_then(|(document, given)| {
            let mut at = find(document, &[])?;
            for key in given.iter().flat_map(|given| split_keys(given)) {
                let step = match key.parse() {
                    Ok(index) if at.get().starts_with('[') => Step::Index(index),
                    _ => Step::Key(key.to_owned()),
                };
                at = find(at.get(), &[step])?;
            }
            Some(at)
        });
        found.append_option(json.map(RawValue::get).and_then(text));
    }
    Ok(Arc::new(found.finish()))
}

pub(super) fn split_keys(text: &str) -> Vec<&str> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some("") => Vec::new(),
        Some(keys) => keys.split(',').map(|key| key.trim().trim_matches('"')).collect(),
        None => vec![text],
    }
}

fn at_keys(arguments: &Arguments) -> Result<ArrayRef> {
    at_keys_as(arguments, |json| Some(json.to_owned()))
}

fn at_keys_text(arguments: &Arguments) -> Result<ArrayRef> {
    at_keys_as(arguments, text_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, at: &str, expected: Option<&str>) {
        let steps = path(at).unwrap();
        assert_eq!(find(document, &steps).map(RawValue::get), expected, "{document} at {at}");
    }

    #[test]
    fn a_path_leads_to_its_piece_or_to_nothing() {
        let document = r#"{"a": {"b": [1, {"c": "x"}]}, "a b": null, "t": true}"#;
        check(document, "$", Some(document));
        check(document, "$.a.b[1].c", Some(r#""x""#));
        check(document, "a.b[0]", Some("1"));
        check(document, "$['a b']", Some("null"));
        check(document, "$.\"a b\"", Some("null"));
        check(document, "$.a.b[-1]", Some(r#"{"c": "x"}"#));
        check(document, "$.a.b[5]", None);
        check(document, "$.t.x", None);
        check("{not json", "$.a", None);
        check(r#"{"a": 1} trailing"#, "$.a", None);
        check(r#"{"a": 1, "a": 2}"#, "$.a", Some("2"));
        check(r#"{"a": 1, "a": 2}"#, "^$.a", Some("1"));
        assert!(path("$.a[*]").is_err());
        assert!(path("$..a").is_err());
    }
}
