//! Reading what a run does not make elsewhere, and less than all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::fixtures::{Fixture, Scripted, load_text};
use crate::{Batch, Deferral, NodeId, PreviousState, RelationKind, RunContext, Warehouse, parse_moment};

const PROJECT: &str = "\
=== models/a.sql
{{ config(event_time='at') }} select 1 as id
=== models/e.sql
{{ config(materialized='ephemeral', event_time='at') }} select * from {{ ref('a') }}
=== models/m.sql
select * from {{ ref('a') }} join {{ ref('e') }}
=== models/u.yml
unit_tests: [{name: t, model: m, given: [{input: ref('a'), rows: [{id: 1}]}, {input: ref('e'), rows: [{id: 1}]}], expect: {rows: [{id: 1}]}}]
";

fn sql(fixture: &Fixture, name: &str, here: &[&str], run: RunContext) -> String {
    let mut warehouse = Scripted::default();
    for relation in here {
        warehouse = warehouse.with_relation(relation, RelationKind::Table, &["id"]);
    }
    let warehouse: Arc<dyn Warehouse> = Arc::new(warehouse);
    let compiled = fixture.project.compile(&fixture.id(name), &warehouse, &run);
    compiled.map_or_else(|found| format!("{found:?}"), |compiled| compiled.sql)
}

fn deferred(selected: &[&str], favor_state: bool) -> RunContext {
    let node = |name: &str| json!({ "resource_type": "model", "database": null, "schema": "prod", "alias": name, "relation_name": name });
    let manifest = json!({ "nodes": { "model.shop.a": node("a"), "model.shop.m": node("m") } });
    let state = PreviousState::read(Some(&manifest), None, None);
    let selected: BTreeSet<NodeId> = selected.iter().map(NodeId::new).collect();
    RunContext { deferral: Some(Arc::new(Deferral::new(&state, selected, favor_state))), ..RunContext::default() }
}

#[test]
fn what_is_not_here_is_read_elsewhere() {
    let fixture = load_text(PROJECT).clean();
    let here =
        "with __dbt__cte__e as (\n select * from \"main\".\"a\"\n) select * from \"main\".\"a\" join __dbt__cte__e";
    let there = here.replace("\"main\"", "\"prod\"");
    for (relations, selected, favor_state, expected) in [
        (&[][..], &["model.shop.m"][..], false, there.as_str()),
        (&["a"], &["model.shop.m"], false, here),
        (&["a"], &["model.shop.m"], true, &there),
        (&["a"], &["model.shop.m", "model.shop.a"], true, here),
        // What the run itself has not made yet is not here either.
        (&[], &["model.shop.m", "model.shop.a"], true, &there),
    ] {
        let found = sql(&fixture, "m", relations, deferred(selected, favor_state));
        assert_eq!(found, expected, "{relations:?} {selected:?} {favor_state}");
    }
}

#[test]
fn samples_cut_inputs_down_where_they_have_an_event_time() {
    let fixture = load_text(PROJECT).clean();
    let at = |text: &str| parse_moment(text).expect("a moment");
    let sample = Batch { start: at("2024-01-02"), end: at("2024-01-04") };
    let run = RunContext { sample: Some(sample), ..RunContext::default() };
    let within = |from: &str, to: &str| {
        format!(
            "at >= cast('2024-01-{from} 00:00:00.000000' as timestamp) and at < cast('2024-01-{to} 00:00:00.000000' as timestamp)"
        )
    };
    let span = within("02", "04");
    let expected = format!(
        "with __dbt__cte__e as (\n select * from (select * from \"main\".\"a\" where {span})\n) select * from (select * from \"main\".\"a\" where {span}) join (select * from __dbt__cte__e where {span})"
    );
    assert_eq!(sql(&fixture, "m", &[], run.clone()), expected);
    let batch = Batch { start: at("2024-01-03"), end: at("2024-01-05") };
    let both = sql(&fixture, "e", &[], RunContext { batch: Some(batch), ..run });
    assert_eq!(both, format!(" select * from (select * from \"main\".\"a\" where {})", within("03", "04")));
}
