//! Values of a render: lists and mappings that can be changed in place, and the ways to and from JSON.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;

/// Locks a value that is only ever held for a moment; a panic while it was held cannot leave it half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A Python list.
#[derive(Default)]
pub(crate) struct List {
    items: Mutex<Vec<Value>>,
}

impl List {
    pub(crate) fn of(items: Vec<Value>) -> Value {
        Value::from_object(Self { items: Mutex::new(items) })
    }

    fn mutate(&self, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        let mut items = locked(&self.items);
        match method {
            "append" => items.push(arguments.required(0, "object")?),
            "extend" => {
                drop(items);
                let more: Vec<Value> = arguments.required(0, "iterable")?.try_iter()?.collect();
                locked(&self.items).extend(more);
            }
            "insert" => {
                let at = position(arguments.required(0, "index")?.as_i64().unwrap_or(0), items.len());
                items.insert(at, arguments.required(1, "object")?);
            }
            "pop" => return pop(&mut items, arguments.get(0, "index").and_then(|value| value.as_i64()).unwrap_or(-1)),
            "remove" => {
                let wanted = arguments.required(0, "value")?;
                let at = items.iter().position(|item| *item == wanted);
                items.remove(at.ok_or_else(|| invalid("list.remove(x): x is not in the list"))?);
            }
            "clear" => items.clear(),
            "reverse" => items.reverse(),
            "sort" => {
                items.sort();
                if arguments.flag(1, "reverse", false) {
                    items.reverse();
                }
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

fn position(index: i64, len: usize) -> usize {
    if index < 0 { len.saturating_sub(index.unsigned_abs() as usize) } else { (index as usize).min(len) }
}

fn pop(items: &mut Vec<Value>, index: i64) -> Result<Value, Error> {
    let at = position(index, items.len());
    if at >= items.len() {
        return Err(invalid("pop from a list that has no such element"));
    }
    Ok(items.remove(at))
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(locked(&self.items).iter()).finish()
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        locked(&self.items).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(locked(&self.items).clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        self.mutate(method, &Arguments::new(args)?)
    }
}

/// A Python dict; keeps the order of insertion.
#[derive(Default)]
pub(crate) struct Mapping {
    pairs: Mutex<Vec<(Value, Value)>>,
}

impl Mapping {
    pub(crate) fn of(pairs: Vec<(Value, Value)>) -> Value {
        let mapping = Self::default();
        for (key, value) in pairs {
            mapping.insert(key, value);
        }
        Value::from_object(mapping)
    }

    fn insert(&self, key: Value, value: Value) {
        let mut pairs = locked(&self.pairs);
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some(pair) => pair.1 = value,
            None => pairs.push((key, value)),
        }
    }

    fn lookup(&self, key: &Value) -> Option<Value> {
        locked(&self.pairs).iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn remove(&self, key: &Value) -> Option<Value> {
        let mut pairs = locked(&self.pairs);
        let at = pairs.iter().position(|(known, _)| known == key)?;
        Some(pairs.remove(at).1)
    }

    fn mutate(&self, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "update" => {
                for source in &arguments.positional {
                    for (key, value) in pairs_of(source)? {
                        self.insert(key, value);
                    }
                }
                for (key, value) in &arguments.named {
                    self.insert(Value::from(key.as_str()), value.clone());
                }
                Ok(Value::from(()))
            }
            "pop" => {
                let key = arguments.required(0, "key")?;
                let value = self.remove(&key).or_else(|| arguments.get(1, "default"));
                value.ok_or_else(|| invalid(format!("the mapping has no key {key:?}")))
            }
            "setdefault" => {
                let key = arguments.required(0, "key")?;
                if let Some(value) = self.lookup(&key) {
                    return Ok(value);
                }
                let value = arguments.get(1, "default").unwrap_or_else(|| Value::from(()));
                self.insert(key, value.clone());
                Ok(value)
            }
            "clear" => {
                locked(&self.pairs).clear();
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(locked(&self.pairs).iter().map(|(key, value)| (key, value))).finish()
    }
}

impl Object for Mapping {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lookup(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(locked(&self.pairs).iter().map(|(key, _)| key.clone()).collect())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        self.mutate(method, &Arguments::new(args)?)
    }
}

/// Keys and values of a mapping, or of a sequence of pairs.
pub(crate) fn pairs_of(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let mut pairs = Vec::new();
    for item in value.try_iter()? {
        if value.kind() == ValueKind::Map {
            let found = value.get_item(&item)?;
            pairs.push((item, found));
        } else {
            pairs.push((item.get_item_by_index(0)?, item.get_item_by_index(1)?));
        }
    }
    Ok(pairs)
}

/// A list that can be changed, with the items of any iterable.
pub(crate) fn to_list(value: &Value) -> Result<Value, Error> {
    Ok(List::of(value.try_iter()?.collect()))
}

pub(crate) fn to_mapping(value: &Value) -> Result<Value, Error> {
    Ok(Mapping::of(pairs_of(value)?))
}

pub(crate) fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => number_value(number),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => List::of(items.iter().map(from_json).collect()),
        serde_json::Value::Object(map) => {
            Mapping::of(map.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value))).collect())
        }
    }
}

fn number_value(number: &serde_json::Number) -> Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => Value::from(integer),
        (None, Some(integer)) => Value::from(integer),
        _ => Value::from(number.as_f64().unwrap_or_default()),
    }
}

/// The JSON form of a value; objects such as relations become their text.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => serde_json::Value::Bool(value.is_true()),
        ValueKind::Number => number_json(value),
        ValueKind::Seq | ValueKind::Iterable => {
            serde_json::Value::Array(value.try_iter().into_iter().flatten().map(|item| to_json(&item)).collect())
        }
        ValueKind::Map if value.downcast_object_ref::<super::relation::Relation>().is_none() => {
            let pairs = pairs_of(value).unwrap_or_default();
            serde_json::Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_string(), to_json(&value))).collect(),
            )
        }
        _ => serde_json::Value::String(value.to_string()),
    }
}

fn number_json(value: &Value) -> serde_json::Value {
    match value.as_i64().filter(|_| value.is_integer()) {
        Some(integer) => serde_json::Value::from(integer),
        None => f64::try_from(value.clone()).map_or(serde_json::Value::Null, serde_json::Value::from),
    }
}
