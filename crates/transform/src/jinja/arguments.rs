//! Arguments of a call, read as Python reads them: by position or by name.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

#[derive(Debug)]
pub(crate) struct Arguments {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

impl Arguments {
    pub(crate) fn new(values: &[Value]) -> Result<Self, Error> {
        let (positional, kwargs): (&[Value], Kwargs) = from_args(values)?;
        let mut named = Vec::new();
        for name in kwargs.args() {
            named.push((name.to_owned(), kwargs.peek::<Value>(name)?));
        }
        Ok(Self { positional: positional.to_vec(), named })
    }

    pub(crate) fn get(&self, position: usize, name: &str) -> Option<Value> {
        self.positional.get(position).or_else(|| self.named(name)).cloned()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn required(&self, position: usize, name: &str) -> Result<Value, Error> {
        self.get(position, name)
            .ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("missing argument `{name}`")))
    }

    pub(crate) fn text(&self, position: usize, name: &str) -> Result<String, Error> {
        Ok(self.required(position, name)?.to_string())
    }

    /// An argument that may be left out or none.
    pub(crate) fn optional_text(&self, position: usize, name: &str) -> Option<String> {
        self.get(position, name)
            .filter(|value| !value.is_none() && !value.is_undefined())
            .map(|value| value.to_string())
    }

    pub(crate) fn flag(&self, position: usize, name: &str, default: bool) -> bool {
        self.get(position, name).map_or(default, |value| value.is_true())
    }
}
