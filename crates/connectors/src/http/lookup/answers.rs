//! Which part of an answer belongs to which key.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::config::{KeyType, LookupConfig};

/// What an answer says about a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Found(Value),
    NotFound,
    Failed(String),
}

/// The values of a key as they are sent, in the order of the columns' names.
pub(super) type KeyTexts = Vec<String>;

/// What an answer says about each of the keys it was asked for. `records` is the pointer to them.
pub(super) fn outcomes(config: &LookupConfig, records: &str, answer: &Value, keys: &[KeyTexts]) -> Vec<Outcome> {
    let found = answer.pointer(records).unwrap_or(&Value::Null);
    if config.batch <= 1 {
        let one = of_one(found, config);
        return keys.iter().map(|_| one.clone()).collect();
    }
    let list = match found {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    if config.matched.is_empty() {
        return in_order(list, keys.len(), config);
    }
    keys.iter()
        .map(|key| {
            let record = list.iter().find(|record| is_of(record, key, config));
            record.map_or(Outcome::NotFound, |record| Outcome::Found(taken(record, config)))
        })
        .collect()
}

fn of_one(found: &Value, config: &LookupConfig) -> Outcome {
    match found {
        Value::Null => Outcome::NotFound,
        Value::Array(list) => match list.as_slice() {
            [] => Outcome::NotFound,
            [one] => Outcome::Found(taken(one, config)),
            several => Outcome::Failed(format!("the answer has {} records for one key", several.len())),
        },
        one => Outcome::Found(taken(one, config)),
    }
}

fn in_order(list: &[Value], keys: usize, config: &LookupConfig) -> Vec<Outcome> {
    if list.len() != keys {
        let problem = format!("the answer has {} records for {keys} keys", list.len());
        return vec![Outcome::Failed(problem); keys];
    }
    let outcome = |record: &Value| match record {
        Value::Null => Outcome::NotFound,
        record => Outcome::Found(taken(record, config)),
    };
    list.iter().map(outcome).collect()
}

fn is_of(record: &Value, key: &KeyTexts, config: &LookupConfig) -> bool {
    config.matched.values().zip(config.key.values()).zip(key).all(|((pointer, data_type), sent)| {
        record.pointer(pointer).is_some_and(|value| is_same(value, *data_type, sent))
    })
}

/// Whether a service means what was sent, however it writes it.
fn is_same(value: &Value, data_type: KeyType, sent: &str) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match data_type {
        KeyType::Integer | KeyType::Number => match (text.parse::<f64>(), sent.parse::<f64>()) {
            (Ok(found), Ok(sent)) => found == sent,
            _ => false,
        },
        KeyType::Timestamp => match (DateTime::parse_from_rfc3339(&text), DateTime::parse_from_rfc3339(sent)) {
            (Ok(found), Ok(sent)) => found == sent,
            _ => false,
        },
        KeyType::Text | KeyType::Boolean | KeyType::Date => text == sent,
    }
}

/// What is kept of a record: the fields that are asked for, or all that no other column has the name of.
fn taken(record: &Value, config: &LookupConfig) -> Value {
    let Value::Object(all) = record else { return record.clone() };
    if config.fields.is_empty() {
        let is_own =
            |name: &String| !config.key.contains_key(name) && !super::rows::STATUS_COLUMNS.contains(&name.as_str());
        let kept = all.iter().filter(|(name, _)| is_own(name));
        return Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
    let mut kept = Map::new();
    for (name, field) in &config.fields {
        let value = match &field.at {
            Some(pointer) => record.pointer(pointer),
            None => all.get(name),
        };
        if let Some(value) = value {
            kept.insert(name.clone(), value.clone());
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(more: &str) -> LookupConfig {
        serde_json::from_str(&format!(r#"{{"keys": "k", "key": {{"at": "timestamp", "id": "number"}}{more}}}"#))
            .unwrap()
    }

    fn check(config: &LookupConfig, answer: &Value, keys: &[&[&str]], expected: &[Outcome]) {
        let keys: Vec<KeyTexts> = keys.iter().map(|key| key.iter().map(|text| (*text).to_owned()).collect()).collect();
        assert_eq!(outcomes(config, "/data", answer, &keys), expected, "{answer}");
    }

    #[test]
    fn one_key_has_one_record_or_none() {
        let key: &[&[&str]] = &[&["2024-01-01T00:00:00Z", "1"]];
        let found = Outcome::Found(json!({"t": 1}));
        let plain = config("");
        check(&plain, &json!({"data": {"t": 1, "id": 7, "_status": "x"}}), key, std::slice::from_ref(&found));
        check(&plain, &json!({"data": [{"t": 1}]}), key, &[found]);
        for nothing in [json!({}), json!({"data": null}), json!({"data": []}), json!(null)] {
            check(&plain, &nothing, key, &[Outcome::NotFound]);
        }
        let several = Outcome::Failed(String::from("the answer has 2 records for one key"));
        check(&plain, &json!({"data": [1, 2]}), key, &[several]);
        let picked = config(r#", "fields": {"t": {"type": "number", "at": "/main/t"}, "u": {"type": "text"}}"#);
        check(&picked, &json!({"data": {"main": {"t": 2}, "x": 1}}), key, &[Outcome::Found(json!({"t": 2}))]);
    }

    #[test]
    fn several_keys_find_their_records_by_value() {
        let matched = config(r#", "batch": 2, "match": {"at": "/when", "id": "/place/id"}"#);
        let answer = json!({"data": [
            {"when": "2024-01-01T01:00:00+01:00", "place": {"id": "2.0"}, "t": 1},
            {"when": "2024-01-01T00:00:00Z", "place": {"id": 3}, "t": 2},
        ]});
        let keys: &[&[&str]] =
            &[&["2024-01-01T00:00:00Z", "3"], &["2024-01-01T00:00:00Z", "2"], &["2024-01-01T00:00:00Z", "4"]];
        let record = |index: usize| Outcome::Found(taken(&answer["data"][index], &matched));
        check(&matched, &answer, keys, &[record(1), record(0), Outcome::NotFound]);
    }

    #[test]
    fn several_keys_find_their_records_by_order() {
        let ordered = config(r#", "batch": 2"#);
        let keys: &[&[&str]] = &[&["a", "1"], &["b", "2"]];
        check(
            &ordered,
            &json!({"data": [{"t": 1}, null]}),
            keys,
            &[Outcome::Found(json!({"t": 1})), Outcome::NotFound],
        );
        let failed = Outcome::Failed(String::from("the answer has 1 records for 2 keys"));
        check(&ordered, &json!({"data": [{"t": 1}]}), keys, &[failed.clone(), failed]);
    }
}
