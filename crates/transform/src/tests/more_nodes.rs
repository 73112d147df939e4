//! Versions, snapshots, unit tests, hooks, contracts, selectors, profiles: each a small project and what comes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_project::{Files, Timestamp};

use super::fixtures::{Scripted, load_text};
use crate::{
    Cell, HookMoment, IndirectSelection, Plan, ProfileRequest, RelationKind, RunContext, SelectionQuery, Warehouse,
    read_profile,
};

fn names(fixture: &super::fixtures::Fixture, query: &SelectionQuery) -> String {
    let chosen = fixture.project.select_by(query).expect("a selection");
    let name = |id: &crate::NodeId| id.as_str().splitn(3, '.').nth(2).unwrap_or_default().to_owned();
    chosen.iter().map(name).collect::<Vec<_>>().join(" ")
}

const VERSIONS: &str = "=== models/m_v1.sql\nselect 1 as id
=== models/second.sql\nselect 2 as id
=== models/reads.sql\nselect * from {{ ref('m') }} union all select * from {{ ref('m', v=1) }}
=== models/p.yml\nmodels:\n- name: m\n  latest_version: 1\n  columns: [{name: id, data_tests: [not_null]}]\n  versions:\n  - v: 1\n  - {v: 2, defined_in: second, columns: []}\n";

#[test]
fn a_reference_without_a_version_means_the_latest() {
    let fixture = load_text(VERSIONS).clean();
    assert_eq!(
        fixture.compile("reads").sql,
        "select * from \"main\".\"m_v1\" union all select * from \"main\".\"m_v1\""
    );
    for (selector, expected) in [
        ("m", "m.v1 m.v2 not_null_m_v1_id.7ddaa171e6 not_null_m_v2_id.487e0c2b2a"),
        ("version:latest", "m.v1 not_null_m_v1_id.7ddaa171e6"),
        ("version:prerelease", "m.v2 not_null_m_v2_id.487e0c2b2a"),
        ("m.v2", "m.v2 not_null_m_v2_id.487e0c2b2a"),
        ("version:none", "reads"),
    ] {
        let query = SelectionQuery { select: vec![selector.to_owned()], ..SelectionQuery::default() };
        assert_eq!(names(&fixture, &query), expected, "{selector}");
    }
}

#[test]
fn a_version_that_is_not_there_is_told_with_those_that_are() {
    let project = VERSIONS.replace("v=1", "v=7");
    let messages = load_text(&project).messages();
    assert!(messages.contains("'m' has no version 7") && messages.contains("Its versions are 1, 2."), "{messages}");
}

#[test]
fn private_models_are_for_their_group() {
    let project = "=== models/a.sql\nselect 1\n=== models/b.sql\nselect * from {{ ref('a') }}\n=== models/p.yml\ngroups: [{name: money}]\nmodels:\n- name: a\n  config: {group: money, access: private}\n";
    let messages = load_text(project).messages();
    assert!(messages.starts_with("error: a is private to the group 'money'\n  --> models/b.sql:1:23"), "{messages}");
    let misspelt = load_text(&project.replace("group: money,", "group: mony,")).messages();
    assert!(
        misspelt.contains("'mony', which does not exist") && misspelt.contains("Did you mean 'money'?"),
        "{misspelt}"
    );
}

#[test]
fn snapshots_are_read_from_blocks_and_from_yaml() {
    let project = "=== models/m.sql\nselect 1 as id
=== snapshots/s.sql\n{% snapshot one %}{{ config(unique_key='id', strategy='timestamp', updated_at='at', target_schema='history') }}\nselect * from {{ ref('m') }}{% endsnapshot %}
=== snapshots/s.yml\nsnapshots:\n- name: two\n  relation: ref('one')\n  config: {unique_key: [a, b], strategy: check, check_cols: all, hard_deletes: new_record}\n";
    let fixture = load_text(project).clean();
    assert_eq!(fixture.compile("one").relation.to_string(), "\"history\".\"one\"");
    let two = fixture.compile("two");
    assert_eq!(two.sql, "select * from \"history\".\"one\"");
    let Plan::Snapshot(plan) = two.plan else { panic!("no snapshot") };
    let first = plan.statement("Q", None, &[], Timestamp(0));
    assert!(
        first.contains("md5(coalesce(cast(a as varchar), '') || '|' || coalesce(cast(b as varchar), '')"),
        "{first}"
    );
    assert!(first.contains("'False' as dbt_is_deleted"), "{first}");
    let columns = [String::from("a"), String::from("b"), String::from("v")];
    let existing = [
        columns.as_slice(),
        &["dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to", "dbt_is_deleted"].map(String::from),
    ]
    .concat();
    let next = plan.statement("Q", Some(("S", &existing)), &columns, Timestamp(0));
    for part in [
        "src.\"v\" is distinct from cur.\"v\"",
        "src.a = cur.a and src.b = cur.b",
        "'True' as dbt_is_deleted",
        "select * from S where dbt_valid_to is null",
    ] {
        assert!(next.contains(part), "{part}\n{next}");
    }
}

