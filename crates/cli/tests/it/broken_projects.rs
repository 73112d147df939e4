//! Mistakes in a project: each with its place, several at once; `check` exits with 1, what cannot run because of them with 2.

use crate::invocation::Sandbox;

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "name: broken\n");
    for (path, text) in files {
        sandbox.write(path, text);
    }
    let answer = sandbox.run(&["check"]).expect_code(1);
    for part in expected {
        assert!(answer.stderr().contains(part), "no {part:?} in:\n{}", answer.stderr());
    }
    assert!(answer.stdout().is_empty());
    sandbox.run(&["build"]).expect_code(2);
    let findings = sandbox.run(&["check", "--json"]).expect_code(1).json();
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["severity"] == "error"));
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    check(&[("headwater.yml", "nmae: broken\n")], &["nmae", "--> headwater.yml:1:1", "`name`"]);
}

#[test]
fn yaml_that_does_not_parse_has_a_place() {
    check(&[("jobs/hourly.yml", "name: [\n")], &["--> jobs/hourly.yml:"]);
}

#[test]
fn a_reference_to_no_model_has_a_place_and_a_suggestion() {
    check(
        &[("models/people.sql", "select 1 as id"), ("models/adults.sql", "select *\nfrom {{ ref('peple') }}")],
        &["peple", "models/adults.sql:2", "people"],
    );
}

#[test]
fn several_mistakes_are_told_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "nmae: broken\nversio: 1\n");
    sandbox.write("models/a.sql", "select * from {{ ref('missing') }}");
    sandbox.write("models/b.sql", "select {{ unclosed");
    sandbox.write("dashboards/d.yml", "name: d\ntitel: D\n");
    insta::assert_snapshot!(sandbox.run(&["check"]).expect_code(1).transcript());
}

#[test]
fn what_is_stored_can_be_read_while_a_model_is_broken() {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "name: broken\n");
    sandbox.write("models/a.sql", "select * from {{ ref('missing') }}");
    sandbox.run(&["query", "select 1"]).expect_code(0);
    sandbox.run(&["tables"]).expect_code(0);
}
