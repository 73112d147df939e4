//! Columns of models, from their SQL alone.

use crate::invocation::Sandbox;

fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "name: shop\n");
    sandbox.write("seeds/orders.csv", "id,customer,cents\n1,ann,250\n2,bob,400\n");
    sandbox.write("models/stg_orders.sql", "select id, customer, cents / 100.0 as amount from {{ ref('orders') }}");
    sandbox.write(
        "models/by_customer.sql",
        "{{ config(materialized='table') }}\nselect customer, sum(amount) as total\nfrom {{ ref('stg_orders') }}\ngroup by customer",
    );
    sandbox
}

#[test]
fn columns_of_a_model_come_with_types_and_origins_before_anything_is_built() {
    let sandbox = shop();
    let list = sandbox.run(&["columns", "by_customer"]).expect_code(0).transcript();
    let trail = sandbox.run(&["columns", "stg_orders.amount"]).expect_code(0).transcript();
    insta::assert_snapshot!(format!("{list}\n{trail}"));
    let json = sandbox.run(&["columns", "by_customer", "--json"]).expect_code(0).json();
    assert_eq!(json["nodes"][json["node"].as_str().unwrap()]["columns"][0]["is_copy"], true);
    let answer = sandbox.run(&["columns", "stg_orders.amuont"]).expect_code(2);
    assert!(answer.stderr().contains("Did you mean `amount`?"), "{}", answer.stderr());
    sandbox.run(&["columns", "stg_ordres"]).expect_code(2);
}

#[test]
fn a_misspelt_column_is_a_compile_error_with_its_place_and_what_was_meant() {
    let sandbox = shop();
    sandbox.run(&["compile"]).expect_code(0);
    sandbox.write("models/wrong.sql", "{{ config(materialized='table') }}\n\nselect customer,\n  sum(amuont) as total\nfrom {{ ref('stg_orders') }}\ngroup by customer");
    sandbox.write("models/above.sql", "select total from {{ ref('wrong') }}");
    let check = |command: &str, code: i32| {
        let answer = sandbox.run(&[command]).expect_code(code);
        for part in ["there is no column `amuont`", "models/wrong.sql:4:7", "Did you mean `amount`?"] {
            assert!(answer.stderr().contains(part), "no {part:?} in:\n{}", answer.stderr());
        }
    };
    check("compile", 1);
    check("build", 1);
    // What reads a wrong model has no problem of its own.
    let answer = sandbox.run(&["compile", "--select", "above"]).expect_code(0);
    assert!(!answer.stderr().contains("amuont"), "{}", answer.stderr());
}

#[test]
fn a_source_of_which_nothing_is_known_is_no_error() {
    let sandbox = shop();
    sandbox.write("models/sources.yml", "sources:\n- name: raw\n  tables:\n  - name: visits\n  - name: pages\n    columns: [{name: url, data_type: varchar}]\n");
    sandbox.write("models/visits.sql", "select anything from {{ source('raw', 'visits') }}");
    sandbox.write("models/pages.sql", "select url from {{ source('raw', 'pages') }}");
    sandbox.run(&["compile"]).expect_code(0);
    let answer = sandbox.run(&["columns", "visits"]).expect_code(1);
    assert!(answer.stderr().contains("nothing has been loaded into raw.visits yet"), "{}", answer.stderr());
    assert!(sandbox.run(&["columns", "pages"]).expect_code(0).stdout().contains("raw.pages.url"));
}
