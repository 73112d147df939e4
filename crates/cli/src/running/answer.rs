//! Reading what the running process answered.

use headwater_project::Failure;
use serde_json::Value;

/// The text of a field; empty where it has none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Large integers come as text.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A time to the second; empty where there is none.
pub(crate) fn moment(value: &Value, key: &str) -> String {
    text(value, key).get(..19).map(|time| format!("{time}Z")).unwrap_or_default()
}

/// The error of something with a name, if it has one.
pub(crate) fn error_of(name: &str, value: &Value) -> Option<Failure> {
    let error = value.get("error").filter(|error| !error.is_null())?;
    let mut failure = Failure::user(format!("{name}: {}", text(error, "message")));
    failure.detail = error["detail"].as_str().map(str::to_owned);
    failure.hint = error["hint"].as_str().map(str::to_owned);
    Some(failure)
}

/// The one that is asked for by name, or all. `what` they are called, such as `source`.
pub(crate) fn chosen(mut values: Vec<Value>, wanted: Option<&str>, what: &str) -> Result<Vec<Value>, Failure> {
    let Some(wanted) = wanted else { return Ok(values) };
    let known: Vec<String> = values.iter().map(|value| text(value, "name").to_owned()).collect();
    values.retain(|value| text(value, "name") == wanted);
    if values.is_empty() {
        let failure = Failure::user(format!("there is no {what} `{wanted}`"));
        return Err(failure.with_hint(format!("Known {what}s: {}.", known.join(", "))));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_as_they_cross_the_wire() {
        let value = json!({"rows": "9007199254740993", "few": 3, "at": "2026-01-01T10:00:00.123456Z", "none": null});
        assert_eq!(
            (number(&value["rows"]), number(&value["few"]), number(&value["none"])),
            (Some(9_007_199_254_740_993), Some(3), None)
        );
        assert_eq!((moment(&value, "at"), moment(&value, "none")), ("2026-01-01T10:00:00Z".to_owned(), String::new()));
    }

    #[test]
    fn a_name_that_nothing_has_is_told_with_those_there_are() {
        let values = vec![json!({"name": "a"}), json!({"name": "b"})];
        assert_eq!(chosen(values.clone(), Some("b"), "sink").unwrap(), [json!({"name": "b"})]);
        assert_eq!(chosen(values.clone(), None, "sink").unwrap().len(), 2);
        let refused = chosen(values, Some("c"), "sink").unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("Known sinks: a, b."));
    }
}
