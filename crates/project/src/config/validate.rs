//! Checks a spanned tree against a JSON Schema: the part of the language that `schemars` derives from our structs.
//!
//! All problems of a file are reported at once, each at its place, unknown keys with the nearest known one.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::tree::{Entry, Node, Tree};

/// The known name nearest to `wrong`, if one is near enough to be what was meant.
pub fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
    let limit = 1 + wrong.chars().count() / 4;
    known
        .into_iter()
        .map(|name| (near(name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

pub(super) fn validate(tree: &Tree, root: &Value, diagnostics: &mut Diagnostics) {
    Validator { root }.check(tree, root, "", diagnostics);
}

struct Validator<'a> {
    root: &'a Value,
}

impl<'a> Validator<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            match target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                Some(next) => schema = next,
                None => return schema,
            }
        }
        schema
    }

    fn check(&self, tree: &Tree, schema: &'a Value, path: &str, diagnostics: &mut Diagnostics) {
        // What a key is for stands beside its reference.
        let about = schema.get("description");
        let schema = self.resolve(schema);
        let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
        if let Some(alternatives) = alternatives {
            return self.check_alternatives(tree, alternatives, about, path, diagnostics);
        }
        if let Some(values) = constants(schema) {
            return check_constant(tree, &values, path, diagnostics);
        }
        if let Some(expected) = wrong_type(tree, schema) {
            return diagnostics.push(mistyped(tree, &expected, about.or(schema.get("description")), path));
        }
        match &tree.node {
            Node::Mapping(entries) => self.check_mapping(tree, entries, schema, path, diagnostics),
            Node::Sequence(items) => {
                if let Some(item_schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(item, item_schema, &format!("{path}[{index}]"), diagnostics);
                    }
                }
            }
            _ => check_bounds(tree, schema, path, diagnostics),
        }
    }

    fn check_mapping(
        &self,
        tree: &Tree,
        entries: &[Entry],
        schema: &'a Value,
        path: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let no_properties = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&no_properties);
        let additional = schema.get("additionalProperties");
        for entry in entries {
            let inner = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            match (properties.get(&entry.key), additional) {
                (Some(property), _) => self.check(&entry.value, property, &inner, diagnostics),
                (None, Some(Value::Bool(false))) => diagnostics.push(unknown_key(entry, properties)),
                (None, Some(value_schema @ Value::Object(_))) => {
                    self.check(&entry.value, value_schema, &inner, diagnostics);
                }
                (None, _) => {}
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !entries.iter().any(|entry| entry.key == required) {
                diagnostics.push(missing_key(tree, required, properties.get(required), path));
            }
        }
    }

    /// Picks the alternative a person meant: by the key that tells them apart, else by the type of the value.
    fn check_alternatives(
        &self,
        tree: &Tree,
        alternatives: &'a [Value],
        about: Option<&Value>,
        path: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let alternatives: Vec<&Value> = alternatives.iter().map(|one| self.resolve(one)).collect();
        if let Some(values) = all_constants(&alternatives) {
            return check_constant(tree, &values, path, diagnostics);
        }
        if let (Some(tag), Node::Mapping(_)) = (discriminator(&alternatives), &tree.node) {
            return self.check_tagged(tree, &tag, &alternatives, path, diagnostics);
        }
        let fitting: Vec<&Value> = alternatives.iter().copied().filter(|one| wrong_type(tree, one).is_none()).collect();
        if fitting.is_empty() {
            let expected: Vec<String> = alternatives.iter().filter_map(|one| wrong_type(tree, one)).collect();
            return diagnostics.push(mistyped(tree, &expected.join(" or "), about, path));
        }
        let mut best: Option<Diagnostics> = None;
        for alternative in fitting {
            let mut found = Diagnostics::default();
            self.check(tree, alternative, path, &mut found);
            if best.as_ref().is_none_or(|best| found.found.len() < best.found.len()) {
                best = Some(found);
            }
        }
        diagnostics.found.extend(best.unwrap_or_default().found);
    }

    fn check_tagged(
        &self,
        tree: &Tree,
        tag: &str,
        alternatives: &[&'a Value],
        path: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let value_of = |schema: &Value| schema.pointer(&format!("/properties/{tag}/const")).cloned();
        let Some(chosen) = tree.get(tag) else {
            return diagnostics.push(missing_key(tree, tag, None, path).hint(format!(
                "Add `{tag}:` with one of {}.",
                listed(&alternatives.iter().filter_map(|one| value_of(one)).collect::<Vec<_>>())
            )));
        };
        let json = chosen.to_json();
        match alternatives.iter().find(|one| value_of(one).as_ref() == Some(&json)) {
            Some(alternative) => self.check(tree, alternative, path, diagnostics),
            None => {
                let values: Vec<Value> = alternatives.iter().filter_map(|one| value_of(one)).collect();
                check_constant(chosen, &values, &format!("{path}.{tag}"), diagnostics);
            }
        }
    }
}

