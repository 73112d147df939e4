//! Unit tests as artifacts show them, with the digest by which dbt tells that one changed.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::load::generic_test::{python_repr, python_text};
use crate::node::{FixtureRows, UnitTest};

/// The fields a unit test has besides those of every node.
pub(super) fn fields(test: &UnitTest, written: &Map<String, Value>, schema: &str) -> Map<String, Value> {
    let of = |index: usize| written.get("given").and_then(|given| given.get(index)).cloned().unwrap_or_default();
    let given: Vec<Value> = test
        .given
        .iter()
        .enumerate()
        .map(|(index, given)| {
            let mut fixture = Map::from_iter([(String::from("input"), json!(given.input))]);
            fixture.extend(rows(&given.rows, &of(index)));
            Value::Object(fixture)
        })
        .collect();
    let expect = rows(&test.expect, &written.get("expect").cloned().unwrap_or_default());
    let overrides = written.contains_key("overrides");
    let overrides = overrides.then(|| json!({ "macros": test.macros, "vars": test.vars, "env_vars": test.env_vars }));
    let versions = written
        .get("versions")
        .map(|versions| json!({ "include": versions.get("include"), "exclude": versions.get("exclude") }));
    let checksum = checksum(&test.model, versions.as_ref(), &given, &expect, overrides.as_ref());
    let fields = json!({
        "model": test.model, "given": given, "expect": expect, "overrides": overrides, "versions": versions,
        "version": test.version.as_ref().map(crate::load::nodes::version_value), "schema": schema, "checksum": checksum,
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn rows(rows: &FixtureRows, written: &Value) -> Map<String, Value> {
    let text = |key: &str| written.get(key).and_then(Value::as_str);
    let shown = match rows {
        FixtureRows::Rows(rows) => json!(rows),
        FixtureRows::Sql(sql) => json!(sql),
    };
    let fields = json!({ "rows": shown, "format": text("format").unwrap_or("dict"), "fixture": text("fixture") });
    fields.as_object().cloned().unwrap_or_default()
}

/// dbt hashes how Python prints everything but the description.
fn checksum(
    model: &str,
    versions: Option<&Value>,
    given: &[Value],
    expect: &Map<String, Value>,
    overrides: Option<&Value>,
) -> String {
    let inputs: Vec<String> = given.iter().map(|fixture| printed("UnitTestInputFixture", fixture)).collect();
    let none = || String::from("None");
    let mut text = format!(
        "{model}-{}-[{}]-{}-{}",
        versions.map_or_else(none, |versions| printed("UnitTestNodeVersions", versions)),
        inputs.join(", "),
        printed("UnitTestOutputFixture", &Value::Object(expect.clone())),
        overrides.map_or_else(none, |overrides| printed("UnitTestOverrides", overrides)),
    );
    for input in given.iter().filter(|input| input.get("fixture").is_some_and(|fixture| !fixture.is_null())) {
        text.push_str(&format!("-{}", python_text(input.get("rows").unwrap_or(&Value::Null))));
    }
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn printed(class: &str, fields: &Value) -> String {
    let field = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value.as_str()) {
            ("format", Some("csv")) => String::from("<UnitTestFormat.CSV: 'csv'>"),
            ("format", Some("sql")) => String::from("<UnitTestFormat.SQL: 'sql'>"),
            ("format", _) => String::from("<UnitTestFormat.Dict: 'dict'>"),
            _ => python_repr(value),
        };
        format!("{key}={value}")
    };
    let fields: Vec<String> = fields.as_object().into_iter().flatten().map(field).collect();
    format!("{class}({})", fields.join(", "))
}
