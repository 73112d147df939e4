//! What an unquoted scalar means: YAML 1.2 core schema, so `yes`, `no`, `on` and `off` stay text.

use super::Node;

pub(crate) fn resolve_plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Node::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" => Node::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Node::Float(f64::NEG_INFINITY),
        _ => resolve_number(text).unwrap_or_else(|| Node::String(text.to_owned())),
    }
}

/// As [`resolve_plain`], with the further words for true and false that YAML 1.1 had.
pub(crate) fn resolve_for_dbt(text: &str) -> Node {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Node::Bool(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Node::Bool(false),
        _ => resolve_plain(text),
    }
}

fn resolve_number(text: &str) -> Option<Node> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(Node::Integer);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok().map(Node::Integer);
    }
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')) {
        return None;
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(Node::Integer(value));
    }
    text.parse::<f64>().ok().map(Node::Float)
}