fn described(path: &str) -> String {
    if path.is_empty() { String::from("the file") } else { format!("`{}`", path.trim_start_matches('.')) }
}

fn constants(schema: &Value) -> Option<Vec<Value>> {
    schema.get("const").map(|value| vec![value.clone()]).or_else(|| schema.get("enum")?.as_array().cloned())
}

/// The values of a choice, when every alternative is a plain constant.
fn all_constants(alternatives: &[&Value]) -> Option<Vec<Value>> {
    let values: Option<Vec<Vec<Value>>> = alternatives.iter().map(|one| constants(one)).collect();
    values.map(|values| values.into_iter().flatten().collect())
}

/// The key whose constant value tells mapping alternatives apart.
fn discriminator(alternatives: &[&Value]) -> Option<String> {
    let properties = alternatives.first()?.get("properties")?.as_object()?;
    let is_tag = |name: &String| {
        alternatives.len() > 1
            && alternatives.iter().all(|one| one.pointer(&format!("/properties/{name}/const")).is_some())
    };
    properties.keys().find(|name| is_tag(name)).cloned()
}

fn check_constant(tree: &Tree, values: &[Value], path: &str, diagnostics: &mut Diagnostics) {
    let actual = tree.to_json();
    if values.contains(&actual) {
        return;
    }
    let shown = actual.as_str().map_or_else(|| actual.to_string(), str::to_owned);
    let hint = suggest(&shown, values.iter().filter_map(Value::as_str))
        .map_or_else(|| format!("Use one of {}.", listed(values)), |near| format!("Did you mean `{near}`?"));
    diagnostics.push(
        Diagnostic::error(format!("{} cannot be `{shown}`", described(path)))
            .detail(format!("Known values: {}.", listed(values)))
            .hint(hint)
            .at(tree.span),
    );
}

fn listed(values: &[Value]) -> String {
    let texts: Vec<String> =
        values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    texts.join(", ")
}

fn unknown_key(entry: &Entry, properties: &Map<String, Value>) -> Diagnostic {
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    let hint = suggest(&entry.key, known.iter().copied())
        .map_or_else(|| format!("Known keys here: {}.", known.join(", ")), |near| format!("Did you mean `{near}`?"));
    Diagnostic::error(format!("unknown key `{}`", entry.key)).hint(hint).at(entry.key_span)
}

fn missing_key(tree: &Tree, name: &str, schema: Option<&Value>, path: &str) -> Diagnostic {
    let place = if path.is_empty() { String::new() } else { format!(" in {}", described(path)) };
    let diagnostic = Diagnostic::error(format!("`{name}` is missing{place}")).at(tree.span);
    explained(diagnostic, name, schema.and_then(|schema| schema.get("description")))
}

fn mistyped(tree: &Tree, expected: &str, about: Option<&Value>, path: &str) -> Diagnostic {
    let message = format!("{} must be {expected}, not {}", described(path), tree.node.kind());
    let name = path.rsplit('.').next().unwrap_or(path);
    explained(Diagnostic::error(message).at(tree.span), name, about)
}

/// With what a key is for.
fn explained(diagnostic: Diagnostic, name: &str, about: Option<&Value>) -> Diagnostic {
    match about.and_then(Value::as_str) {
        Some(about) => diagnostic.hint(format!("{name}: {}", about.replace('\n', " "))),
        None => diagnostic,
    }
}

/// `None` when the value has a type the schema allows, else what was expected.
fn wrong_type(tree: &Tree, schema: &Value) -> Option<String> {
    let allowed: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => match constants(schema) {
            Some(values) if !values.contains(&tree.to_json()) => return Some(listed(&values)),
            _ => return None,
        },
    };
    let fits = allowed.iter().any(|kind| {
        matches!(
            (*kind, &tree.node),
            ("null", Node::Null)
                | ("boolean", Node::Bool(_))
                | ("integer", Node::Integer(_))
                | ("number", Node::Integer(_) | Node::Float(_))
                | ("string", Node::String(_))
                | ("array", Node::Sequence(_))
                | ("object", Node::Mapping(_))
        )
    });
    (!fits).then(|| {
        allowed.iter().filter(|kind| **kind != "null").map(|kind| type_name(kind)).collect::<Vec<_>>().join(" or ")
    })
}

fn type_name(kind: &str) -> &'static str {
    match kind {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

fn check_bounds(tree: &Tree, schema: &Value, path: &str, diagnostics: &mut Diagnostics) {
    let value = match tree.node {
        Node::Integer(value) => value as f64,
        Node::Float(value) => value,
        _ => return,
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    if let Some(minimum) = bound("minimum").filter(|minimum| value < *minimum) {
        diagnostics.push(Diagnostic::error(format!("{} must be at least {minimum}", described(path))).at(tree.span));
    }
    if let Some(maximum) = bound("maximum").filter(|maximum| value > *maximum) {
        diagnostics.push(Diagnostic::error(format!("{} must be at most {maximum}", described(path))).at(tree.span));
    }
}
