use std::sync::Arc;

use serde_json::json;

use super::fixtures::{Scripted, load_text, load_with, options};
use crate::{
    Cell, ColumnInfo, DeclaredSource, IncrementalStrategy, OnSchemaChange, Partition, Plan, RelationKind, RelationName,
    TestSeverity,
};

/// Compiles the model `m` of a project.
fn check(project: &str, expected: &str) {
    assert_eq!(load_text(project).clean().compile("m").sql, expected, "{project}");
}

fn model(template: &str, expected: &str) {
    check(&format!("=== models/m.sql\n{template}"), expected);
}

#[test]
fn templates_render_as_python_renders_them() {
    for (template, expected) in [
        ("{{ [1, 2.5, 'x', none, true] }}", "[1, 2.5, 'x', None, True]"),
        ("{{ {'a': {'b': [1]}} }}", "{'a': {'b': [1]}}"),
        ("{% set x = [1] %}{% do x.extend([2, 3]) %}{% do x.insert(0, 0) %}{{ x.pop() }}{{ x }}", "3[0, 1, 2]"),
        (
            "{% set x = {} %}{% do x.update(a=1) %}{% do x.update({'b': 2}) %}{{ x.pop('a') }}{{ x.setdefault('c', 4) }}{{ x }}",
            "14{'b': 2, 'c': 4}",
        ),
        ("a\n  {%- if true %} b {% endif -%}\n  c", "a b c"),
        ("{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{{ ',' if not loop.last }}{% endfor %}", "12,34"),
        ("{% for x in [1, 2, 3, 4] if x % 2 == 0 %}{{ loop.index0 }}{{ x }}{% else %}none{% endfor %}", "0214"),
        ("{% for x in range(9) %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "01"),
        (
            "{{ 'a,b'.split(',') }}{{ ' x '.strip() }}{{ 'abc'.startswith('ab') }}{{ '-'.join(['a', 'b']) }}",
            "['a', 'b']xTruea-b",
        ),
        ("{{ 'it''s' }}{{ \"q'q\" }}", "itsq'q"),
        ("{{ '{:,.2f} {:05d} {a.b}'.format(1234.5, 42, a={'b': 'c'}) }}", "1,234.50 00042 c"),
        ("{{ '%s and %s' | format('a', 1) }}", "a and 1"),
        ("{{ 'x' ~ 1 ~ none }}", "x1None"),
        ("{{ (1, 2) == (1, 2) }} {{ [1] + [2] }} {{ 'ab' * 2 }} {{ 1 if false }}|", "True [1, 2] abab |"),
        (
            "{{ modules.re.sub('([a-z])(\\\\d)', '\\\\2\\\\1', 'a1b2') }} {{ modules.re.match('b', 'ab') is none }}",
            "1a2b True",
        ),
        ("{{ set([1, 1, 2]) | length }} {{ dict(a=1)['a'] }} {{ fromyaml('{a: [1, 2]}').a[1] }}", "2 1 2"),
        (
            "{{ execute }} {{ project_name }} {{ target.schema }} {{ target['type'] }} {{ env_var('REGION') }}",
            "True shop main datafusion north",
        ),
        (
            "{{ config(materialized='table', meta={'a': 1}) }}{{ config.get('materialized') }} {{ config.get('meta').a }} {{ config.get('zz', 'd') }}",
            "table 1 d",
        ),
        (
            "{{ run_started_at.strftime('%Y-%m-%d') }} {{ run_started_at }} {{ invocation_id }}",
            "2023-11-14 2023-11-14 22:13:20+00:00 an-invocation",
        ),
        (
            "{{ api.Relation.create(schema='s', identifier='i') }} {{ this.include(schema=false) }} {{ this.quote(schema=false, identifier=false) }}",
            "\"s\".\"i\" \"m\" main.m",
        ),
        (
            "{{ adapter.quote('a\"b') }} {{ dbt.type_string() }} {{ dbt.concat(['a', 'b']) }} {{ dbt.safe_cast('x', 'int') }}",
            "\"a\"\"b\" varchar a || b try_cast(x as int)",
        ),
        (
            "{{ '12' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '2.9' | int }} {{ none | int }} {{ '1.5' | float }} {{ 'x' | float }}",
            "12 0 7 2 0 1.5 0.0",
        ),
        ("select 1;\n", "select 1"),
        ("{{ log('said', info=true) }}{{ print('too') }}x", "x"),
    ] {
        model(template, expected);
    }
}

#[test]
fn macros_return_values_and_see_each_other() {
    check(
        "=== macros/a.sql\n{% macro rows() %}{% for x in [1] %}{% do return({'n': [later(x)]}) %}{% endfor %}{% endmacro %}\n\
         === macros/b.sql\n{% macro later(x) %}{{ return(x + 1) }}{% endmacro %}\n\
         {% macro around() %}<{{ caller(rows().n) }}>{% endmacro %}\n\
         === models/m.sql\n{% call(items) around() %}{{ items[0] + 1 }}{% endcall %}",
        "<3>",
    );
}

#[test]
fn a_project_can_replace_ref_and_keep_the_original() {
    check(
        "=== macros/ref.sql\n{% macro ref(name) %}{% do return(builtins.ref(name).include(schema=false)) %}{% endmacro %}\n\
         === models/a.sql\nselect 1\n=== models/m.sql\nselect * from {{ ref('a') }}",
        "select * from \"a\"",
    );
}

#[test]
fn schema_and_alias_can_be_named_by_the_project() {
    let project =
        "=== dbt_project.yml\nname: shop\nmodels: {shop: {+schema: mart}}\n=== models/m.sql\nselect '{{ this }}'\n";
    check(project, "select '\"main_mart\".\"m\"'");
    let own = "=== macros/s.sql\n{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name }}_{{ node.fqn[0] }}{% endmacro %}\n";
    check(&format!("{project}{own}"), "select '\"mart_shop\".\"m\"'");
}

#[test]
fn declared_sources_need_no_properties_file() {
    let relation = RelationName { database: None, schema: String::from("raw"), identifier: String::from("listen") };
    let declared = DeclaredSource {
        source: String::from("music"),
        table: String::from("listen_events"),
        relation,
        columns: vec![ColumnInfo { name: String::from("ts"), data_type: String::from("Int64") }],
    };
    let options = crate::LoadOptions { declared_sources: vec![declared], ..options() };
    let text = "=== models/m.sql\nselect * from {{ source('music', 'listen_events') }}";
    let fixture = load_with(text, options).clean();
    assert_eq!(fixture.compile("m").sql, "select * from \"raw\".\"listen\"");
    assert_eq!(fixture.id("listen_events").as_str(), "source.shop.music.listen_events");
}

#[test]
fn variables_have_dbt_s_precedence() {
    let project = "=== dbt_project.yml\nname: shop\nvars: {x: global, y: global, z: global, shop: {y: scoped}}\n=== models/m.sql\n{{ var('x') }} {{ var('y') }} {{ var('z') }}";
    let options =
        crate::LoadOptions { vars: json!({ "z": "given" }).as_object().cloned().unwrap_or_default(), ..options() };
    assert_eq!(load_with(project, options).clean().compile("m").sql, "global scoped given");
}

const INCREMENTAL: &str = "=== models/m.sql\n{{ config(materialized='incremental', unique_key='id', merge_update_columns=['a'], incremental_predicates=['DBT_INTERNAL_DEST.d > 1'], partition_by=['d'], on_schema_change='append_new_columns') }}\nselect 1{% if is_incremental() %} where d > (select max(d) from {{ this }}){% endif %}";

#[test]
fn an_incremental_model_adds_only_to_an_existing_table() {
    let fixture = load_text(INCREMENTAL).clean();
    let table = Arc::new(Scripted::default().with_relation("m", RelationKind::Table, &["d"]));
    let view = Arc::new(Scripted::default().with_relation("m", RelationKind::View, &["d"]));
    let incremental = "\nselect 1 where d > (select max(d) from \"main\".\"m\")";
    for (warehouse, full_refresh, first, sql) in [
        (&Arc::default(), false, true, "\nselect 1"),
        (&table, false, false, incremental),
        (&table, true, true, "\nselect 1"),
        (&view, false, true, "\nselect 1"),
    ] {
        let compiled = fixture.compile_in("m", warehouse, full_refresh);
        let Plan::Incremental { first_run, .. } = compiled.plan else { panic!("{:?}", compiled.plan) };
        assert_eq!((first_run, compiled.sql.as_str()), (first, sql));
    }
}

#[test]
fn plans_are_read_from_the_configuration() {
    let day = |column: &str| vec![Partition { column: column.to_owned(), granularity: None }];
    let incremental = |strategy, partition_by| Plan::Incremental {
        strategy,
        partition_by,
        cluster_by: Vec::new(),
        first_run: true,
        on_schema_change: OnSchemaChange::Ignore,
    };
    for (config, expected) in [
        ("", Plan::View),
        (
            "materialized='table', partition_by='d', cluster_by=['a', 'b']",
            Plan::Table { partition_by: day("d"), cluster_by: vec![String::from("a"), String::from("b")] },
        ),
        (
            "materialized='table', partition_by={'field': 'ts', 'data_type': 'timestamp', 'granularity': 'day'}",
            Plan::Table {
                partition_by: vec![Partition { column: String::from("ts"), granularity: Some(String::from("day")) }],
                cluster_by: Vec::new(),
            },
        ),
        ("materialized='incremental'", incremental(IncrementalStrategy::Append, Vec::new())),
        (
            "materialized='incremental', unique_key=['a', 'b'], incremental_strategy='delete+insert'",
            incremental(
                IncrementalStrategy::DeleteInsert {
                    unique_key: vec![String::from("a"), String::from("b")],
                    predicates: Vec::new(),
                },
                Vec::new(),
            ),
        ),
        (
            "materialized='incremental', incremental_strategy='insert_overwrite', partition_by='d'",
            incremental(IncrementalStrategy::InsertOverwrite, day("d")),
        ),
        ("materialized='ephemeral'", Plan::Ephemeral),
    ] {
        let fixture = load_text(&format!("=== models/m.sql\n{{{{ config({config}) }}}}select 1")).clean();
        assert_eq!(fixture.compile("m").plan, expected, "{config}");
    }
    let Plan::Incremental { strategy, on_schema_change, .. } = load_text(INCREMENTAL).clean().compile("m").plan else {
        panic!("not incremental")
    };
    let merge = IncrementalStrategy::Merge {
        unique_key: vec![String::from("id")],
        update_columns: vec![String::from("a")],
        exclude_columns: Vec::new(),
        predicates: vec![String::from("DBT_INTERNAL_DEST.d > 1")],
    };
    assert_eq!((strategy, on_schema_change), (merge, OnSchemaChange::AppendNewColumns));
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    for (config, message) in [
        ("materialized='tabel'", "m has the unknown materialized 'tabel'"),
        ("materialized='incremental', incremental_strategy='insert_overwrite'", "m overwrites partitions and has none"),
        ("materialized='incremental', incremental_strategy='microbatch'", "m uses microbatches and has no event_time"),
        ("materialized='incremental', incremental_strategy='mrege'", "m has the unknown incremental_strategy 'mrege'"),
        ("materialized='incremental', on_schema_change='x'", "m has the unknown on_schema_change 'x'"),
    ] {
        let fixture = load_text(&format!("=== models/m.sql\n{{{{ config({config}) }}}}select 1")).clean();
        let text = fixture.try_compile("m", &Arc::default(), false).expect_err(config);
        assert!(text.starts_with(&format!("error: {message}\n  --> models/m.sql:1:1\n")), "{text}");
    }
}

#[test]
fn tests_count_their_failing_rows() {
    let project = "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: m\n  columns:\n  - name: id\n    data_tests:\n    - not_null: {config: {where: id > 1, severity: warn, limit: 3, error_if: '>5'}}\n";
    let fixture = load_text(project).clean();
    let compiled = fixture.compile("not_null_m_id");
    let rows =
        "\nselect id\nfrom (select * from \"main\".\"m\" where id > 1) dbt_subquery\nwhere id is null\n\nlimit 3";
    assert_eq!(
        compiled.sql,
        format!(
            "select\n  count(*) as failures,\n  count(*) != 0 as should_warn,\n  count(*) >5 as should_error\nfrom (\n{rows}\n) dbt_internal_test"
        )
    );
    let Plan::Test(plan) = compiled.plan else { panic!("not a test") };
    assert_eq!((plan.severity, plan.failing_rows.as_str(), plan.limit), (TestSeverity::Warn, rows, Some(3)));
}

#[test]
fn built_in_package_tests_render() {
    let project = "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: m\n  data_tests:\n  - dbt_utils.unique_combination_of_columns: {arguments: {combination_of_columns: [a, b]}}\n  - dbt_utils.expression_is_true: {arguments: {expression: a < b}}\n  columns:\n  - name: id\n    data_tests:\n    - dbt_utils.accepted_range: {arguments: {min_value: 0, max_value: 9, inclusive: false}}\n    - relationships: {arguments: {to: ref('m'), field: id}}\n    - accepted_values: {arguments: {values: [1, 2], quote: false}}\n";
    let fixture = load_text(project).clean();
    for (name, expected) in [
        ("dbt_utils_unique_combination_of_columns_m_a__b", "group by a, b\nhaving count(*) > 1"),
        ("dbt_utils_expression_is_true_m_a_b", "where not (a < b)"),
        ("dbt_utils_accepted_range_m_id__False__9__0", "where 1 = 2\n    or not id > 0\n    or not id < 9"),
        ("relationships_m_id__id__ref_m_", "select id as to_field\n    from \"main\".\"m\""),
        ("accepted_values_m_id__False__1__2", "not in (1, 2)"),
    ] {
        let sql = fixture.compile(name).sql;
        assert!(sql.contains(expected), "{name}: {sql}");
    }
}

#[test]
fn templates_can_ask_the_warehouse() {
    let warehouse = Arc::new(
        Scripted::default()
            .with_query(
                "select kind from t",
                &["kind", "n"],
                vec![vec![Cell::Text(String::from("a")), Cell::Integer(1)], vec![Cell::Null, Cell::Integer(2)]],
            )
            .with_relation("m", RelationKind::Table, &["id", "name"]),
    );
    for (template, expected) in [
        (
            "{% set t = run_query('select kind from t') %}{% if execute %}{{ t.columns[0].values() }} {{ t.rows | length }} {{ t.rows[0]['n'] }} {% for r in t %}{{ r.kind }}{{ r[1] }};{% endfor %}{{ t.columns[1].name }} {{ t.column_names }}{% endif %}",
            "['a', None] 2 1 a1;None2;n ['kind', 'n']",
        ),
        (
            "{% call statement('x', fetch_result=true) %}select kind from t{% endcall %}{{ load_result('x')['data'] }}",
            "[['a', 1], [None, 2]]",
        ),
        ("{{ dbt_utils.star(this, except=['ID']) }}", "\"name\""),
        (
            "{% for c in adapter.get_columns_in_relation(this) %}{{ c.name }} {{ c.data_type }},{% endfor %}",
            "id Utf8,name Utf8,",
        ),
        ("{{ adapter.get_relation(none, 'main', 'absent') is none }} {{ load_relation(this).is_table }}", "True True"),
        (
            "{{ dbt_utils.generate_surrogate_key(['a', 'b']) }}",
            "md5(cast(coalesce(cast(a as varchar), '_dbt_utils_surrogate_key_null_') || '-' || coalesce(cast(b as varchar), '_dbt_utils_surrogate_key_null_') as varchar))",
        ),
    ] {
        let fixture = load_text(&format!("=== models/m.sql\n{template}")).clean();
        assert_eq!(fixture.compile_in("m", &warehouse, false).sql, expected, "{template}");
    }
}

#[test]
fn a_refused_query_is_shown_at_its_call() {
    let fixture = load_text("=== models/m.sql\nselect\n  {{ run_query('drop') }}").clean();
    let text = fixture.try_compile("m", &Arc::default(), false).expect_err("no such query");
    assert_eq!(
        text,
        "error: no such query: drop\n  --> models/m.sql:2:6\n  This happened while compiling model.shop.m.\n  hint: Script it.\n"
    );
}

#[test]
fn attributes_of_the_undefined_fail_only_when_compiling() {
    let fixture = load_text("=== models/m.sql\n{{ nothing.here }}").clean();
    let text = fixture.try_compile("m", &Arc::default(), false).expect_err("undefined");
    assert!(text.contains("`nothing` is undefined"), "{text}");
}

#[test]
fn a_reference_only_seen_at_run_time_must_be_declared() {
    let hidden = "=== models/a.sql\nselect 1\n=== models/m.sql\n{% if execute %}{{ ref('a') }}{% endif %}";
    let text = load_text(hidden).clean().try_compile("m", &Arc::default(), false).expect_err("hidden");
    assert!(text.contains("add the line `-- depends_on: {{ ref('a') }}`"), "{text}");
    check(&format!("{hidden}-- depends_on: {{{{ ref('a') }}}}"), "\"main\".\"a\"-- depends_on: \"main\".\"a\"");
}

#[test]
fn only_what_can_change_by_itself_is_volatile() {
    for (template, volatile) in [
        ("select 1", false),
        ("select now()", true),
        ("select current_date -- x", true),
        ("select 'now()', known.now, \"current_date\" -- now()\n/* random() */", false),
        ("select {{ run_started_at }}", true),
        ("select {{ modules.datetime.datetime.now().year }}", true),
        ("select random_id, uuid_of(x) from t", false),
    ] {
        let fixture = load_text(&format!("=== models/m.sql\n{template}")).clean();
        assert_eq!(fixture.compile("m").volatile, volatile, "{template}");
    }
}

#[test]
fn the_hash_follows_everything_the_sql_is_made_of() {
    let hash = |text: &str, x: &str| {
        let vars = json!({ "x": x, "unread": x }).as_object().cloned().unwrap_or_default();
        load_with(text, crate::LoadOptions { vars, ..options() }).clean().compile("m").raw_sql_hash
    };
    let base = "=== macros/a.sql\n{% macro f() %}1{% endmacro %}\n{% macro g() %}2{% endmacro %}\n=== models/inner.sql\n{{ config(materialized='ephemeral') }}select 1\n=== models/m.sql\nselect {{ f() }} {{ var('x') }} from {{ ref('inner') }}";
    assert_eq!(hash(base, "1"), hash(base, "1"));
    assert_eq!(hash(base, "1"), hash(&base.replace("g() %}2", "g() %}3"), "1"));
    for changed in
        [base.replace("%}1{%", "%}9{%"), base.replace("select 1", "select 2"), base.replace("from {{", "FROM {{")]
    {
        assert_ne!(hash(base, "1"), hash(&changed, "1"), "{changed}");
    }
    assert_ne!(hash(base, "1"), hash(base, "2"));
}

#[test]
fn the_manifest_names_nodes_and_their_neighbours() {
    let fixture = load_text("=== models/a.sql\nselect 1\n=== models/m.sql\nselect * from {{ ref('a') }}").clean();
    let sql = fixture.compile("m").sql;
    let compiled = std::collections::BTreeMap::from([("model.shop.m", sql.as_str())]);
    let manifest = crate::artifact::manifest::manifest(&fixture.project, &compiled, &Default::default());
    assert_eq!(manifest.child_map["model.shop.a"], ["model.shop.m"]);
    assert_eq!(manifest.nodes["model.shop.m"]["compiled_code"], json!("select * from \"main\".\"a\""));
    assert_eq!(manifest.nodes["model.shop.m"]["depends_on"]["nodes"], json!(["model.shop.a"]));
}