#[test]
fn snapshots_that_say_too_little_are_refused() {
    for (config, message) in [
        ("strategy='check', check_cols='all'", "has no unique_key"),
        ("unique_key='id', strategy='timestamp'", "has no updated_at"),
        ("unique_key='id', strategy='check'", "has no check_cols"),
        ("unique_key='id', strategy='guess'", "has the strategy 'guess'"),
        ("unique_key='id', strategy='check', check_cols=['a'], hard_deletes='x'", "hard_deletes of s cannot be 'x'"),
    ] {
        let project = format!(
            "=== snapshots/s.sql\n{{% snapshot s %}}{{{{ config({config}) }}}} select 1 as id{{% endsnapshot %}}"
        );
        let text = load_text(&project).clean().try_compile("s", &Arc::default(), false).expect_err(config);
        assert!(text.contains(message), "{text}");
    }
}

const UNIT: &str = "=== models/a.sql\nselect 1 as id
=== models/b.sql\nselect id * {{ var('by', 2) }} as n from {{ ref('a') }}{% if is_incremental() %} where id > 1{% endif %}
=== models/p.yml\nunit_tests:\n- name: doubles\n  model: b\n  overrides: {vars: {by: 3}, macros: {is_incremental: true}}\n  given:\n  - {input: ref('a'), format: csv, rows: \"id\\n5\\n\"}\n  expect: {rows: [{n: 15}]}\n";

#[test]
fn a_unit_test_runs_the_model_on_the_rows_it_gives() {
    let actual = "with __dbt__cte__a as (\nselect cast('5' as Utf8) as \"id\"\n) select id * 3 as n from __dbt__cte__a where id > 1";
    let asked = format!("select * from (\n{actual}\n) dbt_internal_unit limit 0");
    let warehouse =
        Scripted::default().with_query(&asked, &["n"], Vec::new()).with_relation("a", RelationKind::Table, &["id"]);
    let fixture = load_text(UNIT).clean();
    let compiled = fixture.compile_in("doubles", &Arc::new(warehouse), false);
    let Plan::Test(plan) = compiled.plan else { panic!("no test") };
    assert!(plan.failing_rows.contains(actual), "{}", plan.failing_rows);
    assert!(plan.failing_rows.contains("select cast('15' as Utf8) as \"n\""), "{}", plan.failing_rows);
    let depends: Vec<String> =
        fixture.project.node(&fixture.id("doubles")).unwrap().depends_on.iter().map(ToString::to_string).collect();
    assert_eq!(depends, ["model.shop.b"]);
}

#[test]
fn a_unit_test_of_a_model_that_is_not_there_is_an_error() {
    let messages = load_text(&UNIT.replace("model: b", "model: bb")).messages();
    assert!(messages.contains("there is no model or seed named 'bb'"), "{messages}");
}

#[test]
fn hooks_are_rendered_when_it_is_their_turn_and_their_references_come_first() {
    let project = "=== models/log.sql\nselect 1 as id\n=== models/a.sql\n{{ config(post_hook=\"insert into {{ ref('log') }} values ('{{ this.name }}')\", pre_hook=['one', {'sql': 'two'}]) }}select 1\n=== dbt_project.yml\nname: shop\non-run-end: [\"{% for r in results %}{{ r.node.name }} {{ r.status }}{% endfor %}\"]\n";
    let fixture = load_text(project).clean();
    let id = fixture.id("a");
    let warehouse: Arc<dyn Warehouse> = Arc::new(Scripted::default());
    let run = RunContext::default();
    assert!(fixture.project.node(&id).unwrap().depends_on.contains(&fixture.id("log")));
    assert_eq!(fixture.project.hooks(&id, HookMoment::Before), ["one", "two"]);
    let hook = fixture.project.hooks(&id, HookMoment::After).remove(0);
    let sql = fixture.project.render_hook(&id, &hook, &warehouse, &run).unwrap();
    assert_eq!(sql, "insert into \"main\".\"log\" values ('a')");
    let end = fixture.project.run_hooks(HookMoment::After).remove(0);
    assert_eq!(end.id, "operation.shop.shop-on-run-end-0");
    let results = serde_json::json!([{"node": {"name": "a"}, "status": "success"}]);
    let variables = serde_json::Map::from_iter([(String::from("results"), results)]);
    assert_eq!(fixture.project.render_run_hook(&end, variables, &warehouse, &run).unwrap().0, "a success");
}

#[test]
fn contracts_name_what_is_checked() {
    let project = "=== models/a.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: a\n  config: {contract: {enforced: true}}\n  constraints: [{type: check, expression: id > 0}]\n  columns:\n  - {name: id, data_type: int, constraints: [{type: not_null}, {type: unique}]}\n  - {name: at, data_type: date}\n";
    let contract = load_text(project).clean().compile("a").contract.expect("a contract");
    let columns: Vec<String> =
        contract.columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
    assert_eq!(columns, ["id int", "at date"]);
    let checks: Vec<&str> = contract.checks.iter().map(|(_, condition)| condition.as_str()).collect();
    assert_eq!(checks, ["id is not null", "id > 0"]);
    let untyped = load_text(&project.replace(", data_type: date", ""));
    let text = untyped.try_compile("a", &Arc::default(), false).expect_err("no type");
    assert!(text.contains("gives column 'at' no type"), "{text}");
}

const GRAPH: &str = "=== models/a.sql\nselect 1 as id\n=== models/b.sql\n{{ config(tags=['t']) }}select * from {{ ref('a') }}
=== models/c.sql\n{{ config(tags=['t']) }}select * from {{ ref('b') }}
=== tests/both.sql\nselect * from {{ ref('a') }} cross join {{ ref('c') }}
=== selectors.yml\nselectors:\n- name: tagged\n  definition: {tag: t}\n- name: mixed\n  definition:\n    union:\n    - {method: fqn, value: a, children: true, children_depth: 1}\n    - exclude: [{method: fqn, value: b}]\n- {name: again, definition: {method: selector, value: tagged}}\n";

#[test]
fn selectors_and_modes_choose_as_they_say() {
    let fixture = load_text(GRAPH).clean();
    for (select, selector, indirect, expected) in [
        ("c", None, IndirectSelection::Eager, "c both"),
        ("c", None, IndirectSelection::Cautious, "c"),
        ("c a", None, IndirectSelection::Cautious, "a c both"),
        ("c", None, IndirectSelection::Buildable, "c both"),
        ("a c", None, IndirectSelection::Empty, "a c"),
        ("", Some("tagged"), IndirectSelection::Eager, "b c both"),
        ("", Some("mixed"), IndirectSelection::Eager, "a both"),
        ("", Some("again"), IndirectSelection::Cautious, "b c"),
    ] {
        let query = SelectionQuery {
            select: vec![select.to_owned()],
            selector: selector.map(str::to_owned),
            indirect,
            ..SelectionQuery::default()
        };
        assert_eq!(names(&fixture, &query), expected, "{select} {selector:?} {indirect:?}");
    }
}

#[test]
fn changes_are_told_from_an_earlier_manifest() {
    let before = load_text(GRAPH).clean();
    let manifest = crate::artifact::manifest::manifest(&before.project, &BTreeMap::new(), &Default::default());
    let manifest = serde_json::to_value(&manifest).unwrap();
    let results = serde_json::json!({"results": [{"unique_id": "model.shop.b", "status": "error"}]});
    let state = crate::PreviousState::read(Some(&manifest), Some(&results), None);
    let now = GRAPH.replace("select * from {{ ref('b') }}", "select id from {{ ref('b') }}").replace(
        "tags=['t']) }}select * from {{ ref('a')",
        "tags=['t'], materialized='table') }}select * from {{ ref('a')",
    );
    let now = load_text(&format!("{now}=== models/new.sql\nselect 1\n")).clean();
    for (selector, expected) in [
        ("state:new", "new"),
        ("state:modified,resource_type:model", "b c new both"),
        ("state:modified.configs,resource_type:model", "b new"),
        ("state:unmodified,resource_type:model", "a both"),
        ("state:old,resource_type:model", "a b c both"),
        ("result:error+,resource_type:model", "b c both"),
    ] {
        let query = SelectionQuery {
            select: vec![selector.to_owned()],
            state: Some(state.clone()),
            ..SelectionQuery::default()
        };
        assert_eq!(names(&now, &query), expected, "{selector}");
    }
}

#[test]
fn the_profile_says_where_models_go_and_keeps_its_secrets() {
    let profiles = "shop:\n  target: \"{{ env_var('WHERE', 'dev') }}\"\n  outputs:\n    dev: {type: duckdb, path: data/shop.duckdb, schema: main}\n    pg: {type: postgres, host: h, user: u, password: \"{{ env_var('NOT_SET') }}\", dbname: db, schema: \"x_{{ env_var('WHO') }}\", threads: 4}\n    bq: {type: bigquery, project: p, dataset: d, location: EU}\n";
    for (target, where_to, expected) in [
        (None, None, "dev duckdb Some(\"shop\") main 1"),
        (None, Some("pg"), "pg postgres Some(\"db\") x_me 4"),
        (Some("bq"), None, "bq bigquery Some(\"p\") d 1"),
    ] {
        let mut files = Files::default();
        files.add("dbt_project.yml", "name: shop\nprofile: shop\n");
        files.add("profiles.yml", profiles);
        let mut env = BTreeMap::from([(String::from("WHO"), String::from("me"))]);
        env.extend(where_to.map(|target| (String::from("WHERE"), String::from(target))));
        let request = ProfileRequest { target: target.map(str::to_owned), env, ..ProfileRequest::default() };
        let (found, problems) = read_profile(&mut files, Path::new("/no/such/folder"), &request);
        assert!(problems.found.is_empty(), "{problems:?}");
        let found = found.expect("a target");
        assert_eq!(
            format!("{} {} {:?} {} {}", found.name, found.adapter, found.database, found.schema, found.threads),
            expected
        );
        assert!(!format!("{found:?}").contains("password"), "{found:?}");
    }
}

#[test]
fn templates_know_more_of_python() {
    for (template, expected) in [
        ("{{ modules.datetime.date(2024, 2, 28) + modules.datetime.timedelta(days=2) }}", "2024-03-01"),
        (
            "{{ (modules.datetime.datetime(2024, 1, 1) - modules.datetime.timedelta(hours=1)).strftime('%d %H') }}",
            "31 23",
        ),
        ("{{ modules.datetime.date(2024, 2, 28).replace(day=1) }}", "2024-02-01"),
        ("{% for a, b in modules.itertools.product('ab', [1, 2]) %}{{ a ~ b }} {% endfor %}", "a1 a2 b1 b2 "),
        ("{{ modules.itertools.combinations([1, 2, 3], 2) | length }}", "3"),
        ("{{ modules.itertools.permutations([1, 2, 3], 2) | length }}", "6"),
        ("{{ modules.itertools.chain([1], [2, 3]) | join('-') }}", "1-2-3"),
        ("{{ 3 - 1 }}{{ [1, 2][0] + 4 }}", "25"),
        ("{{ toyaml({'a': [1, {'b': 'c'}]}) }}", "a:\n- 1\n- b: c\n"),
        ("{{ dbt_utils.slugify('A b-c 1!') }}", "a_b_c_1"),
        ("{{ dbt_utils.safe_subtract(['a', 'b']) | replace('\\n', '') }}", "coalesce(a, 0) -  coalesce(b, 0)"),
        ("{{ render('{{ 1 + 1 }}') }}", "2"),
    ] {
        let fixture = load_text(&format!("=== models/a.sql\n-- {template}|")).clean();
        assert_eq!(fixture.compile("a").sql.trim_start_matches("-- ").trim_end_matches('|'), expected, "{template}");
    }
}

#[test]
fn a_project_overrides_a_macro_of_a_package_without_asking() {
    let project = "=== macros/m.sql\n{% macro default__safe_divide(numerator, denominator) %}{{ numerator }} over {{ denominator }}{% endmacro %}\n=== models/a.sql\nselect {{ dbt_utils.safe_divide('a', 'b') }}, {{ dbt_utils.safe_add(['c']) }}";
    assert_eq!(load_text(project).clean().compile("a").sql, "select a over b, coalesce(c, 0)");
}

#[test]
fn a_materialisation_of_the_project_carries_out_its_own_statements() {
    let project = "=== macros/m.sql\n{% materialization kept, default %}{{ run_hooks(pre_hooks) }}{% call statement('main') %}create table {{ this }} as {{ sql }}{% endcall %}{{ return({'relations': [this]}) }}{% endmaterialization %}\n=== models/a.sql\n{{ config(materialized='kept', pre_hook='first') }}select 1";
    let fixture = load_text(project).clean();
    let compiled = fixture.compile("a");
    let Plan::Custom { macro_name } = &compiled.plan else { panic!("{:?}", compiled.plan) };
    let done = vec![vec![Cell::Null]];
    let scripted = Scripted::default().with_query("first", &["x"], done.clone()).with_query(
        "create table \"main\".\"a\" as select 1",
        &["x"],
        done,
    );
    let warehouse: Arc<dyn Warehouse> = Arc::new(scripted);
    let ran = fixture.project.materialize(&compiled.id, macro_name, &compiled.sql, &warehouse, &RunContext::default());
    assert_eq!(ran, Ok(Vec::new()));
}
