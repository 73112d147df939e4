use std::fmt::Write as _;

use super::fixtures::load_text;
use headwater_project::Classify;

/// a -> b -> c -> d, s -> a, e beside them; a seed; tests on b and across c and e.
const PROJECT: &str = "\
=== dbt_project.yml
name: shop
models: {shop: {staging: {+tags: [raw, nightly]}}}
=== models/staging/a.sql
select * from {{ source('lake', 's') }}
=== models/staging/b.sql
{{ config(tags='hot', materialized='table') }} select * from {{ ref('a') }}
=== models/marts/core/c.sql
{{ config(meta={'owner': 'ops'}) }} select * from {{ ref('b') }}
=== models/marts/d.sql
select * from {{ ref('c') }} join {{ ref('codes') }} using (id)
=== models/e.sql
select 1 as id
=== seeds/codes.csv
id
1
=== models/p.yml
sources: [{name: lake, tables: [{name: s}]}]
models:
  - name: b
    columns: [{name: id, data_tests: [unique, not_null]}]
  - name: c
    columns: [{name: id, data_tests: [{relationships: {arguments: {to: \"ref('e')\", field: id}}}]}]
=== tests/one.sql
select * from {{ ref('d') }} where id is null
";

fn check(selections: &[(&str, &str, &str)]) {
    let fixture = load_text(PROJECT).clean();
    let mut wrong = String::new();
    for (select, exclude, expected) in selections {
        let words = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        let chosen = fixture.project.select(&words(select), &words(exclude)).expect("a selection");
        let mut names: Vec<&str> = chosen.iter().map(|id| short(id.as_str())).collect();
        names.sort_unstable();
        if names.join(" ") != *expected {
            writeln!(wrong, "{select:?} - {exclude:?}: {}", names.join(" ")).expect("a string");
        }
    }
    assert_eq!(wrong, "");
}

/// The name; generic tests by their kind.
fn short(id: &str) -> &str {
    let name = id.split('.').nth(if id.starts_with("source") { 3 } else { 2 }).unwrap_or(id);
    ["unique", "not_null", "relationships"].into_iter().find(|test| name.starts_with(test)).unwrap_or(name)
}

#[test]
fn selections_choose_what_dbt_chooses() {
    check(&[
        ("", "", "a b c codes d e not_null one relationships s unique"),
        ("b", "", "b not_null unique"),
        ("+b", "", "a b not_null s unique"),
        ("b+", "", "b c d not_null one relationships unique"),
        ("b+1", "", "b c not_null relationships unique"),
        ("1+c", "", "b c not_null relationships unique"),
        ("2+c+1", "", "a b c d not_null one relationships unique"),
        ("+c,b+", "", "b c not_null relationships unique"),
        ("a e", "", "a e relationships"),
        ("@b", "", "a b c codes d e not_null one relationships s unique"),
        ("@e", "", "a b c e not_null relationships s unique"),
        ("tag:nightly", "", "a b not_null unique"),
        ("tag:hot,tag:raw", "", "b not_null unique"),
        ("tag:n*", "", "a b not_null unique"),
        ("path:models/staging", "", "a b not_null unique"),
        ("models/marts", "", "c d one relationships"),
        ("path:models/marts/core/c.sql", "", "c relationships"),
        ("file:d.sql", "", "d one"),
        ("d.sql", "", "d one"),
        ("source:lake+1", "", "a s"),
        ("source:lake.s", "", "s"),
        ("resource_type:seed", "", "codes"),
        ("resource_type:test", "", "not_null one relationships unique"),
        ("config.materialized:table", "", "b not_null unique"),
        ("config.meta.owner:ops", "", "c relationships"),
        ("test_type:singular", "", "one"),
        ("test_type:generic", "", "not_null relationships unique"),
        ("test_name:unique", "", "unique"),
        ("b,test_name:not_null", "", "not_null"),
        ("staging", "", "a b not_null unique"),
        ("shop.marts.core", "", "c relationships"),
        ("marts.*", "", "c d one relationships"),
        ("package:this", "b+", "a codes e s"),
        ("", "resource_type:test", "a b c codes d e s"),
        ("?", "", "e relationships"),
        ("*", "", "a b c codes d e not_null one relationships unique"),
        ("[ab]", "", ""),
        ("staging.[ab]", "", "a b not_null unique"),
        ("*[ab]", "", "a b not_null unique"),
        ("nothing", "", ""),
    ]);
}

#[test]
fn a_bad_selection_says_what_is_wrong() {
    let fixture = load_text(PROJECT).clean();
    for (text, message, hint) in [
        ("tga:x", "'tga:x' is not a selection: there is no method 'tga'", "Did you mean 'tag:'?"),
        ("+", "'+' is not a selection: there is no name or pattern in it", ""),
        ("@a+", "'@a+' is not a selection: @ already includes the descendants", "Leave out the trailing +."),
    ] {
        let error = fixture.project.select(&[text.to_owned()], &[]).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.hint().unwrap_or_default().as_str()), (message, hint));
    }
}
