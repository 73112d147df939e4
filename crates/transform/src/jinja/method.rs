//! The methods Python's strings, lists and mappings have and templates rely on.

use minijinja::value::{Object, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::value::{List, invalid, pairs_of, to_list, to_mapping};

/// Called when a value has no method of that name itself.
pub(crate) fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::new(args)?;
    match value.kind() {
        ValueKind::String => text_method(state, value.as_str().unwrap_or_default(), method, &arguments),
        ValueKind::Map => mapping_method(value, method, &arguments),
        ValueKind::Seq | ValueKind::Iterable => sequence_method(value, method, &arguments),
        ValueKind::Undefined | ValueKind::None if !state.lookup("execute").is_some_and(|execute| execute.is_true()) => {
            Ok(Value::UNDEFINED)
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn mapping_method(value: &Value, method: &str, arguments: &Arguments) -> Result<Value, Error> {
    match method {
        "get" => {
            let found = value.get_item(&arguments.required(0, "key")?)?;
            if !found.is_undefined() {
                return Ok(found);
            }
            Ok(arguments.get(1, "default").unwrap_or_else(|| Value::from(())))
        }
        "keys" => to_list(value),
        "values" => Ok(List::of(pairs_of(value)?.into_iter().map(|(_, value)| value).collect())),
        "items" => {
            let pair = |(key, value): (Value, Value)| Value::from(minijinja::value::Tuple::from(vec![key, value]));
            Ok(List::of(pairs_of(value)?.into_iter().map(pair).collect()))
        }
        "copy" => to_mapping(value),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn sequence_method(value: &Value, method: &str, arguments: &Arguments) -> Result<Value, Error> {
    match method {
        "count" => {
            let wanted = arguments.required(0, "value")?;
            Ok(Value::from(value.try_iter()?.filter(|item| *item == wanted).count()))
        }
        "index" => {
            let wanted = arguments.required(0, "value")?;
            let at = value.try_iter()?.position(|item| item == wanted);
            at.map(Value::from).ok_or_else(|| invalid(format!("{wanted:?} is not in the list")))
        }
        "copy" => to_list(value),
        "union" | "intersection" | "difference" => set_operation(value, method, &arguments.required(0, "other")?),
        "add" | "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" => Err(invalid(format!(
            "cannot call {method} on the result of an expression; make it a list first with `| list`"
        ))),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn set_operation(value: &Value, method: &str, other: &Value) -> Result<Value, Error> {
    let left: Vec<Value> = value.try_iter()?.collect();
    let right: Vec<Value> = other.try_iter()?.collect();
    let chosen: Vec<Value> = match method {
        "union" => left.into_iter().chain(right).collect(),
        "intersection" => left.into_iter().filter(|item| right.contains(item)).collect(),
        _ => left.into_iter().filter(|item| !right.contains(item)).collect(),
    };
    Ok(List::of(distinct(chosen)))
}

pub(crate) fn distinct(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

fn text_method(state: &mut State<'_, '_>, text: &str, method: &str, arguments: &Arguments) -> Result<Value, Error> {
    if let Some(changed) = change_case(text, method) {
        return Ok(Value::from(changed));
    }
    match method {
        "strip" | "lstrip" | "rstrip" => {
            Ok(Value::from(strip(text, method, arguments.optional_text(0, "chars").as_deref())))
        }
        "split" | "rsplit" => Ok(split(text, method == "rsplit", arguments)),
        "splitlines" => Ok(List::of(text.lines().map(Value::from).collect())),
        "replace" => replace(text, arguments),
        "join" => join(text, &arguments.required(0, "iterable")?),
        "format" => format_braces(state, text, arguments),
        "startswith" | "endswith" => affix(text, method, &arguments.required(0, "prefix")?),
        "find" => Ok(Value::from(find(text, &arguments.text(0, "sub")?))),
        "count" => Ok(Value::from(text.matches(arguments.text(0, "sub")?.as_str()).count())),
        "index" => match find(text, &arguments.text(0, "sub")?) {
            -1 => Err(invalid("substring not found")),
            at => Ok(Value::from(at)),
        },
        "zfill" => Ok(Value::from(zfill(text, arguments.required(0, "width")?.as_usize().unwrap_or(0)))),
        "ljust" | "rjust" | "center" => justify(text, method, arguments),
        "removeprefix" => Ok(affix_removed(text.strip_prefix(arguments.text(0, "prefix")?.as_str()), text)),
        "removesuffix" => Ok(affix_removed(text.strip_suffix(arguments.text(0, "suffix")?.as_str()), text)),
        "partition" => Ok(partition(text, &arguments.text(0, "sep")?)),
        _ => is_all(text, method).map(Value::from).ok_or_else(|| Error::from(ErrorKind::UnknownMethod)),
    }
}

fn change_case(text: &str, method: &str) -> Option<String> {
    Some(match method {
        "upper" => text.to_uppercase(),
        "lower" | "casefold" => text.to_lowercase(),
        "title" => words(text, true),
        "capitalize" => words(text, false),
        "swapcase" => text.chars().map(swap_case).collect(),
        _ => return None,
    })
}

fn swap_case(character: char) -> char {
    if character.is_uppercase() {
        character.to_lowercase().next().unwrap_or(character)
    } else {
        character.to_uppercase().next().unwrap_or(character)
    }
}

/// The first letter of the text, or of each word, in upper case and the rest in lower case.
fn words(text: &str, each: bool) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut start = true;
    for character in text.chars() {
        if start && character.is_alphabetic() {
            changed.extend(character.to_uppercase());
        } else {
            changed.extend(character.to_lowercase());
        }
        start = if each { !character.is_alphabetic() } else { false };
    }
    changed
}

fn strip(text: &str, method: &str, characters: Option<&str>) -> String {
    let wanted = |character: char| match characters {
        Some(set) => set.contains(character),
        None => character.is_whitespace(),
    };
    match method {
        "lstrip" => text.trim_start_matches(wanted),
        "rstrip" => text.trim_end_matches(wanted),
        _ => text.trim_matches(wanted),
    }
    .to_owned()
}

fn split(text: &str, from_right: bool, arguments: &Arguments) -> Value {
    let limit = arguments.get(1, "maxsplit").and_then(|value| value.as_usize()).unwrap_or(usize::MAX);
    let Some(separator) = arguments.optional_text(0, "sep") else {
        return List::of(text.split_whitespace().map(Value::from).collect());
    };
    let pieces = limit.saturating_add(1);
    let mut parts: Vec<Value> = if from_right {
        text.rsplitn(pieces, &separator).map(Value::from).collect()
    } else {
        text.splitn(pieces, &separator).map(Value::from).collect()
    };
    if from_right {
        parts.reverse();
    }
    List::of(parts)
}

fn replace(text: &str, arguments: &Arguments) -> Result<Value, Error> {
    let (old, new) = (arguments.text(0, "old")?, arguments.text(1, "new")?);
    Ok(Value::from(match arguments.get(2, "count").and_then(|value| value.as_usize()) {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    }))
}

fn join(separator: &str, items: &Value) -> Result<Value, Error> {
    let mut joined = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&item.to_string());
    }
    Ok(Value::from(joined))
}

fn affix(text: &str, method: &str, wanted: &Value) -> Result<Value, Error> {
    let matches = |affix: &str| if method == "startswith" { text.starts_with(affix) } else { text.ends_with(affix) };
    if let Some(affix) = wanted.as_str() {
        return Ok(Value::from(matches(affix)));
    }
    Ok(Value::from(wanted.try_iter()?.any(|affix| affix.as_str().is_some_and(matches))))
}

fn affix_removed(stripped: Option<&str>, text: &str) -> Value {
    Value::from(stripped.unwrap_or(text))
}

fn find(text: &str, wanted: &str) -> i64 {
    let chars = |at: usize| text.get(..at).map_or(0, |before| before.chars().count());
    text.find(wanted).map_or(-1, |at| i64::try_from(chars(at)).unwrap_or(i64::MAX))
}

/// Widths beyond this are refused: a template must not be able to ask for all memory.
const MAX_WIDTH: usize = 1 << 16;

fn zfill(text: &str, width: usize) -> String {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.get(..1).unwrap_or_default(), digits),
        None => ("", text),
    };
    let missing = width.min(MAX_WIDTH).saturating_sub(text.chars().count());
    format!("{sign}{}{digits}", "0".repeat(missing))
}

fn justify(text: &str, method: &str, arguments: &Arguments) -> Result<Value, Error> {
    let width = arguments.required(0, "width")?.as_usize().unwrap_or(0).min(MAX_WIDTH);
    let fill = arguments.optional_text(1, "fillchar").unwrap_or_else(|| String::from(" "));
    let missing = width.saturating_sub(text.chars().count());
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2,
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))))
}

