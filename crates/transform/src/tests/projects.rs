//! Real and large projects.

use std::path::Path;
use std::sync::Arc;

use headwater_project::Files;

use super::fixtures::{Fixture, Scripted, load_text, options};
use crate::{
    Cell, ColumnInfo, DeclaredSource, LoadOptions, NodeId, NodeKind, QueryTable, RelationKind, RelationName, TestKind,
    load,
};

fn declared(source: &str, table: &str) -> DeclaredSource {
    let relation = RelationName { database: None, schema: source.to_owned(), identifier: table.to_owned() };
    DeclaredSource { source: source.to_owned(), table: table.to_owned(), relation, columns: Vec::<ColumnInfo>::new() }
}

#[test]
fn the_models_and_generic_tests_of_music_compile_on_an_empty_and_on_a_filled_warehouse() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../projects/music");
    let tables =
        ["listen_events", "page_view_events", "auth_events", "status_change_events", "user_info", "songs", "locations"];
    let declared_sources = tables.iter().map(|table| declared("events", table)).collect();
    let mut files = Files::default();
    let (project, found) = load(&mut files, &root, LoadOptions { declared_sources, ..options() });
    let fixture = Fixture { files, project, found }.clean();
    let answer = QueryTable {
        columns: vec![ColumnInfo { name: String::from("value"), data_type: String::from("Int64") }],
        rows: vec![vec![Cell::Integer(20_240_101)]],
    };
    let mut filled = Scripted { otherwise: Some(answer), ..Scripted::default() };
    for node in fixture.project.graph.nodes.values() {
        filled = filled.with_relation(&node.name, RelationKind::Table, &["id"]);
    }
    let filled = Arc::new(filled);
    let order = fixture.project.graph.order();
    assert_eq!(order.len(), fixture.project.graph.nodes.len());
    let singular = |id: &&NodeId| fixture.project.graph.nodes[*id].kind == NodeKind::Test(TestKind::Singular);
    for id in order.iter().filter(|id| !id.as_str().starts_with("source.") && !singular(id)) {
        let first = fixture.compile(id.as_str());
        let next = fixture.compile_in(id.as_str(), &filled, false);
        assert_eq!(first.raw_sql_hash, next.raw_sql_hash, "{id}");
        assert!(!first.sql.contains("{{") && !first.sql.contains("__list"), "{id}: {}", first.sql);
    }
}

#[test]
fn a_thousand_models_load() {
    let mut text = String::from("=== models/m0.sql\nselect 1 as id\n");
    for at in 1..1000 {
        let config = "{{ config(materialized='table', tags=['a']) }}";
        text.push_str(&format!(
            "=== models/f{}/m{at}.sql\n{config}\nselect * from {{{{ ref('m{}') }}}}\n",
            at % 10,
            at - 1
        ));
    }
    let fixture = load_text(&text).clean();
    assert_eq!(fixture.project.graph.order().len(), 1000);
}
