//! Unit tests as they are written in properties files.

use headwater_project::tree::{Node, Tree};
use headwater_project::{Diagnostic, Diagnostics, Span};

use crate::config::plain_text;
use crate::definitions::JsonMap;
use crate::node::{FixtureRows, Given, UnitTest};

#[derive(Clone, Debug)]
pub(crate) struct UnitTestProperties {
    pub name: String,
    pub description: String,
    pub config: JsonMap,
    pub test: UnitTest,
    /// Files that stand for rows: where in `test` (an input, or the expectation when none), and the name of the file.
    pub fixtures: Vec<(Option<usize>, String)>,
    /// The entry as it is written.
    pub written: JsonMap,
    pub span: Span,
}

pub(crate) fn read(tree: &Tree, found: &mut Diagnostics) -> Option<UnitTestProperties> {
    let text = |key: &str| tree.get(key).map(|value| plain_text(&value.to_json()));
    let (Some(name), Some(model)) = (text("name"), text("model")) else {
        found.push(
            Diagnostic::error("a unit test needs a `name` and a `model`")
                .at(tree.span)
                .hint("Write `name:` of the test and `model:` with the name of the model it is about."),
        );
        return None;
    };
    let mut fixtures = Vec::new();
    let mut given = Vec::new();
    for (index, item) in tree.get("given").map(Tree::items).unwrap_or_default().iter().enumerate() {
        let input = item.get("input").map(|input| plain_text(&input.to_json())).unwrap_or_default();
        given.push(Given { input, rows: rows(item, Some(index), &mut fixtures, found) });
    }
    let expect = match tree.get("expect") {
        Some(expect) => rows(expect, None, &mut fixtures, found),
        None => FixtureRows::default(),
    };
    let overrides = |key: &str| tree.get("overrides").and_then(|overrides| overrides.get(key)).map(mapping);
    let test = UnitTest {
        model,
        version: None,
        given,
        expect,
        macros: overrides("macros").unwrap_or_default(),
        vars: overrides("vars").unwrap_or_default(),
        env_vars: overrides("env_vars").unwrap_or_default(),
        tested: None,
    };
    Some(UnitTestProperties {
        name,
        description: text("description").unwrap_or_default(),
        config: tree.get("config").map(mapping).unwrap_or_default(),
        test,
        fixtures,
        written: mapping(tree),
        span: tree.span,
    })
}

fn mapping(tree: &Tree) -> JsonMap {
    tree.to_json().as_object().cloned().unwrap_or_default()
}

fn rows(
    tree: &Tree,
    place: Option<usize>,
    fixtures: &mut Vec<(Option<usize>, String)>,
    found: &mut Diagnostics,
) -> FixtureRows {
    if let Some(fixture) = tree.get("fixture").and_then(Tree::as_str) {
        fixtures.push((place, fixture.to_owned()));
        return FixtureRows::default();
    }
    let format = tree.get("format").and_then(Tree::as_str).unwrap_or("dict");
    let Some(rows) = tree.get("rows") else { return FixtureRows::default() };
    match (format, &rows.node) {
        ("sql", _) => FixtureRows::Sql(rows.as_str().unwrap_or_default().trim().trim_end_matches(';').to_owned()),
        ("csv", _) => match csv_rows(rows.as_str().unwrap_or_default()) {
            Ok(rows) => FixtureRows::Rows(rows),
            Err(problem) => {
                found.push(Diagnostic::error(problem).at(rows.span).hint("The first line names the columns."));
                FixtureRows::default()
            }
        },
        (_, Node::Sequence(items)) => FixtureRows::Rows(items.iter().map(mapping).collect()),
        (_, Node::Null) => FixtureRows::default(),
        _ => {
            found.push(
                Diagnostic::error(format!("the rows of a unit test must be a list, not {}", rows.node.kind()))
                    .at(rows.span)
                    .hint("Write one mapping a row, or say `format: csv` or `format: sql`."),
            );
            FixtureRows::default()
        }
    }
}

/// Rows of CSV text; an empty field and `null` are NULL, as dbt reads them.
pub(crate) fn csv_rows(text: &str) -> Result<Vec<JsonMap>, String> {
    let mut records = records(text);
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let header = records.remove(0);
    let mut rows = Vec::new();
    for record in records {
        if record.len() != header.len() {
            return Err(format!("a row of the fixture has {} fields, the header {}", record.len(), header.len()));
        }
        let value = |field: &String| match field.trim() {
            "" | "null" => serde_json::Value::Null,
            _ => serde_json::Value::String(field.trim().to_owned()),
        };
        rows.push(header.iter().map(|name| name.trim().to_owned()).zip(record.iter().map(value)).collect());
    }
    Ok(rows)
}

/// Fields of each line that is not empty; a field may stand in double quotes.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            _ => field.push(character),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records.retain(|record| record.iter().any(|field| !field.trim().is_empty()));
    records
}
