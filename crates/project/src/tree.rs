//! YAML as a tree whose every key and value knows where it stands.
//!
//! Parsing comes first and substitution of `${...}` afterwards, in string leaves only, so a value can never change the
//! structure of a file. Limits keep a hostile file from exhausting memory: nesting depth, and the number of nodes after
//! aliases are expanded.

mod parse;
mod scalar;

use crate::diagnostic::Diagnostics;
use crate::span::{FileId, Span};

pub use parse::{MAX_DEPTH, MAX_NODES};
pub(crate) use scalar::resolve_plain;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub node: Node,
    pub span: Span,
    /// True for a scalar written without quotes; only such a leaf is read as a number or boolean.
    pub plain: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Sequence(Vec<Tree>),
    /// In the order written; keys are unique.
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Tree,
}

impl Node {
    /// What a person calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::String(_) => "text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

impl Tree {
    pub fn entries(&self) -> &[Entry] {
        match &self.node {
            Node::Mapping(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Tree] {
        match &self.node {
            Node::Sequence(items) => items,
            _ => &[],
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.node {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.node {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value without its places. Numbers that JSON cannot hold (NaN, infinities) become null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Integer(value) => Value::from(*value),
            Node::Float(value) => Value::from(*value),
            Node::String(text) => Value::String(text.clone()),
            Node::Sequence(items) => Value::Array(items.iter().map(Tree::to_json).collect()),
            Node::Mapping(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }
}

/// Reads one YAML document. An empty file is an empty mapping. What cannot be read is a diagnostic, and the tree holds
/// what came before it.
pub fn parse(file: FileId, text: &str) -> (Tree, Diagnostics) {
    parse::parse(file, text, false)
}

/// As [`parse`], for files of dbt, whose YAML is 1.1: `yes`, `no`, `on` and `off` are booleans, and of two values for one key
/// the later one holds, with a warning.
pub fn parse_for_dbt(file: FileId, text: &str) -> (Tree, Diagnostics) {
    parse::parse(file, text, true)
}

#[cfg(test)]
mod tests;
