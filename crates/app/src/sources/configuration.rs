//! The file of a source as it may be shown.

use std::path::Path;

use headwater_project::tree::{self, Node, Tree};

use crate::project::Project;

/// Words of keys whose values are never shown, unless they only name a variable of the environment.
const SECRETS: [&str; 6] = ["password", "secret", "token", "passphrase", "credential", "api_key"];
const HIDDEN: &str = "•••";
/// A list or mapping of plain values this short is one line.
const LINE: usize = 80;

/// Keys and values in the order of the file, as it is written: variables are not filled in.
pub(super) fn shown(project: &Project, path: &Path) -> Vec<(String, String)> {
    let Some(file) = project.files.find(path) else { return Vec::new() };
    let Some(text) = project.files.get(file).map(|file| file.text.clone()) else { return Vec::new() };
    let (tree, _) = tree::parse(file, &text);
    let mut lines = Vec::new();
    for entry in tree.entries().iter().filter(|entry| !matches!(entry.key.as_str(), "name" | "description")) {
        flatten(&entry.key, &entry.value, &mut lines);
    }
    lines
}

fn flatten(key: &str, value: &Tree, lines: &mut Vec<(String, String)>) {
    if is_secret(key) && !names_variable(value) && value.node != Node::Null {
        lines.push((key.to_owned(), HIDDEN.to_owned()));
        return;
    }
    let short = short(value);
    match short {
        Some(text) => lines.push((key.to_owned(), text)),
        None if value.entries().is_empty() => {
            for (number, item) in value.items().iter().enumerate() {
                flatten(&format!("{key}[{number}]"), item, lines);
            }
        }
        None => {
            for entry in value.entries() {
                flatten(&format!("{key}.{}", entry.key), &entry.value, lines);
            }
        }
    }
}

/// Of the last part of a key.
fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    SECRETS.iter().any(|word| last.contains(word))
}

fn names_variable(value: &Tree) -> bool {
    let name = value.as_str().and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
}

/// Text of a plain value, or of a short list of such; nothing for what has to be taken apart.
fn short(value: &Tree) -> Option<String> {
    if !value.entries().is_empty() {
        return None;
    }
    if value.items().is_empty() {
        return Some(plain(value));
    }
    let parts: Option<Vec<String>> = value
        .items()
        .iter()
        .map(|item| (item.entries().is_empty() && item.items().is_empty()).then(|| plain(item)))
        .collect();
    parts.map(|parts| parts.join(", ")).filter(|text| text.chars().count() <= LINE)
}

fn plain(value: &Tree) -> String {
    match (value.as_str(), value.to_json()) {
        (Some(text), _) => text.to_owned(),
        (None, serde_json::Value::Null) => String::from("–"),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use headwater_project::span::Files;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let file = Files::default().add("sources/a.yml", text);
        let mut lines = Vec::new();
        for entry in tree::parse(file, text).0.entries() {
            flatten(&entry.key, &entry.value, &mut lines);
        }
        let found: Vec<_> = lines.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn secrets_are_hidden_and_variables_are_named() {
        check("from: {token: hunter2}", &[("from.token", "•••")]);
        check("from: {token: \"${HOOKS}\"}", &[("from.token", "${HOOKS}")]);
        check("from: {token: \"${A}x${B}\"}", &[("from.token", "•••")]);
        check("signature: {secret: {a: b}, header: X}", &[("signature.secret", "•••"), ("signature.header", "X")]);
        check("from: {client_secret: [a, b]}", &[("from.client_secret", "•••")]);
    }

    #[test]
    fn mappings_are_taken_apart_and_short_lists_are_not() {
        check(
            "kind: kafka\nfrom: {topics: [a, b], envelope: {debezium: {key: [id]}}}",
            &[("kind", "kafka"), ("from.topics", "a, b"), ("from.envelope.debezium.key", "id")],
        );
        check(
            "from:\n  tables:\n    public.tokens:\n    crm.notes: {as: n}",
            &[("from.tables.public.tokens", "–"), ("from.tables.crm.notes.as", "n")],
        );
    }
}