fn partition(text: &str, separator: &str) -> Value {
    let (before, middle, after) = match text.split_once(separator) {
        Some((before, after)) => (before, separator, after),
        None => (text, "", ""),
    };
    Value::from(minijinja::value::Tuple::from(vec![Value::from(before), Value::from(middle), Value::from(after)]))
}

fn is_all(text: &str, method: &str) -> Option<bool> {
    let all = |matches: fn(char) -> bool| !text.is_empty() && text.chars().all(matches);
    Some(match method {
        "isdigit" | "isdecimal" | "isnumeric" => all(|character| character.is_numeric()),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isupper" => text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        _ => return None,
    })
}

/// `'{} {0} {name:.2f}'.format(...)`. What follows a colon is given to the engine's `%` formatting.
fn format_braces(state: &mut State<'_, '_>, text: &str, arguments: &Arguments) -> Result<Value, Error> {
    let mut formatted = String::with_capacity(text.len());
    let mut next = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, found) = rest.split_at(at);
        formatted.push_str(before);
        if let Some(after) = found.strip_prefix("{{").or_else(|| found.strip_prefix("}}")) {
            formatted.push_str(found.get(..1).unwrap_or_default());
            rest = after;
            continue;
        }
        let close = found.find('}').filter(|_| found.starts_with('{'));
        let close = close.ok_or_else(|| invalid("a brace in the format string has no partner"))?;
        let field = found.get(1..close).unwrap_or_default();
        formatted.push_str(&format_field(state, field, arguments, &mut next)?);
        rest = found.get(close + 1..).unwrap_or_default();
    }
    formatted.push_str(rest);
    Ok(Value::from(formatted))
}

