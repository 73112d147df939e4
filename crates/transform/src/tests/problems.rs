use super::fixtures::{load_text, load_with, options};
use crate::{LoadOptions, TemplateLimits};

fn check(project: &str, expected: &str) {
    assert_eq!(load_text(project).messages(), expected.trim_start_matches('\n'), "{project}");
}

#[test]
fn a_misspelt_reference_is_found_at_its_place() {
    check(
        "=== models/orders.sql\nselect 1\n=== models/report.sql\n\nselect *\nfrom {{ ref('ordres') }}\n",
        "
error: there is no model or seed named 'ordres'
  --> models/report.sql:3:14
  model.shop.report refers to it.
  hint: Did you mean 'orders'?
",
    );
}

#[test]
fn a_missing_source_is_found_at_its_place() {
    check(
        "=== models/p.yml\nsources: [{name: lake, tables: [{name: orders}]}]\n=== models/a.sql\nselect * from {{ source('lake', 'order') }}",
        "
error: there is no source 'lake.order'
  --> models/a.sql:1:34
  model.shop.a refers to it.
  hint: Did you mean 'lake.orders'?
",
    );
}

#[test]
fn one_broken_model_hides_no_other() {
    let fixture = load_text("=== models/bad.sql\nselect {{ 1 + }}\n=== models/good.sql\nselect [1] {{ [2] }}");
    assert_eq!(
        fixture.messages(),
        "error: template syntax: unexpected end of variable block\n  --> models/bad.sql:1:15\n  This happened while reading model.shop.bad.\n"
    );
    assert_eq!(fixture.compile("good").sql, "select [1] [2]");
    assert!(fixture.try_compile("bad", &std::sync::Arc::default(), false).is_err());
}

#[test]
fn an_unknown_macro_gets_a_suggestion_at_its_column() {
    check(
        "=== macros/m.sql\n{% macro add_all(x) %}{{ x }}{% endmacro %}\n=== models/a.sql\nselect {{ [1][0] }},\n  {{ ad_all(1) }}",
        "
warning: 'ad_all' is undefined
  --> models/a.sql:2:6
  This happened while reading model.shop.a.
  hint: Did you mean 'add_all'?
",
    );
}

#[test]
fn an_error_in_a_macro_is_shown_in_the_macro() {
    check(
        "=== macros/m.sql\n{% macro check_it(x) %}\n  {{ exceptions.raise_compiler_error('no ' ~ x) }}\n{% endmacro %}\n=== models/a.sql\nselect {{ check_it('way') }}",
        "
error: no way
  --> macros/m.sql:2:16
  This happened while reading model.shop.a.
",
    );
}

#[test]
fn a_cycle_is_printed() {
    let messages = load_text("=== models/a.sql\nselect * from {{ ref('b') }}\n=== models/b.sql\nselect * from {{ ref('a') }}\n=== models/c.sql\nselect * from {{ ref('a') }}").messages();
    assert!(messages.starts_with("error: models depend on each other: a -> b -> a\n"), "{messages}");
}

#[test]
fn an_endless_template_ends() {
    let limits = TemplateLimits { instructions: 20_000, ..TemplateLimits::default() };
    let options = LoadOptions { limits, ..options() };
    let fixture = load_with(
        "=== macros/m.sql\n{% macro again() %}{{ again() }}{% endmacro %}\n=== models/a.sql\nselect {{ again() }}\n=== models/b.sql\n{% for x in range(90000) %}{% for y in range(90000) %}{% endfor %}{% endfor %}",
        options,
    );
    let messages = fixture.messages();
    assert!(messages.contains("recursion limit") && messages.contains("the template does not end"), "{messages}");
}

#[test]
fn missing_variables_break_the_model_that_reads_them_and_no_other() {
    let fixture = load_text("=== models/a.sql\nselect {{ var('x') }}\n=== models/b.sql\nselect 1").clean();
    let text = fixture.try_compile("a", &std::sync::Arc::default(), false).expect_err("a variable is missing");
    let expected = "
error: variable 'x' is not set and has no default here
  --> models/a.sql:1:11
  This happened while compiling model.shop.a.
  hint: Set it under `vars:` in dbt_project.yml, pass it with --vars, or give var() a default.
";
    assert_eq!(text, expected.trim_start());
    assert_eq!(fixture.compile("b").sql, "select 1");
}

#[test]
fn names_must_be_unique_in_every_spelling() {
    let messages = load_text(
        "=== models/x/orders.sql\nselect 1\n=== models/y/Orders.sql\nselect 1\n=== models/z/orders.sql\nselect 1",
    )
    .messages();
    assert!(messages.contains("'orders' and 'Orders' differ only in upper and lower case"), "{messages}");
    assert!(messages.contains("two resources are named 'orders'\n  --> models/z/orders.sql:1:1"), "{messages}");
}

#[test]
fn what_a_built_in_package_lacks_is_said() {
    check(
        "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n  - name: m\n    data_tests: [dbt_utils.absent_altogether]\n",
        "
error: there is no test 'dbt_utils.absent_altogether'
  --> models/p.yml:3:18
  hint: The package dbt_utils is built in without it; put the package itself into dbt_packages/ to have it.
",
    );
}

#[test]
fn properties_files_are_checked() {
    check(
        "=== models/orders.sql\n{{ config(materialised='table') }}select 1\n=== models/p.yml\nmodels:\n  - name: ordrs\n  - name: orders\n    colums: []\n    config: {unique_keys: id}\n    data_tests: [uniqe, other_package.x, {not_null: 3}]\nmodel: []\n",
        "
warning: unknown key 'colums'
  --> models/p.yml:4:5
  hint: Did you mean 'columns'?
warning: unknown configuration 'unique_keys'
  --> models/p.yml:5:14
  hint: Did you mean 'unique_key'?
error: this is not a test
  --> models/p.yml:6:42
  hint: Write the name of a test, or the name followed by its arguments, such as `- accepted_values: {values: [a, b]}`.
warning: unknown section 'model' in a properties file
  --> models/p.yml:7:1
  hint: Did you mean 'models'?
warning: unknown configuration 'materialised' in orders
  --> models/orders.sql:1:11
  hint: Did you mean 'materialized'?
error: there is no test 'uniqe'
  --> models/p.yml:6:18
  hint: Did you mean 'unique'?
error: package 'other_package' of test 'other_package.x' is not here
  --> models/p.yml:6:25
  hint: Put the package into dbt_packages/. Those that need no folder: dbt_date, dbt_expectations, dbt_external_tables, dbt_utils.
warning: there is no model 'ordrs'
  --> models/p.yml:2:11
  hint: Did you mean 'orders'?
",
    );
}
