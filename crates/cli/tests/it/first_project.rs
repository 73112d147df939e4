//! The project `headwater init` writes, from nothing to an answer.

use crate::invocation::Sandbox;

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "first"]).expect_code(0);
    sandbox.run(&["-C", "first", "ingest"]).expect_code(0);
    sandbox
}

#[test]
fn init_writes_a_project_and_says_what_to_do_next() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["init", "first"]).expect_code(0).transcript());
}

#[test]
fn init_leaves_a_folder_alone_that_holds_something() {
    let sandbox = Sandbox::new();
    sandbox.write("first/notes.txt", "mine");
    sandbox.run(&["init", "first"]).expect_code(2);
    assert_eq!(sandbox.read("first/notes.txt"), b"mine");
    assert_eq!(std::fs::read_dir(sandbox.path().join("first")).unwrap().count(), 1);
}

#[test]
fn the_first_project_is_sound_and_builds_twice() {
    let sandbox = project();
    insta::assert_snapshot!("check", sandbox.run(&["-C", "first", "check"]).expect_code(0).transcript());
    insta::assert_snapshot!("ls", sandbox.run(&["-C", "first", "ls"]).expect_code(0).transcript());
    let first = sandbox.run(&["-C", "first", "build", "--threads", "1"]).expect_code(0);
    insta::assert_snapshot!("build", first.transcript());
    insta::assert_snapshot!(
        "dashboards",
        sandbox.run(&["-C", "first", "dashboards", "--all"]).expect_code(0).transcript()
    );
    let again = sandbox.run(&["-C", "first", "build"]).expect_code(0);
    assert!(again.stderr().contains(" ERROR=0 "), "{}", again.stderr());
    insta::assert_snapshot!("tables", sandbox.run(&["-C", "first", "tables"]).expect_code(0).transcript());
}

#[test]
fn ingesting_twice_adds_nothing_and_a_new_file_is_picked_up() {
    let sandbox = project();
    let rows = |expected: &str| {
        let answer = sandbox.run(&["-C", "first", "query", "select count(*) as n from site.visits", "--format", "csv"]);
        assert_eq!(answer.expect_code(0).stdout(), format!("n\n{expected}\n"));
    };
    rows("5");
    sandbox.run(&["-C", "first", "ingest"]).expect_code(0);
    rows("5");
    let visit = r#"{"visit": 6, "at": "2024-05-03T08:00:00Z", "page": "/", "seconds": 1.5, "country": "BR"}"#;
    sandbox.write("first/data/visits-2.jsonl", visit);
    sandbox.run(&["-C", "first", "ingest"]).expect_code(0);
    rows("6");
}

#[test]
fn every_reading_command_speaks_json() {
    let sandbox = project();
    let report = sandbox.run(&["-C", "first", "build", "--json"]).expect_code(0).json();
    assert_eq!(report["succeeded"], true);
    let run = report["run"].to_string();
    let tables = sandbox.run(&["-C", "first", "tables", "--json"]).expect_code(0).json();
    let table = tables[0]["name"].as_str().unwrap();
    for arguments in [
        &["check"][..],
        &["ls"],
        &["compile"],
        &["runs"],
        &["runs", run.as_str()],
        &["tables", table],
        &["topics"],
        &["dashboards"],
        &["dashboards", "--all"],
        &["doctor"],
        &["query", "select 1 as one"],
        &["show", "--inline", "select 1 as one"],
    ] {
        let arguments = [&["-C", "first", "--json"][..], arguments].concat();
        sandbox.run(&arguments).expect_code(0).json();
    }
}

#[test]
fn a_model_that_is_not_there_gets_a_suggestion() {
    let sandbox = project();
    let nodes = sandbox.run(&["-C", "first", "ls", "--resource-type", "model", "--json"]).expect_code(0).json();
    let name = nodes[0]["name"].as_str().unwrap();
    let mistyped = format!("{name}x");
    let answer = sandbox.run(&["-C", "first", "show", &mistyped]).expect_code(2);
    let said = answer.stderr();
    assert!(said.contains(&format!("`{mistyped}`")) && said.contains(&format!("`{name}`")), "{said}");
}

#[test]
fn a_failed_test_is_a_finding_of_the_project() {
    let sandbox = project();
    sandbox.write("first/tests/never.sql", "select 1 as bad_row\n");
    let answer = sandbox.run(&["-C", "first", "test"]).expect_code(1);
    assert!(
        answer.stderr().contains("FAIL") && answer.stderr().contains("Completed with 4 errors"),
        "{}",
        answer.stderr()
    );
    let report = sandbox.run(&["-C", "first", "build", "--json"]).expect_code(1).json();
    assert_eq!(report["succeeded"], false);
    assert_eq!(report["published"].as_array().unwrap().len(), 0, "nothing is published when a test fails");
}

#[test]
fn a_folder_inside_the_project_will_do() {
    let sandbox = project();
    sandbox.run(&["-C", "first/models", "check"]).expect_code(0);
}

#[test]
fn up_serves_and_ends_by_itself() {
    let sandbox = project();
    let answer = sandbox.run(&["-C", "first", "up", "--port", "0", "--for", "1s"]).expect_code(0);
    assert!(answer.stdout().is_empty());
    assert!(answer.stderr().contains("Listening on http://127.0.0.1:"), "{}", answer.stderr());
    assert!(answer.stderr().contains("Stopped."), "{}", answer.stderr());
}

#[test]
fn what_a_macro_says_is_printed_by_run_operation() {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "name: shop\n");
    sandbox.write(
        "macros/hello.sql",
        "{% macro hello(name) %}{{ log('hello ' ~ name, info=true) }}{{ log('unheard') }}{{ print('bye') }}{% endmacro %}",
    );
    let answer = sandbox.run(&["run-operation", "hello", "--args", "{name: ann}", "--quiet"]).expect_code(0);
    assert_eq!(answer.stdout(), "hello ann\nbye\n");
}