fn format_field(
    state: &mut State<'_, '_>,
    field: &str,
    arguments: &Arguments,
    next: &mut usize,
) -> Result<String, Error> {
    let (name, spec) = field.split_once(':').unwrap_or((field, ""));
    let mut path = name.split('.');
    let first = path.next().unwrap_or_default();
    let found = if first.is_empty() {
        *next += 1;
        arguments.positional.get(*next - 1).cloned()
    } else if let Ok(index) = first.parse::<usize>() {
        arguments.positional.get(index).cloned()
    } else {
        arguments.named(first).cloned()
    };
    let mut value = found.ok_or_else(|| invalid(format!("the format string asks for a missing argument `{name}`")))?;
    for part in path {
        value = value.get_attr(part)?;
    }
    if spec.is_empty() {
        return Ok(value.to_string());
    }
    let (plain, comma) = if spec.contains(',') { (spec.replace(',', ""), true) } else { (spec.to_owned(), false) };
    let plain = if plain.ends_with(|last: char| last.is_ascii_alphabetic()) { plain } else { format!("{plain}s") };
    let text = state.apply_filter("format", &[Value::from(format!("%{plain}")), value])?.to_string();
    Ok(if comma { with_thousands(&text) } else { text })
}

fn with_thousands(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut grouped = String::new();
    let digits = whole.trim_start_matches('-');
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    fraction.map_or_else(|| format!("{sign}{grouped}"), |fraction| format!("{sign}{grouped}.{fraction}"))
}

/// A value that is nothing but a set of methods.
pub(crate) trait Methods: std::fmt::Debug + Send + Sync {
    fn call(&self, state: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error>;

    fn attribute(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }
}

/// Makes a value of a set of methods.
#[derive(Debug)]
pub(crate) struct MethodsObject<T>(pub T);

impl<T: Methods + 'static> Object for MethodsObject<T> {
    fn get_value(self: &std::sync::Arc<Self>, key: &Value) -> Option<Value> {
        self.0.attribute(key.as_str()?)
    }

    fn is_true(self: &std::sync::Arc<Self>) -> bool {
        true
    }

    fn call_method(
        self: &std::sync::Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        self.0.call(state, method, &Arguments::new(args)?)
    }
}
