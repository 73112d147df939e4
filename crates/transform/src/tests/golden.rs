//! A project whose compiled SQL was recorded from dbt itself, statement by statement.

use super::fixtures::load_text;

const PROJECT: &str = include_str!("golden/project.txt");
const COMPILED: &str = include_str!("golden/compiled.txt");

/// dbt-duckdb puts the name of its database in front of every relation.
fn expected() -> Vec<(String, String)> {
    COMPILED
        .split("=== ")
        .skip(1)
        .map(|part| {
            let (id, sql) = part.split_once('\n').expect("an id and its SQL");
            (id.to_owned(), sql.strip_suffix('\n').unwrap_or(sql).replace("\"golden\".", ""))
        })
        .collect()
}

#[test]
fn compiled_sql_is_that_of_dbt() {
    let fixture = load_text(PROJECT).clean();
    let mut wrong = String::new();
    for (id, sql) in expected() {
        let compiled = fixture.compile(&id);
        if compiled.sql != sql {
            wrong.push_str(&format!("--- {id}: expected\n{sql:?}\n--- got\n{:?}\n", compiled.sql));
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn the_golden_project_has_the_nodes_dbt_finds() {
    let fixture = load_text(PROJECT).clean();
    let ids: Vec<&str> = fixture.project.graph.nodes.keys().map(crate::NodeId::as_str).collect();
    let expected: Vec<&str> = include_str!("golden/ids.txt").lines().collect();
    assert_eq!(ids.join("\n"), expected.join("\n"));
}
